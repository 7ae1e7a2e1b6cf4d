"""A Wasserstein-1 map along which all cells go equally far (Milne et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from rayot._docs import shared
from rayot.solvers.w1 import W1Map
from rayot.solvers.w1_settings import W1Settings


@shared
@dataclass(frozen=True)
class FixedStepSettings(W1Settings):
    """Settings of a map with one step size, beside those of :class:`rayot.solvers.W1Settings`.

    Attributes
    ----------
    {common_settings}
    """

    step: str = "fixed"  # type: ignore[assignment]

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {},
        "fast": {**W1Settings.presets["fast"], "n_rays": 1, "step": "fixed"},
    }

    # As published, a single map.
    members: ClassVar[dict[str, int]] = {}
    of_members: ClassVar[dict[str, dict[str, Any]]] = {}

    def check(self) -> None:
        """Raise a ValueError that names the first setting out of range."""
        super().check()
        if self.step != "fixed":
            raise ValueError(f"step must be 'fixed' here, found {self.step!r}; see rayot.tl.w1ot.")


class FixedStepMap(W1Map):
    """P maps along the rays of a potential, all steps of a problem as long as its dual value."""

    settings_type = FixedStepSettings
