"""Strata that a fit has not seen: what it says of them, and how far their cells are."""

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import torch

import rayot as rt
from rayot.model.training_distance import TrainingDistance
from rayot.solvers import Population, W1Map, W1Settings, generator
from rayot.train import TrainingOptions, train_transport

MODES = ("balanced", "separate")


def groups(shifts, n=120, seed=0, spread=1.0):
    """Control and treated cells of one group for each shift, (2,) each, apart from each other."""
    rng = np.random.default_rng(seed)
    cells, obs = [], []
    for number, shift in enumerate(shifts):
        centre = spread * np.array([np.cos(number), np.sin(number)])
        for condition, move in (("control", (0.0, 0.0)), ("perturbed", shift)):
            cells.append(rng.normal(size=(n, 2)) + centre + np.asarray(move))
            obs.append(pd.DataFrame({"perturbation": [condition] * n, "group": f"g{number}"}))
    obs = pd.concat(obs, ignore_index=True)
    obs.index = [f"cell{number}" for number in range(len(obs))]
    return ad.AnnData(np.concatenate(cells).astype(np.float32), obs=obs)


def fitted(adata, strata, **options):
    options = {"max_steps": 150, "show_progress_bar": False, "preset": "fast", **options}
    return rt.tl.w1ot(adata, "control", "perturbed", strata_key="group", strata=strata, **options)


@pytest.fixture(scope="module", params=MODES)
def alike(request):
    """A model of five groups that answer alike."""
    return fitted(groups([(4.0, 0.0)] * 5), request.param)


@pytest.fixture(scope="module", params=MODES)
def unlike(request):
    """A model of four groups of which the last one goes the other way."""
    shifts = [(4.0, 0.0), (4.0, 0.0), (4.0, 0.0), (-4.0, 0.0)]
    return fitted(groups(shifts, spread=12.0), request.param)


def test_groups_that_answer_alike_are_predicted_unseen(alike):
    found = alike.diagnostics
    assert found["unseen_certificate"] == "good"
    assert found["unseen_share_left"] < 0.1
    assert found["n_strata_left_out"] == 5
    table = alike.unseen_strata
    assert table.index.tolist() == [f"g{number}" for number in range(5)]
    assert np.isclose(
        found["unseen_share_left"],
        table["residual_energy_distance"].mean() / table["initial_energy_distance"].mean(),
    )
    assert "'g" in found["unseen_reason"] and "Try" not in found["unseen_reason"]


def test_a_group_that_answers_otherwise_is_named(unlike):
    # Its own cells are mapped well: only a fit without them shows what others do not know.
    assert unlike.diagnostics["share_left"] < 0.1
    assert unlike.unseen_strata["share_left"].idxmax() == "g3"
    assert unlike.unseen_strata.loc["g3", "share_left"] > 1
    assert unlike.diagnostics["unseen_certificate"] == "poor"
    reason = unlike.diagnostics["unseen_reason"]
    assert "'g3'" in reason and "Try more strata" in reason


def test_one_poor_group_among_good_ones_is_not_good():
    strata = {name: {"certificate": "good", "share_left": 0.01} for name in "abc"}
    strata["c"] = {"certificate": "poor", "share_left": 0.9}
    figures = {"certificate": "good", "reason": "4% of it is left."}
    word, reason = rt.model.unseen._word(figures, strata)
    assert word == "check" and "90% of 'c'" in reason and reason.endswith("a few treated cells.")


@pytest.mark.parametrize("strata", MODES)
def test_the_map_is_the_same_whether_strata_are_left_out_or_not(strata):
    adata = groups([(4.0, 0.0)] * 3)
    one, other = (
        fitted(adata, strata, max_steps=20, leave_out_strata=each) for each in (True, False)
    )
    for name, values in one.module.state_dict().items():
        assert torch.equal(values, other.module.state_dict()[name])
    assert other.unseen_strata.empty
    assert "unseen_certificate" not in other.diagnostics


def test_a_map_has_not_seen_the_stratum_that_it_is_judged_by():
    settings = W1Settings.from_preset("fast", potential_steps=20, step_steps=20, batch_size=32)
    options = TrainingOptions(progress=False)
    states = []
    for changed in (False, True):
        cells = torch.randn(240, 2, generator=generator(0, "cells"))
        rows = [torch.arange(40 * k, 40 * k + 40) for k in range(6)]
        if changed:
            cells[rows[1]] += 100
            cells[rows[4]] -= 50
        sides = [Population.from_groups(cells, rows[k : k + 3], n_strata=3) for k in (0, 3)]
        stack = W1Map(2, ["map"], settings, 0)
        left_out = train_transport(stack, *sides, options).left_out
        assert left_out.strata == [0, 1, 2]
        states.append([fold.map.state_dict() for fold in left_out.folds])
    first, second = ([each[k] for k in range(3)] for each in states)

    def equal(k):
        # How far cells go is one number for all maps.
        names = first[k].keys() - {"strength"}
        return all(torch.equal(first[k][name], second[k][name]) for name in names)

    assert equal(1) and not equal(0) and not equal(2)


