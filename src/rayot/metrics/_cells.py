"""What every metric asks of the cells it is given."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import pandas as pd
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
    numbers = np.asanyarray(values)
    if np.ma.is_masked(numbers):
        raise ValueError(f"{name} has masked values; fill them, or leave these cells out.")
    if numbers.dtype.kind not in "fiubO":
        raise ValueError(f"{name} has dtype {numbers.dtype}; a metric needs real numbers.")
    try:
        cells = np.asarray(numbers, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} has values that are no numbers; a metric needs them.") from error
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


def as_pair(
    predicted: ArrayLike, observed: ArrayLike, *, at_least: int = 1, other: str = "observed"
) -> tuple[Cells, Cells]:
    """Both populations, validated, with the same features; those of two tables by their names."""
    predicted, observed = in_one_order((predicted, "predicted"), (observed, other))
    first = as_cells(predicted, "predicted", at_least=at_least)
    second = as_cells(observed, other, at_least=at_least)
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"predicted has {first.shape[1]} features and {other} has {second.shape[1]}; "
            "both need the same features in the same order."
        )
    return first, second


def in_one_order(*tables: tuple[ArrayLike, str]) -> list[ArrayLike]:
    """Tables with their columns in the order of the first; arrays as they are.

    Raises
    ------
    ValueError
        If two tables have other columns, or one has a column twice.
    """
    named = [(table, name) for table, name in tables if isinstance(table, pd.DataFrame)]
    if len(named) < 2:
        return [table for table, _ in tables]
    first, of_first = named[0]
    for table, name in named:
        if not table.columns.is_unique or set(table.columns) != set(first.columns):
            raise ValueError(
                f"{of_first} and {name} are tables whose columns are not the same features, each "
                "once; select the features that both have."
            )
    return [
        table[first.columns] if isinstance(table, pd.DataFrame) else table for table, _ in tables
    ]


def same_cells(first: ArrayLike, second: ArrayLike) -> tuple[ArrayLike, ArrayLike]:
    """Two tables with their rows in the order of the first; arrays as they are.

    Raises
    ------
    ValueError
        If their rows are not the same cells.
    """
    if not (isinstance(first, pd.DataFrame) and isinstance(second, pd.DataFrame)):
        return first, second
    unique = first.index.is_unique and second.index.is_unique
    if not unique or set(first.index) != set(second.index):
        raise ValueError(
            "The rows of both tables must be the same cells, each once; select those of both."
        )
    return first, second.loc[first.index]
