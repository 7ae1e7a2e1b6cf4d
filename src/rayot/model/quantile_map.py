"""Each gene mapped by its own quantiles."""

from __future__ import annotations

from rayot._docs import shared
from rayot.model.method import Method
from rayot.solvers.quantile import MarginalMap


@shared
class QuantileMap(Method):
    """Each gene goes from its distribution in source cells to that in target cells, by its ranks.

    A baseline without training and without any transport between cells: every gene comes out
    right, and what genes have to do with each other, and with a cell's type, stays as it was. See
    :class:`rayot.solvers.QuantileSettings`.

    Parameters
    ----------
    {method}

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.moons(n_samples=200)
    >>> model = rt.model.QuantileMap(
    ...     adata, rt.model.QuantileMap.setup_anndata(adata), "control", "perturbed"
    ... )
    >>> model.train()
    >>> model.predict(adata[:5]).shape
    (5, 2)
    """

    stack_type = MarginalMap
