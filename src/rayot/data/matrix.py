"""Rows of expression matrices, dense, sparse or on disk, without making them dense as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from anndata import AnnData
from anndata.abc import CSCDataset
from scipy import sparse

REAL = "fiub"
"""Kinds of dtypes that are real numbers: floats, whole numbers, booleans."""

CHUNK_ROWS = 8192
CHUNK_ELEMENTS = 2**24
"""Numbers that a dense block of rows holds at most: 64 MB."""


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
            # From anndata 0.13 on X is the layer None.
            names = sorted(filter(None, adata.layers))
            raise KeyError(f"adata.layers has no {layer!r}; it has {names}.")
        return adata.layers[layer]
    if adata.X is None:
        raise ValueError("adata.X is empty; name a layer, or a representation by use_rep.")
    return adata.X


def expression_of(
    adata: AnnData, layer: str | None, rows: np.ndarray
) -> np.ndarray | sparse.csr_matrix:
    """Rows of ``X`` or of a layer, float32, a dense array or a CSR matrix.

    Raises
    ------
    KeyError, ValueError, OSError
        As :func:`matrix_of` and :func:`take_rows`.
    """
    if not adata.is_view:
        return take_rows(matrix_of(adata, layer), rows)
    # A view copies its whole matrix whenever it is asked for it, so rows come from what is behind.
    whole = adata._adata_ref
    cells, genes = (
        np.arange(n)[index]
        for n, index in zip(whole.shape, (adata._oidx, adata._vidx), strict=True)
    )
    block = take_rows(matrix_of(whole, layer), cells[rows])
    same_genes = len(genes) == whole.n_vars and (np.diff(genes) > 0).all()
    return block if same_genes else block[:, genes]


def take_rows(matrix: Any, rows: np.ndarray) -> np.ndarray | sparse.csr_matrix:  # noqa: ANN401
    """Rows in the given order: float32, a dense array or a CSR matrix.

    Parameters
    ----------
    matrix
        NumPy array, SciPy sparse matrix or array, or on disk: anndata's matrix, an h5py or zarr
        array, or a dask array.
    rows
        (n,) row numbers.

    Raises
    ------
    ValueError
        If values are no real numbers or masked, or a matrix on disk is stored by columns.
    OSError
        If a matrix on disk can no longer be read.
    """
    if sparse.issparse(matrix) or isinstance(matrix, np.ndarray):
        picked = matrix[rows]
    else:
        picked = _from_disk(matrix, rows)
    if picked.dtype.kind not in REAL:
        raise ValueError(
            f"A matrix of the cells has values of dtype {picked.dtype}; real numbers are needed."
        )
    if np.ma.is_masked(picked):
        raise ValueError(
            f"A matrix of the cells has {int(np.ma.count_masked(picked))} masked values, which "
            "stand for none; fill them (numpy.ma.filled), or leave these cells or genes out."
        )
    if sparse.issparse(picked):
        picked = sparse.csr_matrix(picked, dtype=np.float32)
        # A matrix may store a value as several that add up, of which one would be taken.
        picked.sum_duplicates()
        return picked
    return np.asarray(picked, dtype=np.float32)


def _from_disk(matrix: Any, rows: np.ndarray) -> np.ndarray | sparse.csr_matrix:  # noqa: ANN401
    """Rows in order, by few reads of contiguous ones: single rows are 20 times slower."""
    if isinstance(matrix, CSCDataset):
        raise ValueError(
            "The matrix on disk is stored by columns (CSC), so no row can be read without all of "
            "them; write it as CSR, or load it by adata.to_memory()."
        )
    ascending, inverse = np.unique(rows, return_inverse=True)
    pieces = []
    try:
        of_block = ascending // chunk_rows(matrix.shape[1])
        for wanted in np.split(ascending, np.flatnonzero(np.diff(of_block)) + 1):
            start = int(wanted[0])
            block = matrix[start : int(wanted[-1]) + 1]
            # A dask array, as anndata.experimental.read_lazy gives it.
            block = block.compute() if hasattr(block, "compute") else block
            block = sparse.csr_matrix(block) if sparse.issparse(block) else np.asarray(block)
            pieces.append(block[wanted - start])
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise OSError(
            f"Cells could not be read from disk; their file is closed, gone or damaged: {error}."
        ) from error
    stack = sparse.vstack if sparse.issparse(pieces[0]) else np.concatenate
    return stack(pieces)[inverse] if len(pieces) > 1 else pieces[0][inverse]


def embedding_rows(values: Any, rows: np.ndarray) -> np.ndarray:  # noqa: ANN401
    """Rows of an entry of ``obsm``, which may be a table or sparse too: (n, d) float32.

    Raises
    ------
    ValueError, OSError
        As :func:`take_rows`.
    """
    # A table in memory, or one that is read lazily.
    table = values.iloc[rows] if hasattr(values, "iloc") else values
    if hasattr(table, "to_memory"):
        table = table.to_memory()
    if hasattr(table, "to_numpy"):
        return take_rows(table.to_numpy(), np.arange(len(rows)))
    return dense(take_rows(values, rows))


def dense(block: np.ndarray | sparse.csr_matrix) -> np.ndarray:
    """A block of rows as a dense array."""
    return np.asarray(block) if isinstance(block, np.ndarray) else block.toarray()


def chunk_rows(n_features: int) -> int:
    """Rows of a dense block of so many features: a power of two, at most :data:`CHUNK_ROWS`."""
    return min(CHUNK_ROWS, 2 ** int(np.log2(max(1, CHUNK_ELEMENTS // n_features))))


def row_chunks(rows: np.ndarray, size: int = CHUNK_ROWS) -> Iterator[np.ndarray]:
    """Successive pieces of the row numbers."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def stored_values(block: np.ndarray | sparse.csr_matrix) -> np.ndarray:
    """The values that a block stores: all of a dense one, the explicit ones of a sparse one."""
    return block.ravel() if isinstance(block, np.ndarray) else block.data
