"""One model of many conditions: what it reads, predicts, refuses, saves and writes."""

import numpy as np
import pandas as pd
import pytest

import rayot as rt
from rayot.model import ConditionalW1OT

QUICK = {"max_steps": 20, "batch_size": 64, "show_progress_bar": False}


@pytest.fixture
def screen():
    """Two drugs at three doses, in two cell types; the effect of the second is detectable."""
    data = rt.datasets.simulated_screen(
        2, n_cells=60, n_genes=20, n_cell_types=2, doses=[1, 10, 100], inactive=0
    )
    data.uns["fingerprints"] = {
        "drug_000": [1.0, 0, 0],
        "drug_001": [0, 1.0, 0],
        "drug_new": [0, 0, 1.0],
    }
    return data


def fit(screen, **options):
    given = {"dose_key": "dose", "covariate_keys": ["cell_type"], **QUICK, **options}
    return rt.tl.conditional_w1ot(screen, "control", **given)


def test_one_row_a_condition_and_no_cells_are_written(screen):
    before = sorted(screen.obs), sorted(screen.obsm), set(screen.layers)
    fit(screen)
    assert before == (sorted(screen.obs), sorted(screen.obsm), set(screen.layers))
    table = screen.uns["conditional_w1ot"]["table"]
    assert len(table) == 2 * 3 * 2
    treated = screen.obs[screen.obs["perturbation"] != "control"]
    counts = treated.groupby(["perturbation", "cell_type", "dose"], observed=True).size()
    found = table.set_index(["perturbation", "cell_type", "dose"])["n_cells"]
    assert found.sort_index().tolist() == counts.sort_index().tolist()


def test_what_is_written_goes_through_a_file(screen, tmp_path):
    import anndata as ad

    fit(screen, target_key="drug_000", target_dose=10)
    screen.write_h5ad(tmp_path / "screen.h5ad")
    again = ad.read_h5ad(tmp_path / "screen.h5ad")
    pd.testing.assert_frame_equal(
        again.uns["conditional_w1ot"]["table"],
        screen.uns["conditional_w1ot"]["table"],
        check_dtype=False,
        check_names=False,
    )


def test_a_target_is_written_as_its_prediction(screen):
    model = rt.tl.conditional_w1ot(
        screen,
        "control",
        "drug_000",
        target_dose=10,
        dose_key="dose",
        covariate_keys=["cell_type"],
        **QUICK,
    )
    source = screen[screen.obs["perturbation"] == "control"]
    expected = model.predict(source, "drug_000", dose=10)
    found = rt.get.predicted(screen, "conditional_w1ot")
    np.testing.assert_array_equal(found.to_df(), expected.to_df())
    fit(screen)
    assert "conditional_w1ot" not in screen.layers
    assert "conditional_w1ot_step" not in screen.obs


def test_predictions_depend_on_dose_and_cell_type(screen):
    model = fit(screen, max_steps=60)
    cells = screen[:40].copy()
    low, high = (
        model.predict(cells, "drug_001", dose=dose).to_df().to_numpy() for dose in (3, 300)
    )
    assert not np.allclose(low, high)
    other = cells.copy()
    names = {"type_0": "type_1", "type_1": "type_0"}
    other.obs["cell_type"] = other.obs["cell_type"].astype(str).map(names)
    assert not np.allclose(model.predict(other, "drug_001", dose=3).to_df().to_numpy(), low)
    order = np.random.default_rng(0).permutation(40)
    shuffled = model.predict(cells[order].copy(), "drug_001", dose=3).to_df().to_numpy()
    np.testing.assert_allclose(shuffled, low[order], atol=1e-5)


