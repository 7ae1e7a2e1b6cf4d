"""Groups within which cells are matched, and weights of cells."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np
from anndata import AnnData

from rayot.data import checks

logger = logging.getLogger(__name__)

MIN_STRATUM_CELLS = 10
"""Training cells of each condition that a stratum needs."""


STRATA = ("balanced", "separate")
SMALL_STRATA = ("drop", "raise")


def check_strata(strata: str, small_strata: str, strata_key: str | None) -> None:
    """Raise a ValueError if the options of strata are unknown, or there are no strata to have."""
    for name, value, choices in (
        ("strata", strata, STRATA),
        ("small_strata", small_strata, SMALL_STRATA),
    ):
        if value not in choices:
            raise ValueError(f"{name} must be one of {choices}, found {value!r}.")
    if strata == "separate" and strata_key is None:
        raise ValueError("strata='separate' needs strata_key, the column of obs with the strata.")


def strata_of(adata: AnnData, strata_key: str, rows: np.ndarray) -> np.ndarray:
    """Stratum of each cell as text, "" where it is missing: (n,) object.

    Raises
    ------
    KeyError
        If there is no such column.
    """
    return checks.labels(adata, strata_key, rows)


def training_strata(
    adata: AnnData, strata_key: str, rows: Mapping[str, np.ndarray], small: str
) -> dict[str, list[np.ndarray]]:
    """Training rows of each stratum that has both conditions.

    Parameters
    ----------
    strata_key
        Column of ``adata.obs``.
    rows
        Training rows of the source and of the target, by the condition's name.
    small
        ``"drop"``: strata with too few cells of a condition are left out, with a warning that
        names them. ``"raise"``: they are an error.

    Returns
    -------
    By name of the stratum, in alphabetical order: its rows of source and of target.

    Raises
    ------
    KeyError
        If there is no such column.
    ValueError
        If no stratum has enough cells of both conditions, or one has too few and ``small`` is
        ``"raise"``.
    """
    labels = {
        name: strata_of(adata, strata_key, of_condition) for name, of_condition in rows.items()
    }
    names = sorted(set(np.concatenate(list(labels.values()))) - {""})
    kept, lacking = {}, []
    for stratum in names:
        members = [rows[name][labels[name] == stratum] for name in rows]
        few = [
            f"{len(of_stratum)} of {name!r}"
            for name, of_stratum in zip(rows, members, strict=True)
            if len(of_stratum) < MIN_STRATUM_CELLS
        ]
        if few:
            lacking.append(f"{stratum!r} ({', '.join(few)})")
        else:
            kept[stratum] = members
    if lacking:
        message = (
            f"Strata of adata.obs[{strata_key!r}] with fewer than {MIN_STRATUM_CELLS} training "
            f"cells of a condition: {', '.join(lacking)}"
        )
        if not kept:
            raise checks.TooFewCells(f"{message}; {_no_stratum(labels, names)}")
        if small == "raise":
            raise ValueError(f"{message}; pass small_strata='drop' to leave them out.")
        logger.warning("%s; they are left out of the fit.", message)
    if not kept:
        raise ValueError(f"adata.obs[{strata_key!r}] has no values for the training cells.")
    return kept


def _no_stratum(labels: Mapping[str, np.ndarray], names: Sequence[str]) -> str:
    """What to do where no stratum has cells of both conditions."""
    of_both = set.intersection(*(set(of_condition) for of_condition in labels.values())) - {""}
    if of_both or len(names) < 2:
        return "no stratum is left to match cells in."
    return (
        "each stratum has cells of one condition alone, as animals or wells have that were treated "
        "or not. Cells are matched within strata, so name a column whose groups have both "
        "conditions (cell type, batch), or leave strata_key out; to test on animals that were not "
        "trained on, hold some of either condition out by rayot.pp.split(holdout=...)."
    )


def weights_of(adata: AnnData, weights_key: str, rows: np.ndarray) -> np.ndarray:
    """Weights of cells, (n,) float32.

    Raises
    ------
    KeyError
        If there is no such column.
    ValueError
        If weights are missing, infinite, negative or not numbers.
    """
    weights = checks.numbers(adata, weights_key, rows).astype(np.float32)
    for bad, what in ((~np.isfinite(weights), "NaN or infinite"), (weights < 0, "negative")):
        if bad.any():
            raise ValueError(
                f"adata.obs[{weights_key!r}] has {int(bad.sum())} {what} weights among the "
                "training cells; weights must be numbers of at least 0."
            )
    return weights
