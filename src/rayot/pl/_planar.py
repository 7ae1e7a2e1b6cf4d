"""Source, target and predicted cells as points of the plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rayot._public import warn
from rayot.data.fitted import WrittenMap
from rayot.data.keys import Key
from rayot.data.matrix import embedding_rows
from rayot.pl._kept_umap import kept_umap

if TYPE_CHECKING:
    from anndata import AnnData

Points = NDArray[np.float64]
Rows = NDArray[np.intp]

N_COMPONENTS = 50
"""Principal components that stand in for expression when neighbours are looked for."""


@dataclass(frozen=True)
class PlanarCells:
    """Cells of one fitted map in the plane.

    Attributes
    ----------
    fitted
        The map.
    source_rows, target_rows
        Row numbers of the transported source cells (n,) and of the target cells (m,).
    source, predicted, target
        Coordinates, shapes (n, 2), (n, 2) and (m, 2).
    labels
        Names of the two axes.
    is_space_of_map
        Whether the plane is the very space of the map, with meaningful units.
    """

    fitted: WrittenMap
    source_rows: Rows
    target_rows: Rows
    source: Points
    predicted: Points
    target: Points
    labels: tuple[str, str]
    is_space_of_map: bool


@dataclass(frozen=True)
class _Space:
    """Cells where the map works: observed (source first, then target) and predicted."""

    fitted: WrittenMap
    source_rows: Rows
    target_rows: Rows
    observed: Points
    predicted: Points


def planar_cells(
    adata: AnnData, key: str | None, basis: str | None = None, seed: int = 0
) -> PlanarCells:
    """Place observed and predicted cells in the plane.

    Two-dimensional data are drawn as they are. In an embedding the observed cells keep their
    place, and a predicted cell goes to the weighted mean of the observed cells nearest to it in
    the space of the map. Without target cells that is where it came from, and a warning says
    so. Where a UMAP is needed and there is none, one is fitted and kept.

    Parameters
    ----------
    adata
        With the fitted map.
    key
        Name of the map; None takes the only one there is.
    basis
        Name of an embedding (``umap`` for ``obsm["X_umap"]``); by default the space of the map if
        it has two dimensions, otherwise ``umap``.
    seed
        Seed of a UMAP that has to be fitted, as none of this seed is kept.

    Raises
    ------
    KeyError
        If the map, its prediction or the embedding is not there.
    ValueError
        If there are several maps and none is named, or it has transported no cell.
    """
    fitted = WrittenMap.read(adata, key)
    fitted.check(adata, target=False)
    space = _space(adata, fitted)
    if basis is None and space.observed.shape[1] == 2:
        return _place(space, space.observed, space.predicted, _feature_names(adata, space), True)
    basis = "umap" if basis is None else basis
    entry = Key.obsm.embedding(basis)
    name = entry.removeprefix("X_").upper()
    labels = (f"{name}1", f"{name}2")
    if entry == space.fitted.use_rep:
        return _place(space, space.observed[:, :2], space.predicted[:, :2], labels, True)
    if not len(space.target_rows):
        warn(
            f"adata has no cells of {fitted.target!r}. In {entry} a predicted cell is drawn among "
            "the observed cells nearest to it, here those of the source, so that it seems to stay "
            "where it is; keep the target cells for this figure, or draw in the space of the map."
        )
    observed, predicted = _reduced(space)
    rows = np.concatenate([space.source_rows, space.target_rows])
    if entry in adata.obsm:
        places = embedding_rows(adata.obsm[entry], rows).astype(np.float64)[:, :2]
        return _place(space, places, _near(predicted, observed, places), labels, False)
    if entry != Key.obsm.umap:
        names = ", ".join(map(repr, adata.obsm)) or "none"
        raise KeyError(f"There is no embedding {entry!r} in adata.obsm (found: {names}).")
    places = kept_umap(adata, fitted.key, rows, space.observed, observed, seed)
    return _place(space, places, _near(predicted, observed, places), labels, False)


def _space(adata: AnnData, fitted: WrittenMap) -> _Space:
    if fitted.use_rep is None:
        values = adata.X if fitted.layer is None else adata.layers[fitted.layer]
        predicted = adata.layers[fitted.require_predicted_expression(adata)]
    else:
        entry = Key.obsm.predicted(fitted.key)
        for name in (fitted.use_rep, entry):
            if name not in adata.obsm:
                names = ", ".join(map(repr, adata.obsm)) or "none"
                raise KeyError(
                    f"The map {fitted.key!r} needs adata.obsm[{name!r}] to be drawn "
                    f"(found: {names})."
                )
        values, predicted = adata.obsm[fitted.use_rep], adata.obsm[entry]
    candidates = np.flatnonzero(fitted.is_source(adata))
    moved = embedding_rows(predicted, candidates).astype(np.float64)
    transported = np.isfinite(moved).all(axis=1)
    if not transported.any():
        raise ValueError(f"The map {fitted.key!r} has transported no cell of {fitted.source!r}.")
    source_rows = candidates[transported]
    target_rows = np.flatnonzero(fitted.is_target(adata))
    observed = embedding_rows(values, np.concatenate([source_rows, target_rows])).astype(np.float64)
    return _Space(fitted, source_rows, target_rows, observed, moved[transported])


def _feature_names(adata: AnnData, space: _Space) -> tuple[str, str]:
    use_rep = space.fitted.use_rep
    if use_rep is None:
        return str(adata.var_names[0]), str(adata.var_names[1])
    name = use_rep.removeprefix("X_").upper()
    return f"{name}1", f"{name}2"


def _place(
    space: _Space, observed: Points, predicted: Points, labels: tuple[str, str], same_space: bool
) -> PlanarCells:
    n_source = len(space.source_rows)
    return PlanarCells(
        fitted=space.fitted,
        source_rows=space.source_rows,
        target_rows=space.target_rows,
        source=observed[:n_source],
        predicted=predicted,
        target=observed[n_source:],
        labels=labels,
        is_space_of_map=same_space,
    )


def _reduced(space: _Space) -> tuple[Points, Points]:
    """Principal components where the map works on expression; its own space otherwise."""
    if space.fitted.use_rep is not None or space.observed.shape[1] <= N_COMPONENTS:
        return space.observed, space.predicted
    from sklearn.decomposition import PCA

    components = min(N_COMPONENTS, len(space.observed) - 1)
    # Single precision halves the time, which every figure takes.
    observed, predicted = (cells.astype(np.float32) for cells in (space.observed, space.predicted))
    pca = PCA(components, svd_solver="randomized", random_state=0).fit(observed)
    return pca.transform(observed), pca.transform(predicted)


def _near(points: Points, observed: Points, places: Points, n_neighbors: int = 15) -> Points:
    """Where ``points`` would lie among ``places``: means of neighbours by inverse distance."""
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=min(n_neighbors, len(observed))).fit(observed)
    distances, neighbors = search.kneighbors(points)
    # An exact match takes all the weight, without a division by zero.
    weights = 1.0 / np.maximum(distances, 1e-9 * max(1.0, float(distances.max())))
    weights /= weights.sum(axis=1, keepdims=True)
    return np.einsum("nk,nkd->nd", weights, places[neighbors])