def test_save_and_load(screen, tmp_path):
    model = fit(screen, n_seeds=2, embedding_key="fingerprints")
    model.save(tmp_path / "model")
    again = ConditionalW1OT.load(tmp_path / "model")
    for name in ("drug_000", "drug_new", "drug_000+drug_new"):
        found = again.predict(screen[:30], name, dose=3)
        expected = model.predict(screen[:30], name, dose=3)
        np.testing.assert_array_equal(found.to_df(), expected.to_df())
        assert "conditional_w1ot_sd" in found.layers
    pd.testing.assert_frame_equal(again.table, model.table)


def test_one_condition_is_a_model_like_any_other(screen, tmp_path):
    model = fit(screen, covariate_keys=[])
    one = model.at("drug_001", dose=5)
    np.testing.assert_array_equal(
        one.predict(screen[:30]).to_df().to_numpy(),
        model.predict(screen[:30], "drug_001", dose=5).to_df().to_numpy(),
    )
    one.save(tmp_path / "one")
    again = rt.model.W1OT.load(tmp_path / "one")
    np.testing.assert_array_equal(
        again.predict(screen[:30]).to_df().to_numpy(), one.predict(screen[:30]).to_df().to_numpy()
    )
    assert one.diagnostics["certificate"] == "check"
    assert "Try some of its own: rayot.tl.evaluate" in one.diagnostics["reason"]
    seen = model.at("drug_001", dose=10)
    assert seen.diagnostics["n_cells"] == model.table["n_held_out"].iloc[-2]


def test_unseen_combinations_add_moves_or_vectors(screen):
    cells = screen[:20].copy()
    start = cells.X.toarray()
    for options in ({}, {"covariate_keys": []}):
        model = fit(screen, plan_kwargs={"decode": "delta"}, **options)
        predict = lambda name, model=model: model.predict(cells, name, dose=5, clip=False)  # noqa: E731
        moves = sum(predict(name).X - start for name in ("drug_000", "drug_001"))
        both = predict("drug_000+drug_001")
        np.testing.assert_allclose(both.X - start, moves, atol=1e-4)
        assert "conditional_w1ot_potential" not in both.obs
        vectors = {"combination": "vectors", "decode": "delta"}
        other = fit(screen, plan_kwargs=vectors, **options)
        found = (
            other.predict(cells, "drug_000+drug_001", dose=5, clip=False).to_df().to_numpy() - start
        )
        assert not np.allclose(found, moves, atol=1e-2)


def test_a_map_that_reads_covariates_is_not_saved_alone(screen, tmp_path):
    with pytest.raises(ValueError, match="save the conditional model"):
        fit(screen).at("drug_001", dose=5).save(tmp_path / "one")


def test_equal_seeds_repeat_a_fit_and_checkpoints_continue_it(screen, tmp_path):
    first = fit(screen).predict(screen[:30], "drug_001", dose=3).to_df().to_numpy()
    again = (
        fit(screen, checkpoint_dir=tmp_path)
        .predict(screen[:30], "drug_001", dose=3)
        .to_df()
        .to_numpy()
    )
    np.testing.assert_array_equal(first, again)
    resumed = (
        fit(screen, checkpoint_dir=tmp_path)
        .predict(screen[:30], "drug_001", dose=3)
        .to_df()
        .to_numpy()
    )
    np.testing.assert_array_equal(first, resumed)
    with pytest.raises(ValueError, match="conditions"):
        fit(screen, checkpoint_dir=tmp_path, embedding_key="fingerprints")


def test_the_components_are_those_of_cells_held_whole(screen, monkeypatch):
    options = {"plan_kwargs": {"n_components": 5}}
    whole = fit(screen, **options)
    monkeypatch.setattr("rayot.model.components.DENSE_ELEMENTS", 100)
    coordinates = fit(screen, **options)
    assert coordinates._components is not None and whole._components is None
    assert coordinates.module.basis.shape == whole.module.basis.shape
    found = coordinates.predict(screen[:30], "drug_000", dose=3)
    assert np.isfinite(found.to_df()).all(axis=None)


