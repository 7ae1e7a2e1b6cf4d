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
    alpha = 0.45 if shades.by_population else 0.3
    layers = (
        (cells.source, shades.source, alpha, "none", 1),
        (cells.target, shades.target, alpha, "none", 1),
        (cells.predicted, shades.predicted, 0.85, "none" if shades.by_population else "black", 4),
    )
    for points, colors, opacity, edge, order in layers:
        ax.scatter(
            points[:, 0],
            points[:, 1],
            s=size,
            c=colors,
            alpha=opacity,
            edgecolors=edge,
            linewidths=0.0 if edge == "none" else min(0.5, size / 20),
            zorder=order,
            rasterized=True,
        )
    ax.set_xlabel(cells.labels[0])
    ax.set_ylabel(cells.labels[1])
    ax.set_aspect("equal", adjustable="datalim")
    ax.spines[["top", "right"]].set_visible(False)
    if not cells.is_space_of_map:
        # The units of an embedding mean nothing.
        ax.set_xticks([])
        ax.set_yticks([])
