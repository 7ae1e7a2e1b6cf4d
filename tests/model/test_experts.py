"""Experts that predict cells of strata which the fit has not seen."""

import anndata as ad
import hypothesis.strategies as st
import numpy as np
import pytest
import scanpy as sc
from anndata import AnnData
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from simulated_cells import of_patient, patients

import rayot as rt
from rayot.metrics import energy_distance
from rayot.model.experts import EXPERTS, Experts, shrunk_shift
from rayot.model.weighing import _best_weights, _Trial

# What a fit says of new strata is tested elsewhere.
pytestmark = pytest.mark.filterwarnings("ignore:The fit has not seen")

FINITE = st.floats(-50, 50, width=32)
FIT = {"preset": "fast", "show_progress_bar": False, "n_seeds": 1}


def held_out(shifts, **sizes):
    """Patients, of whom the last is for testing alone."""
    adata = patients(shifts, **sizes)
    rt.pp.split(adata, holdout={"patient": ["P4"]})
    return adata


def fitted(adata, verb="w1ot", **options):
    fit = FIT if verb == "w1ot" else {"show_progress_bar": False}
    return getattr(rt.tl, verb)(
        adata, "control", "drug", **{"strata_key": "patient", **fit, **options}
    )


@pytest.fixture(scope="module")
def cells():
    """Four patients who answer much alike, and P4 who answers half as strongly."""
    return held_out([1.6, 2.0, 1.4, 1.8, 0.9])


@pytest.fixture(scope="module")
def model(cells):
    return fitted(cells, max_steps=100)


def control(adata, patient="P4"):
    return adata[of_patient(adata, patient, "control")].copy()


def expression(adata):
    return adata.to_df().to_numpy()


def table(seed, shares=(1.0,)):
    """An experts' object of two genes and some strata, without distributions."""
    centres = np.random.default_rng(seed).normal(size=(4, 3)).astype(np.float32)
    return Experts(("a", "b", "c", "d"), centres, np.eye(len(EXPERTS))[0], {})


@given(st.integers(0, 100), st.integers(0, 3))
def test_near_strata_have_large_shares(seed, nearest):
    experts = table(seed)
    shares = experts.nearness(experts.centres[nearest])
    assert np.isclose(shares.sum(), 1)
    assert (shares >= 0).all()
    assert shares.argmax() == nearest
    point = np.random.default_rng([seed, 1]).normal(size=3)
    distance = np.linalg.norm(experts.centres - point, axis=1)
    assert (np.argsort(distance) == np.argsort(-experts.nearness(point))).all()
    # Neither where the origin is nor the unit matters.
    moved = Experts(experts.strata, 3 * experts.centres + 5, experts.weights, {})
    np.testing.assert_allclose(moved.nearness(3 * point + 5), experts.nearness(point), atol=1e-3)


@given(arrays(np.float64, (5, 3), elements=FINITE))
def test_a_shift_is_kept_as_far_as_strata_agree(shifts):
    found = shrunk_shift(shifts)
    mean = shifts.mean(0)
    assert (np.abs(found) <= np.abs(mean) + 1e-4).all()
    assert (found * mean >= -1e-6).all()
    np.testing.assert_allclose(shrunk_shift(np.repeat(shifts[:1], 5, 0)), shifts[0], rtol=1e-4)
    np.testing.assert_allclose(shrunk_shift(2 * shifts), 2 * found, rtol=1e-4, atol=1e-4)


def trials(n=3, seed=0):
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        own = rng.normal(size=(60, 4))
        predicted = [own + rng.normal(size=4) for _ in EXPERTS]
        found.append((own, predicted, rng.normal(1, 1, size=(50, 4))))
    return found


def test_what_is_left_is_the_energy_distance_over_that_of_untouched_cells():
    for own, predicted, truth in trials():
        trial = _Trial.of([own, *predicted], truth)
        for number, cells in enumerate(predicted):
            expected = energy_distance(cells, truth) / energy_distance(own, truth)
            assert trial.left(np.eye(len(EXPERTS))[number]) == pytest.approx(expected)