@pytest.mark.parametrize(
    ("change", "options", "error", "message"),
    [
        ({"dose": 0.0}, {}, ValueError, r"dose in .*'dose'.* is '0.0'"),
        ({"dose": -2.0}, {}, ValueError, r"is '-2.0'"),
        ({}, {"dose_key": "amount"}, KeyError, "no column 'amount'"),
        ({}, {"covariate_keys": ["patient"]}, KeyError, "no column 'patient'"),
        ({}, {"covariate_keys": ["perturbation"]}, ValueError, "must be different"),
        ({}, {"embedding_key": "none"}, KeyError, "no 'none'"),
        ({}, {"embedding_key": {"type": "fingerprints"}}, ValueError, r"names \['type'\]"),
        (
            {},
            {"embedding_key": {"cell_type": "fingerprints"}},
            ValueError,
            "2 of the 2 categories .* no vector: 'type_0', 'type_1'",
        ),
        ({}, {"min_cells": 1000}, ValueError, "no condition is left"),
        ({}, {"target_key": "drug_9", "target_dose": 1}, ValueError, "no category 'drug_9'"),
        ({}, {"target_key": "drug_000"}, ValueError, "target_dose is None"),
        ({}, {"target_dose": 1.0}, ValueError, "without a target_key"),
        (
            {},
            {"target_key": "drug_000", "target_dose": 0},
            ValueError,
            "target_dose must be greater than 0, found 0",
        ),
        ({}, {"target_key": "control", "target_dose": 1}, ValueError, "are both 'control'"),
        ({}, {"plan_kwargs": {"colour": 1}}, ValueError, r"unknown settings \['colour'\]"),
        ({}, {"key_added": "fingerprints"}, ValueError, "would overwrite"),
    ],
)
def test_bad_input_is_one_sentence_and_changes_nothing(screen, change, options, error, message):
    for column, value in change.items():
        treated = np.flatnonzero(screen.obs["perturbation"] == "drug_001")
        screen.obs.loc[screen.obs_names[treated[0]], column] = value
    before = screen.copy()
    with pytest.raises(error, match=message):
        fit(screen, **options)
    pd.testing.assert_frame_equal(screen.obs, before.obs)
    assert sorted(screen.uns) == sorted(before.uns)


def test_what_cannot_be_predicted_is_said(screen):
    model = fit(screen)
    for arguments, message in (
        ({"perturbation": "drug_002", "dose": 1}, "'drug_002' of 'perturbation' was not in"),
        ({"perturbation": "drug_000"}, "needs a dose"),
        ({"perturbation": "drug_000", "dose": 0}, "dose must be greater than 0, found 0"),
        ({"perturbation": "control", "dose": 1}, "was not in training"),
    ):
        with pytest.raises(ValueError, match=message):
            model.predict(screen[:5], **arguments)
    foreign = screen[:5].copy()
    foreign.obs["cell_type"] = "type_7"
    with pytest.raises(ValueError, match="'type_7' of 'cell_type' was not in training"):
        model.predict(foreign, "drug_000", dose=1)
    foreign.obs["cell_type"] = None
    with pytest.raises(ValueError, match="5 cells have no value"):
        model.predict(foreign, "drug_000", dose=1)
    with pytest.raises(ValueError, match="has no doses"):
        fit(screen, dose_key=None).predict(screen[:5], "drug_000", dose=1)


def test_a_dose_between_doses_without_an_effect_has_none(screen):
    model = fit(screen, covariate_keys=[])
    cells = screen[screen.obs["perturbation"] == "control"]
    steps = {}
    for last in (0.0, 1.0):
        model.module.strengths[:] = 1.0
        for number, each in enumerate(model.training_conditions):
            if each.perturbation == "drug_000":
                model.module.strengths[:, number] = last if each.dose == 100 else 0.0
        for dose in (1, 3, 10, 31.6227766, 99.99, 100, 1000):
            moved = model.predict(cells, "drug_000", dose=dose)
            steps[last, dose] = float(moved.obs["conditional_w1ot_step"].mean())
    assert max(steps[0.0, dose] for dose in (1, 3, 10, 99.99, 100, 1000)) == 0
    assert steps[1.0, 3] == steps[1.0, 10] == 0
    assert steps[1.0, 99.99] == pytest.approx(steps[1.0, 100], rel=0.01)
    assert 0 < steps[1.0, 31.6227766] < steps[1.0, 99.99]


