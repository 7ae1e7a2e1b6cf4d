"""Perturbations that only a vector describes: weighted moves of those of training."""

import copy
import json

import numpy as np
import pytest
from simulated_cells import act_by

import rayot as rt
from rayot.model import ConditionalW1OT
from rayot.model import responses as module

QUICK = {"max_steps": 20, "batch_size": 64, "show_progress_bar": False}
NEW = "drug_013"


@pytest.fixture(scope="module")
def cells():
    """Drugs that act by two activities, which vectors tell or do not; one is held out."""
    data = rt.datasets.simulated_screen(14, n_cells=40, n_controls=120, n_genes=15, inactive=0)
    rng = np.random.default_rng(0)
    activities, effects = rng.normal(size=(14, 2)), rng.normal(size=(2, 15))
    names = act_by(data, activities, effects, rng)
    data.uns["informative"] = dict(zip(names, activities, strict=True))
    data.uns["random"] = dict(
        zip(names, np.random.default_rng(1).normal(size=(14, 2)), strict=True)
    )
    data.obs["split"] = np.where(data.obs["perturbation"] == NEW, "test", "train")
    return data


def fit(cells, vectors="informative", **options):
    given = {"embedding_key": vectors, **QUICK, **options}
    return rt.tl.conditional_w1ot(cells.copy(), "control", **given)


@pytest.fixture(scope="module")
def model(cells):
    return fit(cells)


def control_of(cells):
    return cells[(cells.obs["perturbation"] == "control").to_numpy()].copy()


def mean_of(cells, name):
    return cells.X[(cells.obs["perturbation"] == name).to_numpy()].mean(0)


def shift(model, cells, name):
    """Mean predicted change of control cells."""
    start = control_of(cells)
    return (model.predict(start, name, clip=False).X - start.X).mean(0)


def test_the_mean_is_that_of_the_gaussian_process(model, cells):
    """However little the network has learned in 20 steps."""
    known = [each.perturbation for each in model.training_conditions]
    responses = np.stack([mean_of(cells, name) - mean_of(cells, "control") for name in known])
    weights = model.responses.weights(model.conditions, NEW)
    assert model.responses.choice.process.covariance != "none"
    assert sum(weights.values()) == pytest.approx(1)
    expected = np.array([weights[name] for name in known]) @ responses
    np.testing.assert_allclose(shift(model, cells, NEW), expected, atol=1e-3)
    truth = mean_of(cells, NEW) - mean_of(cells, "control")
    assert np.linalg.norm(expected - truth) < 0.5 * np.linalg.norm(truth - responses.mean(0))


def test_vectors_that_say_nothing_give_the_mean_of_all(cells):
    model = fit(cells, "random")
    assert model.responses.choice.process.covariance == "none"
    assert "not predict it better" in repr(model) and "mean response of 13" in repr(model)
    names = [each.perturbation for each in model.training_conditions]
    expected = np.mean([mean_of(cells, name) for name in names], axis=0) - mean_of(cells, "control")
    np.testing.assert_allclose(shift(model, cells, NEW), expected, atol=1e-3)


def test_what_was_in_training_is_as_by_the_network(cells, model):
    other = fit(cells, plan_kwargs={"unseen": "network"})
    assert other.responses is None and "new perturbation" not in repr(other)
    start = control_of(cells)
    for name in ("drug_000", "drug_000+drug_001"):
        found, expected = (each.predict(start, name).to_df() for each in (model, other))
        assert found.equals(expected)
    assert not model.predict(start, NEW).to_df().equals(other.predict(start, NEW).to_df())
    without = copy.copy(model)
    without.responses = None
    assert without.predict(start, NEW).to_df().equals(other.predict(start, NEW).to_df())


def test_combinations_add_what_is_known_and_what_is_new(model, cells):
    parts = shift(model, cells, NEW)
    found = shift(model, cells, f"drug_000+{NEW}")
    own = mean_of(cells, "drug_000") - mean_of(cells, "control")
    np.testing.assert_allclose(found, parts + own, atol=1e-3)


def test_a_name_with_the_control_is_the_drug_alone(model, cells):
    named = cells.copy()
    column = named.obs["perturbation"].astype(str)
    named.obs["perturbation"] = column.replace("drug_000", "drug_000+control").astype("category")
    found = fit(named)
    assert next(iter(found.responses.singles)) == "drug_000"
    np.testing.assert_allclose(shift(found, named, NEW), shift(model, cells, NEW), atol=1e-3)
    assert found.at("drug_000+control").stands_on is None


def test_terms_with_little_weight_count_by_their_means(model, cells, monkeypatch):
    expected = shift(model, cells, NEW)
    monkeypatch.setattr(module, "MOST_TERMS", 3)
    assert len(model.at(NEW).terms) == 3
    np.testing.assert_allclose(shift(model, cells, NEW), expected, atol=1e-3)


def test_covariates_have_responses_of_their_own(cells):
    model = fit(cells, covariate_keys="cell_type")
    start = control_of(cells)
    whole = model.predict(start, NEW, clip=False).X
    for name in start.obs["cell_type"].unique():
        own = np.flatnonzero(start.obs["cell_type"] == name)
        alone = model.predict(start[own].copy(), NEW, clip=False).X
        np.testing.assert_allclose(alone, whole[own], atol=1e-5)


