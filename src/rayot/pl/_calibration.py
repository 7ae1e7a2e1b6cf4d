"""Coverage of an ensemble's intervals against their levels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.axes import Axes

from rayot._docs import shared
from rayot._public import public
from rayot.data.keys import Key
from rayot.data.scores import CALIBRATION
from rayot.pl._coloring import PREDICTED, SOURCE
from rayot.pl._figure import Save, finish, one_axes

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@public()
@shared
def calibration(
    table: pd.DataFrame | AnnData | MuData,
    *,
    key: str | None = None,
    modality: str | None = None,
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
) -> Axes | None:
    """Share of intervals of an ensemble that hold the observed mean, against their level.

    On the diagonal intervals are honest; below it the map errs by more than its members differ.
    Intervals by sampling errors alone, without the spread of the members, are hollow: where they
    are on the diagonal too, the spread says nothing.

    Parameters
    ----------
    table
        As :func:`rayot.tl.calibration` returns it, or cells that it was written to, which are not
        changed.
    {key_of_table}
    {modality}
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
        If there are several tables and none is named.

    Examples
    --------
    >>> import pandas as pd, rayot as rt
    >>> columns = {"coverage": [0.4, 0.8], "coverage by sampling alone": [0.1, 0.3]}
    >>> ax = rt.pl.calibration(pd.DataFrame(columns, index=[0.5, 0.9]), show=False)
    >>> ax.get_ylabel()
    'share of intervals with the observed mean'
    """
    needed = (Key.table.coverage, Key.table.sampling_coverage)
    table = CALIBRATION.read(table, key, modality, needed)
    axes = one_axes(ax, (4.2, 4.0))
    table = table.sort_index()
    axes.axline((0, 0), slope=1, color="#B0B0B0", lw=1, zorder=0)
    axes.plot(
        table.index,
        table[Key.table.sampling_coverage],
        "o-",
        color=SOURCE,
        markerfacecolor="none",
        label="by sampling alone",
    )
    axes.plot(table.index, table[Key.table.coverage], "o-", color=PREDICTED, label="ensemble")
    axes.set(xlim=(0, 1.03), ylim=(-0.03, 1.03))
    axes.set_aspect("equal", adjustable="box")
    axes.set_xlabel("level of the intervals")
    axes.set_ylabel("share of intervals with the observed mean")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper left")
    return axes if finish(axes, "calibration", own=ax is None, show=show, save=save) else None
