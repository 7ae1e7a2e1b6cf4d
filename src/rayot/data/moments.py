"""Mean and variance of each gene over many cells, and the genes that differ most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import ttest_ind_from_stats

from rayot.data.matrix import chunk_rows, expression_of, row_chunks

if TYPE_CHECKING:
    from anndata import AnnData

FEW_FEATURES = 100
"""Below this number of features (protein panels) all are scored, without selection."""


@dataclass(frozen=True)
class Moments:
    """What is known of n cells, gene by gene.

    Attributes
    ----------
    n
        Number of cells.
    mean, variance
        (genes,) float64; the variance over n − 1.
    """

    n: int
    mean: NDArray[np.float64]
    variance: NDArray[np.float64]


def moments_of(
    adata: AnnData, layer: str | None, groups: Sequence[NDArray[np.intp]]
) -> list[Moments]:
    """Moments of disjoint groups of cells, whose rows are read once, block by block."""
    group_of = np.full(adata.n_obs, -1)
    for number, rows in enumerate(groups):
        group_of[rows] = number
    totals, squares = np.zeros((2, len(groups), adata.n_vars))
    for chunk in row_chunks(np.flatnonzero(group_of >= 0), chunk_rows(adata.n_vars)):
        block = expression_of(adata, layer, chunk).astype(np.float64)
        for number in range(len(groups)):
            part = block[group_of[chunk] == number]
            squared = part.power(2) if isinstance(part, sparse.csr_matrix) else part**2
            totals[number] += np.asarray(part.sum(0)).ravel()
            squares[number] += np.asarray(squared.sum(0)).ravel()
    moments = []
    for rows, total, square in zip(groups, totals, squares, strict=True):
        mean = total / len(rows)
        variance = np.maximum(square - total * mean, 0) / max(1, len(rows) - 1)
        moments.append(Moments(len(rows), mean, variance))
    return moments


def top_genes(source: Moments, target: Moments, n_top_genes: int) -> NDArray[np.intp]:
    """Positions of the genes with the largest absolute t statistic, ascending."""
    if n_top_genes < 1:
        raise ValueError(f"n_top_genes is {n_top_genes}; at least 1 gene is needed.")
    n_genes = len(source.mean)
    if n_genes < FEW_FEATURES or n_top_genes >= n_genes:
        return np.arange(n_genes)
    statistic = _t_statistic((source, target))
    return np.sort(np.argsort(-np.abs(statistic), kind="stable")[:n_top_genes])


def _t_statistic(sides: Sequence[Moments]) -> NDArray[np.float64]:
    """Welch's, (genes,); zero for genes that never vary."""
    statistics = [value for side in sides for value in (side.mean, np.sqrt(side.variance), side.n)]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(ttest_ind_from_stats(*statistics, equal_var=False).statistic)
