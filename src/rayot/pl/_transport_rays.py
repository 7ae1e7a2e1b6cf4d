"""Where each cell is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from rayot._arguments import from_zero
from rayot._docs import shared
from rayot._public import public, renamed
from rayot.data.modality import modality_of
from rayot.pl._coloring import Coloring, coloring
from rayot.pl._figure import Save, finish, one_axes
from rayot.pl._planar import PlanarCells, planar_cells
from rayot.pl._populations import draw_populations

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@renamed(n_rays="n_cells")
@public(n_cells=from_zero)
@shared
def transport_rays(
    adata: AnnData | MuData,
    key: str | None = None,
    basis: str | None = None,
    color: str | None = None,
    *,
    n_cells: int = 200,
    size: float | None = None,
    seed: int = 0,
    modality: str | None = None,
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
) -> Axes | None:
    """Lines from source cells to where the map sends them.

    Under the Wasserstein-1 cost mass moves along straight lines, the transport rays, and rays of an
    optimal map do not cross inside. In an embedding they are straight only by drawing.

    Parameters
    ----------
    {drawn_adata}
    {key}
    basis
        Embedding to draw in, such as ``umap`` or ``pca``; predicted cells are placed by their
        nearest observed cells in the space of the map. By default the data themselves where the
        map works in two dimensions, otherwise ``umap``.
    color
        Column of ``adata.obs`` or gene; by default the three populations.
    n_cells
        Number of source cells, drawn at random, that get a line.
    size
        Area of a point in points².
    seed
        Seed of that draw, and of a UMAP that has to be fitted, as none of this seed is kept.
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
        If the map, the embedding or the colour is not there; the message names what is.
    ValueError
        If there are several maps and none is named, or ``n_cells`` is negative.

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.moons(50)
    >>> adata.layers["w1ot"] = adata.X + 1
    >>> adata.uns["w1ot"] = dict(source="control", target="perturbed", groupby="perturbation")
    >>> ax = rt.pl.transport_rays(adata, n_cells=10, show=False)
    >>> len(ax.collections[-1].get_segments())
    10
    """
    adata = modality_of(adata, modality)
    cells = planar_cells(adata, key, basis, seed)
    shades = coloring(adata, cells, color)
    axes = one_axes(ax, (6.4, 4.8))
    draw_populations(axes, cells, shades, size)
    draw_rays(axes, cells, shades, n_cells, seed)
    shades.explain(axes)
    if finish(axes, "transport_rays", own=ax is None, show=show, save=save):
        return axes
    return None


def draw_rays(ax: Axes, cells: PlanarCells, shades: Coloring, n_cells: int, seed: int) -> None:
    """Add lines from a random draw of source cells to their predictions."""
    generator = np.random.default_rng(seed)
    count = min(n_cells, len(cells.source))
    chosen = generator.choice(len(cells.source), count, replace=False)
    segments = np.stack([cells.source[chosen], cells.predicted[chosen]], axis=1)
    ax.add_collection(
        LineCollection(
            list(segments),
            colors="#404040" if shades.by_population else shades.source[chosen],
            linewidths=0.6,
            alpha=0.55,
            zorder=3,
        )
    )
