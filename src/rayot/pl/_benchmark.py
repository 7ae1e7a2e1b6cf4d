"""Figures of tables of scores: bars with tests, ranks, and ways against effects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from rayot._docs import shared
from rayot._public import public
from rayot.data.keys import Key
from rayot.metrics import METRICS, compare_methods, rank_methods
from rayot.metrics._table_of_scores import resampled, wide
from rayot.pl._coloring import PREDICTED, SOURCE, TARGET
from rayot.pl._figure import Save, finish, one_axes, row_of_axes

COLORS = {
    **dict.fromkeys((Key.table.identity, Key.table.mean_shift, Key.table.perturbed_mean), SOURCE),
    **dict.fromkeys((Key.table.observed, Key.table.interpolated), TARGET),
}
LOGARITHMIC = ("mmd",)
"""Metrics whose values span orders of magnitude, as in Figure 3 of the paper."""
STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"))
N_RESAMPLES = 1000
OTHERS = ("#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")


@public()
@shared
def benchmark(
    scores: pd.DataFrame,
    metrics: Sequence[str] | None = None,
    *,
    method: str | None = None,
    unit: str | Sequence[str] = "perturbation",
    ax: Axes | Sequence[Axes] | None = None,
    show: bool | None = None,
    save: Save = None,
) -> list[Axes] | None:
    """Bars of each method's mean score with intervals, a panel a metric (paper, Figure 3).

    Whiskers are 95 % bootstrap intervals over units, points the units themselves. With ``method``
    stars say where another one differs from it, by Wilcoxon's signed-rank test within units,
    adjusted over all metrics and methods as Benjamini and Hochberg: one below .05, two below .01,
    three below .001. MMD is on a logarithmic axis; its units at 0 or below are not drawn.

    Parameters
    ----------
    scores
        One row a score, as :func:`rayot.benchmark.run`, :func:`rayot.tl.evaluate` of screens and
        :func:`rayot.tl.evaluate_predictions` return them.
    metrics
        Metrics to draw; by default all that the table has.
    method
        The method that the others are compared with; None draws no stars.
    unit
        Column or columns whose values are taken as independent.
    ax
        Axes to draw on, as many as there are metrics.
    {show}
    {save}

    Returns
    -------
    The axes, one a metric, unless shown.

    Raises
    ------
    KeyError
        If a column or a metric is missing.
    ValueError
        If there are no rows, no row is of the method, or ``ax`` are not as many as the metrics.

    Examples
    --------
    >>> import pandas as pd, rayot as rt
    >>> scores = pd.DataFrame(
    ...     {
    ...         "perturbation": ["A", "B"] * 2,
    ...         "method": ["map"] * 2 + ["identity"] * 2,
    ...         "metric": "mmd",
    ...         "value": [0.1, 0.2, 0.3, 0.5],
    ...     }
    ... )
    >>> [ax.get_title() for ax in rt.pl.benchmark(scores, show=False)]
    ['mmd ←']
    """
    tables = _chosen(scores, metrics, unit)
    tests = None if method is None else compare_methods(scores, method, unit=unit)
    n_methods = max(table.shape[1] for table in tables.values())
    axes = row_of_axes(ax, len(tables), (1.2 + 0.42 * n_methods, 3.6))
    for panel, (metric, table) in zip(axes, tables.items(), strict=True):
        values = _as_scored(table, metric)
        _draw_bars(panel, values, metric in LOGARITHMIC)
        # Above the stars.
        pad = None if tests is None else 16
        panel.set_title(f"{metric.replace('_', ' ')} {_arrow(metric)}", fontsize="medium", pad=pad)
        if tests is not None:
            found = tests.loc[metric, "q"] if metric in tests.index else pd.Series(dtype=float)
            _draw_stars(panel, values, found.to_dict())
    return axes if finish(axes[0], "benchmark", own=ax is None, show=show, save=save) else None


@public()
@shared
def benchmark_ranks(
    scores: pd.DataFrame,
    metrics: Sequence[str] | None = None,
    *,
    unit: str | Sequence[str] = "perturbation",
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
) -> Axes | None:
    """Mean rank of each method in each metric: which metric picks which winner.

    Parameters
    ----------
    scores, metrics, unit
        As in :func:`benchmark`.
    {ax}
    {show}
    {save}

    Returns
    -------
    The axes, unless shown. Methods are rows, the best on average first; metrics are columns.

    Raises
    ------
    KeyError, ValueError
        As :func:`benchmark`.

    Examples
    --------
    >>> import pandas as pd, rayot as rt
    >>> scores = pd.DataFrame(
    ...     {
    ...         "perturbation": ["A", "B"] * 2,
    ...         "method": ["map"] * 2 + ["identity"] * 2,
    ...         "metric": "mmd",
    ...         "value": [0.1, 0.2, 0.3, 0.5],
    ...     }
    ... )
    >>> rt.pl.benchmark_ranks(scores, show=False).get_title()
    'mean rank, 1 is best'
    """
    ranks = rank_methods(_of_metrics(scores, metrics), unit=unit)
    drawn = one_axes(ax, (2.4 + 0.55 * ranks.shape[1], 1.4 + 0.34 * len(ranks)))
    image = drawn.imshow(ranks, cmap="Blues_r", vmin=1, vmax=len(ranks), aspect="auto")
    drawn.set_xticks(
        range(ranks.shape[1]),
        [name.replace("_", " ") for name in ranks],
        rotation=60,
        ha="right",
        rotation_mode="anchor",
        fontsize="small",
    )
    drawn.set_yticks(range(len(ranks)), ranks.index, fontsize="small")
    middle = (1 + len(ranks)) / 2
    for (row, column), value in np.ndenumerate(ranks.to_numpy()):
        if np.isfinite(value):
            color = "white" if value < middle else "black"
            drawn.text(
                column, row, f"{value:.1f}", ha="center", va="center", color=color, fontsize="small"
            )
    drawn.axvline(ranks.shape[1] - 1.5, color="white", lw=3)
    drawn.set_title("mean rank, 1 is best", fontsize="medium")
    drawn.tick_params(length=0)
    drawn.spines[:].set_visible(False)
    figure = drawn.get_figure(root=True)
    if figure is not None:
        figure.colorbar(image, ax=drawn, shrink=0.6, ticks=[1, len(ranks)])
    own = ax is None
    return drawn if finish(drawn, "benchmark_ranks", own=own, show=show, save=save) else None


@public()
@shared
def benchmark_effects(
    scores: pd.DataFrame,
    metric: str = "energy_distance",
    *,
    methods: Sequence[str] | None = None,
    unit: str | Sequence[str] = "perturbation",
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
) -> Axes | None:
    """Share of the way that each method comes, against how much way there is.

    A way is divided by the effect, so that it says little where there is hardly any: ways beyond
    −1 and 2 are drawn at the border, as triangles. Lines are pooled ways, of all units together.

    Parameters
    ----------
    scores, unit
        As in :func:`benchmark`; with the rows ``identity`` and ``observed``.
    metric
        Which metric.
    methods
        Which methods; by default all but those of controls.
    {ax}
    {show}
    {save}

    Returns
    -------
    The axes, unless shown.

    Raises
    ------
    KeyError
        If a column, the metric or a method is missing.
    ValueError
        If there are no rows, or none of ``identity`` or ``observed``.

    Examples
    --------
    >>> import pandas as pd, rayot as rt
    >>> scores = pd.DataFrame(
    ...     {
    ...         "perturbation": ["A", "B"] * 3,
    ...         "method": ["map"] * 2 + ["identity"] * 2 + ["observed"] * 2,
    ...         "metric": "mmd",
    ...         "value": [0.1, 0.2, 0.3, 0.5, 0.0, 0.1],
    ...     }
    ... )
    >>> rt.pl.benchmark_effects(scores, "mmd", show=False).get_ylabel()
    'way'
    """
    (table,) = _chosen(scores, [metric], unit).values()
    ends = Key.table.identity, Key.table.observed
    for name in ends:
        if name not in table:
            raise ValueError(f"The scores in {metric!r} have no rows of {name!r}.")
    shown = [name for name in table if name not in COLORS] if methods is None else list(methods)
    for name in shown:
        if name not in table:
            raise KeyError(
                f"The scores in {metric!r} have no method {name!r}; methods found: "
                f"{', '.join(map(repr, table))}."
            )
    effect = table[ends[1]] - table[ends[0]]
    drawn = one_axes(ax, (5.2, 3.8))
    for height in (0, 1):
        drawn.axhline(height, color="#B0B0B0", lw=0.8, ls="--", zorder=0)
    palette = (PREDICTED, *OTHERS)
    for place, name in enumerate(shown):
        color = COLORS.get(name, palette[place % len(palette)])
        gain = table[name] - table[ends[0]]
        known = gain.notna() & (effect > 0)
        ways, effects = (gain / effect)[known], effect[known]
        inside = ways.between(-1, 2)
        drawn.scatter(effects[inside], ways[inside], s=18, color=color, alpha=0.75, label=name)
        drawn.scatter(
            effects[~inside], ways[~inside].clip(-1, 2), s=22, color=color, alpha=0.75, marker="^"
        )
        drawn.axhline(gain[known].sum() / effects.sum(), color=color, lw=1)
    if (effect > 0).any():
        drawn.set_xscale("log")
    drawn.set_ylim(-1.1, 2.1)
    drawn.set_xlabel(f"effect: {metric.replace('_', ' ')} from identity to observed")
    drawn.set_ylabel("way")
    drawn.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    drawn.spines[["top", "right"]].set_visible(False)
    own = ax is None
    return drawn if finish(drawn, "benchmark_effects", own=own, show=show, save=save) else None


def _of_metrics(scores: pd.DataFrame, metrics: Sequence[str] | None) -> pd.DataFrame:
    """Rows of some metrics."""
    if metrics is None or Key.table.metric not in scores:
        return scores
    known = list(scores[Key.table.metric].astype(str).unique())
    for name in metrics:
        if name not in known:
            raise KeyError(
                f"The table of scores has no metric {name!r}; metrics found: "
                f"{', '.join(map(repr, known))}."
            )
    return scores[scores[Key.table.metric].isin(list(metrics))]


def _chosen(
    scores: pd.DataFrame, metrics: Sequence[str] | None, unit: str | Sequence[str]
) -> dict[str, pd.DataFrame]:
    """Of each metric that is drawn units x methods, higher for better values."""
    tables = wide(_of_metrics(scores, metrics), unit)
    return tables if metrics is None else {name: tables[name] for name in metrics}


def _as_scored(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Values as the metric has them; of one that is best in between the distance to the best."""
    return table if METRICS[metric].direction == "higher" else -table


