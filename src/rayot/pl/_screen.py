"""Which perturbations of a screen have an effect, and how large it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from rayot._docs import shared
from rayot._public import public
from rayot.data.keys import Key
from rayot.data.modality import modality_of
from rayot.data.screened import read_screen
from rayot.pl._figure import Save, finish, one_axes

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

DETECTABLE, UNDETECTABLE = "#0B6E99", "#A8A8A8"


@public()
@shared
def screen(
    adata: AnnData | MuData,
    key: str | None = None,
    *,
    n_shown: int = 30,
    modality: str | None = None,
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
) -> Axes | None:
    """Energy distance of each perturbation from the control, largest first.

    Grey are those whose permutation test does not pass the false discovery rate of the screen.

    Parameters
    ----------
    adata
        With a screen of :func:`rayot.tl.screen`. It is not changed.
    {key_of_screen}
    n_shown
        Perturbations shown, those with the largest distance.
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
        If there is no screen of this name.
    ValueError
        If there are several screens and none is named.

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.simulated_screen(4, n_cells=60, n_genes=20)
    >>> screen = rt.tl.screen(adata, "control", max_steps=10, show_progress_bar=False)
    >>> rt.pl.screen(adata, show=False).get_xlabel()
    'energy distance from the control'
    """
    _, result = read_screen(modality_of(adata, modality), key)
    columns = Key.screen_table
    table = result[Key.screen.table].sort_values(columns.energy_distance, ascending=False)
    n_detectable, n_all = int(table[columns.detectable].sum()), len(table)
    table = table.iloc[:n_shown]
    names = table[columns.perturbation].astype(str)
    # Long names leave the legend no room unless the figure is wider.
    width = 4.2 + 0.07 * max(0, names.str.len().max() - 14)
    drawn = one_axes(ax, (width, 0.8 + 0.19 * len(table)))
    rows = np.arange(len(table))
    detectable = table[columns.detectable].to_numpy(dtype=bool)
    for chosen, color, label in (
        (detectable, DETECTABLE, "detectable"),
        (~detectable, UNDETECTABLE, "no detectable effect"),
    ):
        if chosen.any():
            distances = table[columns.energy_distance].to_numpy()[chosen]
            drawn.hlines(rows[chosen], 0, distances, color=color, lw=1.5)
            drawn.plot(distances, rows[chosen], "o", color=color, ms=4, label=label)
    drawn.axvline(0, color="#808080", lw=0.8)
    drawn.set_yticks(rows, names, fontsize="small")
    drawn.set_ylim(len(table) - 0.4, -0.6)
    drawn.set_xlabel("energy distance from the control")
    drawn.set_title(
        f"{n_detectable} of {n_all} perturbations have a detectable effect", fontsize="medium"
    )
    drawn.legend(frameon=False, fontsize="small", loc="lower right")
    drawn.tick_params(axis="y", length=0)
    drawn.spines[["top", "right", "left"]].set_visible(False)
    return drawn if finish(drawn, "screen", own=ax is None, show=show, save=save) else None
