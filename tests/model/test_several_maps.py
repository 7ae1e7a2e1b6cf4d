"""Strata, ensembles and mass that goes unmatched: what is fitted, predicted, written and kept."""

import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import rayot as rt
from rayot.model import W1OT

SOURCE, TARGET = "control", "perturbed"


@pytest.fixture
def patients():
    """Three patients far apart, whose response points along x, y and both."""
    rng = np.random.default_rng(0)
    responses = {"a": (3.0, 0.0), "b": (0.0, 3.0), "c": (3.0, 3.0)}
    blocks, rows = [], []
    for number, (patient, response) in enumerate(responses.items()):
        for condition in (SOURCE, TARGET):
            block = rng.normal(size=(60, 3))
            block[:, 2] += 15 * number
            block[:, :2] += np.multiply(response, condition == TARGET)
            blocks.append(block)
            rows += [(patient, condition)] * 60
    obs = pd.DataFrame(rows, columns=["patient", "perturbation"]).astype("category")
    obs.index = [f"cell{i}" for i in range(len(obs))]
    return ad.AnnData(np.concatenate(blocks).astype(np.float32), obs=obs)


def fit(adata, **options):
    # Maps and what is written of them, and not how they are judged.
    alone = {"n_folds": 1, "leave_out_strata": False}
    options = {"max_steps": 150, "batch_size": 60, **alone, **options}
    return rt.tl.w1ot(
        adata, SOURCE, TARGET, preset="fast", show_progress_bar=False, clip=False, **options
    )


def mean_move(adata, patient):
    chosen = ((adata.obs["patient"] == patient) & (adata.obs["perturbation"] == SOURCE)).to_numpy()
    return (adata.layers["w1ot"] - adata.X)[chosen].mean(0)


def test_separate_strata_have_maps_of_their_own(patients, tmp_path):
    # Six held-out cells of a patient say little of how far to go.
    whole = {"shrink": False}
    model = fit(patients, strata_key="patient", strata="separate", plan_kwargs=whole)
    for patient, expected in {"a": (3, 0, 0), "b": (0, 3, 0), "c": (3, 3, 0)}.items():
        np.testing.assert_allclose(mean_move(patients, patient), expected, atol=0.8)
    result = patients.uns["w1ot"]["strata"]
    assert result["names"].tolist() == ["a", "b", "c"]
    assert (result["mode"], result["n_combined"]) == ("separate", 0)
    table = model.diagnostics_table
    assert table[["stratum", "member"]].to_numpy().tolist() == [["a", 0], ["b", 0], ["c", 0]]
    order = {"poor": 0, "check": 1, "good": 2, "no effect": 3}
    worst = table["certificate"].map(order).min()
    assert order[model.diagnostics["certificate"]] == worst

    model.save(tmp_path / "model")
    again = W1OT.load(tmp_path / "model")
    found, expected = again.predict(patients), model.predict(patients)
    np.testing.assert_array_equal(found.X, expected.X)
    np.testing.assert_array_equal(
        found.to_df(layer="w1ot_sd").to_numpy(), expected.to_df(layer="w1ot_sd").to_numpy()
    )
    patients.write_h5ad(tmp_path / "cells.h5ad")
    assert ad.read_h5ad(tmp_path / "cells.h5ad").uns["w1ot"]["strata"]["mode"] == "separate"


def test_an_unseen_stratum_gets_the_combination_and_is_told_so(patients):
    known = patients[patients.obs["patient"] != "c"].copy()
    model = fit(known, strata_key="patient", strata="separate")
    new = patients[patients.obs["patient"] == "c"].copy()
    predicted = model.predict(new)
    summary = predicted.uns["w1ot"]["strata"]
    assert (summary["rule"], summary["n_combined"]) == ("mean", new.n_obs)
    bare = ad.AnnData(new.X, var=new.var)
    np.testing.assert_array_equal(model.predict(bare).to_df().to_numpy(), predicted.X)
    by_map = np.stack([_as_patient(model, new, patient).X for patient in ("a", "b")])
    np.testing.assert_allclose(predicted.X, by_map.mean(0), atol=1e-4)
    np.testing.assert_allclose(
        predicted.layers["w1ot_sd"], by_map.std(0, ddof=1), atol=1e-3, rtol=1e-3
    )


def _as_patient(model, cells, patient):
    cells = cells.copy()
    cells.obs["patient"] = patient
    return model.predict(cells, clip=False)


def test_balanced_strata_share_one_map(patients):
    model = fit(patients, strata_key="patient", n_seeds=1)
    assert len(model.diagnostics_table) == 1
    assert patients.uns["w1ot"]["strata"]["mode"] == "balanced"
    assert "w1ot_sd" not in patients.layers
    assert "w1ot_step_sd" not in patients.obs
    np.testing.assert_allclose(mean_move(patients, "a"), (3, 0, 0), atol=0.8)


def test_a_stratum_without_a_condition_is_named_and_left_out(patients, caplog):
    lacking = (patients.obs["patient"] == "c") & (patients.obs["perturbation"] == TARGET)
    few = patients[~lacking].copy()
    with caplog.at_level(logging.WARNING):
        model = fit(few, strata_key="patient", strata="separate", max_steps=5)
    assert "'c' (0 of 'perturbed'); they are left out of the fit" in caplog.text
    assert model.problems.strata == ("a", "b")
    # Its source cells are predicted all the same.
    assert few.uns["w1ot"]["strata"]["n_combined"] == 60
    with pytest.raises(ValueError, match=r"'c' \(0 of 'perturbed'\)"):
        fit(few, strata_key="patient", small_strata="raise", key_added="other")
    assert "other" not in few.uns


