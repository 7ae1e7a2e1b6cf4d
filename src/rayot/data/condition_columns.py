"""Conditions of the cells of an AnnData: their columns, doses and given vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from rayot.data import checks
from rayot.data.matrix import REAL


def dose_of(value: Any, what: str) -> float:  # noqa: ANN401
    """A dose as a number.

    Raises
    ------
    ValueError
        If it is no finite number above 0.
    """
    dose = pd.to_numeric(value, errors="coerce")
    if not (np.isfinite(dose) and dose > 0):
        raise ValueError(
            f"{what} is {str(value)!r}; doses enter by their logarithm and must be finite numbers "
            "above 0. Only control cells may have none."
        )
    # Columns of single and of double precision name the same dose.
    return float(f"{dose:.6g}")


def vectors_of(adata: AnnData, key: str) -> dict[str, np.ndarray]:
    """Vector of each category, from ``adata.uns[key]``: a dictionary, or the rows of a table.

    Raises
    ------
    KeyError
        If there is no such entry.
    ValueError
        If it is of another kind, vectors differ in length, or are not finite.
    """
    if key not in adata.uns:
        raise KeyError(f"adata.uns has no {key!r}; it has {sorted(adata.uns) or 'nothing'}.")
    table = adata.uns[key]
    if isinstance(table, pd.DataFrame):
        if not table.index.astype(str).is_unique:
            twice = table.index[table.index.astype(str).duplicated()][0]
            raise ValueError(
                f"adata.uns[{key!r}] has several rows of {str(twice)!r}; keep one vector of each."
            )
        table = dict(zip(map(str, table.index), table.to_numpy(), strict=True))
    if not isinstance(table, Mapping) or not table:
        raise ValueError(
            f"adata.uns[{key!r}] must be a dictionary or a DataFrame from category to vector, "
            f"found {type(table).__name__}."
        )
    vectors: dict[str, np.ndarray] = {}
    for name, values in table.items():
        vector = _real(values, f"The vector of {str(name)!r} in adata.uns[{key!r}]")
        length = len(next(iter(vectors.values()))) if vectors else len(vector)
        if len(vector) != length or not len(vector):
            first = next(iter(vectors), name)
            raise ValueError(
                f"The vector of {str(name)!r} in adata.uns[{key!r}] has length {len(vector)}, that "
                f"of {first!r} has {length}; all must be equally long and not empty."
            )
        if not np.isfinite(vector).all():
            raise ValueError(
                f"The vector of {str(name)!r} in adata.uns[{key!r}] has NaN or infinite values."
            )
        if str(name) in vectors:
            raise ValueError(
                f"adata.uns[{key!r}] has several vectors of {str(name)!r}; keep one of each."
            )
        vectors[str(name)] = vector
    return vectors


def _real(values: Any, what: str) -> np.ndarray:  # noqa: ANN401
    """Values as one vector, float64.

    Raises
    ------
    ValueError
        If they are no real numbers, or masked.
    """
    vector = np.asanyarray(values)
    if vector.dtype == object:
        vector = pd.to_numeric(vector.reshape(-1), errors="coerce")
    if vector.dtype.kind not in REAL or np.ma.is_masked(vector):
        raise ValueError(f"{what} must hold real numbers, found dtype {vector.dtype}.")
    return np.asarray(vector, dtype=np.float64).reshape(-1)


def groups_of(
    adata: AnnData, rows: np.ndarray, columns: Sequence[str], dose_key: str | None = None
) -> dict[tuple[str | float, ...], np.ndarray]:
    """Rows of each combination of categories, and of dose, in their order.

    Cells that lack a category are in none.

    Parameters
    ----------
    adata
        Cells.
    rows
        (n,) row numbers.
    columns
        Of ``adata.obs``.
    dose_key
        Column of doses, which become the last entry of a combination; None without.

    Raises
    ------
    ValueError
        If a dose is no finite number above 0.
    """
    labels = [checks.labels(adata, name, rows) for name in columns]
    present = np.logical_and.reduce([of_column != "" for of_column in labels])
    kept = rows[present]
    table = {name: of_column[present] for name, of_column in enumerate(labels)}
    if dose_key is not None:
        doses = checks.column(adata, dose_key).iloc[kept]
        what = f"A dose in adata.obs[{dose_key!r}]"
        dose_by_value = {value: dose_of(value, what) for value in doses.unique()}
        table[len(columns)] = np.array([dose_by_value[value] for value in doses])
    members = pd.DataFrame(table).groupby(list(table), sort=True).indices
    return {
        label if isinstance(label, tuple) else (label,): kept[positions]
        for label, positions in members.items()
    }
