"""What is checked of cells, each failure one sentence."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from numbers import Real

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from rayot.data.matrix import stored_values

MIN_CELLS = 20
"""Training cells that each of the two conditions needs."""

ENSEMBL, VERSION = re.compile(r"ENS[A-Z]*G\d{6,}"), re.compile(r"(?<=\d)\.\d+$")
"""Identifiers of genes, and what may follow them."""

SMALLEST_SCALE, LARGEST_SCALE = 1e-12, 1e15
"""Sizes of the largest value of a matrix, whose squares, summed, single precision holds."""


class TooFewCells(ValueError):
    """A condition has fewer training cells than a map needs."""


def _hint(name: str, choices: Collection[str]) -> str:
    names = sorted(map(str, choices))
    close = get_close_matches(str(name), names, n=1)
    shown = listed(names, 20) or "nothing"
    return f"{f'Did you mean {close[0]!r}? ' if close else ''}It has: {shown}."


def listed(names: Sequence[str], most: int = 10) -> str:
    """The first of some names, for messages."""
    return ", ".join(map(repr, names[:most])) + (", …" if len(names) > most else "")


def writable(adata: AnnData) -> None:
    """Raise a ValueError if nothing can be written to ``adata``."""
    if adata.isbacked and adata.is_view:
        raise ValueError(
            "adata is a view of an object on disk, which cannot be written to; pass "
            "adata.to_memory()."
        )


def column(adata: AnnData, name: str) -> pd.Series:
    """A column of ``adata.obs``, read into memory where it is lazy.

    Raises
    ------
    KeyError
        If it is missing; names the nearest one.
    ValueError
        If it is there more than once.
    OSError
        If the file of a lazy one can no longer be read.
    """
    if name not in adata.obs.columns:
        raise KeyError(f"adata.obs has no column {name!r}. {_hint(name, adata.obs.columns)}")
    n_found = list(adata.obs.columns).count(name)
    if n_found > 1:
        raise ValueError(f"adata.obs has the column {name!r} {n_found} times; keep one of them.")
    if isinstance(adata.obs, pd.DataFrame):
        return adata.obs[name]
    return table_of(adata, [name])[name]


def table_of(adata: AnnData, names: Sequence[str] | None = None) -> pd.DataFrame:
    """Columns of ``adata.obs``, or all of it, as a table in memory.

    Raises
    ------
    OSError
        If the file of a lazy one can no longer be read.
    """
    if isinstance(adata.obs, pd.DataFrame):
        return adata.obs if names is None else adata.obs[list(names)]
    try:
        return (adata.obs if names is None else adata.obs[list(names)]).to_memory()
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise OSError(
            f"adata.obs could not be read from disk; its file is closed, gone or damaged: {error}."
        ) from error


def labels_of(values: pd.Series) -> np.ndarray:
    """Values of a column as text, "" where one is missing: (n,) object.

    Columns of any dtype have the same labels: objects, categories, the strings of pandas 3, and
    nullable types, whose missing values are texts of their own once they are text.
    """
    if isinstance(values.dtype, pd.CategoricalDtype):
        # Millions of cells have few categories. Code −1, a missing value, takes the last.
        categories = values.cat.categories.astype(str).to_numpy(dtype=object)
        return np.append(categories, "")[values.cat.codes.to_numpy()]
    present = values.notna().to_numpy(dtype=bool)
    texts = np.full(len(values), "", dtype=object)
    texts[present] = values[present].astype(str).to_numpy(dtype=object)
    return texts


def labels(adata: AnnData, name: str, rows: np.ndarray | None = None) -> np.ndarray:
    """Labels of cells in a column of ``adata.obs``, see :func:`labels_of`: (n,) object.

    Raises
    ------
    KeyError, ValueError, OSError
        As :func:`column`.
    """
    values = column(adata, name)
    return labels_of(values if rows is None else values.iloc[rows])


def numbers(adata: AnnData, name: str, rows: np.ndarray | None = None) -> np.ndarray:
    """Numbers of cells in a column of ``adata.obs``, NaN where there is none: (n,) float64.

    Raises
    ------
    KeyError, ValueError, OSError
        As :func:`column`, and if numbers are complex.
    """
    values = column(adata, name)
    values = values if rows is None else values.iloc[rows]
    if pd.api.types.is_complex_dtype(values.dtype):
        raise ValueError(f"adata.obs[{name!r}] holds complex numbers; real ones are needed.")
    return pd.to_numeric(values.astype(object), errors="coerce").to_numpy(dtype=np.float64)


def members(values: pd.Series, category: str) -> np.ndarray:
    """Which values are the category, compared as text; missing values are in none: (n,) bool."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        same = np.flatnonzero(values.cat.categories.astype(str) == str(category))
        return np.isin(values.cat.codes.to_numpy(), same)
    return labels_of(values) == str(category)


