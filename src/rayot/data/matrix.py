"""Rows of expression matrices, dense, sparse or on disk, without making them dense as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from anndata import AnnData
from scipy import sparse

CHUNK_ROWS = 8192


def matrix_of(adata: AnnData, layer: str | None) -> Any:  # noqa: ANN401
    """``adata.X`` or a layer, as it is stored.

    Raises
    ------
    KeyError
        If there is no such layer.
    ValueError
        If ``X`` is wanted and absent.
    """
    if layer is not None:
        if layer not in adata.layers:
            raise KeyError(f"adata.layers has no {layer!r}; it has {sorted(adata.layers)}.")
        return adata.layers[layer]
    if adata.X is None:
        raise ValueError("adata.X is empty; name a layer, or a representation by use_rep.")
    return adata.X


def take_rows(matrix: Any, rows: np.ndarray) -> np.ndarray | sparse.csr_matrix:  # noqa: ANN401
    """Rows in the given order: float32, a dense array or a CSR matrix.

    Parameters
    ----------
    matrix
        NumPy array, SciPy sparse matrix or array, h5py data set, or anndata's matrix on disk.
    rows
        (n,) row numbers.
    """
    if sparse.issparse(matrix) or isinstance(matrix, np.ndarray):
        picked = matrix[rows]
    else:
        # Matrices on disk are read in ascending order, each row once.
        ascending, inverse = np.unique(rows, return_inverse=True)
        picked = matrix[ascending][inverse]
    if sparse.issparse(picked):
        return sparse.csr_matrix(picked, dtype=np.float32)
    return np.asarray(picked, dtype=np.float32)


def dense(block: np.ndarray | sparse.csr_matrix) -> np.ndarray:
    """A block of rows as a dense array."""
    return np.asarray(block) if isinstance(block, np.ndarray) else block.toarray()


def row_chunks(rows: np.ndarray, size: int = CHUNK_ROWS) -> Iterator[np.ndarray]:
    """Successive pieces of the row numbers."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def stored_values(block: np.ndarray | sparse.csr_matrix) -> np.ndarray:
    """The values that a block stores: all of a dense one, the explicit ones of a sparse one."""
    return block.ravel() if isinstance(block, np.ndarray) else block.data
