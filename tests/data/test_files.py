"""Files that cells come from, and files that appear whole or not at all."""

import os
import re
import shutil
import subprocess
import sys

import anndata as ad
import h5py
import numpy as np
import pandas as pd
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


def written(cells, path, value, overwrite=False):
    """Predictions that are all the same."""
    with (
        files.whole_file(path, overwrite) as partial,
        open_writer(partial, cells.obs, cells.var) as writer,
    ):
        writer.append("X", np.full(cells.shape, value, dtype=np.float32))
        writer.finish({}, {})
    return path


def test_what_a_new_file_needs(cells, stored, tmp_path, monkeypatch):
    written(cells, tmp_path / "there.zarr", 1)
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


@pytest.mark.parametrize("kind", ["cells", "text", "folder", "other", "link to nothing", "link"])
@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_only_predictions_are_replaced(cells, stored, tmp_path, suffix, kind):
    path = tmp_path / f"mine.{suffix}"
    if kind == "cells":
        path = tmp_path / f"cells.{suffix}"
    elif kind == "text":
        path.write_text("mine")
    elif kind == "folder":
        path.mkdir()
        (path / "zarr.json").write_text("[]")
    elif kind == "other":
        # The mark of the other format.
        written(cells, tmp_path / ("a.zarr" if suffix == "h5ad" else "a.h5ad"), 1).rename(path)
    else:
        target = tmp_path / ("nothing" if kind == "link to nothing" else f"cells.{suffix}")
        path.symlink_to(target)
    before = sorted(os.listdir(tmp_path))
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match="holds no predictions that rayot wrote"):
            files.check_new_file(path, overwrite, 0, cells)
        with pytest.raises(OSError, match="holds no predictions that rayot wrote"):
            written(cells, path, 1, overwrite)
    assert sorted(os.listdir(tmp_path)) == before
    assert ad.read_h5ad(tmp_path / "cells.h5ad").shape == cells.shape


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_a_name_that_is_taken_meanwhile(cells, tmp_path, suffix):
    path = tmp_path / f"predicted.{suffix}"
    with (
        pytest.raises(OSError, match="exists and holds no predictions"),
        files.whole_file(path, True) as partial,
    ):
        partial.write_text("new")
        path.write_text("mine")
    assert path.read_text() == "mine"
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_two_processes_and_one_name(cells, tmp_path, suffix):
    path = tmp_path / f"predicted.{suffix}"
    with files.whole_file(path) as partial:
        with pytest.raises(OSError, match="Another process is writing"):
            files.check_new_file(path, True, 0, cells)
        with pytest.raises(OSError, match="Another process is writing"), files.whole_file(path):
            pytest.fail("nothing may be computed")
        partial.write_text("whole")
    assert path.read_text() == "whole"


KILLED = """
import os, sys
from pathlib import Path
import numpy as np, pandas as pd
from rayot.data import files
from rayot.data.writing import open_writer
path, when = Path(sys.argv[1]), sys.argv[2]
obs, var = pd.DataFrame(index=["a", "b"]), pd.DataFrame(index=["g"])
replace = Path.replace
def killed(self, target):
    if Path(target) == path and when == "between":
        os._exit(9)
    return replace(self, target)
Path.replace = killed
with files.whole_file(path, True) as partial, open_writer(partial, obs, var) as writer:
    if when == "half":
        os._exit(9)
    writer.append("X", np.ones((2, 1), dtype=np.float32))
    writer.finish({}, {})
"""


@pytest.mark.parametrize("when", ["half", "between"])
@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_a_killed_call_loses_nothing(cells, tmp_path, suffix, when):
    path = written(cells, tmp_path / f"predicted.{suffix}", 7)
    process = subprocess.run([sys.executable, "-c", KILLED, str(path), when], check=False)
    assert process.returncode == 9
    assert len(os.listdir(tmp_path)) == (1 if (suffix, when) == ("zarr", "between") else 2)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        files.check_new_file(path, False, 0, cells)
    assert os.listdir(tmp_path) == [path.name]
    assert (open_cells(path).to_memory().X == 7).all()
    written(cells, path, 8, overwrite=True)
    assert (open_cells(path).to_memory().X == 8).all()
    assert os.listdir(tmp_path) == [path.name]


