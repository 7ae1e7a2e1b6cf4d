"""A UMAP of observed cells, fitted once and kept with them."""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rayot.data.keys import Key

if TYPE_CHECKING:
    from anndata import AnnData

Points = NDArray[np.float64]

N_NEIGHBORS = 15
"""Cells that a cell is joined with, umap-learn's and scanpy's default."""

logger = logging.getLogger(__name__)


def kept_umap(
    adata: AnnData,
    key: str,
    rows: NDArray[np.intp],
    cells: Points,
    reduced: Points,
    seed: int,
) -> Points:
    """Places (n, 2) of cells in a UMAP: the kept one of these very cells, or a new one.

    A new one is kept in ``obsm`` and ``uns`` under the name of the map, and any map between the
    same cells finds it there. Other rows of ``obsm`` are NaN.

    Parameters
    ----------
    adata
        Cells. A view is not written to, as that would make a copy of it.
    key
        Name of the map.
    rows
        Row numbers (n,) of the cells in ``adata``.
    cells
        (n, p), by which the same cells are known again.
    reduced
        (n, d), what UMAP sees of them.
    seed
        Of UMAP.
    """
    fingerprint = _fingerprint(cells, seed)
    for name, value in adata.uns.items():
        if isinstance(value, Mapping) and value.get(Key.kept_umap.fingerprint) == fingerprint:
            kept = adata.obsm.get(Key.obsm.embedding(name))
            if kept is not None and np.isfinite(places := np.asarray(kept)[rows]).all():
                return places
    name = Key.uns.kept_umap(key)
    logger.info(
        "adata.obsm has no 'X_umap': fitting UMAP to %d cells. %s Run scanpy.tl.umap beforehand to "
        "choose the embedding of all figures.",
        len(cells),
        "A view keeps none: take a copy() of it, so that later figures need no other."
        if adata.is_view
        else f"It is kept in adata.obsm[{Key.obsm.embedding(name)!r}].",
    )
    places = _fit_umap(reduced, seed)
    if not adata.is_view:
        kept = np.full((adata.n_obs, 2), np.nan)
        kept[rows] = places
        adata.obsm[Key.obsm.embedding(name)] = kept
        adata.uns[name] = {Key.kept_umap.fingerprint: fingerprint, Key.kept_umap.seed: seed}
    return places


def _fit_umap(cells: Points, seed: int) -> Points:
    """Places (n, 2) of cells (n, d), with a bar of the epochs."""
    from sklearn.neighbors import NearestNeighbors
    from umap import UMAP

    n_neighbors = min(N_NEIGHBORS, len(cells) - 1)
    # Exact neighbours: umap-learn's search for approximate ones takes half a minute to compile, in
    # which 50,000 cells have theirs found three times.
    distances, neighbors = NearestNeighbors(n_neighbors=n_neighbors).fit(cells).kneighbors(cells)
    # A fixed state runs on one thread; saying so keeps umap-learn from warning about it.
    reducer = UMAP(
        n_neighbors=n_neighbors,
        random_state=seed,
        n_jobs=1,
        precomputed_knn=(neighbors, distances),
        force_approximation_algorithm=True,
        tqdm_kwds={"disable": False, "desc": "UMAP", "unit": "epoch"},
    )
    with warnings.catch_warnings():
        # New cells are not placed by this reducer.
        warnings.filterwarnings("ignore", "precomputed_knn", UserWarning)
        return np.asarray(reducer.fit_transform(cells), dtype=np.float64)


def _fingerprint(cells: Points, seed: int) -> str:
    """What tells one set of cells and seed from another."""
    hashed = hashlib.blake2b(repr((cells.shape, seed)).encode(), digest_size=16)
    hashed.update(np.ascontiguousarray(cells).data)
    return hashed.hexdigest()
