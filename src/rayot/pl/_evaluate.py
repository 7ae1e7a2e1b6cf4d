"""The table of scores as dots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from rayot._docs import shared
from rayot._public import public, warn
from rayot.data.keys import Key
from rayot.data.scores import EVALUATE
from rayot.metrics import METRICS
from rayot.pl._coloring import PREDICTED, SOURCE, TARGET
from rayot.pl._figure import Save, finish, row_of_axes

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

BETTER = {"higher": "→", "lower": "←", "nearest": ""}
"""Where better values of a metric lie."""

REFERENCES = {
    Key.table.identity: SOURCE,
    Key.table.mean_shift: SOURCE,
    Key.table.observed: TARGET,
}


@public()
@shared
def evaluate(
    table: pd.DataFrame | AnnData | MuData,
    metrics: Sequence[str] | None = None,
    *,
    key: str | None = None,
    modality: str | None = None,
    ax: Axes | Sequence[Axes] | None = None,
    show: bool | None = None,
    save: Save = None,
) -> list[Axes] | None:
    """Scores of :func:`rayot.tl.evaluate`: one panel a metric, one row a method.

    Fitted maps are blue, references grey, other observed cells orange, with a dashed line at their
    score. Arrows in the titles point to where better values are.

    Parameters
    ----------
    table
        As :func:`rayot.tl.evaluate` returns it, or cells that it was written to, which are
        not changed.
    metrics
        Columns to draw; by default all but the number of cells.
    {key_of_table}
    {modality}
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
        If no table was written, or it has no such column.
    ValueError
        If there are several tables and none is named, or ``ax`` are not as many as the metrics.

    Examples
    --------
    >>> import pandas as pd, rayot as rt
    >>> table = pd.DataFrame({"mmd": [0.01, 0.1, 0.005]}, index=["w1ot", "identity", "observed"])
    >>> [ax.get_title() for ax in rt.pl.evaluate(table, show=False)]
    ['mmd ←']
    """
    table = EVALUATE.read(table, key, modality)
    columns = [name for name in table.columns if name != Key.table.n_cells]
    if metrics is not None:
        unknown = [name for name in metrics if name not in table.columns]
        if unknown:
            raise KeyError(
                f"The table has no column {unknown[0]!r}; columns found: "
                f"{', '.join(map(repr, columns))}."
            )
        columns = list(metrics)
    if not columns:
        raise KeyError("The table has no column with scores; pass what tl.evaluate returned.")
    axes = row_of_axes(ax, len(columns), (1.65, 0.8 + 0.32 * len(table)), share_rows=True)
    for i, (panel, column) in enumerate(zip(axes, columns, strict=True)):
        _draw_metric(panel, table[column])
        panel.set_title(_title(column), fontsize="medium")
        panel.tick_params(axis="y", length=0, labelleft=i == 0)
    return axes if finish(axes[0], "evaluate", own=ax is None, show=show, save=save) else None


def _draw_metric(ax: Axes, scores: pd.Series) -> None:
    rows = np.arange(len(scores))
    colors = [REFERENCES.get(str(method), PREDICTED) for method in scores.index]
    ax.hlines(rows, 0, 1, transform=ax.get_yaxis_transform(), color="#E5E5E5", lw=1, zorder=0)
    ax.scatter(scores, rows, c=colors, s=48, zorder=3)
    if Key.table.observed in scores.index and np.isfinite(scores[Key.table.observed]):
        ax.axvline(scores[Key.table.observed], color=TARGET, lw=1, ls="--", zorder=1)
    ax.set_yticks(rows, [str(method) for method in scores.index])
    ax.set_ylim(len(scores) - 0.5, -0.5)
    ax.margins(x=0.12)
    ax.locator_params(axis="x", nbins=4)
    ax.spines[["top", "right", "left"]].set_visible(False)


def _title(column: str) -> str:
    name = column.replace("_", " ")
    if column in METRICS:
        return f"{name} {BETTER[METRICS[column].direction]}"
    shares = {Key.table.way(metric): metric.replace("_", " ") for metric in METRICS}
    return f"way in\n{shares[column]} →" if column in shares else name


@public()
def evaluation(
    table: pd.DataFrame,
    metrics: Sequence[str] | None = None,
    *,
    ax: Axes | Sequence[Axes] | None = None,
    show: bool | None = None,
    save: Save = None,
) -> Sequence[Axes] | None:
    """Former name of :func:`rayot.pl.evaluate`; it will go after this release.

    Parameters
    ----------
    table, metrics, ax, show, save
        As in :func:`rayot.pl.evaluate`.

    Returns
    -------
    As :func:`rayot.pl.evaluate`.
    """
    warn("rayot.pl.evaluation is rayot.pl.evaluate now; the former name will go.", FutureWarning)
    return evaluate(table, metrics, ax=ax, show=show, save=save)
