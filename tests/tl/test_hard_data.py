"""Data at the edge of what can be fitted: each works, or it is said why not."""

import anndata as ad
import numpy as np
import pytest
from scipy import sparse

import rayot as rt
from rayot.data.checks import MIN_CELLS

SOURCE, TARGET = "control", "perturbed"


@pytest.fixture
def shifted():
    """60 + 60 cells of 4 features, shifted by 3 in the first."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(120, 4)).astype(np.float32)
    values[60:, 0] += 3
    adata = ad.AnnData(values)
    adata.obs["perturbation"] = [SOURCE] * 60 + [TARGET] * 60
    return adata


def fit(adata, **options):
    options = {"max_steps": 60, "preset": "fast", **options}
    return rt.tl.w1ot(adata, SOURCE, TARGET, show_progress_bar=False, **options)


def source_moves(adata):
    source = (adata.obs["perturbation"] == SOURCE).to_numpy()
    return (adata.layers["w1ot"] - adata.X)[source]


BAD_WEIGHTS = {
    "negative": (-1.0, r"adata.obs\['weight'\] has 1 negative weights"),
    "missing": (np.nan, r"adata.obs\['weight'\] has 1 NaN or infinite weights"),
    "infinite": (np.inf, "has 1 NaN or infinite weights"),
}


@pytest.mark.parametrize("case", BAD_WEIGHTS)
def test_bad_weights_are_counted(shifted, case):
    value, message = BAD_WEIGHTS[case]
    shifted.obs["weight"] = 1.0
    shifted.obs.iloc[70, shifted.obs.columns.get_loc("weight")] = value
    before = shifted.copy()
    with pytest.raises(ValueError, match=message):
        fit(shifted, weights_key="weight")
    assert shifted.obs.equals(before.obs)
    assert not shifted.uns and not shifted.layers


def test_weights_that_are_all_zero(shifted):
    shifted.obs["weight"] = (shifted.obs["perturbation"] == SOURCE).astype(float)
    with pytest.raises(ValueError, match=r"above zero, 'perturbed'.* has 0 training cells"):
        fit(shifted, weights_key="weight")
    with pytest.raises(KeyError, match=r"no column 'wieght'. Did you mean 'weight'"):
        fit(shifted, weights_key="wieght")


def test_strata_that_do_not_exist(shifted):
    with pytest.raises(KeyError, match="no column 'patient'"):
        fit(shifted, strata_key="patient")
    with pytest.raises(ValueError, match="strata='separate' needs strata_key"):
        fit(shifted, strata="separate")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_seeds": 0}, "n_seeds must be a whole number of at least 1, found 0"),
        ({"n_seeds": 2.5}, "n_seeds must be a whole number of at least 1, found 2.5"),
        (
            {"plan_kwargs": {"unmatched_source": 1.0}},
            "unmatched_source must be at least 0 and below 1",
        ),
        (
            {"plan_kwargs": {"unmatched_target": -0.1}},
            "unmatched_target must be at least 0 and below 1",
        ),
        ({"plan_kwargs": {"n_components": 1}}, "n_components must be a whole number of at least 2"),
    ],
)
def test_options_out_of_range(shifted, options, message):
    with pytest.raises(ValueError, match=message):
        fit(shifted, **options)


def test_a_loss_that_becomes_nan_is_an_error_and_writes_nothing(shifted):
    with pytest.raises(FloatingPointError, match=r"became (nan|inf).* in ray 1"):
        fit(shifted, preset="paper", plan_kwargs={"step_lr": 1e30, "step_lr_end": 1e30})
    assert not shifted.uns and not shifted.layers


def test_identical_populations_do_not_move(shifted):
    shifted.X[60:] = shifted.X[:60]
    model = fit(shifted)
    np.testing.assert_array_equal(source_moves(shifted), 0)
    report = shifted.uns["w1ot"]["diagnostics"]
    assert report["p_value"] > 0.5
    assert report["certificate"] == "no effect"
    assert "no detectable effect" in report["reason"]
    np.testing.assert_array_equal(model.predict(shifted).to_df().to_numpy(), shifted.X)


@pytest.mark.parametrize("preset", ["paper", "fast"])
@pytest.mark.parametrize("wrap", [np.asarray, sparse.csr_matrix])
def test_constant_features_stay(shifted, preset, wrap):
    values = np.abs(shifted.X)
    values[:, 2] = 1.5
    values[:, 3] = 0
    shifted.X = wrap(values)
    fit(shifted, preset=preset)
    predicted = rt.get.predicted(shifted).to_df().to_numpy()
    assert np.isfinite(predicted).all()
    if preset == "fast":
        np.testing.assert_allclose(predicted[:, 2:], values[:60, 2:], atol=0.5)


@pytest.mark.parametrize("preset", ["paper", "fast", "adversarial"])
def test_cells_that_are_all_the_same(shifted, preset):
    shifted.X[:] = 1.5
    fit(shifted, preset=preset)
    assert np.isfinite(rt.get.predicted(shifted).to_df().to_numpy()).all()
    assert "no detectable effect" in shifted.uns["w1ot"]["diagnostics"]["reason"]


def test_duplicated_cells(shifted):
    shifted.X[:60] = np.repeat(shifted.X[:6], 10, axis=0)
    shifted.X[60:] = np.repeat(shifted.X[60:66], 10, axis=0)
    fit(shifted)
    moves = source_moves(shifted)
    assert np.isfinite(moves).all()
    # Equal cells arrive at one place.
    np.testing.assert_allclose(np.ptp(moves.reshape(6, 10, 4), axis=1), 0, atol=1e-4)


@pytest.mark.parametrize("n", [MIN_CELLS, MIN_CELLS + 2])
def test_the_fewest_cells_allowed(shifted, n):
    few = shifted[np.r_[0:n, 60 : 60 + n]].copy()
    fit(few)
    assert np.isfinite(rt.get.predicted(few).to_df().to_numpy()).all()
    report = few.uns["w1ot"]["diagnostics"]
    assert report["certificate"] == "check"
    assert report["reason"].startswith(f"Only {n} held-out cells")


def test_an_ensemble_of_few_cells_in_strata(shifted):
    shifted.obs["batch"] = np.tile(["x", "y", "z"], 40)
    fit(shifted, strata_key="batch", n_seeds=2)
    assert np.isfinite(shifted.obs["w1ot_step_sd"][:60]).all()
    report = shifted.uns["w1ot"]["diagnostics"]
    assert (report["n_folds"], report["n_cells"]) == (5, 60)
    assert np.isfinite(report["floor_energy_distance"])


@pytest.mark.parametrize("preset", ["paper", "fast", "adversarial"])
def test_what_was_not_chosen_is_written_to_disk_as_well(shifted, preset, tmp_path):
    fit(shifted, preset=preset, max_steps=3)
    shifted.write_h5ad(tmp_path / "cells.h5ad")
    params = ad.read_h5ad(tmp_path / "cells.h5ad").uns["w1ot"]["params"]
    assert ("n_components" in params) == (preset != "paper")
