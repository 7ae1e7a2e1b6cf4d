"""Predicted cells among observed ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.axes import Axes

from rayot._docs import shared
from rayot._public import public
from rayot.data.modality import modality_of
from rayot.pl._coloring import coloring
from rayot.pl._figure import Save, finish, one_axes
from rayot.pl._planar import planar_cells
from rayot.pl._populations import draw_populations

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@public()
@shared
def umap(
    adata: AnnData | MuData,
    key: str | None = None,
    color: str | None = None,
    *,
    size: float | None = None,
    seed: int = 0,
    modality: str | None = None,
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
) -> Axes | None:
    """Source, target and predicted cells in one UMAP.

    Predicted cells are placed by their nearest observed cells in the space of the map.

    Parameters
    ----------
    {drawn_adata}
    {key}
    color
        Column of ``adata.obs`` or gene; by default the three populations. A predicted cell has the
        value of the cell it came from, and for a gene its predicted expression.
    size
        Area of a point in points².
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
        If the map or the colour is not there; the message names what is.
    ValueError
        If there are several maps and none is named.

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.moons(50)
    >>> adata.layers["w1ot"] = adata.X + 1
    >>> adata.uns["w1ot"] = dict(source="control", target="perturbed", groupby="perturbation")
    >>> adata.obsm["X_umap"] = adata.X
    >>> rt.pl.umap(adata, show=False).get_xlabel()
    'UMAP1'
    """
    adata = modality_of(adata, modality)
    cells = planar_cells(adata, key, "umap", seed)
    shades = coloring(adata, cells, color)
    axes = one_axes(ax, (6.4, 4.8))
    draw_populations(axes, cells, shades, size)
    shades.explain(axes)
    return axes if finish(axes, "umap", own=ax is None, show=show, save=save) else None
