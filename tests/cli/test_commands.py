"""What each command writes and prints, and that it is what the Python API gives."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from simulated_cells import of_patient

import rayot as rt
from rayot.data.matrix import dense

FIT = ["--source", "control", "--target", "drug"]
QUICK = ["--max-steps", "20", "--n-folds", "1"]


def test_a_map_is_that_of_the_python_api(cells, rayot, tmp_path):
    options = ["--preset", "fast", "--n-seeds", 2, "--seed", 3, "--set", "width=16"]
    done = rayot("fit", cells, *FIT, *QUICK, *options, "--out", tmp_path / "m", "--json")
    assert done.code == 0
    expected = rt.tl.w1ot(
        ad.read_h5ad(cells),
        "control",
        "drug",
        preset="fast",
        n_seeds=2,
        seed=3,
        plan_kwargs={"width": 16},
        max_steps=20,
        n_folds=1,
        show_progress_bar=False,
    )
    loaded = rt.model.W1OT.load(tmp_path / "m")
    adata = ad.read_h5ad(cells)[:30]
    np.testing.assert_array_equal(dense(loaded.predict(adata).X), dense(expected.predict(adata).X))
    assert done.json["certificate"] == expected.diagnostics["certificate"]
    assert done.json["reason"] == expected.diagnostics["reason"]
    assert done.json["versions"]["rayot"] == rt.__version__
    assert done.json["seconds"] > 0
    assert done.json["paths"]["model"] == str(tmp_path / "m")


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
@pytest.mark.parametrize("backed", [False, True])
def test_predictions_are_those_of_the_python_api(cells, model, rayot, tmp_path, suffix, backed):
    out = tmp_path / f"predicted{suffix}"
    options = ["--unseen", "map", "--key-added", "response", *["--backed"] * backed]
    assert rayot("predict", model, cells, out, *options).code == 0
    written = ad.read_h5ad(out) if suffix == ".h5ad" else ad.read_zarr(out)
    expected = rt.model.W1OT.load(model).predict(ad.read_h5ad(cells), unseen="map", key="response")
    np.testing.assert_array_equal(dense(written.X), dense(expected.X))
    assert "response_step" in written.obs
    assert "pass --overwrite to replace it" in rayot("predict", model, cells, out).err
    assert rayot("predict", model, cells, out, "--overwrite", "--quiet").err == ""


def test_a_time_between_is_predicted(cells, model, rayot, tmp_path):
    out = tmp_path / "between.h5ad"
    assert rayot("predict", model, cells, out, "--time", 3, "--times", 0, 7).code == 0
    assert ad.read_h5ad(out).uns["w1ot"]["time"] == 3


def test_scores_of_models_and_of_keys(cells, model, rayot, tmp_path):
    rayot("fit", cells, *FIT, "--method", "mean_shift", "--out", tmp_path / "mean", "--quiet")
    out = tmp_path / "scores.csv"
    done = rayot("evaluate", cells, model, tmp_path / "mean", "--out", out, "--json")
    assert done.code == 0
    table = pd.read_csv(out, index_col=0)
    assert list(table.index) == ["model", "mean", "identity", "mean shift", "observed"]
    adata = ad.read_h5ad(cells)
    expected = rt.tl.evaluate(adata, rt.model.W1OT.load(model))
    np.testing.assert_allclose(table.loc["model"], expected.loc["w1ot"])
    assert [row["method"] for row in done.json["scores"]] == list(table.index)
    rt.tl.mean_shift(adata, "control", "drug")
    adata.write_h5ad(tmp_path / "fitted.h5ad")
    printed = rayot("evaluate", tmp_path / "fitted.h5ad", "--key", "mean_shift").out
    assert printed.splitlines()[2].startswith("mean_shift")
    assert rayot("evaluate", cells, model, "--key", "w1ot").code == 2


def test_scores_of_other_conditions_do_not_compare(cells, model, rayot, tmp_path):
    turned = ["--source", "drug", "--target", "control", "--method", "mean_shift"]
    rayot("fit", cells, *turned, "--out", tmp_path / "turned", "--quiet")
    done = rayot("evaluate", cells, model, tmp_path / "turned")
    assert done.code == 1
    assert "turned and model do not compare" in done.err


def test_a_model_is_adapted(cells, model, rayot, tmp_path):
    adata = ad.read_h5ad(cells)
    control, treated = (of_patient(adata, "P3", name) for name in ("control", "drug"))
    pilot = tmp_path / "pilot.h5ad"
    adata[[*control, *treated[:25]]].write_h5ad(pilot)
    done = rayot("adapt", model, pilot, "--stratum", "P3", "--out", tmp_path / "m", "--json")
    assert done.code == 0
    assert done.json["n_cells"] == 25
    adapted = rt.model.W1OT.load(tmp_path / "m")
    assert adapted.adaptations["P3"].share == done.json["share"]
    again = rayot("adapt", model, pilot, "--stratum", "P1", "--out", tmp_path / "n")
    assert again.code == 1
    assert "The fit has seen cells of 'P1'" in again.err


def test_jobs_of_a_screen_are_gathered(rayot, tmp_path):
    adata = rt.datasets.simulated_screen(4, n_cells=60, n_genes=20, n_controls=150, seed=1)
    path = tmp_path / "screen.h5ad"
    adata.write_h5ad(path)
    options = ["--source", "control", *QUICK, "--max-memory", "0.0001"]
    names = [name for name in adata.obs["perturbation"].cat.categories if name != "control"]
    rayot("screen", path, *options, "--out", tmp_path / "whole")
    for number, part in enumerate((names[:3], names[3:])):
        listed = tmp_path / f"{number}.txt"
        listed.write_text("\n".join(part) + "\n")
        jobs = ["--perturbations-file", listed, "--out", tmp_path / f"part{number}"]
        assert rayot("screen", path, *options, *jobs).code == 0
    parts = [tmp_path / "part0", tmp_path / "part1"]
    done = rayot("gather", *parts, "--out", tmp_path / "gathered", "--json")
    assert done.code == 0
    assert [row["perturbation"] for row in done.json["conditions"]] == names
    for name in names:
        predicted = []
        for folder in ("whole", "gathered"):
            out = tmp_path / f"{folder}.h5ad"
            arguments = ["--target", name, "--overwrite", "--quiet"]
            assert rayot("predict", tmp_path / folder, path, out, *arguments).code == 0
            predicted.append(dense(ad.read_h5ad(out).X))
        np.testing.assert_array_equal(*predicted)
    assert rayot("predict", tmp_path / "whole", path, tmp_path / "all.zarr").code == 0
    assert ad.read_zarr(tmp_path / "all.zarr").n_obs == 4 * adata.n_obs
    assert "holds no model" in rayot("gather", path, "--out", tmp_path / "x").err


def test_data_sets_are_listed_and_written(rayot, tmp_path, monkeypatch):
    monkeypatch.setenv("RAYOT_DATA_DIR", str(tmp_path))
    listed = {row["name"]: row for row in rayot("datasets", "list", "--json").json["datasets"]}
    assert listed["kang18"]["cells"] == 1975
    assert not listed["kang18"]["at_hand"]
    assert listed["moons"]["at_hand"]
    assert "kang18" in rayot("datasets", "list").out
    out = tmp_path / "moons.h5ad"
    assert rayot("datasets", "download", "moons", "--out", out).code == 0
    assert ad.read_h5ad(out).shape == rt.datasets.moons().shape
    assert rayot("datasets", "download", "moons", "--out", out).code == 1
    assert "Did you mean kang18?" in rayot("datasets", "download", "kang", "--out", out).err


def test_a_poor_certificate_is_an_exit_code(rayot, tmp_path):
    rng = np.random.default_rng(0)
    # A third goes the other way, which no shift of all cells can do.
    ways = np.where(rng.uniform(size=(300, 1)) < 2 / 3, 9, -9) * [1, 0, 0]
    values = rng.normal(size=(600, 3)) + np.concatenate([np.zeros((300, 3)), ways])
    adata = ad.AnnData(values.astype(np.float32))
    adata.obs["perturbation"] = np.repeat(["control", "drug"], 300)
    adata.write_h5ad(tmp_path / "cells.h5ad")
    arguments = [*FIT, "--method", "mean_shift", "--out", tmp_path / "shift"]
    done = rayot("fit", tmp_path / "cells.h5ad", *arguments)
    assert done.code == 3
    assert done.out.startswith("poor: ")
    assert rt.model.MeanShift.load(tmp_path / "shift").is_trained


def test_cells_are_set_apart(cells, rayot, tmp_path):
    out = tmp_path / "split.h5ad"
    options = ["--holdout", "patient=P1", "--control", "control", "--key-added", "apart"]
    done = rayot("split", cells, out, *options, "--json")
    assert done.code == 0
    adata = ad.read_h5ad(cells)
    rt.pp.split(adata, holdout={"patient": ["P1"]}, control="control", key_added="apart")
    written = ad.read_h5ad(out)
    assert (written.obs["apart"] == adata.obs["apart"]).all()
    assert done.json["n_test"] == (adata.obs["apart"] == "test").sum() == 120
    assert rayot("split", cells, out).code == 1
    assert rayot("split", cells, out, "--holdout", "P1").code == 2
    assert list(tmp_path.iterdir()) == [out]
