"""What is checked before anything is computed, each failure one sentence."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from rayot.data.matrix import stored_values

MIN_CELLS = 20
"""Training cells that each of the two conditions needs."""


class TooFewCells(ValueError):
    """A condition has fewer training cells than a map needs."""


def _hint(name: str, known: Collection[str]) -> str:
    names = sorted(map(str, known))
    close = get_close_matches(str(name), names, n=1)
    shown = ", ".join(map(repr, names[:20])) + (", …" if len(names) > 20 else "")
    return f"{f'Did you mean {close[0]!r}? ' if close else ''}It has: {shown or 'nothing'}."


def column(adata: AnnData, name: str) -> pd.Series:
    """A column of ``adata.obs``, read into memory where it is lazy.

    Raises
    ------
    KeyError
        If it is missing; names the nearest one.
    OSError
        If the file of a lazy one can no longer be read.
    """
    if name not in adata.obs.columns:
        raise KeyError(f"adata.obs has no column {name!r}. {_hint(name, adata.obs.columns)}")
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


def members(values: pd.Series, category: str) -> np.ndarray:
    """Which values are the category, compared as text; missing values are in none: (n,) bool."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        # Millions of cells have few categories.
        same = np.flatnonzero(values.cat.categories.astype(str) == str(category))
        return np.isin(values.cat.codes.to_numpy(), same)
    return ((values.astype(str) == str(category)) & values.notna()).to_numpy(dtype=bool)


def in_category(adata: AnnData, groupby: str, category: str) -> np.ndarray:
    """Which cells belong to a category of a column of ``adata.obs``: (n_obs,) bool.

    Raises
    ------
    KeyError
        If the column is missing.
    ValueError
        If no cell is in the category; names the nearest one.
    """
    found = members(column(adata, groupby), category)
    if not found.any():
        known = column(adata, groupby).dropna().astype(str).unique()
        raise ValueError(
            f"adata.obs[{groupby!r}] has no category {category!r}. {_hint(category, known)}"
        )
    return found


def in_groups(adata: AnnData, groups: Mapping[str, Iterable[str]]) -> np.ndarray:
    """Which cells belong to any of these categories of columns of ``adata.obs``: (n_obs,) bool.

    Raises
    ------
    KeyError, ValueError
        As :func:`in_category`.
    """
    found = np.zeros(adata.n_obs, dtype=bool)
    for name, categories in groups.items():
        for category in categories:
            found |= in_category(adata, name, category)
    return found


def different(source_key: str, target_key: str) -> None:
    """Raise a ValueError if source and target are one condition."""
    if str(source_key) == str(target_key):
        raise ValueError(
            f"source_key and target_key are both {source_key!r}; a map needs two conditions."
        )


def enough_cells(n_cells: int, what: str) -> None:
    """Raise a ValueError if a condition has too few training cells."""
    if n_cells < MIN_CELLS:
        raise TooFewCells(
            f"{what} has {n_cells} training cells; a map needs at least {MIN_CELLS} of each."
        )


def finite(
    blocks: Iterable[np.ndarray | sparse.csr_matrix], names: Sequence[str], where: str
) -> None:
    """Raise a ValueError if successive blocks of rows have NaN or infinite values.

    Parameters
    ----------
    blocks
        Each (n, d), dense or CSR.
    names
        (d,) names of the columns.
    where
        What the blocks are parts of.
    """
    n_bad, first = 0, len(names)
    for block in blocks:
        bad = ~np.isfinite(stored_values(block))
        if bad.any():
            columns = (
                np.nonzero(bad.reshape(block.shape))[1]
                if isinstance(block, np.ndarray)
                else block.indices[bad]
            )
            n_bad += int(bad.sum())
            first = min(first, int(columns.min()))
    if n_bad:
        raise ValueError(
            f"{where} has {n_bad} NaN or infinite values, the first in {names[first]!r}; remove or "
            "impute them."
        )


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
    if values.size == 0 or values.min() < 0:
        return
    if np.array_equal(values, np.round(values)) and len(np.unique(values[values > 0])) > 1:
        raise ValueError(
            f"{where} holds raw counts (whole numbers from {values.min():.0f} to "
            f"{values.max():.0f}); normalise and log-transform them (scanpy.pp.normalize_total, "
            "scanpy.pp.log1p), name another layer, or pass allow_counts=True to use them as they "
            "are."
        )


def clip_option(clip: bool | str) -> None:
    """Raise a ValueError if ``clip`` is none of its choices."""
    if clip not in (True, False, "auto"):
        raise ValueError(f"clip must be 'auto', True or False, found {clip!r}.")


def aligned_genes(found: pd.Index, wanted: Sequence[str], where: str = "These cells") -> np.ndarray:
    """Positions of the wanted genes among those of new cells: (n_wanted,) int.

    Raises
    ------
    ValueError
        If genes are missing, which are listed, or a name is there twice.
    """
    if not found.is_unique:
        twice = found[found.duplicated()][0]
        raise ValueError(
            f"{where} have the gene {twice!r} more than once; call adata.var_names_make_unique()."
        )
    positions = found.get_indexer(pd.Index(wanted))
    missing = [name for name, position in zip(wanted, positions, strict=True) if position < 0]
    if missing:
        shown = ", ".join(missing[:10]) + (", …" if len(missing) > 10 else "")
        raise ValueError(
            f"{where} lack {len(missing)} of the {len(wanted)} genes the model was fitted on: "
            f"{shown}."
        )
    return positions
