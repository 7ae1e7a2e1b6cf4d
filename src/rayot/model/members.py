"""What each member of an ensemble predicts for groups of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from anndata import AnnData

from rayot.data.matrix import row_chunks

if TYPE_CHECKING:
    from rayot.model.base import TransportModel


@torch.no_grad()
def member_means(
    model: TransportModel,
    adata: AnnData,
    rows: np.ndarray,
    groups: np.ndarray,
    clip: bool | str = "auto",
) -> np.ndarray:
    """Mean predicted expression of each group of cells by each member, (K, G, genes) float32.

    The spread of these means is much smaller than the mean spread of single cells, as members
    differ in their own way for each cell; it cannot be had from the latter.

    Parameters
    ----------
    model
        A trained ensemble with a decoder.
    adata
        Cells with the genes of the model.
    rows
        (n,) row numbers.
    groups
        (n,) int, number of each cell's group from 0; no group is empty.
    clip
        As in :meth:`rayot.model.W1OT.predict`.
    """
    n_groups = int(groups.max()) + 1
    totals = np.zeros((model.problems.n_seeds, n_groups, len(model.data.var_names)))
    seen = 0
    for chunk in row_chunks(rows):
        _, moves, decoder = model.move(adata, chunk, clip)
        assert decoder is not None
        members = groups[seen : seen + len(chunk)]
        seen += len(chunk)
        for member, total in enumerate(totals):
            np.add.at(total, members, decoder.genes(moves.in_terms("members", member))[0])
    return (totals / np.bincount(groups)[:, None]).astype(np.float32)
