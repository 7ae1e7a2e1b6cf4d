"""What every metric asks of the cells it is given."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse

Cells: TypeAlias = NDArray[np.float64]


def as_cells(values: ArrayLike, name: str, *, at_least: int = 1) -> Cells:
    """``values`` as a finite float64 matrix of cells by features, or one sentence why not."""
    if issparse(values):
        raise TypeError(
            f"{name} is a sparse matrix; metrics need a dense array: select the features, "
            "then pass matrix.toarray()."
        )
    cells = np.asarray(values, dtype=np.float64)
    if cells.ndim != 2:
        raise ValueError(
            f"{name} has shape {cells.shape}; a metric needs cells by features, shape (n, d)."
        )
    if cells.shape[0] < at_least or cells.shape[1] < 1:
        raise ValueError(
            f"{name} has {cells.shape[0]} cells and {cells.shape[1]} features; "
            f"this metric needs at least {at_least} and 1."
        )
    if not np.isfinite(cells).all():
        rows = int((~np.isfinite(cells)).any(axis=1).sum())
        raise ValueError(
            f"{name} has NaN or infinite values in {rows} of {len(cells)} cells; "
            "drop the cells that were not transported first."
        )
    return cells


def as_pair(predicted: ArrayLike, observed: ArrayLike, *, at_least: int = 1) -> tuple[Cells, Cells]:
    """Both populations, validated, with the same features."""
    first = as_cells(predicted, "predicted", at_least=at_least)
    second = as_cells(observed, "observed", at_least=at_least)
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"predicted has {first.shape[1]} features and observed has {second.shape[1]}; "
            "both need the same features in the same order."
        )
    return first, second
