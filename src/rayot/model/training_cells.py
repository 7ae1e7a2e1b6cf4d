"""The cells that a map is fitted on, as tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy import sparse

from rayot.data.keys import Key
from rayot.data.matrix import dense, row_chunks
from rayot.data.strata import weights_of
from rayot.model.problems import Problems
from rayot.solvers import Population, SparseCells

DENSE_ELEMENTS = 2**26
"""Numbers up to which sparse training cells are made dense once, not batch by batch."""

Block: TypeAlias = np.ndarray | sparse.csr_matrix
Encode: TypeAlias = Callable[[AnnData, np.ndarray], tuple[Block, Block | None]]


@dataclass(frozen=True)
class TrainingCells:
    """Both sides of the problems.

    Attributes
    ----------
    source, target
        Cells of each problem, in the space of the map.
    labels
        (n,) int64, cell type of each of their cells, −1 where it is missing; None without types.
    nonnegative
        Whether the cells' expression has no negative value.
    """

    source: Population
    target: Population
    labels: torch.Tensor | None
    nonnegative: bool


def training_cells(
    adata: AnnData,
    groups: Sequence[Sequence[np.ndarray]],
    problems: Problems,
    encode: Encode,
    weights_key: str | None,
) -> TrainingCells:
    """Take the training cells out of an AnnData.

    Parameters
    ----------
    adata
        The user's object, which is not kept.
    groups
        Rows of source and target of each stratum.
    problems
        What is fitted on them.
    encode
        Cells in the space of the map, and their expression where the space has genes.
    weights_key
        Column of ``obs`` with the weights of cells.
    """
    of_source, of_target = zip(*groups, strict=True)
    rows = np.concatenate([*of_source, *of_target])
    weights = None
    if weights_key is not None:
        weights = torch.from_numpy(weights_of(adata, weights_key, rows))
    lowest = np.inf
    blocks = []
    for chunk in row_chunks(rows):
        encoded, expression = encode(adata, chunk)
        blocks.append(encoded)
        if expression is not None:
            lowest = min(lowest, float(expression.min()))
    cells = _together(blocks)
    parts = torch.arange(len(rows)).split([len(each) for each in (*of_source, *of_target)])
    source, target = (
        problems.population(cells, half, None if weights is None else [weights[p] for p in half])
        for half in (parts[: len(groups)], parts[len(groups) :])
    )
    return TrainingCells(source, target, _labels(adata, rows), lowest >= 0)


def _together(blocks: Sequence[Block]) -> torch.Tensor | SparseCells:
    if not sparse.issparse(blocks[0]):
        return torch.from_numpy(np.ascontiguousarray(np.concatenate(blocks)))
    n_cells, n_features = sum(block.shape[0] for block in blocks), blocks[0].shape[1]
    if n_cells * n_features <= DENSE_ELEMENTS:
        return torch.from_numpy(np.concatenate([dense(block) for block in blocks]))
    return SparseCells.from_scipy(sparse.vstack(blocks, format="csr"))


def _labels(adata: AnnData, rows: np.ndarray) -> torch.Tensor | None:
    if Key.obs.cell_type not in adata.obs:
        return None
    codes = pd.Categorical(adata.obs[Key.obs.cell_type].iloc[rows]).codes
    return torch.from_numpy(codes.astype(np.int64))