def test_what_a_mixture_leaves_is_that_of_cells_drawn_from_it():
    own, predicted, truth = trials(1)[0]
    trial, weights = _Trial.of([own, *predicted], truth), np.array([0.5, 0.2, 0.3, 0.0])
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(400):
        expert = rng.choice(len(EXPERTS), len(own), p=weights)
        mixed = np.stack(predicted)[expert, np.arange(len(own))]
        drawn.append(energy_distance(mixed, truth) / energy_distance(own, truth))
    error = np.std(drawn) / np.sqrt(len(drawn))
    assert abs(np.mean(drawn) - trial.left(weights)) < 4 * error


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_no_weights_are_better_than_those_found(seed):
    of = [_Trial.of([own, *predicted], truth) for own, predicted, truth in trials(3, seed)]

    def loss(weights):
        left = np.mean([trial.left(weights) for trial in of])
        return left + np.square(weights[:3] - 1 / 3).sum() / len(of)

    found = _best_weights(of)
    assert found.sum() == pytest.approx(1)
    assert found[-1] == 0
    rng = np.random.default_rng(seed)
    others = np.append(rng.dirichlet(np.ones(3), 200), np.zeros((200, 1)), axis=1)
    assert loss(found) <= min(map(loss, others)) + 1e-4


def test_experts_come_nearer_to_a_patient_who_answers_less(cells, model):
    truth = cells[of_patient(cells, "P4", "drug")].X.toarray()
    left = {
        unseen: energy_distance(expression(model.predict(control(cells), unseen=unseen)), truth)
        for unseen in ("stacked", "map")
    }
    assert left["stacked"] < 0.8 * left["map"]


def test_the_map_alone_predicts_what_it_was_fitted_on(cells, model):
    seen = control(cells, "P1")
    both = [model.predict(seen, unseen=unseen) for unseen in ("stacked", "map")]
    assert (both[0].X != both[1].X).nnz == 0
    assert "experts" not in both[0].uns.get("w1ot", {})
    new = model.predict(control(cells))
    alone = model.predict(control(cells), unseen="map")
    assert (new.X != alone.X).nnz > 0
    assert "experts" not in alone.uns["w1ot"]
    assert new.uns["w1ot"]["experts"]["names"].tolist() == list(EXPERTS)
    np.testing.assert_allclose(new.uns["w1ot"]["experts"]["weight"].sum(), 1)


def test_cells_are_predicted_by_one_expert_each_as_often_as_weighed(cells, model):
    new = control(cells)
    near = model._near_strata(new, np.arange(new.n_obs))
    chosen = model._chosen(new.obs["patient"].to_numpy(), new.obs_names.to_numpy(), near)
    found = np.bincount(chosen.expert, minlength=len(EXPERTS)) / new.n_obs
    np.testing.assert_allclose(found, model.experts.weights, atol=0.12)
    by_map = expression(model.predict(new, unseen="map"))
    of_map = chosen.expert == 0
    np.testing.assert_array_equal(expression(model.predict(new))[of_map], by_map[of_map])


def test_neither_blocks_nor_order_matter(cells, model, tmp_path, monkeypatch):
    new = control(cells)
    whole = model.predict(new)
    order = np.random.default_rng(0).permutation(new.n_obs)
    shuffled = model.predict(new[order, new.var_names[::-1]].copy())[new.obs_names, whole.var_names]
    np.testing.assert_allclose(expression(shuffled), expression(whole), atol=1e-5)
    monkeypatch.setattr("rayot.model.fitted_map.BLOCK_ROWS", 7)
    np.testing.assert_allclose(expression(model.predict(new)), expression(whole), atol=1e-5)
    written = model.predict(new, write=tmp_path / "cells.h5ad").to_memory()
    np.testing.assert_allclose(expression(written), expression(whole), atol=1e-5)
    assert written.uns["w1ot"]["experts"]["names"].tolist() == list(EXPERTS)


def test_what_is_saved_predicts_the_same(cells, model, tmp_path):
    model.save(tmp_path / "model")
    loaded = rt.model.W1OT.load(tmp_path / "model")
    np.testing.assert_array_equal(
        expression(loaded.predict(control(cells))), expression(model.predict(control(cells)))
    )
    assert loaded.unseen_strata.equals(model.unseen_strata)


