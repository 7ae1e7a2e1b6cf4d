"""An AnnData written to disk a block of rows at a time."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import anndata
import h5py
import numpy as np
import pandas as pd
from anndata._io.specs.registry import IORegistryError
from anndata.io import write_elem
from scipy import sparse

import rayot
from rayot.data.matrix import chunk_rows, dense

MARK = "rayot"
"""Attribute of what rayot wrote, and may replace: the version that did."""

CHUNK_VALUES = 2**18
LEAST_CHUNK_VALUES = 2**10
"""Values of a sparse matrix that are read and written at once."""

UNUSABLE = ("", ".", "..", "_index")
"""Names that no column can have in a file."""


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


def has_mark(path: Path) -> bool:
    """Whether a file or folder holds predictions that rayot wrote."""
    if path.suffix == ".zarr":
        attributes = [_json(path / name) for name in ("zarr.json", ".zattrs")]
        return any(
            MARK in of_entry or MARK in (of_entry.get("attributes") or {})
            for of_entry in attributes
        )
    try:
        with h5py.File(path, "r") as file:
            return MARK in file.attrs
    except OSError:
        return False


def _json(path: Path) -> dict[str, Any]:
    """An object in a file; an empty one of anything else."""
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def check_columns(obs: pd.DataFrame, suffix: str) -> None:
    """Raise a ValueError that names the first column, or index, that cannot be written.

    Parameters
    ----------
    obs
        Of the cells to be written.
    suffix
        ``".h5ad"`` or ``".zarr"``.
    """
    if not obs.columns.is_unique:
        twice = obs.columns[obs.columns.duplicated()][0]
        raise ValueError(f"adata.obs has the column {twice!r} more than once; rename one.")
    names = [(f"The column {name!r} of adata.obs", name) for name in obs.columns]
    if obs.index.name is not None:
        names.append((f"The index of adata.obs, {obs.index.name!r},", obs.index.name))
    for what, name in names:
        if not isinstance(name, str) or name in UNUSABLE or set(name) & set("/\0"):
            raise ValueError(
                f"{what} has a name that cannot be written to {suffix}; rename it, to text "
                "without slashes."
            )
    index = obs.index
    if index.name in obs.columns and not np.array_equal(index, obs[index.name]):
        raise ValueError(
            f"The index of adata.obs has the name of its column {index.name!r}; rename one."
        )
    obs = _written(obs).obs
    if not _can_write(pd.DataFrame(index=obs.index), suffix):
        raise ValueError(f"The index of adata.obs cannot be written to {suffix}; give plain names.")
    for name in obs.columns:
        column = obs[name]
        is_number = isinstance(column.dtype, np.dtype) and column.dtype.kind in "biuf"
        # With numbers for an index, that of the cells is not written again.
        if is_number or _can_write(column.reset_index(drop=True).to_frame(), suffix):
            continue
        types = f"it is of type {column.dtype}"
        if column.dtype == object:
            type_names = sorted({type(value).__name__ for value in column})
            types = f"it has values of type {', '.join(type_names)}"
        raise ValueError(
            f"The column {name!r} of adata.obs cannot be written to {suffix}: {types}; make it "
            "numbers, text or a categorical of one of them, or leave it out."
        )


def _written(obs: pd.DataFrame, var: pd.DataFrame | None = None) -> anndata.AnnData:
    """Cells and features as AnnData itself writes them: text that repeats as categories."""
    frame = anndata.AnnData(obs=obs, var=var)
    frame.strings_to_categoricals()
    return frame


def _can_write(table: pd.DataFrame, suffix: str) -> bool:
    """Whether a table can be written, which is tried in memory: it depends on AnnData's version."""
    if suffix == ".h5ad":
        scratch = h5py.File("scratch", "w", driver="core", backing_store=False)
    else:
        import zarr

        scratch = zarr.open_group(zarr.storage.MemoryStore(), mode="w", zarr_format=_zarr_format())
    try:
        write_elem(scratch, "table", table)
    except (IORegistryError, RuntimeError, TypeError, ValueError):
        return False
    finally:
        if suffix == ".h5ad":
            scratch.close()
    return True


class CellWriter:
    """Entries of an AnnData on disk that grow by blocks of rows, dense or sparse.

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
        write_elem(root, "/", _written(obs, var))
        root.attrs[MARK] = rayot.__version__
        # AnnData writes that there is no raw matrix, and then looks for it in a backed object.
        if "raw" in root:
            del root["raw"]

    def append(self, entry: str, block: np.ndarray | sparse.csr_matrix) -> None:
        """Write the next rows (n, d) float32 of an entry such as ``"X"`` or ``"obsm/X_pca"``."""
        start = self._n_written.get(entry, 0)
        # What was written first says how an entry is held.
        is_sparse = hasattr(self.root[entry], "keys") if start else sparse.issparse(block)
        if is_sparse:
            self._append_sparse(entry, sparse.csr_matrix(block), new=not start)
        else:
            if not start:
                self._create(entry, (self.n_cells, block.shape[1]))
            self.root[entry][start : start + block.shape[0]] = dense(block)
        self.check()
        self._n_written[entry] = start + block.shape[0]

    def _append_sparse(self, entry: str, block: sparse.csr_matrix, *, new: bool) -> None:
        if new:
            # All blocks together may have more values than 32 bits count.
            block = block.copy()
            block.indptr = block.indptr.astype(np.int64)
            slot, _, name = entry.rpartition("/")
            expected = block.nnz * self.n_cells // block.shape[0]
            # Of a block without values nothing follows for the next.
            size = max(LEAST_CHUNK_VALUES, expected) if expected else CHUNK_VALUES
            chunks = (min(CHUNK_VALUES, size),)
            write_elem(
                self.root.require_group(slot) if slot else self.root,
                name,
                block,
                dataset_kwargs={"chunks": chunks},
            )
        else:
            anndata.io.sparse_dataset(self.root[entry]).append(block)

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

    version = _zarr_format()
    root = zarr.open_group(path, mode="w", zarr_format=version)
    yield CellWriter(root, obs, var)
    zarr.consolidate_metadata(root.store, zarr_format=version)


def _zarr_format() -> Literal[2, 3]:
    """The format that the user has anndata write; from anndata 0.14 on there is 3 alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return getattr(anndata.settings, "zarr_write_format", 3)


def open_cells(path: Path) -> anndata.AnnData:
    """Cells that stay on disk: backed where they are in ``.h5ad``, lazy where in ``.zarr``."""
    if path.suffix == ".h5ad":
        with h5py.File(path, "r") as file:
            backed = "r" if "X" in file else None
        # A backed object without X, which is all that it would leave on disk, is a broken one.
        return anndata.read_h5ad(path, backed=backed)
    return anndata.experimental.read_lazy(path)