def _arrow(metric: str) -> str:
    return "→" if METRICS[metric].direction == "higher" else "←"


def _draw_bars(ax: Axes, values: pd.DataFrame, logarithmic: bool) -> None:
    if logarithmic:
        values = values.where(values > 0)
        ax.set_yscale("log")
    rng = np.random.default_rng(0)
    for place, name in enumerate(values):
        own = values[name].dropna().to_numpy()
        if not len(own):
            continue
        color = COLORS.get(str(name), PREDICTED)
        mean = own.mean()
        ax.bar(place, mean, width=0.7, color=color, alpha=0.55, zorder=1)
        jitter = rng.uniform(-0.2, 0.2, len(own))
        ax.scatter(place + jitter, own, s=7, color=color, alpha=0.8, lw=0, zorder=2)
        if len(own) > 1:
            means = own[resampled(len(own), N_RESAMPLES, 0)].mean(1)
            low, high = np.quantile(means, [0.025, 0.975])
            ax.vlines(place, low, high, color="black", lw=1.4, zorder=3)
    ax.set_xticks(
        range(values.shape[1]), list(values), rotation=60, ha="right", rotation_mode="anchor"
    )
    ax.spines[["top", "right"]].set_visible(False)


def _draw_stars(ax: Axes, values: pd.DataFrame, adjusted: dict[str, float]) -> None:
    """Stars above the bars of methods that differ from the one they are compared with."""
    for place, name in enumerate(values):
        stars = next((text for level, text in STARS if adjusted.get(str(name), 1) < level), "")
        if stars:
            ax.text(place, 1.0, stars, ha="center", va="bottom", transform=ax.get_xaxis_transform())
