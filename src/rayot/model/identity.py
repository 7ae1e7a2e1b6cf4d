"""Identity."""

from __future__ import annotations

from rayot._docs import shared
from rayot.model.method import Method
from rayot.solvers.shift import IdentityMap


@shared
class Identity(Method):
    """Cells that stay where they are.

    The baseline that every prediction has to beat.

    Parameters
    ----------
    {method}

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.moons(n_samples=200)
    >>> model = rt.model.Identity(
    ...     adata, rt.model.Identity.setup_anndata(adata), "control", "perturbed"
    ... )
    >>> model.train()
    >>> model.predict(adata[:5]).shape
    (5, 2)
    """

    stack_type = IdentityMap