def test_the_work_folder_is_no_link(cells, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "predicted.h5ad").write_text("mine")
    (tmp_path / ".predicted.h5ad.partial").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="is a symbolic link; remove it"):
        files.check_new_file(tmp_path / "predicted.h5ad", True, 0, cells)
    assert (tmp_path / "precious" / "predicted.h5ad").read_text() == "mine"


COLUMNS = {
    "a/b": 1,
    "a\0b": 1,
    "_index": 1,
    "": 1,
    3: 1,
    "mixed": np.resize(np.array([1, "x", 2.5], dtype=object), 240),
    "lists": [[number] for number in range(240)],
    "mixed categories": pd.Categorical(np.resize(np.array([1, "x"], dtype=object), 240)),
    "dates": pd.to_datetime(["2020-01-01"] * 240),
    "nul": np.resize(np.array(["a\0", "b"], dtype=object), 240),
}


def test_a_column_that_cannot_be_written_is_named(cells, tmp_path):
    obs = cells.obs
    for name, values in COLUMNS.items():
        cells.obs = obs.assign(**{"new": values}).rename(columns={"new": name})
        with pytest.raises(ValueError, match=rf"column {re.escape(repr(name))} of adata.obs.*h5ad"):
            files.check_new_file(tmp_path / "predicted.h5ad", False, 0, cells)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_an_index_that_cannot_be_written_is_named(cells, tmp_path, suffix):
    path = tmp_path / f"predicted.{suffix}"
    for name in ("a/b", "a\0b", 3):
        cells.obs.index.name = name
        with pytest.raises(ValueError, match=r"index of adata.obs, .*, has a name"):
            files.check_new_file(path, False, 0, cells)
    cells.obs.index.name = "cell_type"
    with pytest.raises(ValueError, match="has the name of its column 'cell_type'"):
        files.check_new_file(path, False, 0, cells)
    cells.obs.index.name = "barcode"
    files.check_new_file(path, False, 0, cells)


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_columns_that_can_be_written(cells, tmp_path, suffix):
    """As AnnData writes them: text with gaps, too, where it repeats."""
    cells.obs["gaps"] = np.resize(np.array(["a", None, "b"], dtype=object), cells.n_obs)
    cells.obs["number"] = pd.array([1, None] * 120, dtype="Int64")
    cells.obs["flag"] = cells.obs["cell_type"] == "type_0"
    path = tmp_path / f"predicted.{suffix}"
    files.check_new_file(path, False, 0, cells)
    found = open_cells(written(cells, path, 1)).to_memory().obs
    assert found["gaps"].isna().sum() == 80
    assert found["gaps"].dropna().unique().tolist() == ["a", "b"]
    assert found["number"].tolist()[0] == 1
    assert found["flag"].tolist() == cells.obs["flag"].tolist()


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_what_fails_leaves_what_was_there(cells, tmp_path, error, suffix):
    path = tmp_path / f"predicted.{suffix}"
    with files.whole_file(path) as partial, open_writer(partial, cells.obs, cells.var) as writer:
        writer.append("X", np.ones((cells.n_obs, cells.n_vars)))
    expected = "was not written, and no part of it is left: disk full"
    with (
        pytest.raises(type(error), match=expected if isinstance(error, OSError) else ""),
        files.whole_file(path, True) as partial,
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
    monkeypatch.setattr(type(tmp_path), "mkdir", refuse)
    with (
        pytest.raises(OSError, match=r"was not written.*Permission denied"),
        files.whole_file(tmp_path / "predicted.h5ad"),
    ):
        pytest.fail("nothing may be computed")
