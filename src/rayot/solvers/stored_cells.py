"""Cells that are too many to be held in memory: rows of a scratch file, read as they are drawn."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import NoReturn

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

PIECE_BYTES = 2**24
STORED_VALUE = np.dtype([("column", np.int32), ("value", np.float32)])


class ScratchFile:
    """A file without a name in the temporary folder.

    It is gone with what refers to it, or with its process, however that ends.
    """

    def __init__(self) -> None:
        self.size = 0
        try:
            self._file = tempfile.TemporaryFile(buffering=0)
        except OSError as error:
            raise self._not_written(error) from error
        weakref.finalize(self, self._file.close)

    def append(self, values: np.ndarray) -> None:
        """Write a contiguous array behind what was written."""
        rest = values.reshape(-1).view(np.uint8).data
        try:
            while rest:
                n_written = self._file.write(rest)
                self.size += n_written
                rest = rest[n_written:]
        except OSError as error:
            raise self._not_written(error) from error

    def read(self, bounds: Sequence[tuple[int, int]]) -> bytes:
        """Bytes from each start to each end, at no cost in memory but theirs.

        Pages of a mapped file would count as memory of the process.
        """
        if hasattr(os, "posix_fadvise"):
            # The disk then fetches many at once, in a quarter of the time or less.
            for start, end in bounds:
                os.posix_fadvise(self._file.fileno(), start, end - start, os.POSIX_FADV_WILLNEED)
        return b"".join(self._piece(start, end) for start, end in bounds)

    def _piece(self, start: int, end: int) -> bytes:
        part = os.pread(self._file.fileno(), end - start, start)
        while len(part) < end - start:
            more = os.pread(self._file.fileno(), end - start - len(part), start + len(part))
            if not more:
                raise OSError("The scratch file of the training cells was cut short.")
            part += more
        return part

    def _not_written(self, error: OSError) -> OSError:
        return OSError(
            "Training cells are too many for memory and could not be written to the temporary "
            f"folder {str(tempfile.tempdir)!r} ({error}, after {self.size / 1e9:.1f} GB); "
            "before Python starts, set the environment variable TMPDIR to a folder on a disk with "
            "more room."
        )


class StoredCells:
    """Rows in a scratch file, dense or sparse; indexing reads them and gives dense rows.

    Stands where :class:`~rayot.solvers.Population` takes a dense tensor. Copies share the file.

    Parameters
    ----------
    file
        Holds the rows one after the other: d float32 each, or (column, value) of what is stored.
    starts
        (n + 1,) int64, the byte at which each row starts.
    n_features
        Dimension d of a cell.
    is_sparse
        Whether rows are sparse.
    device
        Where rows go that were read.

    Examples
    --------
    >>> import torch
    >>> from scipy import sparse
    >>> blocks = [sparse.csr_matrix([[0.0, 2.0], [1.0, 0.0]]), sparse.csr_matrix([[3.0, 0.0]])]
    >>> cells = StoredCells.from_blocks(blocks)
    >>> cells[torch.tensor([[2, 0]])]
    tensor([[[3., 0.],
             [0., 2.]]])
    """

    def __init__(
        self,
        file: ScratchFile,
        starts: np.ndarray,
        n_features: int,
        is_sparse: bool,
        device: torch.device | str = "cpu",
    ) -> None:
        self.file = file
        self.starts = starts
        self.is_sparse = is_sparse
        self.device = torch.device(device)
        self.shape = (len(starts) - 1, n_features)

    @classmethod
    def from_blocks(cls, blocks: Iterable[np.ndarray | sparse.csr_matrix]) -> StoredCells:
        """Write blocks of cells, all dense or all sparse, one at a time.

        Raises
        ------
        OSError
            If the temporary folder cannot be written to, or its disk is full.
        """
        file = ScratchFile()
        sizes = [np.zeros(1, dtype=np.int64)]
        for block in blocks:
            n_features, is_sparse = block.shape[1], not isinstance(block, np.ndarray)
            if isinstance(block, np.ndarray):
                values = np.ascontiguousarray(block, dtype=np.float32)
                sizes.append(np.full(len(values), values.itemsize * n_features))
            else:
                values = np.rec.fromarrays([block.indices, block.data], dtype=STORED_VALUE)
                sizes.append(np.diff(block.indptr).astype(np.int64) * STORED_VALUE.itemsize)
            file.append(values)
        return cls(file, np.concatenate(sizes).cumsum(), n_features, is_sparse)

    def to(self, device: torch.device | str) -> StoredCells:
        """The same cells, whose rows go to another device."""
        return StoredCells(self.file, self.starts, self.shape[1], self.is_sparse, device)

    def tensors(self) -> Iterator[Tensor]:
        """All that defines the cells, piece by piece."""
        yield torch.from_numpy(self.starts)
        for start in range(0, self.file.size, PIECE_BYTES):
            piece = self.file.read([(start, min(start + PIECE_BYTES, self.file.size))])
            yield torch.frombuffer(bytearray(piece), dtype=torch.uint8)

    def __getitem__(self, rows: Tensor) -> Tensor:
        flat = rows.reshape(-1).cpu().numpy()
        order = np.argsort(flat, kind="stable")
        ascending = flat[order]
        content = self._read(ascending)
        cells = np.zeros((len(flat), self.shape[1]), dtype=np.float32)
        if self.is_sparse:
            values = np.frombuffer(content, dtype=STORED_VALUE)
            sizes = self.starts[ascending + 1] - self.starts[ascending]
            row = np.repeat(order, sizes // STORED_VALUE.itemsize)
            cells[row, values["column"]] = values["value"]
        else:
            cells[order] = np.frombuffer(content, dtype=np.float32).reshape(cells.shape)
        return torch.from_numpy(cells).view(*rows.shape, self.shape[1]).to(self.device)

    def __deepcopy__(self, memo: dict) -> StoredCells:
        # Nothing changes the rows.
        return self.to(self.device)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "Training cells in a scratch file belong to one process; save the model and load it in "
            "the other."
        )

    def _read(self, ascending: np.ndarray) -> bytes:
        """Content of ascending rows, by one read of each run of neighbours."""
        first = ascending[np.diff(ascending, prepend=-2) != 1]
        last = ascending[np.diff(ascending, append=-2) != 1]
        bounds = zip(self.starts[first].tolist(), self.starts[last + 1].tolist(), strict=True)
        # An advice of no bytes is one about the rest of the file.
        return self.file.read([(start, end) for start, end in bounds if start < end])