def test_few_strata_and_many():
    assert len(fitted(groups([(4.0, 0.0)] * 2), "balanced", max_steps=20).unseen_strata) == 2
    many = fitted(groups([(4.0, 0.0)] * 10, n=40), "balanced", max_steps=20)
    assert len(many.unseen_strata) == 8
    none = rt.tl.w1ot(
        groups([(4.0, 0.0)]),
        "control",
        "perturbed",
        preset="fast",
        max_steps=20,
        show_progress_bar=False,
    )
    assert none.unseen_strata.empty


@pytest.mark.parametrize("strata", MODES)
def test_a_single_stratum_leaves_nothing_to_leave_out(strata):
    model = fitted(groups([(4.0, 0.0)]), strata, max_steps=20)
    assert model.unseen_strata.empty
    new = groups([(4.0, 0.0)], seed=1)
    new.obs["group"] = "new"
    assert "unseen_strata" not in model.predict(new).uns.get("w1ot", {})


@pytest.mark.parametrize("method", ["mean_shift", "discrete_ot", "w2ot", "quantile_map", "scgen"])
def test_every_method_of_pairs_says_so(method):
    adata = groups([(4.0, 0.0)] * 3)
    options = {"strata_key": "group", "max_steps": 100, "show_progress_bar": False}
    model = getattr(rt.tl, method)(adata, "control", "perturbed", **options)
    assert len(model.unseen_strata) == 3
    # Groups answer alike, so that one that was not seen is mapped as well as those that were.
    found = model.diagnostics
    assert found["unseen_share_left"] == pytest.approx(found["share_left"], abs=0.05)
    assert found["share_left"] < 0.3


def test_new_groups_are_told_what_to_expect(alike, unlike):
    new = groups([(4.0, 0.0)], seed=1)[:50].copy()
    new.obs["group"] = ["new"] * 30 + ["g0"] * 20
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        found = alike.predict(new).uns["w1ot"]["unseen_strata"]
    assert found["names"].tolist() == ["new"] and found["n_cells"].tolist() == [30]
    assert found["certificate"].tolist() == ["good"]
    with pytest.warns(UserWarning, match=r"not seen 'new' \('poor'\).*'g3', the most"):
        found = unlike.predict(new).uns["w1ot"]["unseen_strata"]
    assert found["certificate"].tolist() == ["poor"]
    # Cells of known groups, and cells that do not say, are not spoken of.
    for cells in (new[30:].copy(), ad.AnnData(new.X, new.obs[["perturbation"]])):
        uns = unlike.predict(cells).uns
        assert "unseen_strata" not in uns.get("w1ot", {})


def test_a_far_group_is_not_called_good(alike):
    far = groups([(4.0, 0.0)], seed=1)[:40].copy()
    far.X = far.X + 30
    far.obs["group"] = "far"
    with pytest.warns(UserWarning, match="farther from those of the fit"):
        predicted = alike.predict(far)
    assert predicted.uns["w1ot"]["unseen_strata"]["certificate"].tolist() == ["check"]
    farthest = alike.unseen_strata["distance"].max()
    assert (predicted.obs["w1ot_distance"] > farthest).all()


def test_the_verb_says_it_of_groups_without_training_cells(tmp_path):
    adata = groups([(4.0, 0.0)] * 4)
    rt.pp.split(adata, holdout={"group": ["g2"]})
    fitted(adata, "balanced")
    found = adata.uns["w1ot"]["unseen_strata"]
    assert found["names"].tolist() == ["g2"]
    source = (adata.obs["perturbation"] == "control").to_numpy()
    assert np.isfinite(adata.obs["w1ot_distance"]).to_numpy().tolist() == source.tolist()
    adata.write_h5ad(tmp_path / "cells.h5ad")
    again = ad.read_h5ad(tmp_path / "cells.h5ad")
    assert again.uns["w1ot"]["unseen_strata"]["certificate"].tolist() == ["good"]


@pytest.mark.parametrize("ending", ["h5ad", "zarr"])
def test_a_file_says_it_too(alike, tmp_path, ending):
    new = groups([(4.0, 0.0)], seed=1)[:30].copy()
    new.obs["group"] = "new"
    written = alike.predict(new, write=tmp_path / f"cells.{ending}")
    assert np.asarray(written.uns["w1ot"]["unseen_strata"]["names"]).tolist() == ["new"]
    in_memory = alike.predict(new).obs["w1ot_distance"]
    assert np.allclose(np.asarray(written.obs["w1ot_distance"]), in_memory)


