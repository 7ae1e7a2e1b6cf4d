"""Cells of an AnnData in the space of a map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from anndata import AnnData
from scipy import sparse

from rayot.data.matrix import dense
from rayot.data.spec import DataSpec
from rayot.representation import Representation

DENSE_ELEMENTS = 2**26
"""Numbers up to which sparse training cells are made dense once, not batch by batch."""

Block: TypeAlias = np.ndarray | sparse.csr_matrix


def encoded(
    representation: Representation, data: DataSpec, adata: AnnData, rows: np.ndarray
) -> tuple[Block, Block | None]:
    """Cells (n, d) in the space of the map, and their expression where the space has genes."""
    expression = data.expression(adata, rows) if representation.has_decoder else None
    return representation.encode(adata, rows, expression), expression


def together(blocks: Sequence[Block]) -> Block:
    """Blocks of cells as one, dense unless sparse ones would take too much memory."""
    n_cells, n_features = sum(block.shape[0] for block in blocks), blocks[0].shape[1]
    if sparse.issparse(blocks[0]) and n_cells * n_features > DENSE_ELEMENTS:
        return sparse.vstack(blocks, format="csr")
    return np.ascontiguousarray(np.concatenate([dense(block) for block in blocks]))
