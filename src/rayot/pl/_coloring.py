"""Colours of cells: by population, or by a column of obs or a gene as scanpy colours them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, is_color_like, to_rgba, to_rgba_array
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from rayot.data import checks
from rayot.data.keys import Key
from rayot.pl._planar import PlanarCells

if TYPE_CHECKING:
    from anndata import AnnData

# Grey, and the orange and blue of Okabe and Ito, which colour-blind readers tell apart.
SOURCE = "#7F7F7F"
TARGET = "#E69F00"
PREDICTED = "#0072B2"
MISSING = "#D3D3D3"

Colors = NDArray[np.float64]


@dataclass(frozen=True)
class Coloring:
    """One colour a cell and what explains them.

    Attributes
    ----------
    source, target, predicted
        RGBA of each cell, shapes (n, 4), (m, 4) and (n, 4).
    handles
        Entries of the legend.
    scale
        What a colour bar shows, for continuous values.
    title
        Name of the values.
    """

    source: Colors
    target: Colors
    predicted: Colors
    handles: list[Line2D]
    scale: ScalarMappable | None = None
    title: str | None = None

    @property
    def by_population(self) -> bool:
        """Whether colours tell the populations apart."""
        return self.title is None

    def explain(self, ax: Axes) -> None:
        """Add legend and colour bar beside the axes."""
        if self.scale is not None and self.title is not None:
            color_bar(ax, self.scale, self.title)
        ax.legend(
            handles=self.handles,
            title=self.title if self.scale is None else None,
            frameon=False,
            loc="upper left" if self.scale is None else "lower left",
            bbox_to_anchor=(1.0, 1.0) if self.scale is None else (0.0, 1.0),
            ncols=1 if self.scale is None else len(self.handles),
            borderaxespad=0.2,
            handletextpad=0.3,
            alignment="left",
        )


def coloring(adata: AnnData, cells: PlanarCells, color: str | None) -> Coloring:
    """Colours by population, or by a column of ``adata.obs`` or a gene.

    A predicted cell has the value of the cell it came from; for a gene, its predicted expression.

    Raises
    ------
    KeyError
        If ``color`` names neither.
    """
    if color is None:
        names = (cells.fitted.source, cells.fitted.target, f"predicted {cells.fitted.target}")
        shades = (SOURCE, TARGET, PREDICTED)
        source, target, predicted = (
            np.tile(to_rgba(shade), (len(points), 1))
            for shade, points in zip(
                shades, (cells.source, cells.target, cells.predicted), strict=True
            )
        )
        handles = [dot(name, shade) for name, shade in zip(names, shades, strict=True)]
        return Coloring(source, target, predicted, handles)
    if color not in adata.obs and color not in adata.var_names:
        raise KeyError(
            f"color={color!r} is neither a column of adata.obs "
            f"({', '.join(map(repr, adata.obs.columns))}) nor a gene."
        )
    populations = [dot("observed", SOURCE), dot("predicted", SOURCE, edge="black")]
    if color in adata.obs and not _is_continuous(checks.column(adata, color)):
        return _by_category(adata, cells, color, populations)
    return _by_value(adata, cells, color, populations)


def dot(label: str, color: str, *, edge: str = "none") -> Line2D:
    """A round entry of a legend."""
    return Line2D(
        [], [], marker="o", linestyle="none", markersize=6, label=label, color=color, mec=edge
    )


def color_bar(ax: Axes, scale: ScalarMappable, label: str) -> None:
    """Colour bar as high as the axes, whose height an equal aspect settles only on drawing."""
    figure = ax.get_figure()
    if figure is not None:
        bar = ax.inset_axes((1.03, 0.0, 0.03, 1.0))
        figure.colorbar(scale, cax=bar, label=label, ticks=MaxNLocator(5))


def _is_continuous(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _by_category(
    adata: AnnData, cells: PlanarCells, color: str, populations: list[Line2D]
) -> Coloring:
    column = checks.column(adata, color)
    labels = checks.labels_of(column)
    names = sorted(set(labels) - {""})
    if isinstance(column.dtype, pd.CategoricalDtype):
        names = list(column.cat.categories.astype(str))
    palette = _palette(adata, color, names)
    every = to_rgba_array([palette.get(label, MISSING) for label in labels])
    rows = np.concatenate([cells.source_rows, cells.target_rows])
    drawn = set(labels[rows])
    handles = [dot(name, palette[name]) for name in names if name in drawn]
    source = every[cells.source_rows]
    return Coloring(source, every[cells.target_rows], source, [*handles, *populations], title=color)


def _palette(adata: AnnData, column: str, names: Sequence[str]) -> dict[str, str]:
    """Colours that scanpy has written for the categories of a column, or those it would take.

    They are stored in the order of the categories, or by their names.
    """
    from scanpy.plotting import palettes

    stored = adata.uns.get(Key.colors.of(column))
    kept: dict[str, str] = {}
    if isinstance(stored, Mapping | pd.Series):
        kept = {str(name): str(shade) for name, shade in stored.items()}
    elif stored is not None and not isinstance(stored, str):
        kept = dict(zip(names, map(str, np.ravel(stored)), strict=False))
    if set(names) <= set(kept) and all(is_color_like(kept[name]) for name in names):
        return {name: kept[name] for name in names}
    cycle = mpl.rcParams["axes.prop_cycle"].by_key()["color"]
    for shades in (cycle, palettes.default_20, palettes.default_28, palettes.default_102):
        if len(shades) >= len(names):
            return dict(zip(names, shades, strict=False))
    return dict.fromkeys(names, MISSING)


def _by_value(
    adata: AnnData, cells: PlanarCells, color: str, populations: list[Line2D]
) -> Coloring:
    if color in adata.obs:
        values = checks.numbers(adata, color)
        predicted = values[cells.source_rows]
    else:
        values = _of_gene(adata, color, cells.fitted.layer)
        layer = cells.fitted.require_predicted_expression(adata)
        predicted = _of_gene(adata, color, layer)[cells.source_rows]
    source, target = values[cells.source_rows], values[cells.target_rows]
    shown = np.concatenate([source, target])
    shown = shown[np.isfinite(shown)]
    limits = (float(shown.min()), float(shown.max())) if shown.size else (0.0, 1.0)
    colormap = mpl.colormaps["viridis"].with_extremes(bad=MISSING)
    scale = ScalarMappable(Normalize(*limits), colormap)
    rgba = [
        np.asarray(scale.to_rgba(np.ma.masked_invalid(part)))
        for part in (source, target, predicted)
    ]
    return Coloring(rgba[0], rgba[1], rgba[2], populations, scale=scale, title=color)


def _of_gene(adata: AnnData, gene: str, layer: str | None) -> np.ndarray:
    """Expression (n_obs,) of one gene."""
    import scanpy as sc

    return sc.get.obs_df(adata, [gene], layer=layer)[gene].to_numpy(dtype=float)
