"""Several metrics of one prediction, and what metrics there are."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

import pandas as pd
from numpy.typing import ArrayLike

from rayot._public import public
from rayot.metrics._arrays import as_weights
from rayot.metrics._cells import as_pair
from rayot.metrics._differential_expression import differential_expression
from rayot.metrics._metric import NEEDS, Metric
from rayot.metrics._registry import METRICS


@public()
def get_metrics(names: Iterable[str] | None = None) -> list[Metric]:
    """Metrics of these names, in this order.

    Parameters
    ----------
    names
        Keys of :data:`METRICS`; by default those of the example.

    Raises
    ------
    ValueError
        If a name is unknown; the message says which are nearest.

    Examples
    --------
    >>> from rayot.metrics import get_metrics
    >>> [metric.name for metric in get_metrics()]
    ['r2', 'l2', 'mmd', 'energy_distance', 'wasserstein1']
    """
    if names is None:
        return [metric for metric in METRICS.values() if metric.by_default]
    names = [names] if isinstance(names, str) else list(names)
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        near = " or ".join(map(repr, get_close_matches(unknown[0], METRICS, n=3)))
        raise ValueError(
            f"Unknown metric {unknown[0]!r}{f'; did you mean {near}?' if near else '.'} "
            "rayot.metrics.describe() lists all."
        )
    return [METRICS[name] for name in names]


@public()
def score(
    predicted: ArrayLike,
    observed: ArrayLike,
    control: ArrayLike | None = None,
    *,
    reference: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    log1p: bool | None = True,
    metrics: Iterable[str] | None = None,
) -> dict[str, float]:
    """Several metrics of one prediction.

    Parameters
    ----------
    predicted, observed, control
        Expression, shapes (n, d), (m, d) and (k, d); ``control`` only for the metrics that need it.
        Use equally many predicted and observed cells: MMD and Wasserstein distance depend on it.
    reference
        Mean profiles of training perturbations, shape (q, d), for the metrics that need them.
    weights
        Weights of features, shape (d,), in the order of those predicted, for the metrics that need
        them; see :func:`differential_weights`.
    log1p
        How tests of differential expression take changes, see :func:`differential_expression`.
    metrics
        Keys of :data:`METRICS`; by default those of :func:`get_metrics`.

    Returns
    -------
    From the name of each metric to its value.

    Raises
    ------
    ValueError
        If a metric is unknown, lacks what it needs, compares many perturbations, or refuses the
        arrays.

    Examples
    --------
    >>> from rayot.metrics import score
    >>> score([[0.0, 1.0]], [[0.0, 3.0]], metrics=["r2", "l2"])
    {'r2': 1.0, 'l2': 2.0}
    """
    chosen = get_metrics(metrics)
    for metric in chosen:
        if metric.of_perturbations:
            raise ValueError(
                f"The metric {metric.name!r} compares {NEEDS['perturbations']}; call "
                f"rayot.metrics.METRICS[{metric.name!r}] with them."
            )
    for cells, name in ((control, "control"), (reference, "reference")):
        if cells is not None:
            as_pair(predicted, cells, other=name)
    if weights is not None:
        first, _ = as_pair(predicted, observed)
        as_weights(weights, first.shape[1])
    tests: list[pd.DataFrame] = []
    scores = {}
    for metric in chosen:
        if metric.kind == "differential expression" and control is not None:
            # All metrics of this kind compare the same two tables.
            tests = tests or [
                differential_expression(cells, control, log1p=log1p)
                for cells in (predicted, observed)
            ]
            scores[metric.name] = float(metric.function(*tests))
        else:
            scores[metric.name] = float(metric(predicted, observed, control, reference, weights))
    return scores


def describe() -> pd.DataFrame:
    """Table of all metrics: kind, direction, best value, formula, needs, source and description.

    Examples
    --------
    >>> from rayot.metrics import describe
    >>> describe().loc["mmd", ["kind", "direction"]].tolist()
    ['distribution', 'lower']
    """
    columns = ["kind", "direction", "best", "formula", "needs", "source", "description"]
    table = pd.DataFrame(
        [[getattr(metric, column) for column in columns] for metric in METRICS.values()],
        index=pd.Index(METRICS, name="metric"),
        columns=columns,
    )
    table["needs"] = [", ".join(metric.needs) for metric in METRICS.values()]
    return table
