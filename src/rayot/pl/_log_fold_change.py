"""Predicted against observed log fold changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from rayot._docs import shared
from rayot._public import public
from rayot.data.keys import Key
from rayot.data.scores import LOG_FOLD_CHANGE
from rayot.pl._coloring import PREDICTED, SOURCE
from rayot.pl._figure import Save, finish, one_axes

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

DRAWN = (Key.table.observed, Key.table.predicted, Key.table.mean_shift)

SIDES = ((-1, 0), (1, 0), (0, 1), (0, -1), (-1, 1), (1, -1), (1, 1), (-1, -1))
"""Where the name of a gene may stand, beside its point."""


@public()
@shared
def log_fold_change(
    table: pd.DataFrame | AnnData | MuData,
    *,
    key: str | None = None,
    modality: str | None = None,
    n_labels: int = 5,
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
) -> Axes | None:
    """Predicted against observed log2 fold change, one point a gene.

    Of expression on a scale that is not known these are differences of means, as the axes say. On
    the diagonal the prediction is right; the mean shift is drawn hollow for comparison.

    Parameters
    ----------
    table
        As :func:`rayot.tl.log_fold_change` returns it, or cells that it was written to, which are
        not changed.
    {key_of_table}
    {modality}
    n_labels
        Name this many genes, those with the largest errors that leave room for a name.
    {ax}
    {show}
    {save}

    Returns
    -------
    The axes, unless shown.

    Raises
    ------
    KeyError
        If no table was written, or it lacks a column.
    ValueError
        If there are several tables and none is named, or no gene has values.

    Examples
    --------
    >>> import pandas as pd, rayot as rt
    >>> table = pd.DataFrame({"observed": [1.0, -2.0], "predicted": [0.9, -1.5]}, index=["A", "B"])
    >>> [label.get_text() for label in rt.pl.log_fold_change(table, n_labels=1, show=False).texts]
    ['B']
    """
    needed = (Key.table.observed, Key.table.predicted)
    table = LOG_FOLD_CHANGE.read(table, key, modality, needed)
    # Genes that hardly any cell expresses have no fold change.
    table = table.dropna(subset=list(needed))
    if table.empty:
        raise ValueError("The table has no gene with an observed and a predicted value.")
    axes = one_axes(ax, (4.4, 4.2))
    observed, predicted = table[Key.table.observed], table[Key.table.predicted]
    axes.axline((0, 0), slope=1, color="#B0B0B0", lw=1, zorder=0)
    if Key.table.mean_shift in table:
        axes.scatter(
            observed,
            table[Key.table.mean_shift],
            s=26,
            facecolor="none",
            edgecolor=SOURCE,
            label=Key.table.mean_shift,
            rasterized=True,
        )
    axes.scatter(observed, predicted, s=26, color=PREDICTED, label="predicted", rasterized=True)
    drawn = table[[name for name in DRAWN if name in table]].to_numpy()
    low, high = float(np.nanmin(drawn)), float(np.nanmax(drawn))
    margin = 0.1 * max(high - low, 0.1)
    axes.set(xlim=(low - margin, high + margin), ylim=(low - margin, high + margin))
    axes.set_aspect("equal", adjustable="box")
    what = _measure(table)
    axes.set_xlabel(f"observed {what}")
    axes.set_ylabel(f"predicted {what}")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper left", handletextpad=0.2)
    _label(axes, table, n_labels)
    return axes if finish(axes, "log_fold_change", own=ax is None, show=show, save=save) else None


def _measure(table: pd.DataFrame) -> str:
    """What the table compares, by its own word."""
    if Key.table.measure in table and (table[Key.table.measure] == Key.table.difference).all():
        return Key.table.difference
    return "log$_2$ fold change"


def _label(ax: Axes, table: pd.DataFrame, n_labels: int) -> None:
    """Name the genes with the largest errors, as far as there is room beside their points."""
    figure = ax.get_figure(root=True)
    if figure is None or n_labels < 1:
        return
    # Places of texts in pixels are known only after the layout.
    figure.draw_without_rendering()
    points = table[[Key.table.observed, Key.table.predicted]]
    worst = np.abs(points.to_numpy()[:, 1] - points.to_numpy()[:, 0]).argsort()[::-1]
    columns = [name for name in DRAWN if name in table]
    heights = table[columns[1:]].to_numpy(dtype=float)
    places = np.repeat(table[[Key.table.observed]].to_numpy(dtype=float), heights.shape[1], axis=1)
    dots = ax.transData.transform(np.stack([places.ravel(), heights.ravel()], axis=1))
    taken: list[Bbox] = []
    for gene in worst:
        if len(taken) == n_labels or not np.isfinite(points.iloc[gene]).all():
            break
        x, y = points.iloc[gene]
        for dx, dy in SIDES:
            text = ax.annotate(
                str(points.index[gene]),
                (x, y),
                xytext=(5 * dx, 5 * dy),
                textcoords="offset points",
                ha={-1: "right", 0: "center", 1: "left"}[dx],
                va={-1: "top", 0: "center", 1: "bottom"}[dy],
                fontsize="small",
            )
            box = text.get_window_extent()
            inside = ax.bbox.containsx(box.x0) and ax.bbox.containsx(box.x1)
            free = not box.count_contains(dots) and not box.count_overlaps(taken)
            if inside and free:
                taken.append(box)
                break
            text.remove()
