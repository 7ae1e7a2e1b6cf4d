"""The report of a fitted map: one file that says what is so, and leaves the cells as they are."""

import re
from importlib.resources import files

import anndata as ad
import matplotlib.pyplot as plt
import mudata
import numpy as np
import pytest

import rayot as rt
from rayot.reporting._blocks import shown


@pytest.fixture(scope="module")
def report(fitted, page, tmp_path_factory):
    """The report of the w1ot map, as a reader sees it."""
    return page(rt.report(fitted, tmp_path_factory.mktemp("report") / "report.html", "w1ot"))


def test_one_file_that_loads_nothing(report):
    tags = {name for name, _ in report.tags}
    assert not tags & {"script", "link", "iframe", "object", "base", "form"}
    assert report.all("img")
    assert all(each["src"].startswith("data:image/png;base64,") for each in report.all("img"))
    assert not re.search(r"https?://|url\(|@import", report.source)
    assert not [name for _, each in report.tags for name in each if name.startswith("on")]
    assert len(report.source) < 5e6
    assert any("default-src 'none'" in each.get("content", "") for each in report.all("meta"))


def test_semantics_that_screen_readers_need(report):
    assert len(report.all("h1")) == 1
    assert len(report.all("h2")) == len(report.all("section")) == len(report.all("a"))
    assert len(report.captions) == len(report.all("table"))
    assert all(len(each["alt"]) > 20 for each in report.all("img"))
    names = [each["id"] for _, each in report.tags if "id" in each]
    assert len(names) == len(set(names))
    links = {each["href"].removeprefix("#") for each in report.all("a")}
    assert links <= set(names)
    assert all(each.get("scope") for each in report.all("th"))
    assert ("html", {"lang": "en"}) in report.tags


def test_it_says_what_was_fitted(fitted, report):
    result = fitted.uns["w1ot"]
    assert result["diagnostics"]["reason"] in report.sections["certificate"]
    assert result["diagnostics"]["certificate"] in report.sections["certificate"]
    for name in ("control", "perturbed", "w1ot", "fast", "30 genes", rt.__version__):
        assert name in report.sections["fit"]
    assert "potential_steps = 20 (usually 200)" in report.sections["fit"]
    assert "n_folds = 1 (usually 5)" in report.sections["fit"]
    assert result["split"]["hash"] + " (as at the fit)" in report.sections["split"]
    labels = fitted.obs.groupby(["perturbation", "split"], observed=True).size()
    counted = report.table("Cells by condition").set_index("condition")
    assert counted.loc["control (source)", "test"] == str(labels["control", "test"])
    assert counted.loc["perturbed (target)", "train"] == str(labels["perturbed", "train"])
    assert any("potential f" in each["alt"] for each in report.all("img"))
    assert "session-info2" in report.sections["versions"]


def test_numbers_are_those_of_the_functions(fitted, report):
    adata = fitted.copy()
    scores = rt.tl.evaluate(adata, "w1ot")
    table = report.table("Predicted genes beside observed ones").set_index("method")
    assert list(table.index) == list(scores.index)
    for name in scores:
        column = table[name.replace("_", " ")]
        assert list(column) == [shown(value) for value in scores[name]]
    changes = rt.tl.log_fold_change(adata, "w1ot")
    genes = report.table("genes that change most").set_index("gene")
    assert genes.loc[genes.index[0], "predicted"] == shown(changes.loc[genes.index[0], "predicted"])
    largest = changes["observed"].abs().sort_values(ascending=False).index[: len(genes)]
    assert set(genes.index) == set(largest)
    found = rt.pp.check_split(adata)
    told = report.table("Whether test cells").set_index("check")
    assert list(told["status"]) == list(found["status"])


def snapshot(adata):
    return {
        "X": adata.X[:].sum(),
        "obs": adata.obs.copy(),
        "uns": sorted(adata.uns),
        "obsm": sorted(adata.obsm),
        "layers": sorted(filter(None, adata.layers)),
    }


