"""Cells of an AnnData in the space of a map."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import TypeAlias

import numpy as np
import torch
from anndata import AnnData
from scipy import sparse

from rayot.data import checks
from rayot.data.matrix import dense, row_chunks
from rayot.data.spec import DataSpec
from rayot.representation import Representation
from rayot.solvers import Cells, SparseCells, StoredCells

DENSE_ELEMENTS = 2**26
"""Numbers up to which training cells are held as dense cells."""

HELD_BYTES = 2**29
"""Up to which training cells are held in memory: 4 bytes a number, and 4 more if it is sparse."""

Block: TypeAlias = np.ndarray | sparse.csr_matrix
Encode: TypeAlias = Callable[[AnnData, np.ndarray], tuple[Block, Block | None]]


def encoded(
    representation: Representation, adata: AnnData, rows: np.ndarray, *, data: DataSpec
) -> tuple[Block, Block | None]:
    """Cells (n, d) in the space of the map, and their expression where the space has genes."""
    if not representation.has_decoder:
        return representation.encode(adata, rows, None), None
    expression = data.expression(adata, rows)
    return representation.encode(data.in_gene_order(adata), rows, expression), expression


def check_cells(
    representation: Representation, adata: AnnData, rows: np.ndarray, *, data: DataSpec
) -> None:
    """Raise a ValueError if cells cannot be encoded, before anything is computed."""
    if representation.has_decoder:
        data.check_expression(adata, rows)
        return
    columns = [str(number) for number in range(representation.n_features)]
    blocks = (encoded(representation, adata, chunk, data=data)[0] for chunk in row_chunks(rows))
    checks.finite(blocks, columns, f"adata.obsm[{representation.name!r}]")


def as_one_block(blocks: Sequence[Block]) -> Block:
    """Blocks of cells as one, dense unless sparse ones would take too much memory."""
    n_cells, n_features = sum(block.shape[0] for block in blocks), blocks[0].shape[1]
    if sparse.issparse(blocks[0]) and n_cells * n_features > DENSE_ELEMENTS:
        return sparse.vstack(blocks, format="csr")
    return np.ascontiguousarray(np.concatenate([dense(block) for block in blocks]))


def as_tensor(block: Block) -> torch.Tensor | SparseCells:
    """The same cells for a :class:`rayot.solvers.Population`."""
    with warnings.catch_warnings():
        # Processes share the control's cells as read-only arrays; nothing writes to them.
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        if isinstance(block, np.ndarray):
            return torch.from_numpy(block)
        return SparseCells.from_scipy(block)


def held(blocks: Iterator[Block]) -> Cells:
    """Cells that come block by block, in memory or, where they are too many, in a scratch file.

    It follows from the cells alone, not from the memory that happens to be free.
    """
    first: list[Block] = []
    n_bytes = 0
    for block in blocks:
        first.append(block)
        n_bytes += block.size * (4 if isinstance(block, np.ndarray) else 8)
        if n_bytes > HELD_BYTES:
            return StoredCells.from_blocks(chain(_drained(first), blocks))
    return as_tensor(as_one_block(first))


def _drained(blocks: list[Block]) -> Iterator[Block]:
    while blocks:
        yield blocks.pop(0)
