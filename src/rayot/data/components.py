"""Principal components of training cells, in which test cells have their place too."""

from __future__ import annotations

import numpy as np
from anndata import AnnData

from rayot.data import checks
from rayot.data.keys import Key
from rayot.data.matrix import chunk_rows, expression_of, matrix_of, row_chunks


def write_components(
    adata: AnnData, split_key: str | None, n_comps: int, layer: str | None = None
) -> None:
    """Write ``obsm["X_pca"]`` of all cells and ``varm["PCs"]``, computed on training cells.

    Parameters
    ----------
    adata
        Cells in memory.
    split_key
        Column with "train"; None takes all cells.
    n_comps
        Number of components, at most one less than genes and training cells.
    layer
        Layer with expression; None is ``X``.

    Raises
    ------
    ValueError
        If there are fewer than two training cells or genes.
    """
    import scanpy as sc

    training = adata
    if split_key is not None:
        training = adata[checks.labels(adata, split_key) == Key.obs.train]
    if min(training.shape) < 2:
        raise ValueError(
            f"Components need two training cells and two genes, found {training.n_obs} and "
            f"{training.n_vars}."
        )
    n_comps = min(n_comps, *(n - 1 for n in training.shape))
    own = AnnData(matrix_of(training, layer).copy())
    sc.pp.pca(own, n_comps=n_comps, mask_var=None)
    loadings = own.varm[Key.varm.loadings]
    mean = np.asarray(own.X.mean(0)).ravel()
    scores = [
        expression_of(adata, layer, rows) @ loadings
        for rows in row_chunks(np.arange(adata.n_obs), chunk_rows(adata.n_vars))
    ]
    # What scanpy says there of earlier components would be wrong of these.
    adata.uns.pop("pca", None)
    adata.varm[Key.varm.loadings] = loadings
    adata.obsm[Key.obsm.pca] = (np.concatenate(scores) - mean @ loadings).astype(np.float32)