@pytest.mark.parametrize("use_rep", [None, "X_pca"])
def test_the_space_of_the_map_follows(cells, use_rep):
    cells = cells.copy()
    if use_rep is not None:
        sc.pp.pca(cells, n_comps=5, mask_var=None)
    model = fitted(cells, "mean_shift", use_rep=use_rep)
    new = control(cells)
    found = model.predict(new)
    alone = model.predict(new, unseen="map")
    steps = found.obs["mean_shift_step"].to_numpy(), alone.obs["mean_shift_step"].to_numpy()
    assert steps[0].mean() < steps[1].mean()
    if use_rep is not None:
        start = new.obsm["X_pca"]
        expected = np.linalg.norm(found.obsm["X_mean_shift"] - start, axis=1)
        np.testing.assert_allclose(steps[0], expected, rtol=1e-4)


def test_what_each_leaves_is_told(model):
    table = model.unseen_strata
    columns = [f"left_{name}" for name in (*EXPERTS, "stacked")]
    assert np.isfinite(table[columns]).all(axis=None)
    assert (table["left_stacked"] < 1).all()


def test_strata_that_say_nothing_of_each_other_are_told():
    """Each patient answers in genes of their own, and the mean shift is shrunk away."""
    adata = held_out([0.0] * 5, n=150)
    of_drug = (adata.obs["perturbation"] == "drug").to_numpy()
    dense = adata.X.toarray()
    for number in range(5):
        own = (adata.obs["patient"] == f"P{number}").to_numpy() & of_drug
        dense[own, number] += 3
        dense[own, 5 + number] = np.maximum(dense[own, 5 + number] - 3, 0)
    adata.X = type(adata.X)(dense)
    model = fitted(adata, max_steps=100)
    with pytest.warns(UserWarning, match="No transfer expected: of 4 strata"):
        found = model.predict(control(adata))
    assert model.experts.weights.tolist() == [0, 0, 0, 1]
    assert "No transfer expected" in found.uns["w1ot"]["unseen_strata"]["reason"][0]
    truth = adata[of_patient(adata, "P4", "drug")].X.toarray()
    alone = model.predict(control(adata), unseen="map")
    # Of what the map predicts, experts say nothing.
    assert "mean shift" not in alone.uns["w1ot"]["unseen_strata"]["reason"][0]
    assert energy_distance(expression(found), truth) < energy_distance(expression(alone), truth)


def test_the_verb_and_the_scores_take_them(cells, model):
    scored = cells.copy()
    rt.tl.w1ot(scored, "control", "drug", strata_key="patient", max_steps=100, **FIT)
    of = of_patient(scored, "P4", "control")
    assert scored.uns["w1ot"]["experts"]["names"].tolist() == list(EXPERTS)
    np.testing.assert_allclose(
        scored.layers["w1ot"][of], expression(model.predict(control(cells))), atol=1e-4
    )


def test_adapting_starts_from_them(cells, model):
    rows = [of_patient(cells, "P4", "control"), of_patient(cells, "P4", "drug")[:1]]
    adapted = model.adapt(cells[np.concatenate(rows)].copy(), "P4")
    truth = cells[of_patient(cells, "P4", "drug")].X.toarray()
    assert energy_distance(expression(adapted.predict(control(cells))), truth) < energy_distance(
        expression(model.predict(control(cells), unseen="map")), truth
    )


@pytest.mark.parametrize(
    "options", [{"strata": "separate"}, {"leave_out_strata": False}], ids=["separate", "none"]
)
def test_without_strata_left_out_the_map_predicts(cells, options):
    model = fitted(cells.copy(), max_steps=10, **options)
    assert model.experts is None
    stacked, alone = (model.predict(control(cells), unseen=way) for way in ("stacked", "map"))
    assert (stacked.X != alone.X).nnz == 0


def test_two_strata_weigh_nothing(cells):
    two = cells[cells.obs["patient"].isin(["P0", "P1", "P4"])].copy()
    assert fitted(two, max_steps=10).experts is None


def test_other_words_are_refused(cells, model):
    for predict in (
        lambda: model.predict(control(cells), unseen="staked"),
        lambda: model.transport(cells, np.arange(3), unseen="staked"),
    ):
        with pytest.raises(ValueError, match=r"unseen must be one of .*'stacked'.*found 'staked'"):
            predict()