def test_doses_are_those_of_the_drugs_that_it_is_made_of(cells):
    data = cells.copy()
    treated = (data.obs["perturbation"] != "control").to_numpy()
    dose = np.where(np.arange(data.n_obs) % 2, 1.0, 10.0)
    low = treated & (dose == 1)
    start = mean_of(data, "control")
    data.X[low] = start + 0.2 * (data.X[low] - start)
    data.obs["dose"] = np.where(treated, dose, 0.0)
    model = fit(data, dose_key="dose", min_cells=5)
    weights = model.responses.weights(model.conditions, NEW)
    for each in (1.0, 10.0):
        at = data[~treated | (dose == each)]
        expected = sum(
            weight * (mean_of(at, name) - mean_of(at, "control"))
            for name, weight in weights.items()
        )
        moved = model.predict(control_of(data), NEW, dose=each, clip=False).X
        found = (moved - control_of(data).X).mean(0)
        np.testing.assert_allclose(found, expected, atol=1e-3)
    between = model.predict(control_of(data), NEW, dose=3.0)
    assert np.isfinite(between.X).all()
    known = model.at("drug_000", dose=3.0)
    assert type(known) is rt.model.W1OT


def test_save_and_load(model, cells, tmp_path):
    model.save(tmp_path / "model")
    again = ConditionalW1OT.load(tmp_path / "model")
    assert repr(again) == repr(model)
    start = control_of(cells)
    for name in (NEW, f"drug_000+{NEW}"):
        assert again.predict(start, name).to_df().equals(model.predict(start, name).to_df())
    network = fit(cells, plan_kwargs={"unseen": "network"})
    network.save(tmp_path / "network")
    assert ConditionalW1OT.load(tmp_path / "network").responses is None


def test_files_from_before_are_predicted_by_the_network(cells, tmp_path):
    from rayot.model import files

    network = fit(cells, plan_kwargs={"unseen": "network"})
    network.save(tmp_path / "model")
    values, arrays = files.read(tmp_path / "model", "ConditionalW1OT")
    del values["settings"]["responses"], values["settings"]["settings"]["unseen"]
    files.write(tmp_path / "old", {"model": "ConditionalW1OT", **values}, arrays, False)
    again = ConditionalW1OT.load(tmp_path / "old")
    start = control_of(cells)
    assert again.predict(start, NEW).to_df().equals(network.predict(start, NEW).to_df())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise": -1.0}, "must be above 0"),
        ({"covariance": "cosine"}, "must be one of"),
        ({"errors": {}}, "no error of"),
    ],
)
def test_responses_that_do_not_fit_are_refused(model, tmp_path, change, message):
    from rayot.model import files

    model.save(tmp_path / "model")
    values, arrays = files.read(tmp_path / "model", "ConditionalW1OT")
    values["settings"]["responses"].update(change)
    files.write(tmp_path / "other", {"model": "ConditionalW1OT", **values}, arrays, False)
    with pytest.raises(ValueError, match=message):
        ConditionalW1OT.load(tmp_path / "other")


def test_uns_says_how_responses_are_predicted(cells, tmp_path):
    found = cells.copy()
    rt.tl.conditional_w1ot(found, "control", embedding_key="informative", **QUICK)
    errors = found.uns["conditional_w1ot"]["left_out_errors"]
    assert errors["none"] == 1 and min(errors.values()) < 0.5
    assert json.dumps(errors)
    found.write_h5ad(tmp_path / "cells.h5ad")


def test_a_new_perturbation_is_written_and_scored(cells):
    found = cells.copy()
    model = rt.tl.conditional_w1ot(found, "control", NEW, embedding_key="informative", **QUICK)
    written = rt.get.predicted(found, "conditional_w1ot")
    np.testing.assert_allclose(written.X, model.predict(control_of(found), NEW).X, atol=1e-5)
    scores = rt.tl.evaluate(found, model.at(NEW), metrics=["l2"])["l2"]
    assert scores.iloc[0] < scores["mean shift"] and scores.iloc[0] < scores["identity"]


@pytest.mark.parametrize("is_whole", [True, False], ids=["whole", "in components"])
def test_members_and_components_keep_the_mean(cells, monkeypatch, is_whole):
    if not is_whole:
        monkeypatch.setattr("rayot.model.components.DENSE_ELEMENTS", 100)
    found = fit(cells, n_seeds=2, plan_kwargs={"n_components": 12})
    assert (found._components is None) == is_whole
    names = [each.perturbation for each in found.training_conditions]
    responses = np.stack([mean_of(cells, name) - mean_of(cells, "control") for name in names])
    weights = found.responses.weights(found.conditions, NEW)
    expected = np.array([weights[name] for name in names]) @ responses
    # Twelve of fifteen components have nearly all of it.
    error = np.linalg.norm(shift(found, cells, NEW) - expected) / np.linalg.norm(expected)
    assert error < (1e-3 if is_whole else 0.2)
    assert "conditional_w1ot_sd" in found.predict(control_of(cells), NEW).layers
