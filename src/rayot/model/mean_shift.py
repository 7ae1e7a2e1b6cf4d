"""Mean shift."""

from __future__ import annotations

from rayot._docs import shared
from rayot.model.method import Method
from rayot.solvers.shift import ShiftMap


@shared
class MeanShift(Method):
    """All cells moved by the difference of the conditions' means.

    A baseline without training; scGen in the space it is given.

    Parameters
    ----------
    {method}

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.moons(n_samples=200)
    >>> model = rt.model.MeanShift(
    ...     adata, rt.model.MeanShift.setup_anndata(adata), "control", "perturbed"
    ... )
    >>> model.train()
    >>> model.predict(adata[:5]).shape
    (5, 2)
    """

    stack_type = ShiftMap