def test_damaged_weights_are_refused(model, cells):
    saved = model.experts.arrays()
    sizes = cells.n_vars, {"genes": cells.n_vars}
    strata = model.experts.strata
    assert Experts.from_arrays(saved, strata, *sizes).strata == strata
    for name, value, message in (
        ("weights.", np.array([0.5, 0.6, 0.0, 0.0]), "no shares of a whole"),
        ("centres.", saved["centres."][:2], "experts.centres"),
        ("genes.features", saved["genes.features"][::-1].copy(), "must ascend"),
        ("genes.shifts", np.zeros(2, np.float32), "genes.shifts"),
    ):
        with pytest.raises(ValueError, match=message):
            Experts.from_arrays({**saved, name: value}, strata, *sizes)
    with pytest.raises(ValueError, match="lack"):
        Experts.from_arrays({k: v for k, v in saved.items() if k != "weights."}, strata, *sizes)


def test_cells_without_the_column_are_predicted_by_the_map(cells, model):
    new = control(cells)
    bare = AnnData(new.X, obs=new.obs.drop(columns="patient"), var=new.var)
    stacked, alone = (model.predict(bare, unseen=way) for way in ("stacked", "map"))
    assert (stacked.X != alone.X).nnz == 0


def test_cells_of_weight_zero_say_nothing(cells):
    """Cells that are far from all others, in training but without weight."""
    kept = cells.copy()
    kept.obs["weight"] = 1.0
    wrong = kept[(kept.obs["split"] == "train").to_numpy()].copy()
    wrong.obs_names = [f"{name}, wrong" for name in wrong.obs_names]
    wrong.X = wrong.X * 20
    wrong.obs["weight"] = 0.0
    both = ad.concat([kept, wrong], uns_merge="first")
    found = fitted(both, "mean_shift", weights_key="weight").experts
    assert np.abs(found.centres).max() < 3
    assert np.abs(found.spaces["genes"].shifts).max() < 4


def test_a_stratum_that_is_left_out_says_nothing_of_the_mean_shift(model):
    experts = model.experts
    of_genes, others = experts.spaces["genes"], experts.only([0, 1, 3])
    np.testing.assert_array_equal(others.spaces["genes"].shifts, of_genes.shifts[[0, 1, 3]])
    assert len(others.spaces["genes"].source) == len(others.centres) == 3
    some = of_genes.take(np.array([0, 2, 5]))
    np.testing.assert_array_equal(some.shifts, of_genes.shifts[:, [0, 2, 5]])
    kept = np.isin([0, 2, 5], of_genes.features)
    np.testing.assert_array_equal(some.features, np.flatnonzero(kept))


def test_what_is_adapted_starts_from_experts_whatever_is_asked_of_others(cells, model):
    rows = [of_patient(cells, "P4", "control"), of_patient(cells, "P4", "drug")[:20]]
    adapted = model.adapt(cells[np.concatenate(rows)].copy(), "P4")
    both = [adapted.predict(control(cells), unseen=way) for way in ("stacked", "map")]
    assert (both[0].X != both[1].X).nnz == 0


def test_cells_that_the_map_does_not_predict_are_not_certain(cells):
    ensemble = fitted(cells.copy(), max_steps=20, n_seeds=2)
    spread = ensemble.predict(control(cells)).layers["w1ot_sd"].toarray()
    assert (spread > 0).any(axis=1).all()


def test_cells_without_a_stratum_are_no_new_stratum(cells, model):
    new = control(cells)
    new.obs["patient"] = new.obs["patient"].astype(object)
    new.obs.iloc[:5, new.obs.columns.get_loc("patient")] = np.nan
    assert model.predict(new).uns["w1ot"]["unseen_strata"]["names"].tolist() == ["P4"]


def test_a_time_between_is_not_adapted(cells, model):
    between = model.at(time=0.5)
    assert "unseen_strata" not in between.predict(control(cells)).uns["w1ot"]
    with pytest.raises(ValueError, match="between source and target, and is not adapted"):
        between.adapt(cells, "P4")
