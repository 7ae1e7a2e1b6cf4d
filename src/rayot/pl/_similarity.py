"""Which perturbations of a screen do the same to cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from scipy.cluster.hierarchy import dendrogram

from rayot._docs import shared
from rayot._public import public
from rayot.data.keys import Key
from rayot.data.modality import modality_of
from rayot.data.screened import read_screen
from rayot.pl._figure import Save, finish, one_axes

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

LARGEST_NAMES = 60
"""Perturbations above which their names would overlap."""


@public()
@shared
def similarity(
    adata: AnnData | MuData,
    key: str | None = None,
    *,
    modality: str | None = None,
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
) -> Axes | None:
    """Similarity of the perturbations of a screen, with the tree that orders them.

    Parameters
    ----------
    adata
        With a screen that :func:`rayot.tl.similarity` has compared. It is not changed.
    {key_of_screen}
    {modality}
    {ax}
    {show}
    {save}

    Returns
    -------
    The axes of the matrix, unless shown.

    Raises
    ------
    KeyError
        If there is no screen of this name, or it was not compared.
    ValueError
        If there are several screens and none is named.

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.simulated_screen(4, n_cells=60, n_genes=20)
    >>> screen = rt.tl.screen(adata, "control", max_steps=10, fdr=None, show_progress_bar=False)
    >>> table = rt.tl.similarity(adata)
    >>> rt.pl.similarity(adata, show=False).get_title()
    'cosine of mean displacements'
    """
    key, result = read_screen(modality_of(adata, modality), key)
    entry = result.get(Key.screen.similarity)
    if entry is None:
        raise KeyError(
            f"The perturbations of the screen {key!r} were not compared; call "
            f"rayot.tl.similarity(adata, key={key!r}) first."
        )
    names, values = list(entry[Key.similarity.names]), entry[Key.similarity.cosine]
    n = len(names)
    size = np.clip(1.5 + 0.16 * n, 3.2, 9)
    drawn = one_axes(ax, (size + 1.2, size))
    image = drawn.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1, aspect="equal")
    drawn.set_title("cosine of mean displacements", fontsize="medium")
    if n <= LARGEST_NAMES:
        drawn.set_xticks(range(n), names, rotation=90, fontsize="small")
        drawn.set_yticks(range(n), names, fontsize="small")
    else:
        drawn.set_xticks([])
        drawn.set_yticks([])
        drawn.set_xlabel(f"{n} perturbations")
    drawn.tick_params(length=0)
    drawn.spines[:].set_visible(False)
    tree = drawn.inset_axes((1.01, 0, 0.14, 1))
    _draw_tree(tree, entry[Key.similarity.linkage])
    figure = drawn.get_figure(root=True)
    if figure is not None:
        figure.colorbar(image, cax=drawn.inset_axes((1.2, 0, 0.03, 0.4)), ticks=[-1, 0, 1])
    return drawn if finish(drawn, "similarity", own=ax is None, show=show, save=save) else None


def _draw_tree(ax: Axes, tree: np.ndarray) -> None:
    """The tree of the matrix's order, whose leaves stand at its rows."""
    drawn = dendrogram(tree, no_plot=True)
    for heights, leaves in zip(drawn["dcoord"], drawn["icoord"], strict=True):
        ax.plot(heights, (np.array(leaves) - 5) / 10, color="#606060", lw=0.8)
    ax.set_ylim(len(tree) + 0.5, -0.5)
    ax.set_xlim(left=0)
    ax.set_axis_off()
