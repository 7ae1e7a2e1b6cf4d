"""Whether one method is better than others, unit by unit."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from rayot import _arguments as arguments
from rayot._public import public
from rayot.metrics._table_of_scores import OBSERVED, resampled, wide


@public(test=partial(arguments.one_of, choices=("signed-rank", "rank-sum")))
def compare_methods(
    scores: pd.DataFrame,
    method: str,
    *,
    unit: str | Sequence[str] = "perturbation",
    test: Literal["signed-rank", "rank-sum"] = "signed-rank",
    n_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """How far a method is ahead of each other one, with a test over units.

    Parameters
    ----------
    scores
        One row a score, as :func:`summarise` takes them.
    method
        Name of the method that the others are compared with.
    unit
        Column or columns whose values are taken as independent.
    test
        ``"signed-rank"``: Wilcoxon's, of differences within units. ``"rank-sum"``: Wilcoxon's of
        two samples, as the paper of W1OT has it, which does not know that units are the same.
    n_resamples
        Bootstrap samples of units, with replacement.
    seed
        Seed of the bootstrap.

    Returns
    -------
    One row a metric and other method: ``ahead``, the median over units of how much better the
    method is (positive is better in each metric), with its 95 % interval ``low`` to ``high``;
    ``wins``, the share of units where it is better, ties as half; ``p`` of the test, two-sided;
    ``q``, all of them adjusted as Benjamini and Hochberg; ``units``, those that both have. Fewer
    than two units have no test.

    Raises
    ------
    KeyError
        If a column is missing.
    ValueError
        If there are no rows, a metric is unknown, or no row is of the method.

    References
    ----------
    Wilcoxon F. Biometrics Bull 1:80-83 (1945). Benjamini Y, Hochberg Y. J R Stat Soc B 57:289-300
    (1995).

    Examples
    --------
    >>> import pandas as pd
    >>> from rayot.metrics import compare_methods
    >>> scores = pd.DataFrame(
    ...     {
    ...         "perturbation": list("ABCDEF") * 2,
    ...         "method": ["map"] * 6 + ["mean shift"] * 6,
    ...         "metric": "mmd",
    ...         "value": [0.1, 0.2, 0.1, 0.3, 0.2, 0.1, 0.2, 0.4, 0.2, 0.6, 0.3, 0.5],
    ...     }
    ... )
    >>> compare_methods(scores, "map").loc[("mmd", "mean shift"), ["wins", "p"]].round(3).tolist()
    [1.0, 0.031]
    """
    rows: dict[tuple[str, str], dict[str, float]] = {}
    for metric, table in wide(scores, unit).items():
        if method not in table:
            raise ValueError(
                f"No score in {metric!r} is of {method!r}; methods found: "
                f"{', '.join(map(repr, table.columns))}."
            )
        for other in table.columns.drop([method, OBSERVED], errors="ignore"):
            pairs = table[[method, other]].dropna().to_numpy()
            rows[metric, other] = _compared(pairs, test, n_resamples, seed)
    columns = ["ahead", "low", "high", "wins", "p", "units"]
    found = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    index = pd.MultiIndex.from_tuples(list(rows), names=["metric", "other"])
    found.index = index if len(index) else pd.MultiIndex.from_arrays([[], []], names=index.names)
    found.insert(5, "q", np.nan)
    known = found["p"].notna()
    if known.any():
        found.loc[known, "q"] = stats.false_discovery_control(found.loc[known, "p"])
    return found.astype({"units": int})


def _compared(pairs: np.ndarray, test: str, n_resamples: int, seed: int) -> dict[str, float]:
    """Differences of one method and another, (units, 2), where higher is better."""
    difference = pairs[:, 0] - pairs[:, 1]
    found = dict.fromkeys(("ahead", "low", "high", "wins", "p"), np.nan)
    found["units"] = len(difference)
    if not len(difference):
        return found
    drawn = resampled(len(difference), n_resamples, seed)
    low, high = np.quantile(np.median(difference[drawn], axis=1), [0.025, 0.975])
    wins = np.mean((difference > 0) + 0.5 * (difference == 0))
    found |= {"ahead": float(np.median(difference)), "low": low, "high": high, "wins": float(wins)}
    if len(difference) > 1:
        found["p"] = _p_value(pairs, difference, test)
    return found


def _p_value(pairs: np.ndarray, difference: np.ndarray, test: str) -> float:
    if test == "rank-sum":
        return float(stats.ranksums(pairs[:, 0], pairs[:, 1]).pvalue)
    # Where all are ties there is nothing that speaks for a difference.
    return float(stats.wilcoxon(difference).pvalue) if difference.any() else 1.0