def in_category(adata: AnnData, groupby: str, category: str) -> np.ndarray:
    """Which cells belong to a category of a column of ``adata.obs``: (n_obs,) bool.

    Raises
    ------
    KeyError
        If the column is missing.
    ValueError
        If no cell is in the category; names the nearest one.
    """
    member = members(column(adata, groupby), category)
    if not member.any():
        names = categories(adata, groupby)
        raise ValueError(
            f"adata.obs[{groupby!r}] has no category {category!r}. {_hint(category, names)}"
        )
    return member


def categories(adata: AnnData, name: str, rows: np.ndarray | None = None) -> list[str]:
    """Labels that cells have in a column of ``adata.obs``, in alphabetical order.

    Raises
    ------
    KeyError, ValueError, OSError
        As :func:`column`.
    """
    return sorted(set(labels(adata, name, rows)) - {""})


def labels_meant(adata: AnnData, name: str, group: object) -> list[str]:
    """Labels of a column of ``adata.obs`` that a group means: its text, or the same number.

    Text stands for a number in columns of numbers alone, where "10" is 10.0.

    Raises
    ------
    KeyError
        If the column is missing.
    ValueError
        If no cell is in the group; names the nearest one.
    """
    values, text = column(adata, name), str(group)
    known = categories(adata, name)
    dtype = values.cat.categories.dtype if hasattr(values, "cat") else values.dtype
    is_number = isinstance(group, Real) and not isinstance(group, bool)
    meant = {text} & set(known)
    if is_number or (
        pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype)
    ):
        as_numbers = pd.to_numeric(pd.Series(known, dtype=object), errors="coerce")
        number = pd.to_numeric(text, errors="coerce")
        equal = np.isclose(as_numbers.to_numpy(dtype=np.float64), number, rtol=1e-6, atol=0)
        meant |= set(np.array(known, dtype=object)[equal])
    if not meant:
        raise ValueError(f"adata.obs[{name!r}] has no category {text!r}. {_hint(text, known)}")
    return sorted(meant)


def different(source_key: str, target_key: str) -> None:
    """Raise a ValueError if source and target are one condition."""
    if str(source_key) == str(target_key):
        raise ValueError(
            f"source_key and target_key are both {source_key!r}; a map needs two conditions."
        )


def different_columns(**columns: str | None) -> None:
    """Raise a ValueError if a column that is named by one argument is named by another, too."""
    used: dict[str, str] = {}
    for argument, name in columns.items():
        if name is not None and name in used:
            raise ValueError(
                f"{used[name]} and {argument} are both {name!r}; they must be different columns."
            )
        if name is not None:
            used[name] = argument


def enough_cells(n_cells: int, what: str) -> None:
    """Raise a ValueError if a condition has too few training cells."""
    if n_cells < MIN_CELLS:
        raise TooFewCells(
            f"{what} has {n_cells} training cells; a map needs at least {MIN_CELLS} of each."
        )


class NotFinite(ValueError):
    """Raised where values cannot be computed with."""


class Finite:
    """Looks at blocks of rows for values that cannot be computed with.

    These are NaN and infinite ones, and such whose squares leave the range of single precision.

    Parameters
    ----------
    names
        (d,) names of the columns.
    where
        What the blocks are parts of.
    """

    def __init__(self, names: Sequence[str], where: str) -> None:
        self.names, self.where = names, where
        self._n_bad, self._first, self._largest = 0, len(names), 0.0

    def look_at(self, block: np.ndarray | sparse.csr_matrix) -> None:
        """Take in a block (n, d), dense or CSR."""
        values = stored_values(block)
        bad = ~np.isfinite(values)
        if bad.any():
            columns = (
                np.nonzero(bad.reshape(block.shape))[1]
                if isinstance(block, np.ndarray)
                else block.indices[bad]
            )
            self._n_bad += int(bad.sum())
            self._first = min(self._first, int(columns.min()))
        elif values.size:
            self._largest = max(self._largest, float(values.max()), -float(values.min()))

    def check(self) -> None:
        """Raise :class:`NotFinite` if a block had such values."""
        if self._n_bad:
            raise NotFinite(
                f"{self.where} has {self._n_bad} NaN or infinite values, the first in "
                f"{self.names[self._first]!r}; remove or impute them."
            )
        if self._largest and not SMALLEST_SCALE <= self._largest <= LARGEST_SCALE:
            raise NotFinite(
                f"{self.where} has values of at most {self._largest:.3g} in size, whose squares "
                "single precision does not hold; give them in a unit that makes them about 1."
            )


