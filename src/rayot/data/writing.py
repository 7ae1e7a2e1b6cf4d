"""An AnnData written to disk a block of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
from anndata.io import write_elem

from rayot.data.matrix import chunk_rows


class CellWriter:
    """Dense entries of an AnnData on disk that grow by blocks of rows.

    Parameters
    ----------
    root
        h5py file or zarr group, empty.
    obs, var
        Of the cells and the features.
    """

    def __init__(
        self,
        root: Any,  # noqa: ANN401
        obs: pd.DataFrame,
        var: pd.DataFrame | None,
    ) -> None:
        self.root = root
        self.n_cells = len(obs)
        self._n_written: dict[str, int] = {}
        # First, so that what cannot be written is known before anything is computed.
        write_elem(root, "/", anndata.AnnData(obs=obs, var=var))

    def append(self, entry: str, block: np.ndarray) -> None:
        """Write the next rows (n, d) float32 of an entry such as ``"X"`` or ``"obsm/X_pca"``."""
        start = self._n_written.get(entry, 0)
        if not start:
            self._create(entry, (self.n_cells, block.shape[1]))
        self.root[entry][start : start + len(block)] = block
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
        obs = self.root["obs"]
        for name, values in columns.items():
            write_elem(obs, name, values)
        obs.attrs["column-order"] = [*obs.attrs["column-order"], *columns]
        write_elem(self.root, "uns", dict(uns))


@contextmanager
def open_writer(path: Path, obs: pd.DataFrame, var: pd.DataFrame | None) -> Iterator[CellWriter]:
    """A writer to a new ``.h5ad`` or ``.zarr``."""
    if path.suffix == ".h5ad":
        with h5py.File(path, "w") as file:
            yield CellWriter(file, obs, var)
        return
    import zarr

    version = anndata.settings.zarr_write_format
    root = zarr.open_group(path, mode="w", zarr_format=version)
    yield CellWriter(root, obs, var)
    zarr.consolidate_metadata(root.store, zarr_format=version)


def open_cells(path: Path) -> anndata.AnnData:
    """Cells that stay on disk: backed where they are in ``.h5ad``, lazy where in ``.zarr``."""
    if path.suffix == ".h5ad":
        return anndata.read_h5ad(path, backed="r")
    return anndata.experimental.read_lazy(path)