def test_an_ensemble_is_its_members(cells, quick, tmp_path):
    # Few steps: the last bits of a product depend on its shape, and training amplifies them.
    quick |= {"max_steps": 3, "plan_kwargs": {"shrink": False}, "use_rep": "X_pca"}
    single, several = cells.copy(), cells.copy()
    rt.tl.w1ot(single, SOURCE, TARGET, n_seeds=1, **quick)
    model = rt.tl.w1ot(several, SOURCE, TARGET, n_seeds=3, **quick)
    source = (cells.obs["perturbation"] == SOURCE).to_numpy()

    import torch

    start = torch.from_numpy(cells.obsm["X_pca"][source].astype(np.float32))
    with torch.no_grad():
        members = model.module(start[None].expand(3, -1, -1)).numpy()
    np.testing.assert_allclose(members[0], single.obsm["X_w1ot"][source], atol=1e-4)
    assert not np.allclose(members[0], members[1], atol=1e-2)
    np.testing.assert_allclose(several.obsm["X_w1ot"][source], members.mean(0), atol=1e-4)
    steps = np.linalg.norm(members - start.numpy(), axis=2)
    np.testing.assert_allclose(several.obs["w1ot_step_sd"][source], steps.std(0, ddof=1), atol=1e-4)
    spread = several.layers["w1ot_sd"]
    assert (spread[source] >= 0).all()
    assert spread[source].max() > 0
    assert np.isnan(spread[~source]).all()
    assert several.uns["w1ot"]["params"]["n_seeds"] == 3
    assert list(model.diagnostics_table["member"]) == [0, 1, 2]

    model.save(tmp_path / "model")
    found = W1OT.load(tmp_path / "model").predict(several[source])
    np.testing.assert_array_equal(found.to_df(layer="w1ot_sd").to_numpy(), spread[source])
    np.testing.assert_array_equal(found.to_df().to_numpy(), several.layers["w1ot"][source])


def test_an_ensemble_of_separate_strata(patients):
    model = fit(patients, strata_key="patient", strata="separate", n_seeds=2, max_steps=5)
    assert model.diagnostics_table["stratum"].tolist() == ["a", "b", "c"] * 2
    assert model.diagnostics_table["member"].tolist() == [0] * 3 + [1] * 3


@pytest.fixture
def dying():
    """Type A responds by (0, 2); type B, 40 % of the control cells, dies."""
    rng = np.random.default_rng(0)
    n, n_b = 500, 200
    cells = rng.normal(size=(2 * n, 3))
    cells[n - n_b : n, 0] += 10
    cells[n:, 1] += 2
    adata = ad.AnnData(cells.astype(np.float32))
    adata.obs["perturbation"] = [SOURCE] * n + [TARGET] * n
    adata.obs["cell_type"] = ["A"] * (n - n_b) + ["B"] * n_b + ["A"] * n
    return adata


def of_type(adata, cell_type):
    is_source = adata.obs["perturbation"] == SOURCE
    return (is_source & (adata.obs["cell_type"] == cell_type)).to_numpy()


def test_cells_that_die_go_unmatched(dying):
    fit(dying, max_steps=None, batch_size=None, plan_kwargs={"unmatched_source": 0.4})
    weights = dying.obs["w1ot_weight"]
    assert weights[of_type(dying, "B")].mean() < 0.1
    assert weights[of_type(dying, "A")].mean() == pytest.approx(1 / 0.6, abs=0.1)
    np.testing.assert_allclose(weights[dying.obs["perturbation"] == TARGET], 1.0)
    moves = dying.layers["w1ot"] - dying.X
    np.testing.assert_allclose(moves[of_type(dying, "A")].mean(0), (0, 2, 0), atol=0.3)


def test_without_it_they_are_mapped_to_those_that_live(dying):
    fit(dying, max_steps=None, batch_size=None)
    assert "w1ot_weight" not in dying.obs
    moved = dying.layers["w1ot"]
    assert moved[of_type(dying, "B"), 0].mean() < 3


def test_weights_stand_for_copies(patients):
    """Weight zero for patient b leaves the response of a."""
    pair = patients[patients.obs["patient"] != "c"].copy()
    pair.obs["weight"] = np.where(pair.obs["patient"] == "a", 2.0, 0.0)
    fit(pair, weights_key="weight")
    np.testing.assert_allclose(mean_move(pair, "a"), (3, 0, 0), atol=0.8)


def test_an_interrupted_second_fit_leaves_the_first(patients, monkeypatch):
    """No part of a model is of another fit than the rest."""
    data = W1OT.setup_anndata(patients, strata_key="patient")
    model = W1OT(patients, data, SOURCE, TARGET, preset="fast", strata="separate")
    quick = {"show_progress_bar": False, "batch_size": 32, "n_folds": 1, "leave_out_strata": False}
    model.train(max_steps=5, **quick)
    rule, expected = model.combination, model.predict(patients).to_df()

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("rayot.model.unseen.UnseenStrata.of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.train(max_steps=9, **quick)
    assert model.is_trained and model.combination is rule
    pd.testing.assert_frame_equal(model.predict(patients).to_df(), expected)
