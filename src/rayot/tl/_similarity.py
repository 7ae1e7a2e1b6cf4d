"""Perturbations compared by what they do to cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from rayot._docs import shared
from rayot._public import public
from rayot.data.keys import Key
from rayot.data.modality import modality_of
from rayot.data.screened import read_screen

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

OF = ("mean", "cell_type")


@public()
@shared
def similarity(
    adata: AnnData | MuData,
    key: str | None = None,
    *,
    of: str = "mean",
    modality: str | None = None,
) -> pd.DataFrame:
    r"""Compare the perturbations of a screen by their transport fields.

    The similarity of two perturbations is the cosine of their mean displacements of control cells,
    :math:`\langle a, b \rangle / \|a\| \|b\|`: 1 where they push cells the same way, whatever how
    far, −1 where one undoes the other.

    Parameters
    ----------
    adata
        With a screen of :func:`rayot.tl.screen`.
    {key_of_screen}
    of
        ``"mean"``: displacements of all control cells. ``"cell_type"``: the mean over cell types of
        their own cosines, which tells perturbations apart that act on different types.
    {modality}

    Returns
    -------
    Perturbations x perturbations, in an order in which similar ones stand together (average
    linkage of 1 − cosine, with the leaves in optimal order). Perturbations that move nothing are
    left out. Written with its tree to ``uns[key]["similarity"]``, where
    :func:`rayot.pl.similarity` finds it.

    Raises
    ------
    KeyError
        If there is no screen of this name.
    ValueError
        If there are several screens and none is named, fewer than two perturbations move cells, or
        cell types are asked for and there are none.

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.simulated_screen(4, n_cells=60, n_genes=20, inactive=0)
    >>> screen = rt.tl.screen(adata, "control", max_steps=10, fdr=None, show_progress_bar=False)
    >>> rt.tl.similarity(adata).shape
    (4, 4)
    """
    if of not in OF:
        raise ValueError(f"of must be one of {OF}, found {of!r}.")
    cells = modality_of(adata, modality)
    key, result = read_screen(cells, key)
    displacement = np.asarray(result[Key.screen.displacement], dtype=np.float64)
    names = result[Key.screen.table][Key.screen_table.perturbation].astype(str).to_numpy()
    moving = np.linalg.norm(displacement[:, 0], axis=1) > 0
    if moving.sum() < 2:
        raise ValueError(
            f"{int(moving.sum())} perturbations of the screen {key!r} move cells; a comparison "
            "needs two."
        )
    fields = displacement[moving, 1:] if of == "cell_type" else displacement[moving, :1]
    if fields.shape[1] == 0:
        raise ValueError(
            f"The screen {key!r} has no cell types; name them in obs[{Key.obs.cell_type!r}] before "
            "it is fitted, or compare by of='mean'."
        )
    norms = np.linalg.norm(fields, axis=2, keepdims=True)
    with np.errstate(invalid="ignore"):
        units = fields / np.where(norms > 0, norms, np.nan)
    # Types that have no cells, or do not move, say nothing.
    cosines = np.einsum("pgd,qgd->gpq", units, units)
    cosine = np.clip(np.nan_to_num(np.nanmean(cosines, axis=0)), -1, 1)
    np.fill_diagonal(cosine, 1)
    tree = linkage(squareform(1 - cosine, checks=False), "average", optimal_ordering=True)
    order = leaves_list(tree)
    # Leaves are numbered in the order in which they are shown.
    leaves = tree[:, :2] < len(order)
    tree[:, :2][leaves] = np.argsort(order)[tree[:, :2][leaves].astype(int)]
    moving_names, ordered = names[moving][order], cosine[np.ix_(order, order)]
    if cells.is_view:
        cells._init_as_actual(cells.copy())
    # Names of perturbations may hold a slash, which the columns of a table in a file may not.
    similarity = {
        Key.similarity.names: moving_names,
        Key.similarity.cosine: ordered,
        Key.similarity.linkage: tree,
    }
    cells.uns[key] = {**result, Key.screen.similarity: similarity}
    return pd.DataFrame(ordered, index=moving_names, columns=moving_names)
