"""A table of scores of several methods on several perturbations: one row a score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rayot.metrics._score import get_metrics

IDENTITY, OBSERVED = "identity", "observed"
"""Methods that untouched control cells and other treated cells stand for."""
SPACE = "space"
"""Column of grids: scores of one method in several spaces are those of several methods."""
NEEDED = ("method", "metric", "value")


def wide(scores: pd.DataFrame, unit: str | Sequence[str]) -> dict[str, pd.DataFrame]:
    """Of each metric a table units x methods, higher for better values.

    Parameters
    ----------
    scores
        One row a score, with columns ``method``, ``metric``, ``value`` and those of the units. Rows
        of one unit, method and metric (seeds, splits) are averaged.
    unit
        Column or columns whose values are independent of each other.

    Raises
    ------
    KeyError
        If a column is missing.
    ValueError
        If there are no rows, a metric is unknown, or scores are of several spaces.
    """
    units = [unit] if isinstance(unit, str) else list(unit)
    missing = [name for name in (*NEEDED, *units) if name not in scores]
    if missing:
        raise KeyError(
            f"The table of scores has no column {missing[0]!r}; it needs one row a score with "
            f"{', '.join(map(repr, (*NEEDED, *units)))}, found "
            f"{', '.join(map(repr, scores.columns))}."
        )
    spaces = scores[SPACE].unique() if SPACE in scores and SPACE not in units else []
    if len(spaces) > 1:
        raise ValueError(
            f"The scores are of {len(spaces)} spaces, {', '.join(map(repr, spaces))}, whose mean "
            "would be of neither; select one, scores[scores['space'] == "
            f"{spaces[0]!r}], or name 'space' in unit."
        )
    if not len(scores):
        raise ValueError("The table of scores is empty; it needs one row a score.")
    tables = {}
    for metric in get_metrics(scores["metric"].astype(str).unique().tolist()):
        rows = scores[scores["metric"] == metric.name]
        table = rows.pivot_table(
            "value", units, "method", aggfunc="mean", observed=True, dropna=False, sort=False
        )
        if metric.direction != "higher":
            table = -(table if metric.direction == "lower" else (table - metric.best).abs())
        tables[metric.name] = table.astype(np.float64).dropna(how="all")
    return tables


def resampled(n_units: int, n_resamples: int, seed: int) -> NDArray[np.intp]:
    """Units of each bootstrap sample, (resamples, units)."""
    return np.random.default_rng(seed).integers(0, n_units, (n_resamples, n_units))