def finite(
    blocks: Iterable[np.ndarray | sparse.csr_matrix], names: Sequence[str], where: str
) -> None:
    """Raise :class:`NotFinite` if blocks of rows have values that cannot be computed with.

    Parameters
    ----------
    blocks
        Each (n, d), dense or CSR.
    names, where
        As in :class:`Finite`.
    """
    values = Finite(names, where)
    for block in blocks:
        values.look_at(block)
    values.check()


def not_counts(block: np.ndarray | sparse.csr_matrix, where: str) -> None:
    """Raise a ValueError if values are raw counts.

    Counts are told by what they are: whole numbers, none negative, more than two different ones.

    Parameters
    ----------
    block
        (n, d), dense or CSR.
    where
        What the block is a part of.
    """
    values = stored_values(block)
    # In single precision every number above is whole.
    if values.size == 0 or values.min() < 0 or values.max() > 2**24:
        return
    if np.array_equal(values, np.round(values)) and len(np.unique(values[values > 0])) > 1:
        raise ValueError(
            f"{where} holds raw counts (whole numbers from {values.min():.0f} to "
            f"{values.max():.0f}); normalise and log-transform them (scanpy.pp.normalize_total, "
            "scanpy.pp.log1p), name another layer, or pass allow_counts=True to use them as they "
            "are."
        )


def unique(names: Iterable[str], what: str) -> None:
    """Raise a ValueError if a name is there twice."""
    seen = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{what} has {name!r} more than once.")
        seen.add(name)


def unique_names(names: Sequence[str], where: str, what: str) -> None:
    """Raise a ValueError if a name is there twice."""
    index = pd.Index(names)
    if not index.is_unique:
        twice = index[index.duplicated()][0]
        raise ValueError(
            f"{where} has the {what} {twice!r} more than once; give each its own name."
        )


def aligned_genes(genes: pd.Index, wanted: Sequence[str], where: str = "These cells") -> np.ndarray:
    """Positions of the wanted genes among those of new cells: (n_wanted,) int.

    Raises
    ------
    ValueError
        If genes are missing, which are listed, or a name is there twice.
    """
    if not len(genes):
        raise ValueError(f"{where} have no genes; adata.n_vars is 0.")
    if not genes.is_unique:
        twice = genes[genes.duplicated()][0]
        raise ValueError(
            f"{where} have the gene {twice!r} more than once; call adata.var_names_make_unique()."
        )
    positions = genes.get_indexer(pd.Index(wanted))
    missing = [name for name, position in zip(wanted, positions, strict=True) if position < 0]
    if missing:
        shown = ", ".join(missing[:10]) + (", …" if len(missing) > 10 else "")
        raise ValueError(
            f"{where} lack {len(missing)} of the {len(wanted)} genes the model was fitted on: "
            f"{shown}.{naming_hint(genes, missing, 'in the model')}"
        )
    return positions


def naming_hint(genes: pd.Index, missing: Sequence[str], elsewhere: str) -> str:
    """What to do where genes are there by names of another kind; empty otherwise.

    Parameters
    ----------
    genes
        That are there.
    missing
        That are not.
    elsewhere
        Where these are from, for messages.
    """
    names = list(map(str, genes))
    without_version = [VERSION.sub("", name) for name in names]
    # Symbols that end in a number after a point are genes of their own.
    of_ensembl = all(ENSEMBL.match(name) for name in (*names, *map(str, missing)))
    is_known = all(VERSION.sub("", str(name)) in set(without_version) for name in missing)
    if of_ensembl and is_known and len(set(without_version)) == len(names):
        return " They differ in the version after the point; remove it from both."
    kinds = [
        sum(bool(ENSEMBL.match(str(name))) for name in of_side) > len(of_side) / 2
        for of_side in (names, missing)
    ]
    if kinds[0] == kinds[1]:
        return ""
    here, there = ("Ensembl identifiers", "symbols")[:: 1 if kinds[0] else -1]
    return f" Here genes have {here} and {elsewhere} {there}; name them alike."
