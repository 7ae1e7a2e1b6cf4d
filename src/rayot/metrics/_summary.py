"""What a table of scores says of each method."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rayot import _arguments as arguments
from rayot._public import public
from rayot.metrics._registry import METRICS
from rayot.metrics._table_of_scores import IDENTITY, OBSERVED, resampled, wide


@public(n_bins=partial(arguments.whole_number, least=1))
def summarise(
    scores: pd.DataFrame,
    *,
    unit: str | Sequence[str] = "perturbation",
    n_bins: int = 1,
    n_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    r"""Mean score, share of the way and rank of each method, with intervals over units.

    The way of one unit is unstable where its effect is small, as it is then divided by little. So
    beside the mean of the ways there is the pooled one, the sum of what a method gains over the
    sum of what there is to gain:

    .. math:: \frac{\sum_p s_p(\mathrm{method}) - s_p(\mathrm{identity})}
        {\sum_p s_p(\mathrm{observed}) - s_p(\mathrm{identity})}

    Parameters
    ----------
    scores
        One row a score, as :func:`rayot.tl.evaluate` of a screen and
        :func:`rayot.tl.evaluate_predictions` return them: columns ``method``, ``metric``,
        ``value``, and those of ``unit``. Methods ``identity`` and ``observed`` are the ends of the
        way; without them ways are NaN. Rows of several seeds or splits are averaged within a unit.
    unit
        Column or columns whose values are taken as independent: perturbations, or donors, if the
        question is what holds for a new donor.
    n_bins
        Split units into so many groups of equal size by what there is to gain in each metric, from
        ``identity`` to ``observed``, and summarise each by itself.
    n_resamples
        Bootstrap samples of units, with replacement.
    seed
        Seed of the bootstrap.

    Returns
    -------
    One row a metric and method, or a metric, effect and method where there are several bins. Values
    are means over the units that a method has: ``value``; ``way``, the mean of ways where there
    is something to gain; ``pooled way``, of all units, with its 95 % interval ``low`` to ``high``;
    ``rank``, the mean rank among all methods but ``observed`` (1 is best), where one that has no
    score in a unit is last; ``units``, the number of those that it has. Where methods have
    different units their values do not compare; ranks and :func:`compare_methods` do.

    Raises
    ------
    KeyError
        If a column is missing.
    ValueError
        If there are no rows, a metric is unknown, or there are fewer units than bins.

    Examples
    --------
    >>> import pandas as pd
    >>> from rayot.metrics import summarise
    >>> scores = pd.DataFrame(
    ...     {
    ...         "perturbation": ["A", "A", "A", "B", "B", "B"],
    ...         "method": ["identity", "map", "observed"] * 2,
    ...         "metric": "mmd",
    ...         "value": [1.0, 0.5, 0.0, 0.2, 0.0, 0.1],
    ...     }
    ... )
    >>> summarise(scores).loc[("mmd", "map"), ["way", "pooled way"]].round(2).tolist()
    [1.25, 0.64]
    """
    found: dict[tuple[str, ...], pd.DataFrame] = {}
    for metric, table in wide(scores, unit).items():
        for effect, part in _by_effect(table, n_bins, metric).items():
            found[(metric, effect)] = _summary(part, metric, n_resamples, seed)
    names = ["metric", "effect"]
    summary = pd.concat(found, names=names)
    return summary.droplevel("effect") if n_bins == 1 else summary


def _by_effect(table: pd.DataFrame, n_bins: int, metric: str) -> dict[str, pd.DataFrame]:
    """Units in groups of equal size, by what there is to gain."""
    if n_bins == 1:
        return {"all": table}
    absent = [name for name in (IDENTITY, OBSERVED) if name not in table]
    if absent:
        raise ValueError(f"Effects are sorted by {absent[0]!r}, which the scores do not have.")
    effect = (table[OBSERVED] - table[IDENTITY]).dropna().sort_values(kind="stable")
    if len(effect) < n_bins:
        raise ValueError(f"{metric!r} has {len(effect)} units, fewer than the {n_bins} bins.")
    parts = np.array_split(effect.to_numpy(), n_bins)
    ends = np.cumsum([0, *map(len, parts)])
    return {
        f"{part.min():.3g} to {part.max():.3g}": table.loc[effect.index[first:last]]
        for part, first, last in zip(parts, ends[:-1], ends[1:], strict=True)
    }


def _summary(table: pd.DataFrame, metric: str, n_resamples: int, seed: int) -> pd.DataFrame:
    # Of metrics that are best in between the mean distance to the best.
    sign = 1.0 if METRICS[metric].direction == "higher" else -1.0
    ranks = _ranks(table)
    rows = {}
    for method in table:
        scored = table[method].notna()
        row = {
            "value": sign * float(table[method].mean()),
            "way": np.nan,
            "pooled way": np.nan,
            "low": np.nan,
            "high": np.nan,
            "rank": float(ranks[method].mean()) if method in ranks else np.nan,
            "units": int(scored.sum()),
        }
        if {IDENTITY, OBSERVED} <= set(table):
            gains = (table[method] - table[IDENTITY])[scored].to_numpy()
            possible = (table[OBSERVED] - table[IDENTITY])[scored].to_numpy()
            row |= _ways(gains, possible, n_resamples, seed)
        rows[method] = row
    summary = pd.DataFrame.from_dict(rows, orient="index")
    return summary.rename_axis(index="method").astype({"units": int})


def _ranks(table: pd.DataFrame) -> pd.DataFrame:
    """Rank of each method in each unit; what has no score there is last."""
    methods = table.drop(columns=OBSERVED, errors="ignore")
    return methods.rank(axis=1, ascending=False, na_option="bottom")


def _ways(
    gains: NDArray[np.float64], possible: NDArray[np.float64], n_resamples: int, seed: int
) -> dict[str, float]:
    """Mean and pooled way, and the interval of the latter."""
    known = np.isfinite(gains) & np.isfinite(possible)
    gains, possible = gains[known], possible[known]
    if not len(gains) or possible.sum() <= 0:
        return {}
    drawn = resampled(len(gains), n_resamples, seed)
    single = gains[possible > 0] / possible[possible > 0]
    # Where a sample has nothing to gain it says nothing of a share.
    drawn = drawn[possible[drawn].sum(1) > 0]
    low, high = np.quantile(gains[drawn].sum(1) / possible[drawn].sum(1), [0.025, 0.975])
    return {
        "way": float(single.mean()) if len(single) else np.nan,
        "pooled way": float(gains.sum() / possible.sum()),
        "low": float(low),
        "high": float(high),
    }


@public()
def rank_methods(
    scores: pd.DataFrame, *, unit: str | Sequence[str] = "perturbation"
) -> pd.DataFrame:
    """Mean rank of each method in each metric, as the metric picks the winner.

    Parameters
    ----------
    scores, unit
        As :func:`summarise` takes them.

    Returns
    -------
    Methods x metrics, 1 for the best; ``observed`` is left out, as it is no method. A method that
    has no score in a unit, as it failed, is last there, and missing in a metric of which it has
    none. The last column, ``mean``, is over all metrics, and rows are sorted by it.

    Raises
    ------
    KeyError, ValueError
        As :func:`summarise`.

    Examples
    --------
    >>> import pandas as pd
    >>> from rayot.metrics import rank_methods
    >>> scores = pd.DataFrame(
    ...     {
    ...         "perturbation": "A",
    ...         "method": ["mean shift", "map"] * 2,
    ...         "metric": ["r2", "r2", "mmd", "mmd"],
    ...         "value": [0.99, 0.97, 0.05, 0.01],
    ...     }
    ... )
    >>> rank_methods(scores)["mmd"].to_dict()
    {'mean shift': 2.0, 'map': 1.0}
    """
    ranks = {}
    for metric, table in wide(scores, unit).items():
        ranks[metric] = _ranks(table.dropna(how="all", axis=1)).mean()
    table = pd.DataFrame(ranks)
    table["mean"] = table.mean(axis=1, skipna=False)
    return table.sort_values("mean", kind="stable").rename_axis(index="method")
