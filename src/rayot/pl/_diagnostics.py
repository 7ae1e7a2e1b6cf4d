"""What a fitted map says of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from rayot._docs import shared
from rayot._public import public
from rayot.data.fitted import WrittenMap
from rayot.data.keys import Key
from rayot.data.modality import modality_of
from rayot.pl._coloring import PREDICTED, SOURCE, TARGET
from rayot.pl._figure import Save, finish, row_of_axes

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

WORD_COLORS = {
    "good": "#00674B",
    "check": "#9A6700",
    "poor": "#A62B1F",
    "no effect": "#595959",
}
TO_TARGET = (("source", SOURCE), ("predicted", PREDICTED), ("other target", TARGET))


@dataclass(frozen=True)
class _Panel:
    """Bars of one panel, from top to bottom.

    ``values`` are names of diagnostics, ``rows`` their labels and colours. The last bar is a floor,
    drawn as a line too, where ``has_floor`` says so.
    """

    title: str
    values: Sequence[str]
    rows: Sequence[tuple[str, str]]
    has_floor: bool = True
    percent: bool = False


@public()
@shared
def diagnostics(
    adata: AnnData | MuData,
    key: str | None = None,
    *,
    modality: str | None = None,
    ax: Axes | Sequence[Axes] | None = None,
    show: bool | None = None,
    save: Save = None,
) -> list[Axes] | None:
    """Held-out figures of a fitted map, with its certificate and the reason as title.

    Energy distance and exact Wasserstein-1 distance to held-out target cells, of source cells, of
    predicted ones, and of other target cells: the last, dashed, is what cells of one population
    differ by, and nothing can be seen below it. Samples of n cells are far apart in many
    dimensions even where their populations are the same, so exact distances are to be compared with
    each other only. Then the mean step, beside the dual of a method that has one, a lower bound of
    the Wasserstein-1 distance up to sampling: cells that go much farther make a detour. With cell
    types, how often the nearest target cell of a predicted cell has another type, beside how often
    that of a target cell has.

    Of several maps (an ensemble, separate strata) the figures are those of the worst.

    Parameters
    ----------
    {fitted_adata}
    {key}
    {modality}
    ax
        Axes to draw on: four with cell types, three without.
    {show}
    {save}

    Returns
    -------
    The axes, one a panel, unless shown.

    Raises
    ------
    KeyError
        If the map is not there or kept no diagnostics.
    ValueError
        If there are several maps and none is named, or ``ax`` are not as many as the panels.

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.moons(200)
    >>> model = rt.tl.w1ot(
    ...     adata, "control", "perturbed", preset="fast", max_steps=5, show_progress_bar=False
    ... )
    >>> [ax.get_title() for ax in rt.pl.diagnostics(adata, show=False)]
    ['energy distance', 'exact W₁ of 10 cells', 'length of the way']
    """
    adata = modality_of(adata, modality)
    key = WrittenMap.read(adata, key).key
    figures = adata.uns[Key.uns.result(key)].get(Key.result.diagnostics, {})
    names = [name for name in vars(Key.diagnostics) if not name.startswith("_")]
    missing = [name for name in names if name not in figures]
    if missing:
        raise KeyError(
            f"The map {key!r} has no {missing[0]!r} in adata.uns[{key!r}]"
            f"[{Key.result.diagnostics!r}]; fit it again with this version of rayot."
        )
    panels = _panels(figures)
    axes = row_of_axes(ax, len(panels), (2.75, 2.0))
    for panel, drawn in zip(axes, panels, strict=True):
        _draw(panel, drawn, figures)
    word = str(figures[Key.diagnostics.certificate])
    title = f"{word}: {figures[Key.diagnostics.reason]}"
    color = WORD_COLORS.get(word, "black")
    figure = axes[0].get_figure(root=True)
    if ax is None and figure is not None:
        lines = fill(title, 30 * len(panels))
        figure.suptitle(lines, color=color, fontsize="medium", fontweight="bold")
    else:
        # The figure is the caller's, and so is what stands above it.
        axes[0].set_title(f"{word}: {axes[0].get_title()}", color=color)
    return axes if finish(axes[0], "diagnostics", own=ax is None, show=show, save=save) else None


def _panels(figures: Mapping[str, Any]) -> list[_Panel]:
    names = Key.diagnostics
    has_bound = bool(np.isfinite(figures[names.held_out_dual]))
    panels = [
        _Panel(
            "energy distance",
            (
                names.initial_energy_distance,
                names.residual_energy_distance,
                names.floor_energy_distance,
            ),
            TO_TARGET,
        ),
        _Panel(
            f"exact W₁ of {int(figures[names.n_cells_wasserstein])} cells",
            (names.initial_wasserstein, names.residual_wasserstein, names.floor_wasserstein),
            TO_TARGET,
        ),
        _Panel(
            "length of the way",
            (names.mean_step, names.held_out_dual)[: 1 + has_bound],
            (("mean step", PREDICTED), ("lower bound", SOURCE))[: 1 + has_bound],
            has_floor=False,
        ),
    ]
    if np.isfinite(figures[names.changed_type]):
        panels.append(
            _Panel(
                "among another cell type",
                (names.changed_type, names.floor_changed_type),
                TO_TARGET[1:],
                percent=True,
            )
        )
    return panels


def _draw(ax: Axes, panel: _Panel, figures: Mapping[str, Any]) -> None:
    values = np.array([float(figures[name]) for name in panel.values])
    # Bars are as thick and as far apart where there are fewer of them.
    rows = np.arange(len(values)) + (len(TO_TARGET) - len(values)) / 2
    labels, colors = zip(*panel.rows, strict=True)
    ax.barh(rows, np.nan_to_num(values), height=0.62, color=colors, zorder=2)
    longest = max(np.nanmax(np.abs(values), initial=0.0), 1e-12)
    for row, value in zip(rows, values, strict=True):
        text = "?" if np.isnan(value) else f"{value:.0%}" if panel.percent else f"{value:.3g}"
        ax.annotate(
            text,
            (max(np.nan_to_num(value), 0.0), row),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize="small",
            bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"},
            zorder=4,
        )
    if panel.has_floor and np.isfinite(values[-1]):
        ax.axvline(values[-1], color=TARGET, lw=1, ls="--", zorder=3)
    ax.axvline(0, color="#808080", lw=0.8, zorder=3)
    ax.set_yticks(rows, labels)
    ax.set_ylim(len(TO_TARGET) - 0.4, -0.6)
    ax.set_xlim(min(0.0, np.nanmin(values, initial=0.0)) - 0.02 * longest, 1.25 * longest)
    ax.locator_params(axis="x", nbins=4)
    if panel.percent:
        ax.set_xlim(right=max(1.25 * longest, 0.05))
        ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.set_title(panel.title, fontsize="medium")
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)