@pytest.mark.parametrize("kind", ["in memory", "view", "backed", "lazy"])
def test_cells_are_left_as_they_were(fitted, page, report, kind, tmp_path):
    file = tmp_path / "cells.h5ad"
    adata = fitted.copy()
    if kind in ("backed", "lazy"):
        adata.write_h5ad(file)
    if kind == "view":
        adata = adata[:]
    if kind == "backed":
        adata = ad.read_h5ad(file, backed="r")
    if kind == "lazy":
        adata = ad.experimental.read_lazy(file)
        before = None
    else:
        before = snapshot(adata)
    path = rt.report(adata, tmp_path / "report.html", "w1ot")
    assert adata.is_view == (kind == "view")
    if before is not None:
        after = snapshot(adata)
        assert before.pop("obs").equals(after.pop("obs"))
        assert before == after
    else:
        assert "report" not in adata.uns
    # What is on disk is read as what is in memory.
    assert page(path).sections["scores"] == report.sections["scores"]


@pytest.mark.slow
def test_a_umap_that_has_to_be_fitted_is_not_kept(fitted, tmp_path):
    adata = fitted.copy()
    del adata.obsm["X_umap"]
    before = snapshot(adata)
    rt.report(adata, tmp_path / "report.html", "mean_shift")
    assert sorted(adata.obsm) == before["obsm"]
    assert sorted(adata.uns) == before["uns"]


def test_same_input_same_file_and_no_figure_is_left(fitted, tmp_path):
    plt.figure()
    opened = plt.get_fignums()
    first, second = (
        re.sub("<time>.*</time>", "", path.read_text(encoding="utf-8"))
        for path in (
            rt.report(fitted, tmp_path / "first.html", "mean_shift"),
            rt.report(fitted, tmp_path / "second.html", "mean_shift"),
        )
    )
    assert first == second
    assert plt.get_fignums() == opened
    plt.close("all")


def test_a_model_is_reported_as_what_it_writes(fitted, page, tmp_path):
    adata = fitted.copy()
    model = rt.tl.mean_shift(adata, "control", "perturbed")
    written = page(rt.report(adata, tmp_path / "written.html", "mean_shift"))
    for name in ("mean_shift", "w1ot"):
        del adata.uns[name], adata.layers[name]
    passed = page(rt.report(adata, tmp_path / "passed.html", model))
    assert "mean_shift" not in adata.uns
    for name in ("certificate", "fit", "cells", "split", "scores", "genes", "diagnostics"):
        assert passed.sections[name] == written.sections[name]
    assert passed.all("img") == written.all("img")


def test_names_of_the_data_are_no_html(page, tmp_path):
    adata = rt.datasets.simulated(n_cells=60, n_genes=12, seed=0)
    evil = "<script>alert(1)</script>&amp;"
    adata.var_names = [f"<b>gene&{i}</b>" for i in range(adata.n_vars)]
    adata.obs["perturbation"] = adata.obs["perturbation"].cat.rename_categories({"perturbed": evil})
    adata.obsm["X_umap"] = np.asarray(adata.X[:, :2].todense())
    rt.pp.split(adata)
    rt.tl.mean_shift(adata, "control", evil, key_added='"><img src=x>')
    seen = page(rt.report(adata, tmp_path / "report.html", title="a < b & c"))
    assert not seen.all("script")
    assert not seen.all("b")
    assert all(each["src"].startswith("data:") for each in seen.all("img"))
    assert evil in seen.sections["fit"]
    assert "<b>gene&" in seen.sections["genes"]
    assert "a < b & c" in seen.sections["header"]


def test_without_a_split_scores_are_left_out(page, tmp_path):
    adata = rt.datasets.simulated(n_cells=60, n_genes=12, seed=0)
    adata.obsm["X_umap"] = np.asarray(adata.X[:, :2].todense())
    rt.tl.mean_shift(adata, "control", "perturbed")
    seen = page(rt.report(adata, tmp_path / "report.html"))
    assert seen.sections["scores"].count("Scores are left out") == 1
    assert not any("Predicted genes" in caption for caption in seen.captions)
    assert "No column of train and test cells" in seen.sections["split"]
    assert "cells that the map was fitted on" in "".join(seen.captions)


