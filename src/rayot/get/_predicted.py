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
from rayot.model.one_map import one_map

if TYPE_CHECKING:
    from mudata import MuData

    from rayot.model import ConditionalW1OT, Screen
    from rayot.model.method import Method


@public(key=None)
@shared
def predicted(
    adata: AnnData | MuData,
    key: str | Method | Screen | ConditionalW1OT | None = None,
    perturbation: str | None = None,
    *,
    modality: str | None = None,
) -> AnnData:
    """The predicted cells as a plain AnnData, ready for scanpy.

    Parameters
    ----------
    {adata}
    key
        Name of a map that was written to ``adata``; None takes the only one. Or a fitted model,
        which then predicts the source cells of ``adata``.
    perturbation
        Which map of a screen or of a conditional model; None of one map.
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
    TypeError
        If ``key`` is neither a name nor a fitted model.
    ValueError
        If there are several maps and none is named, none of these cells was transported, or a
        perturbation is named of one map, or none of a screen.

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
    if key is not None and not isinstance(key, str):
        return _by_model(cells, key, perturbation)
    if perturbation is not None:
        raise ValueError(
            f"perturbation is {perturbation!r}, and a map that was written is of one; pass the "
            "fitted screen in the place of its name."
        )
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


def _by_model(
    cells: AnnData, model: Method | Screen | ConditionalW1OT, perturbation: str | None
) -> AnnData:
    """What a fitted model predicts for the cells that it starts from."""
    fitted = one_map(model, perturbation)
    assert fitted.data.groupby is not None
    return fitted.predict(cells[checks.in_category(cells, fitted.data.groupby, fitted.source_key)])


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