def test_former_words_work_and_say_the_present_ones(screen):
    model = fit(screen, covariate_keys=[])
    with pytest.warns(FutureWarning, match=r"model.at\(x\) says the same"):
        former = model.given("drug_000", dose=10)
    cells = screen[:9]
    expected = model.at("drug_000", dose=10).predict(cells).to_df()
    assert former.predict(cells).to_df().equals(expected)
    with pytest.warns(FutureWarning, match="perturbation= is target= now"):
        found = model.predict(cells, perturbation="drug_000", dose=10)
    assert found.to_df().equals(expected)
    with pytest.raises(TypeError, match=r"found both, pass target= alone"):
        model.predict(cells, perturbation="drug_000", target="drug_001", dose=10)
    first, words, following = repr(model).splitlines()
    assert first.startswith("ConditionalW1OT from 'control' to ")
    assert sum(int(each.split()[0]) for each in words.split(", ")) == len(model.table)
    assert "at(target)" in following


def test_the_map_of_a_dose_is_saved_with_its_dose(screen, tmp_path):
    given = fit(screen, covariate_keys=[]).at("drug_001", dose=10)
    given.save(tmp_path / "map")
    loaded = rt.model.W1OT.load(tmp_path / "map")
    assert (loaded.dose, loaded.data.dose_key) == (10, "dose")
    rt.pp.split(screen)
    scores = [rt.tl.evaluate(screen, each, metrics=("mmd",)) for each in (given, loaded)]
    assert scores[0].equals(scores[1])


def test_one_dose_is_scored_and_not_the_model_of_all(screen):
    model = fit(screen, covariate_keys=[], target_key="drug_000", target_dose=10)
    rt.pp.split(screen)
    at_dose = screen.obs["dose"].astype(float) == 10
    alone = screen[at_dose | (screen.obs["perturbation"] == "control")].copy()
    given = model.at("drug_000", dose=10)
    found = rt.tl.evaluate(screen, given, metrics=("mmd",))
    assert found.equals(rt.tl.evaluate(alone, given, metrics=("mmd",)))
    with pytest.raises(TypeError, match=r"model.at\(perturbation\)"):
        rt.tl.evaluate(screen, model)
    with pytest.raises(TypeError, match="scored by their names"):
        rt.tl.evaluate(screen, [given])


def test_a_dose_that_training_never_saw_is_scored(screen):
    screen.obs["condition"] = (
        screen.obs["perturbation"].astype(str) + "_" + screen.obs["dose"].astype(str)
    )
    rt.pp.split(screen, groupby="condition")
    is_drug = screen.obs["perturbation"] == "drug_001"
    left_out = is_drug & (screen.obs["dose"].astype(float) == 10)
    screen.obs.loc[left_out, "split"] = "test"
    model = fit(screen, covariate_keys=[])
    assert len(model.training_conditions) == 5
    table = rt.tl.evaluate(screen, model.at("drug_001", dose=10), metrics=("l2", "mmd"))
    assert table.notna().all(axis=None)
    # Half of the dose is the truth, and the other half stands for other observed cells.
    assert (table["n_cells"] <= left_out.sum() // 2).all()
    # The shift is that of the doses of training, without which there is none.
    assert table.loc["mean shift", "l2"] != table.loc["identity", "l2"]
    without = screen[(screen.obs["perturbation"] == "control") | left_out].copy()
    with pytest.raises(ValueError, match="0 training cells of 'drug_001'"):
        rt.tl.evaluate(without, model.at("drug_001", dose=10))
