"""Files that cells come from, and files that appear whole or not at all."""

import os
import shutil

import anndata as ad
import h5py
import numpy as np
import pytest
from scipy import sparse

from rayot.data import checks, files
from rayot.data.matrix import chunk_rows, dense, expression_of, take_rows
from rayot.data.spec import DataSpec
from rayot.data.writing import open_cells, open_writer


@pytest.fixture
def stored(cells, tmp_path):
    """The same cells in a file, by every way to open one."""
    cells.write_h5ad(tmp_path / "cells.h5ad")
    cells.write_zarr(tmp_path / "cells.zarr")
    yield {
        "backed": ad.read_h5ad(tmp_path / "cells.h5ad", backed="r"),
        "backed view": ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")[5:, ::-1],
        "lazy h5ad": ad.experimental.read_lazy(tmp_path / "cells.h5ad"),
        "lazy zarr": ad.experimental.read_lazy(tmp_path / "cells.zarr"),
        "lazy view": ad.experimental.read_lazy(tmp_path / "cells.zarr")[5:, ::-1],
    }


def test_rows_of_every_way_to_open_a_file(cells, stored, monkeypatch):
    # Blocks of four rows, so that rows come from several.
    monkeypatch.setattr("rayot.data.matrix.CHUNK_ELEMENTS", 4 * cells.n_vars)
    rows = np.array([200, 3, 3, 17, 1, 2])
    for name, adata in stored.items():
        expected = cells[5:, ::-1] if "view" in name else cells
        found = expression_of(adata, None, rows)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(dense(found), expected.X[rows].toarray(), err_msg=name)


def test_columns_of_every_way_to_open_a_file(cells, stored):
    for name, adata in stored.items():
        expected = cells.obs["cell_type"].iloc[5:] if "view" in name else cells.obs["cell_type"]
        assert checks.column(adata, "cell_type").tolist() == expected.tolist()
        assert DataSpec.from_anndata(adata).split_key == "split"
        with pytest.raises(KeyError, match="Did you mean 'split'"):
            checks.column(adata, "splt")


def test_a_matrix_stored_by_columns_is_refused(cells, tmp_path):
    cells.X = cells.X.tocsc()
    cells.write_h5ad(tmp_path / "cells.h5ad")
    backed = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    with pytest.raises(ValueError, match="stored by columns"):
        expression_of(backed, None, np.arange(3))


def test_values_that_are_stored_in_parts_are_summed():
    matrix = sparse.csr_matrix((np.array([1.0, 2, 4]), [0, 0, 1], [0, 3]), shape=(1, 2))
    assert take_rows(matrix, np.array([0])).data.tolist() == [3, 4]
    assert matrix.nnz == 3


def test_blocks_are_a_power_of_two_and_bounded():
    assert chunk_rows(1) == 8192
    assert chunk_rows(20_000) == 512
    assert chunk_rows(10**9) == 1


def test_closed_files_are_said_to_be_closed(tmp_path, cells):
    cells.write_h5ad(tmp_path / "cells.h5ad")
    with h5py.File(tmp_path / "cells.h5ad") as file:
        matrix = ad.io.sparse_dataset(file["X"])
        held = ad.AnnData(matrix, obs=cells.obs)
        lazy = ad.experimental.read_lazy(file)
    with pytest.raises(OSError, match="could not be read from disk; their file is closed"):
        expression_of(held, None, np.arange(3))
    with pytest.raises(OSError, match=r"adata\.obs could not be read from disk"):
        checks.column(lazy, "cell_type")


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
@pytest.mark.parametrize("what", ["moved", "changed"])
def test_a_file_that_does_not_stay_the_same_is_an_error(stored, tmp_path, suffix, what):
    path = tmp_path / f"cells.{suffix}"
    adata = stored["backed" if suffix == "h5ad" else "lazy zarr"]
    assert files.source_of(adata) == path
    with pytest.raises(OSError, match=rf"cells\.{suffix}' was {what}"), files.unchanged(adata):
        if what == "moved":
            path.rename(tmp_path / "elsewhere")
        elif suffix == "h5ad":
            os.utime(path, (0, 0))
        else:
            shutil.rmtree(path / "X" / "data")
        raise ValueError("a consequence")


def test_cells_in_memory_and_errors_of_other_kinds_pass(cells, stored):
    assert files.source_of(cells) is None
    for adata in (cells, *stored.values()):
        with pytest.raises(ValueError, match="mine"), files.unchanged(adata):
            raise ValueError("mine")


def test_what_a_new_file_needs(cells, stored, tmp_path, monkeypatch):
    (tmp_path / "there.zarr").mkdir()
    for path, error, message in (
        ("predicted.csv", ValueError, r"must end in \.h5ad or \.zarr"),
        ("no/predicted.h5ad", FileNotFoundError, "There is no folder"),
        ("there.zarr", FileExistsError, "overwrite=True"),
        ("cells.h5ad", ValueError, "is the file that the cells are read from"),
    ):
        with pytest.raises(error, match=message):
            files.check_new_file(tmp_path / path, False, 0, stored["backed"])
    with pytest.raises(OSError, match=r"takes up to 1000000000\.0 GB"):
        files.check_new_file(tmp_path / "predicted.h5ad", False, 10**18, cells)
    assert files.check_new_file(tmp_path / "there.zarr", True, 0, cells).name == "there.zarr"
    monkeypatch.setattr(files, "find_spec", lambda name: None if name == "xarray" else name)
    with pytest.raises(ModuleNotFoundError, match=r"needs xarray: pip install 'rayot\[lazy\]'"):
        files.check_new_file(tmp_path / "predicted.zarr", False, 0, cells)


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_what_fails_leaves_what_was_there(cells, tmp_path, error, suffix):
    path = tmp_path / f"predicted.{suffix}"
    with files.whole_file(path) as partial, open_writer(partial, cells.obs, cells.var) as writer:
        writer.append("X", np.ones((cells.n_obs, cells.n_vars)))
    expected = "was not written, and no part of it is left: disk full"
    with (
        pytest.raises(type(error), match=expected if isinstance(error, OSError) else ""),
        files.whole_file(path) as partial,
        open_writer(partial, cells.obs, cells.var) as writer,
    ):
        writer.append("X", np.zeros((3, cells.n_vars)))
        raise error
    assert os.listdir(tmp_path) == [path.name]
    assert (open_cells(path).to_memory().X == 1).all()


def test_a_folder_that_cannot_be_written_to(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    # The user who runs the tests may write anywhere.
    monkeypatch.setattr(files.tempfile, "TemporaryDirectory", refuse)
    with (
        pytest.raises(OSError, match=r"was not written.*Permission denied"),
        files.whole_file(tmp_path / "predicted.h5ad"),
    ):
        pytest.fail("nothing may be computed")
