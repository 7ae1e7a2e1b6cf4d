"""What a report says of the scores of maps on held-out cells."""

from __future__ import annotations

import numpy as np
import pandas as pd

from rayot import pl
from rayot.data.keys import Key
from rayot.reporting._blocks import Block, Figure, Table, Text, shown
from rayot.reporting._images import images_of, new_axes

REFERENCES = (Key.table.identity, Key.table.mean_shift, Key.table.observed)


def evaluation(table: pd.DataFrame) -> list[Block]:
    """A table of :func:`rayot.tl.evaluate` in words, numbers and a figure.

    Parameters
    ----------
    table
        One row a method, one column a metric.
    """
    metrics = [name for name in table if name != Key.table.n_cells]
    axes = new_axes(len(metrics), (3.2, 0.8 + 0.32 * len(table)))
    pl.evaluate(table, metrics, ax=axes, show=False)
    alts = []
    for panel, metric in zip(axes, metrics, strict=True):
        # Each panel is a picture of its own, which names its rows.
        panel.tick_params(labelleft=True)
        values = ", ".join(f"{row} {shown(value)}" for row, value in table[metric].items())
        alts.append(f"{metric.replace('_', ' ')}: {values}.")
    caption = (
        "Each panel is a metric, each row a method: maps in blue, references in grey, other "
        "observed cells in orange, with a dashed line. The arrow points to better values."
    )
    return [
        *_in_words(table),
        Table.of(table, "Predicted genes beside observed ones, of held-out cells"),
        Text(
            "identity: source cells untouched. mean shift: source cells plus the difference of the "
            "training means. observed: other observed cells of the target, what a perfect "
            "prediction would score. A way is the share of the way from identity to observed."
        ),
        Figure(images_of(axes, alts), caption),
    ]


def _in_words(table: pd.DataFrame) -> list[Block]:
    """How far each map comes, beside the mean shift."""
    column = Key.table.way("energy_distance")
    if column not in table or not np.isfinite(table.loc[Key.table.mean_shift, column]):
        return []
    shift = float(table.loc[Key.table.mean_shift, column])
    blocks: list[Block] = []
    for name in table.index.drop(list(REFERENCES)):
        own = float(table.loc[name, column])
        text = (
            f"In energy distance {name} comes {own:.0%} of the way from untouched to observed "
            f"cells, the mean shift {shift:.0%}."
        )
        if not own > shift:
            text += " It is not ahead of the mean shift, the simplest of all methods."
        blocks.append(Text(text.replace("-", "−")))
    return blocks