def test_what_a_map_lacks_is_said_in_a_sentence(page, tmp_path):
    adata = rt.datasets.simulated(n_cells=60, n_genes=12, seed=0)
    adata.obsm["X_code"] = np.asarray(adata.X[:, :3].todense())
    adata.obsm["X_umap"] = adata.obsm["X_code"][:, :2]
    rt.pp.split(adata)
    model = rt.tl.mean_shift(adata, "control", "perturbed", use_rep="X_code")
    del adata.uns["mean_shift"]["diagnostics"], adata.uns["mean_shift"]["method"]
    written = page(rt.report(adata, tmp_path / "written.html"))
    passed = page(rt.report(adata, tmp_path / "passed.html", model))
    for seen in (written, passed):
        for name in ("scores", "genes"):
            assert "This cannot be shown: " in seen.sections[name]
        assert "No history was kept" in seen.sections["history"]
        assert "The method has no potential." in seen.sections["figure"]
        assert "Traceback" not in seen.source
    assert "kept no certificate" in written.sections["certificate"]
    assert "This cannot be shown: " in written.sections["diagnostics"]
    assert "did not keep its method" in written.sections["fit"]


def test_leaks_and_warnings_are_in_the_report_alone(fitted, page, tmp_path, recwarn):
    import scanpy as sc

    adata = fitted.copy()
    sc.pp.scale(adata)
    adata.layers["w1ot"] = np.asarray(adata.layers["w1ot"])
    seen = page(rt.report(adata, tmp_path / "report.html", "w1ot"))
    told = seen.table("Whether test cells").set_index("check")
    assert told.loc["scaling", "status"] == "leak"
    assert "leaks" in seen.sections["warnings"]
    assert not [each for each in recwarn if "leaks" in str(each.message)]


def test_one_perturbation_of_a_screen_and_a_modality(page, tmp_path):
    adata = rt.datasets.simulated_screen(2, n_cells=60, n_genes=12, inactive=0)
    adata.obsm["X_umap"] = np.asarray(adata.X[:, :2].todense())
    rt.pp.split(adata)
    screen = rt.tl.screen(adata, "control", method="mean_shift", fdr=None, show_progress_bar=False)
    name = next(iter(screen))
    both = mudata.MuData({"rna": adata})
    path = rt.report(both, tmp_path / "report.html", screen, perturbation=name, modality="rna")
    seen = page(path)
    assert f"control → {name}" in seen.sections["header"]
    assert "all others" in seen.sections["cells"]
    with pytest.raises(ValueError, match="name one, perturbation="):
        rt.report(adata, tmp_path / "other.html", screen)


def test_the_template_is_part_of_the_package():
    assert files("rayot.reporting").joinpath("report.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ({}, ValueError, "several fitted maps, 'w1ot', 'mean_shift'"),
        ({"key": "other"}, KeyError, "no fitted map 'other'"),
        ({"key": 5}, TypeError, "found int"),
        ({"key": "w1ot", "path": "report.txt"}, ValueError, "ends in .html"),
        ({"key": "w1ot", "path": "absent/report.html"}, FileNotFoundError, "no folder"),
        ({"key": "w1ot", "path": "taken.html"}, FileExistsError, "overwrite=True"),
        ({"key": "w1ot", "path": "folder.html"}, IsADirectoryError, "is a folder"),
        ({"key": "w1ot", "perturbation": "x"}, ValueError, "perturbation is 'x'"),
        ({"key": "w1ot", "method": "x"}, ValueError, "method is for a table"),
        ({"key": "w1ot", "unit": "donor"}, ValueError, "unit is for a table"),
        ({"key": "w1ot", "modality": "rna"}, ValueError, "is for a MuData"),
        ({"adata": "cells.h5ad"}, TypeError, "found str"),
        ({"key": "w1ot", "seed": -1}, ValueError, "seed must be"),
        ({"key": "w1ot", "path": 5}, ValueError, "path must be a path"),
    ],
)
def test_bad_input_is_one_sentence_before_anything_is_computed(
    fitted, tmp_path, monkeypatch, arguments, error, sentence
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken.html").write_text("as it was")
    (tmp_path / "folder.html").mkdir()
    before = sorted(fitted.uns)
    with pytest.raises(error, match=sentence):
        rt.report(**{"adata": fitted, "path": "report.html", **arguments})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.html", "taken.html"]
    assert (tmp_path / "taken.html").read_text() == "as it was"
    assert sorted(fitted.uns) == before


def test_a_file_is_replaced_if_asked(fitted, tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")
    assert rt.report(fitted, str(path), "mean_shift", overwrite=True) == path
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
