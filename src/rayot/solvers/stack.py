"""What every method is to the rooms above: maps that learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rayot._docs import shared
from rayot.solvers.maps import Maps
from rayot.solvers.phase import Phase
from rayot.solvers.population import Population


@shared
class Stack(Maps):
    """What every method is to the rooms above: P maps of cells, with everything learned in them.

    A method says how standardised cells move (:meth:`move`), and how it learns: by the phases of
    :meth:`phases`, which are trained by gradient steps, or at once in :meth:`fit`.

    Parameters
    ----------
    {stack}
    """

    leaves_out_strata: ClassVar[bool] = True
    """Whether maps without one of their strata say what the method does for a new one."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if hasattr(cls, "objectives"):
            # It would not be trained, in silence.
            raise TypeError(f"{cls.__name__}.objectives is named phases now, see Stack.phases.")

    def phases(self) -> Sequence[Phase]:
        """What is trained by gradient steps, one phase after the other."""
        return []

    def fit(self, source: Population, target: Population) -> None:
        """Learn what needs no gradient steps from training cells, in the units of the data."""

    def finish(self, source: Population, target: Population) -> None:
        """Learn what follows from the trained networks, and let go of what only training needs."""
