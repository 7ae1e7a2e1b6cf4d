"""The table of metrics, from which scores, tests and documentation are generated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import pandas as pd
from numpy.typing import ArrayLike

from rayot._public import public
from rayot.metrics._cells import as_pair
from rayot.metrics._energy_distance import energy_distance
from rayot.metrics._log_fold_change import log_fold_change_error, mean_difference_error
from rayot.metrics._mean import l2, r2
from rayot.metrics._mmd import mmd
from rayot.metrics._wasserstein1 import wasserstein1


@dataclass(frozen=True)
class Metric:
    """One way to compare predicted with observed cells.

    Attributes
    ----------
    name
        Name in tables and arguments.
    kind
        ``mean`` compares mean profiles, ``distribution`` whole populations, ``per-cell`` each
        predicted cell with its own truth.
    direction
        Whether ``higher`` or ``lower`` values are better.
    best
        Value of a perfect prediction.
    formula
        Definition, with X the predicted and Y the observed cells.
    description
        What it sees and what it does not.
    function
        ``function(predicted, observed)``, or ``function(predicted, observed, control)``.
    needs_control
        Whether the function takes control cells as third argument.
    by_default
        Whether it is scored where no metrics are named.
    """

    name: str
    kind: Literal["mean", "distribution", "per-cell"]
    direction: Literal["higher", "lower"]
    best: float
    formula: str
    description: str
    function: Callable[..., float]
    needs_control: bool = False
    by_default: bool = True

    def __call__(
        self, predicted: ArrayLike, observed: ArrayLike, control: ArrayLike | None = None
    ) -> float:
        """Score ``predicted`` against ``observed``; ``control`` where the metric needs it."""
        if not self.needs_control:
            return self.function(predicted, observed)
        if control is None:
            raise ValueError(f"The metric {self.name!r} needs control cells; pass them as control.")
        return self.function(predicted, observed, control)


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            Metric(
                name="r2",
                kind="mean",
                direction="higher",
                best=1.0,
                formula="cor(mean X, mean Y)²",
                description="Squared Pearson correlation of feature means; blind to shift, scale "
                "and shape.",
                function=r2,
            ),
            Metric(
                name="l2",
                kind="mean",
                direction="lower",
                best=0.0,
                formula="‖mean X − mean Y‖",
                description="Euclidean distance of mean profiles; blind to shape.",
                function=l2,
            ),
            Metric(
                name="mmd",
                kind="distribution",
                direction="lower",
                best=0.0,
                formula="mean over γ of mean k(X, X) + mean k(Y, Y) − 2 mean k(X, Y), "
                "k = exp(−γ ‖x − y‖²), 50 γ from 10 to 0.001",
                description="Maximum mean discrepancy of the W1OT paper; biased, so it depends on "
                "the number of cells.",
                function=mmd,
            ),
            Metric(
                name="energy_distance",
                kind="distribution",
                direction="lower",
                best=0.0,
                formula="2 E‖x − y‖ − E‖x − x'‖ − E‖y − y'‖",
                description="Energy distance, Euclidean and unbiased.",
                function=energy_distance,
            ),
            Metric(
                name="wasserstein1",
                kind="distribution",
                direction="lower",
                best=0.0,
                formula="min over couplings of E‖x − y‖",
                description="Exact Wasserstein-1 distance of at most 500 cells each; mostly "
                "sampling error in many dimensions.",
                function=wasserstein1,
            ),
            Metric(
                name="log_fold_change_error",
                kind="mean",
                direction="lower",
                best=0.0,
                formula="mean over genes of |log2 FC(X) − log2 FC(Y)|",
                description="Mean absolute error of log2 fold changes against control, from means "
                "on the linear scale.",
                function=log_fold_change_error,
                needs_control=True,
                by_default=False,
            ),
            Metric(
                name="mean_difference_error",
                kind="mean",
                direction="lower",
                best=0.0,
                formula="mean over genes of |mean X − mean Y|",
                description="Mean absolute difference of feature means, on whatever scale.",
                function=mean_difference_error,
                by_default=False,
            ),
        )
    }
)
"""Every metric by its name."""


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
        If a name is unknown; the message lists the known ones.

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
        raise ValueError(f"Unknown metric {unknown[0]!r}; known are {', '.join(METRICS)}.")
    return [METRICS[name] for name in names]


@public()
def score(
    predicted: ArrayLike,
    observed: ArrayLike,
    control: ArrayLike | None = None,
    *,
    metrics: Iterable[str] | None = None,
) -> dict[str, float]:
    """Several metrics of one prediction.

    Parameters
    ----------
    predicted, observed, control
        Expression, shapes (n, d), (m, d) and (k, d); ``control`` only for the metrics that need it.
        Use equally many predicted and observed cells: MMD and Wasserstein distance depend on it.
    metrics
        Keys of :data:`METRICS`; by default those of :func:`get_metrics`.

    Returns
    -------
    From the name of each metric to its value.

    Raises
    ------
    ValueError
        If a metric is unknown, lacks its control cells, or refuses the arrays.

    Examples
    --------
    >>> from rayot.metrics import score
    >>> score([[0.0, 1.0]], [[0.0, 3.0]], metrics=["r2", "l2"])
    {'r2': 1.0, 'l2': 2.0}
    """
    if control is not None:
        as_pair(predicted, control, other="control")
    return {metric.name: metric(predicted, observed, control) for metric in get_metrics(metrics)}


def describe() -> pd.DataFrame:
    """Table of all metrics: kind, direction, best value, formula and description.

    Examples
    --------
    >>> from rayot.metrics import describe
    >>> describe().loc["mmd", ["kind", "direction"]].tolist()
    ['distribution', 'lower']
    """
    columns = ["kind", "direction", "best", "formula", "description"]
    return pd.DataFrame(
        [[getattr(metric, column) for column in columns] for metric in METRICS.values()],
        index=pd.Index(METRICS, name="metric"),
        columns=columns,
    )
