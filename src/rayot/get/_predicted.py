"""The getter ``get.predicted``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from rayot._docs import shared
from rayot._public import public
from rayot.data import checks
from rayot.data.fitted import WrittenMap
from rayot.data.keys import Key
from rayot.data.modality import modality_of

if TYPE_CHECKING:
    from mudata import MuData


@public()
@shared
def predicted(
    adata: AnnData | MuData, key: str | None = None, *, modality: str | None = None
) -> AnnData:
    """The predicted cells as a plain AnnData, ready for scanpy.

    Parameters
    ----------
    {adata}
    {key}
    {modality}

    Returns
    -------
    One row for each transported cell: ``X`` predicted expression, float32 (sparse where that of
    ``adata`` is and at least half of it is zero; no ``X`` where the representation has no decoder),
    ``obs`` and ``var`` as in ``adata``, ``obsm["X_" + key]`` the
    predicted representation, ``uns[key]``. The column of the conditions, ``uns[key]["groupby"]``,
    says ``"predicted <target>"``, so that beside observed cells they are a group of their own.

    Raises
    ------
    KeyError
        If no map was written under ``key``; names those that were.
    ValueError
        If there are several maps and none is named, or none of these cells was transported.

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.moons(n_samples=100)
    >>> model = rt.tl.w1ot(
    ...     adata, "control", "perturbed", preset="fast", max_steps=5, show_progress_bar=False
    ... )
    >>> rt.get.predicted(adata).shape
    (100, 2)
    >>> rt.get.predicted(adata).obs["perturbation"].cat.categories.tolist()
    ['predicted perturbed']
    """
    cells = modality_of(adata, modality)
    fitted = WrittenMap.read(cells, key)
    key = fitted.key
    rows = np.flatnonzero(np.isfinite(checks.numbers(cells, Key.obs.step(key))))
    if not len(rows):
        raise ValueError(f"The map {key!r} has transported none of these cells.")
    layer, representation = Key.layers.predicted(key), Key.obsm.predicted(key)
    decoded = layer in cells.layers
    obs = checks.table_of(cells).iloc[rows].copy()
    obs[fitted.groupby] = pd.Categorical([Key.obs.predicted(fitted.target)] * len(obs))
    result = AnnData(
        X=_held_as(cells, fitted, cells.layers[layer][rows]) if decoded else None,
        obs=obs,
        var=cells.var.copy() if decoded else None,
    )
    if representation in cells.obsm:
        result.obsm[representation] = cells.obsm[representation][rows]
    result.uns[key] = cells.uns[key]
    return result


def _held_as(
    cells: AnnData, fitted: WrittenMap, genes: np.ndarray
) -> np.ndarray | sparse.csr_matrix:
    """Predicted genes, sparse where those of the cells are and that takes less room."""
    if not isinstance(genes, np.ndarray) or 2 * np.count_nonzero(genes) >= genes.size:
        return genes
    # A view copies its whole matrix whenever it is asked for it.
    whole = cells._adata_ref if cells.is_view else cells
    expression = whole.X if fitted.layer is None else whole.layers.get(fitted.layer)
    return sparse.csr_matrix(genes) if sparse.issparse(expression) else genes
