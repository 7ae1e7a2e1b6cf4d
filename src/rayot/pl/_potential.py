"""The Kantorovich potential over the plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from rayot._arguments import from_zero
from rayot._docs import shared
from rayot._public import public, renamed
from rayot.data.fitted import WrittenMap
from rayot.data.keys import Key
from rayot.data.modality import modality_of
from rayot.pl._coloring import color_bar, coloring
from rayot.pl._figure import Save, finish, one_axes
from rayot.pl._planar import planar_cells
from rayot.pl._populations import draw_populations
from rayot.pl._transport_rays import draw_rays

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@renamed(n_rays="n_cells")
@public(n_cells=from_zero)
@shared
def potential(
    adata: AnnData | MuData,
    key: str | None = None,
    *,
    n_cells: int = 0,
    n_levels: int = 20,
    size: float | None = None,
    seed: int = 0,
    modality: str | None = None,
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
) -> Axes | None:
    """Contours of the Kantorovich potential of two-dimensional data.

    Cells move down the potential, at right angles to its contours. On a transport ray it falls by
    one for each unit of length; its level is arbitrary.

    Parameters
    ----------
    adata
        Cells with the fitted map. It is not changed.
    {key}
    n_cells
        Number of source cells, drawn at random, with a line to where they are sent.
    n_levels
        Number of contour levels.
    size
        Area of a point in points².
    seed
        Seed of that draw.
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
        If the map is not there, or has no potential over the plane because its data have more than
        two dimensions, or its method none.
    ValueError
        If there are several maps and none is named.

    Examples
    --------
    >>> import numpy as np, rayot as rt
    >>> adata = rt.datasets.bookshelf(50)
    >>> x = y = np.linspace(-1, 4, 20)
    >>> adata.layers["w1ot"] = adata.X + [2, 0]
    >>> adata.uns["w1ot"] = dict(
    ...     source="control",
    ...     target="perturbed",
    ...     groupby="perturbation",
    ...     potential_grid=dict(x=x, y=y, values=np.tile(-x, (20, 1))),
    ... )
    >>> ax = rt.pl.potential(adata, show=False)
    """
    adata = modality_of(adata, modality)
    key = WrittenMap.read(adata, key).key
    grid = adata.uns[Key.uns.result(key)].get(Key.result.potential_grid)
    if grid is None:
        raise KeyError(
            f"The map {key!r} has no {Key.result.potential_grid!r} in adata.uns; rayot.tl.w1ot "
            "writes one for two-dimensional data. In more dimensions colour cells by "
            f"obs[{Key.obs.potential(key)!r}]."
        )
    cells = planar_cells(adata, key)
    shades = coloring(adata, cells, None)
    axes = one_axes(ax, (6.8, 4.4))
    x, y, values = (
        np.asarray(grid[name])
        for name in (Key.potential_grid.x, Key.potential_grid.y, Key.potential_grid.values)
    )
    filled = axes.contourf(x, y, values, levels=n_levels, cmap="Purples_r", alpha=0.45, zorder=-2)
    axes.contour(
        x,
        y,
        values,
        levels=n_levels,
        colors="white",
        linewidths=0.5,
        negative_linestyles="solid",
        zorder=-1,
    )
    draw_populations(axes, cells, shades, size)
    if n_cells:
        draw_rays(axes, cells, shades, n_cells, seed)
    # The grid fills the axes: no white margin around the contours.
    axes.set_xlim(x.min(), x.max())
    axes.set_ylim(y.min(), y.max())
    color_bar(axes, filled, "potential f")
    axes.legend(
        handles=shades.handles,
        frameon=False,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=3,
        borderaxespad=0.2,
        handletextpad=0.3,
        columnspacing=1.0,
    )
    return axes if finish(axes, "potential", own=ax is None, show=show, save=save) else None