def test_a_loaded_model_says_the_same(alike, tmp_path):
    alike.save(tmp_path / "model")
    loaded = rt.model.W1OT.load(tmp_path / "model")
    pd.testing.assert_frame_equal(loaded.unseen_strata, alike.unseen_strata)
    one, other = (pd.Series(each.diagnostics) for each in (alike, loaded))
    pd.testing.assert_series_equal(one, other)
    cells = groups([(4.0, 0.0)], seed=2)
    one, other = (each.predict(cells).obs["w1ot_distance"] for each in (alike, loaded))
    assert one.tolist() == other.tolist()


def test_a_fit_is_continued_from_its_checkpoints(tmp_path):
    adata = groups([(4.0, 0.0)] * 3)
    whole = fitted(adata, "balanced", checkpoint_dir=tmp_path / "run").unseen_strata
    assert (tmp_path / "run" / "left-out").is_dir()
    again = fitted(adata, "balanced", checkpoint_dir=tmp_path / "run").unseen_strata
    pd.testing.assert_frame_equal(whole, again)


def of_cells(cells, seed=0):
    return TrainingDistance.of([np.arange(len(cells))], lambda rows: cells[rows], seed)


def test_cells_of_the_same_population_are_at_one():
    rng = np.random.default_rng(0)
    cells, others = rng.normal(size=(2, 1500, 5)).astype(np.float32)
    distance = of_cells(cells)
    assert abs(np.median(distance(others)) - 1) < 0.05
    # A cell of the fit is not compared with itself.
    assert abs(np.median(distance(cells)) - 1) < 0.01
    assert np.isfinite(distance(cells)).all()


def test_distances_know_no_rotation_and_no_unit():
    rng = np.random.default_rng(1)
    cells, others = rng.normal(size=(2, 300, 4)).astype(np.float32)
    rotation = np.linalg.qr(rng.normal(size=(4, 4)))[0].astype(np.float32)
    turned = of_cells(3 * cells @ rotation)(3 * others @ rotation)
    assert np.allclose(turned, of_cells(cells)(others), rtol=1e-4)


def test_strata_are_near_by_the_distance_to_their_nearest_cells():
    rng = np.random.default_rng(2)
    sizes = (40, 7, 25)
    groups = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    cells = rng.normal(size=(sum(sizes), 3)).astype(np.float32) + 1000
    cells[groups[2]] += 5
    distance = TrainingDistance.of(groups, lambda rows: cells[rows], 0)
    new = rng.normal(size=(30, 3)).astype(np.float32) + 1002
    found = distance.nearness(new)
    each = np.linalg.norm(new[:, None] - cells, axis=2)
    nearest = np.stack([np.sort(each[:, of], axis=1)[:, :10].mean(axis=1) for of in groups], 1)
    expected = nearest**-2.0 / (nearest**-2.0).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    # A cell of the fit itself is at no distance, and still has shares.
    assert np.isfinite(distance.nearness(cells)).all()


def test_a_saved_distance_that_lacks_a_stratum_is_refused():
    cells = np.random.default_rng(3).normal(size=(30, 2)).astype(np.float32)
    groups = np.split(np.arange(30), [10, 20])
    arrays = TrainingDistance.of(groups, lambda rows: cells[rows], 0).arrays()
    np.testing.assert_array_equal(
        TrainingDistance.from_arrays(arrays, 3, 2).strata, arrays["strata"]
    )
    arrays["strata"] = np.where(arrays["strata"] == 1, 0, arrays["strata"])
    with pytest.raises(ValueError, match="strata of the training distance are out of range"):
        TrainingDistance.from_arrays(arrays, 3, 2)


def test_what_a_model_keeps_of_its_cells_is_bounded():
    cells = np.random.default_rng(0).normal(size=(3000, 2100)).astype(np.float32)
    kept = of_cells(cells)
    assert kept.cells.size <= 2**21
    assert of_cells(np.zeros((100, 3), np.float32)) is None


def test_a_cell_of_the_fit_is_not_its_own_neighbour():
    """One cell is encoded with other last digits than many; another cell so near is no other."""
    cells = rt.datasets.simulated(n_cells=200, n_genes=300, seed=0)
    cells.X = cells.X.toarray()
    sc.pp.pca(cells, n_comps=10)
    model = rt.tl.mean_shift(cells, "control", "perturbed", use_rep="X_pca")
    many = model.predict(cells[:20]).obs["mean_shift_distance"].to_numpy()
    alone = [model.predict(cells[i : i + 1]).obs["mean_shift_distance"].iloc[0] for i in range(20)]
    np.testing.assert_allclose(alone, many, rtol=1e-3)
