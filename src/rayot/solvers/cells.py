"""Cells of a sparse matrix, made dense a batch at a time."""

from __future__ import annotations

import torch
from scipy import sparse
from torch import Tensor


class SparseCells:
    """Rows of a CSR matrix on any device; indexing gives dense rows.

    Stands where :class:`~rayot.solvers.Population` takes a dense tensor.

    Parameters
    ----------
    starts
        (n + 1,) int64, where each row starts in ``columns`` and ``values``.
    columns
        (n_stored,) int32.
    values
        (n_stored,) float32.
    n_features
        Dimension d of a cell.

    Examples
    --------
    >>> import torch
    >>> from scipy import sparse
    >>> cells = SparseCells.from_scipy(sparse.csr_matrix([[0.0, 2.0], [1.0, 0.0]]))
    >>> cells[torch.tensor([[1, 0]])]
    tensor([[[1., 0.],
             [0., 2.]]])
    """

    def __init__(self, starts: Tensor, columns: Tensor, values: Tensor, n_features: int) -> None:
        self.starts = starts
        self.columns = columns
        self.values = values
        self.shape = (len(starts) - 1, n_features)

    @classmethod
    def from_scipy(cls, matrix: sparse.csr_matrix) -> SparseCells:
        """Cells of a SciPy matrix, whose columns and values are shared where their types allow."""
        return cls(
            torch.from_numpy(matrix.indptr.astype("int64")),
            torch.from_numpy(matrix.indices.astype("int32", copy=False)),
            torch.from_numpy(matrix.data.astype("float32", copy=False)),
            matrix.shape[1],
        )

    @property
    def device(self) -> torch.device:
        """Where the values are."""
        return self.values.device

    def to(self, device: torch.device | str) -> SparseCells:
        """The same cells on another device."""
        return SparseCells(
            self.starts.to(device),
            self.columns.to(device),
            self.values.to(device),
            self.shape[1],
        )

    def tensors(self) -> list[Tensor]:
        """All that defines the cells."""
        return [self.starts, self.columns, self.values]

    def __getitem__(self, rows: Tensor) -> Tensor:
        flat = rows.reshape(-1)
        first = self.starts[flat]
        stored = self.starts[flat + 1] - first
        batch_row = torch.repeat_interleave(torch.arange(len(flat), device=self.device), stored)
        # Position of each stored value: where its row starts, plus its rank within the row.
        rank = (
            torch.arange(len(batch_row), device=self.device)
            - (stored.cumsum(0) - stored)[batch_row]
        )
        position = first[batch_row] + rank
        dense = self.values.new_zeros(len(flat), self.shape[1])
        dense[batch_row, self.columns[position].long()] = self.values[position]
        return dense.view(*rows.shape, self.shape[1])
