"""An AnnData written to disk a block of rows at a time."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
from anndata.io import write_elem

from rayot.data.matrix import chunk_rows


class _FileOnFullDisk(io.FileIO):
    """A file that takes what it cannot write, and says so afterwards.

    HDF5 can neither close a file that it cannot write to nor leave the process without a crash.
    """

    failure: OSError | None = None

    def write(self, data: Any, /) -> int:  # noqa: ANN401
        left = memoryview(data).cast("B")
        n_bytes = len(left)
        try:
            while len(left) and self.failure is None:
                left = left[super().write(left) :]
        except OSError as error:
            self.failure = error
        return n_bytes

    def truncate(self, size: int | None = None, /) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.failure = error
            return size or 0

    def check(self) -> None:
        """Raise what went wrong."""
        if self.failure is not None:
            raise self.failure


class CellWriter:
    """Dense entries of an AnnData on disk that grow by blocks of rows.

    Parameters
    ----------
    root
        h5py file or zarr group, empty.
    obs, var
        Of the cells and the features.
    check
        Raises what went wrong unnoticed.
    """

    def __init__(
        self,
        root: Any,  # noqa: ANN401
        obs: pd.DataFrame,
        var: pd.DataFrame | None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.root = root
        self.check = check
        self.n_cells = len(obs)
        self._n_written: dict[str, int] = {}
        # First, so that what cannot be written is known before anything is computed.
        write_elem(root, "/", anndata.AnnData(obs=obs, var=var))
        # AnnData writes that there is no raw matrix, and then looks for it in a backed object.
        if "raw" in root:
            del root["raw"]

    def append(self, entry: str, block: np.ndarray) -> None:
        """Write the next rows (n, d) float32 of an entry such as ``"X"`` or ``"obsm/X_pca"``."""
        start = self._n_written.get(entry, 0)
        if not start:
            self._create(entry, (self.n_cells, block.shape[1]))
        self.root[entry][start : start + len(block)] = block
        self.check()
        self._n_written[entry] = start + len(block)

    def _create(self, entry: str, shape: tuple[int, int]) -> None:
        if isinstance(self.root, h5py.Group):
            created = self.root.create_dataset(entry, shape, np.float32)
        else:
            chunks = (min(chunk_rows(shape[1]), 1024), shape[1])
            created = self.root.create_array(entry, shape=shape, dtype=np.float32, chunks=chunks)
        created.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})

    def finish(self, columns: Mapping[str, np.ndarray], uns: Mapping[str, Any]) -> None:
        """Write what is known at the end: new columns of obs, and uns."""
        assert set(self._n_written.values()) <= {self.n_cells}, self._n_written
        obs = self.root["obs"]
        for name, values in columns.items():
            write_elem(obs, name, values)
        obs.attrs["column-order"] = [*obs.attrs["column-order"], *columns]
        write_elem(self.root, "uns", dict(uns))


@contextmanager
def open_writer(path: Path, obs: pd.DataFrame, var: pd.DataFrame | None) -> Iterator[CellWriter]:
    """A writer to a new ``.h5ad`` or ``.zarr``."""
    if path.suffix == ".h5ad":
        with _FileOnFullDisk(path, "w+") as bytes_on_disk:
            with h5py.File(bytes_on_disk, "w") as file:
                yield CellWriter(file, obs, var, bytes_on_disk.check)
            bytes_on_disk.check()
        return
    import zarr

    version = anndata.settings.zarr_write_format
    root = zarr.open_group(path, mode="w", zarr_format=version)
    yield CellWriter(root, obs, var)
    zarr.consolidate_metadata(root.store, zarr_format=version)


def open_cells(path: Path) -> anndata.AnnData:
    """Cells that stay on disk: backed where they are in ``.h5ad``, lazy where in ``.zarr``."""
    if path.suffix == ".h5ad":
        with h5py.File(path, "r") as file:
            backed = "r" if "X" in file else None
        # A backed object without X, which is all that it would leave on disk, is a broken one.
        return anndata.read_h5ad(path, backed=backed)
    return anndata.experimental.read_lazy(path)
