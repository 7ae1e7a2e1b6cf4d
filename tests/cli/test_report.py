"""The command ``rayot report``."""

import anndata as ad
import numpy as np
import pytest

import rayot as rt


@pytest.fixture(scope="module")
def written(cells):
    """An h5ad that holds a map and a UMAP."""
    adata = ad.read_h5ad(cells)
    adata.obsm["X_umap"] = np.asarray(adata.X[:, :2].todense())
    rt.tl.mean_shift(adata, "control", "drug")
    path = cells.with_name("written.h5ad")
    adata.write_h5ad(path)
    return path


def test_of_a_map_that_cells_hold(written, rayot, tmp_path):
    out = tmp_path / "report.html"
    done = rayot("report", written, "--key", "mean_shift", "--out", out, "--json", "--quiet")
    assert done.code == 0
    assert done.err == ""
    assert done.json["paths"] == {"data": str(written), "report": str(out)}
    assert done.json["n_bytes"] == out.stat().st_size
    again = rayot("report", written, "--out", out)
    assert (again.code, again.err.count("\n")) == (1, 1)
    assert "pass --overwrite" in again.err
    assert rayot("report", written, "--out", out, "--overwrite", "--title", "mine").code == 0
    assert "<h1>mine</h1>" in out.read_text(encoding="utf-8")


def test_of_a_model_in_a_folder(written, model, rayot, tmp_path):
    out = tmp_path / "report.html"
    assert rayot("report", written, model, "--out", out, "--quiet").code == 0
    assert "<h1>w1ot: control → drug</h1>" in out.read_text(encoding="utf-8")


def test_of_a_table_of_scores(written, rayot, tmp_path):
    scores, out = tmp_path / "scores.csv", tmp_path / "report.html"
    assert rayot("evaluate", written, "--out", scores, "--quiet").code == 0
    assert rayot("report", scores, "--out", out, "--quiet").code == 0
    assert "Scores on held-out cells" in out.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["absent.csv", "--out", "r.html"], 1, "There is no file 'absent.csv'"),
        (["absent.txt", "--out", "r.html"], 1, "Cells are read from .h5ad"),
        (["CELLS", "--out", "r.txt"], 1, "ends in .html"),
        (["CELLS", "--key", "other", "--out", "r.html"], 1, "no fitted map 'other'"),
        (["CELLS", "--method", "x", "--out", "r.html"], 1, "is for a table of scores"),
        (["CELLS", "folder", "--key", "x", "--out", "r.html"], 2, "not both"),
        (["empty.csv", "--out", "r.html"], 1, "cannot be read as .csv"),
        (["table.csv", "--out", "r.html"], 1, "no column 'method'"),
        (["table.csv", "folder", "--out", "r.html"], 2, "a model is for cells"),
    ],
)
def test_errors_are_one_line(written, rayot, tmp_path, monkeypatch, arguments, code, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    done = rayot("report", *(str(written) if a == "CELLS" else a for a in arguments), "--quiet")
    assert done.code == code
    assert sentence in done.err
    assert done.err.count("\n") == 1
    assert not (tmp_path / "r.html").exists()
