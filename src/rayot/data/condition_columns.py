"""Conditions of the cells of an AnnData: their columns, doses and given vectors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from rayot.data import checks
from rayot.data.matrix import REAL


def dose_of(value: Any, what: str, *, is_time: bool = False) -> float:  # noqa: ANN401
    """A dose, or a time, as a number.

    Raises
    ------
    ValueError
        If it is no finite number above 0.
    """
    dose = pd.to_numeric(value, errors="coerce")
    if not (np.isfinite(dose) and dose > 0):
        why = (
            "times are counted from the control's, 0,"
            if is_time
            else "doses enter by their logarithm"
        )
        raise ValueError(
            f"{what} is {str(value)!r}; {why} and must be finite numbers above 0. Only control "
            "cells may have none."
        )
    # Columns of single and of double precision name the same dose.
    return float(f"{dose:.6g}")


def vectors_of(adata: AnnData, key: str, control: str | None = None) -> dict[str, np.ndarray]:
    """Vector of each category, from ``adata.uns[key]``: a dictionary, or the rows of a table.

    Raises
    ------
    KeyError
        If there is no such entry.
    ValueError
        As :func:`checked_vectors`.
    """
    if key not in adata.uns:
        raise KeyError(f"adata.uns has no {key!r}; it has {sorted(adata.uns) or 'nothing'}.")
    return checked_vectors(adata.uns[key], f"adata.uns[{key!r}]", control)


def checked_vectors(
    table: Any,  # noqa: ANN401
    where: str,
    control: str | None = None,
) -> dict[str, np.ndarray]:
    """Vector of each category, float64, each of which says something.

    Parameters
    ----------
    table
        A dictionary, or a DataFrame with a row of each category.
    where
        What it is, for messages.
    control
        Category whose vector may be zeros, as it stands for no perturbation.

    Raises
    ------
    ValueError
        If it is of another kind, a category is there twice, vectors differ in length, are not
        finite in single precision, or are zeros, as those that stand for a missing one, or all
        vectors are equal. A single number may be zero.
    """
    vectors: dict[str, np.ndarray] = {}
    for name, values in _rows(table, where):
        vector = _real(values, f"The vector of {name!r} in {where}")
        length = len(next(iter(vectors.values()))) if vectors else len(vector)
        if len(vector) != length or not len(vector):
            first = next(iter(vectors), name)
            raise ValueError(
                f"The vector of {name!r} in {where} has length {len(vector)}, that of {first!r} "
                f"has {length}; all must be equally long and not empty."
            )
        if name in vectors:
            raise ValueError(f"{where} has several vectors of {name!r}; keep one of each.")
        vectors[name] = vector
    _check_values(vectors, where)
    _check_informative({name: vectors[name] for name in vectors if name != str(control)}, where)
    return vectors


def _rows(table: Any, where: str) -> Iterable[tuple[str, Any]]:  # noqa: ANN401
    """Categories, as text, and their vectors, as they are stored."""
    # Of a file that is read lazily, so are the tables in it.
    table = table.to_memory() if hasattr(table, "to_memory") else table
    if isinstance(table, pd.DataFrame) and len(table):
        names = table.index.astype(str)
        if not names.is_unique:
            twice = names[names.duplicated()][0]
            raise ValueError(f"{where} has several rows of {twice!r}; keep one vector of each.")
        return zip(names, table.to_numpy(), strict=True)
    if not isinstance(table, Mapping) or not table:
        raise ValueError(
            f"{where} must be a dictionary or a DataFrame from category to vector that is not "
            f"empty, found {type(table).__name__}."
        )
    return ((str(name), values) for name, values in table.items())


def _check_values(vectors: Mapping[str, np.ndarray], where: str) -> None:
    """Raise a ValueError that lists the categories whose vectors are not finite."""
    # Models take vectors in single precision.
    with np.errstate(over="ignore"):
        bad = [
            name for name, vector in vectors.items() if not np.isfinite(np.float32(vector)).all()
        ]
    if bad:
        raise ValueError(
            f"The vector of {checks.listed(bad)} in {where} has NaN or infinite values; give "
            "numbers, or leave it out."
        )


def _check_informative(vectors: Mapping[str, np.ndarray], where: str) -> None:
    """Raise a ValueError if vectors are zeros, or all the same."""
    zeros = [name for name, vector in vectors.items() if len(vector) > 1 and not vector.any()]
    if zeros:
        raise ValueError(
            f"The vector of {checks.listed(zeros)} in {where} is all zeros, which says nothing; "
            "give what describes it, or leave it out."
        )
    if len(vectors) > 1 and (np.ptp(list(vectors.values()), axis=0) == 0).all():
        raise ValueError(
            f"{where} has the same vector of all {len(vectors)} categories, which tells none from "
            "another; give vectors that differ."
        )


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
    adata: AnnData,
    rows: np.ndarray,
    columns: Sequence[str],
    dose_key: str | None = None,
    *,
    is_time: bool = False,
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
    is_time
        Whether these are times.

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
        what = f"A {'time' if is_time else 'dose'} in adata.obs[{dose_key!r}]"
        dose_by_value = {value: dose_of(value, what, is_time=is_time) for value in doses.unique()}
        table[len(columns)] = np.array([dose_by_value[value] for value in doses])
    members = pd.DataFrame(table).groupby(list(table), sort=True).indices
    return {
        label if isinstance(label, tuple) else (label,): kept[positions]
        for label, positions in members.items()
    }
