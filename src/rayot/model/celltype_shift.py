"""Mean shift within each cell type."""

from __future__ import annotations

from typing import Any, ClassVar

from rayot._docs import shared
from rayot.model.mean_shift import MeanShift


@shared
class CellTypeShift(MeanShift):
    """Each cell type moved by the difference of its own means; others by the mean of these.

    A baseline without training: :class:`rayot.model.MeanShift` with separate strata.

    Parameters
    ----------
    {method}

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.simulated(n_cells=400, n_genes=50)
    >>> data = rt.model.CellTypeShift.setup_anndata(adata, strata_key="cell_type")
    >>> model = rt.model.CellTypeShift(adata, data, "control", "perturbed", strata="separate")
    >>> model.train()
    >>> model.predict(adata[:5]).shape
    (5, 50)
    """

    _verb_defaults: ClassVar[dict[str, Any]] = {"strata_key": "cell_type", "strata": "separate"}
