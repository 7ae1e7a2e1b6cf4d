"""A time between those of source and target: displacement, zeros, what is written and saved."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mudata import MuData
from scipy import sparse

import rayot as rt
from rayot.model.times import displaced

QUICK = {"max_steps": 20, "n_folds": 1, "show_progress_bar": False}
DAYS = ("day 0", "day 7")


def dense(values):
    return values.toarray() if sparse.issparse(values) else np.asarray(values)


@pytest.fixture(scope="module")
def cells():
    """Cells of two days, and of one between."""
    adata = rt.datasets.simulated(n_cells=200, n_genes=40, effect_size=2.0)
    between = rt.datasets.simulated(n_cells=100, n_genes=40, effect_size=2.0, seed=1, gene_seed=0)
    adata.obs["day"] = np.where(adata.obs["perturbation"] == "control", *DAYS)
    between.obs["day"] = "day 3"
    both = ad.concat([adata, between], label="draw", index_unique="-")
    both.uns["log1p"] = {}
    return both


@pytest.fixture(scope="module")
def model(cells):
    return rt.tl.w1ot(cells.copy(), *DAYS, groupby="day", **QUICK)


@pytest.fixture
def source(cells):
    return cells[cells.obs["day"] == "day 0"][:50].copy()


def test_at_both_ends_are_the_source_and_the_target(model, source):
    start, end = (model.at(time=time).predict(source) for time in (0, 1))
    whole = model.predict(source)
    np.testing.assert_array_equal(dense(end.X), dense(whole.X))
    pd.testing.assert_frame_equal(
        end.obs.drop(columns="day"), whole.obs.drop(columns="day"), check_exact=True
    )
    np.testing.assert_array_equal(dense(start.X), source.X.toarray())
    assert (start.obs["w1ot_step"] == 0).all()


@pytest.mark.parametrize("decode", ["calibrated", "delta"])
def test_cells_go_straight_and_genes_are_switched_one_by_one(cells, decode):
    model = rt.tl.w1ot(
        cells.copy(), *DAYS, groupby="day", n_seeds=2, plan_kwargs={"decode": decode}, **QUICK
    )
    source = cells[cells.obs["day"] == "day 0"][:50].copy()
    own, end = source.X.toarray(), dense(model.predict(source, clip=False).X)
    before = own
    for time in (1, 3, 5):
        found = model.at(time=time, times=(0, 7)).predict(source, clip=False)
        values, share = dense(found.X), time / 7
        line = own + share * (end - own)
        whole = model.predict(source)
        for column in ("w1ot_step", "w1ot_step_sd"):
            np.testing.assert_allclose(found.obs[column], share * whole.obs[column], rtol=1e-4)
        if decode == "delta":
            np.testing.assert_allclose(values, line, atol=1e-4)
            continue
        one = (own == 0) != (end == 0)
        np.testing.assert_allclose(values[~one], line[~one], atol=1e-5)
        switched = one & (values == end)
        assert (switched | (values == own))[one].all()
        assert abs(switched[one].mean() - share) < 0.15
        # What has been switched stays so.
        assert (values == end)[one & (before == end)].all()
        before = values
        shares = [(each == 0).mean() for each in (own, values, end)]
        assert abs(shares[1] - (shares[0] + share * (shares[2] - shares[0]))) < 0.02


@settings(max_examples=50, deadline=None)
@given(
    own=st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=4, max_size=4),
    moved=st.lists(st.sampled_from([0.0, 0.5, 2.0, 4.0]), min_size=4, max_size=4),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 9),
)
def test_the_mean_of_many_draws_is_on_the_line(own, moved, share, seed):
    own, moved = (np.tile(np.float32(values), (4000, 1)) for values in (own, moved))
    draws = np.random.default_rng(seed).random(own.shape)
    found = displaced(own, moved, share, draws)
    assert found.dtype == np.float32
    assert (found >= np.minimum(own, moved)).all() and (found <= np.maximum(own, moved)).all()
    np.testing.assert_allclose(found.mean(0), (own + share * (moved - own))[0], atol=0.2)


def test_neither_blocks_nor_order_matter(model, source, tmp_path):
    between = model.at(time=2.5, times=(0, 7), name="day 3")
    expected = between.predict(source)
    assert sparse.issparse(expected.X)
    assert expected.uns["w1ot"]["time"] == 2.5
    assert list(expected.uns["w1ot"]["times"]) == [0, 7]
    assert set(expected.obs["day"]) == {"predicted day 3"}
    backwards = between.predict(source[::-1].copy())[source.obs_names]
    np.testing.assert_allclose(dense(backwards.X), dense(expected.X), atol=1e-4)
    for name in ("cells.h5ad", "cells.zarr"):
        written = between.predict(source, write=tmp_path / name).to_memory()
        np.testing.assert_array_equal(dense(written.X), dense(expected.X))
        assert written.uns["w1ot"]["time"] == 2.5
    found = between.predict(MuData({"rna": source}), modality="rna")
    np.testing.assert_array_equal(dense(found.X), dense(expected.X))


def test_a_time_is_saved(model, source, tmp_path, saved_folder):
    between = model.at(time=2, times=(0, 7))
    assert "at time 2 of 0 to 7" in repr(between) and "at time" not in repr(model)
    assert between.diagnostics["certificate"] == "check"
    between.save(tmp_path / "model")
    loaded = rt.model.W1OT.load(tmp_path / "model")
    assert repr(loaded) == repr(between) and loaded.time == 2
    expected = between.predict(source)
    found = loaded.predict(source)
    np.testing.assert_array_equal(dense(found.X), dense(expected.X))
    assert set(found.obs["day"]) == {"predicted day 7 at time 2"}
    # From there to any other time.
    np.testing.assert_array_equal(
        dense(loaded.at(time=5, times=(0, 7)).predict(source).X),
        dense(model.at(time=5, times=(0, 7)).predict(source).X),
    )
    folder = saved_folder(tmp_path / "model")
    values = folder.values
    values["data"]["time"] = 9.0
    folder.sign(values)
    with pytest.raises(ValueError, match=r"data.time is 9.0 and data.times \(0.0, 7.0\)"):
        rt.model.W1OT.load(tmp_path / "model")


def test_cells_that_were_measured_between_score_it(cells):
    adata = cells.copy()
    rt.pp.split(adata, groupby="day", holdout={"day": ["day 3"]})
    model = rt.tl.w1ot(adata, *DAYS, groupby="day", **QUICK)
    scores = rt.tl.evaluate(adata, model.at(time=3, times=(0, 7), name="day 3"), metrics=["l2"])
    assert np.isfinite(scores["l2"]).all()
    with pytest.raises(ValueError, match="No cell of adata has 'day 7 at time 3'"):
        rt.tl.evaluate(adata, model.at(time=3, times=(0, 7)), metrics=["l2"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"time": 1.2}, r"time must be from 0 \('day 0'\) to 1 \('day 7'\), found 1.2"),
        ({"time": -1, "times": (0, 7)}, "from 0 .* to 7 .*, found -1"),
        ({"time": 3, "times": (7, 0)}, "the earlier first"),
        ({"time": 3, "times": (7, 7)}, "the earlier first"),
        (
            {"time": 3, "times": (0, 3, 7)},
            "times must be a pair of numbers, the times of source and target",
        ),
        ({"time": 3, "times": ("0", 7)}, "times must be a number"),
        ({"time": "3"}, "time must be a number"),
        ({"time": np.nan}, "time must be finite"),
    ],
)
def test_times_that_nothing_is_known_of(model, arguments, message):
    with pytest.raises(ValueError, match=message):
        model.at(**arguments)


def test_every_model_of_two_conditions_knows_times(cells):
    adata = rt.datasets.simulated_screen(2, n_cells=60, n_controls=60, n_genes=20)
    quick = {"max_steps": 3, "show_progress_bar": False}
    screen = rt.tl.screen(adata, "control", fdr=None, **quick)
    conditional = rt.tl.conditional_w1ot(adata, "control", **quick)
    joint = rt.tl.cpa(adata, "control", "drug_000", **quick)
    models = {
        "screen": screen["drug_000"].at(time=0.5),
        "combination": conditional.at("drug_000+drug_001").at(time=0.5),
        "joint": joint.at("drug_001", time=0.5),
        "shift": rt.tl.mean_shift(adata, "control", "drug_000").at(time=0.5),
    }
    wholes = {
        "screen": screen["drug_000"],
        "combination": conditional.at("drug_000+drug_001"),
        "joint": joint.at("drug_001"),
        "shift": rt.tl.mean_shift(adata, "control", "drug_000"),
    }
    for name, model in models.items():
        found, whole = (each.predict(adata[:20]) for each in (model, wholes[name]))
        step = f"{model.method}_step"
        np.testing.assert_allclose(found.obs[step], whole.obs[step] / 2, rtol=1e-4, err_msg=name)
        assert "at time 0.5" in found.obs["perturbation"].iloc[0]


@pytest.mark.parametrize("name", ["control", "perturbed"])
def test_ends_are_no_name_of_a_time_between(cells, name):
    model = rt.tl.mean_shift(cells, "control", "perturbed")
    with pytest.raises(ValueError, match=f"name is {name!r}, whose cells were measured"):
        model.at(time=0.5, name=name)
    assert model.at(time=3, times=np.array([0.0, 7.0])).data.times == (0.0, 7.0)
