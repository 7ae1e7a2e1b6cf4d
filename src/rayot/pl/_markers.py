"""Whether a map keeps the order of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch

from rayot._docs import shared
from rayot._public import public
from rayot.data.modality import modality_of
from rayot.pl._coloring import PREDICTED, coloring
from rayot.pl._figure import Save, finish, one_axes
from rayot.pl._planar import planar_cells
from rayot.pl._populations import draw_populations

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

MARKERS = {"triangle": "^", "square": "s", "diamond": "D", "circle": "o", "cross": "X"}


@public()
@shared
def markers(
    adata: AnnData | MuData,
    key: str | None = None,
    basis: str | None = None,
    *,
    size: float | None = None,
    seed: int = 0,
    modality: str | None = None,
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
) -> Axes | None:
    """Five markers on source cells in order, and where the map sends them (paper, Fig. 2a).

    Triangle, square, diamond, circle and cross stand on source cells at equal distances in rank
    along the first coordinate. Many maps have the same Wasserstein-1 cost on a line; a monotonic
    one keeps the order of the markers.

    Parameters
    ----------
    {drawn_adata}
    {key}
    basis
        Embedding to draw in; by default the data themselves where the map works in two dimensions.
    size
        Area of a point of the populations in points².
    seed
        Seed of a UMAP that has to be fitted, as none of this seed is kept.
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
        If the map or the embedding is not there; the message names what is.
    ValueError
        If there are several maps and none is named.

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.bookshelf(50)
    >>> adata.layers["w1ot"] = adata.X + [2, 0]
    >>> adata.uns["w1ot"] = dict(source="control", target="perturbed", groupby="perturbation")
    >>> ax = rt.pl.markers(adata, show=False)
    >>> [arrow.get_label() for arrow in ax.patches]
    ['triangle', 'square', 'diamond', 'circle', 'cross']
    """
    adata = modality_of(adata, modality)
    cells = planar_cells(adata, key, basis, seed)
    shades = coloring(adata, cells, None)
    axes = one_axes(ax, (7.6, 2.8))
    draw_populations(axes, cells, shades, size)
    order = np.argsort(cells.source[:, 0], kind="stable")
    ranks = ((np.arange(len(MARKERS)) + 0.5) / len(MARKERS) * len(order)).astype(int)
    for cell, (name, marker) in zip(order[ranks], MARKERS.items(), strict=True):
        start, end = cells.source[cell], cells.predicted[cell]
        # Bent, since on one line straight arrows would hide each other.
        axes.add_patch(
            FancyArrowPatch(
                tuple(start),
                tuple(end),
                arrowstyle="-",
                connectionstyle="arc3,rad=-0.25",
                color="#404040",
                linewidth=0.8,
                zorder=5,
                label=name,
            )
        )
        for point, face in ((start, "white"), (end, PREDICTED)):
            axes.scatter(
                point[0],
                point[1],
                s=70,
                marker=marker,
                facecolor=face,
                edgecolor="black",
                lw=1.0,
                zorder=6,
            )
    # Populations on one line have next to no height: keep the shape of the axes, not of the data.
    axes.set_aspect("equal", adjustable="datalim")
    shades.explain(axes)
    return axes if finish(axes, "markers", own=ax is None, show=show, save=save) else None
