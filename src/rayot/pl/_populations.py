"""Scatter of source, target and predicted cells, which several figures share."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from rayot.pl._coloring import Coloring
from rayot.pl._planar import PlanarCells


def draw_populations(
    ax: Axes, cells: PlanarCells, shades: Coloring, size: float | None = None
) -> None:
    """Draw the three populations, predicted on top, and label the axes.

    Without ``size`` points shrink with their number, as in scanpy.
    """
    n_cells = len(cells.source) + len(cells.target)
    size = float(np.clip(12_000 / n_cells, 3, 24)) if size is None else size
    plain = shades.by_population
    # Predicted cells are meant to lie on target cells: smaller dots leave a rim of those visible.
    layers = (
        (cells.source, shades.source, 1.0, 0.45 if plain else 0.3, 1),
        (cells.target, shades.target, 2.2 if plain else 1.0, 0.6 if plain else 0.3, 1),
        (cells.predicted, shades.predicted, 0.7 if plain else 1.0, 0.85, 4),
    )
    for points, colors, scale, opacity, order in layers:
        edged = order == 4 and not plain
        ax.scatter(
            points[:, 0],
            points[:, 1],
            s=size * scale,
            c=colors,
            alpha=opacity,
            edgecolors="black" if edged else "none",
            linewidths=min(0.5, size / 20) if edged else 0.0,
            zorder=order,
            rasterized=True,
        )
    ax.set_xlabel(cells.labels[0])
    ax.set_ylabel(cells.labels[1])
    ax.set_aspect("equal", adjustable="box")
    ax.spines[["top", "right"]].set_visible(False)
    if not cells.is_space_of_map:
        # The units of an embedding mean nothing.
        ax.set_xticks([])
        ax.set_yticks([])
