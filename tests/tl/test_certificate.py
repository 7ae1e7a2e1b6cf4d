"""The word about a map agrees with the true error where the answer is known."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy.stats import spearmanr

import rayot as rt

SOURCE, TARGET = "control", "perturbed"


def fit(adata, max_steps=None, **options):
    rt.tl.w1ot(
        adata,
        SOURCE,
        TARGET,
        preset="fast",
        max_steps=max_steps,
        # Words are of single maps, as a screen has them.
        n_seeds=1,
        show_progress_bar=False,
        **options,
    )
    return adata.uns["w1ot"]["diagnostics"]


@pytest.mark.parametrize("name", ["moons", "eight_gaussians", "checkerboard"])
def test_words_of_toy_sets(name):
    adata = getattr(rt.datasets, name)(n_samples=600)
    whole, hasty = fit(adata), fit(adata, max_steps=5)
    assert whole["certificate"] == "good", whole["reason"]
    assert hasty["certificate"] in ("check", "poor"), hasty["reason"]
    assert hasty["residual_energy_distance"] > whole["residual_energy_distance"]


def test_books_keep_their_order_and_the_word_is_good():
    """Any order along the shelf costs the same; steps that start alike keep the first one."""
    adata = rt.datasets.bookshelf(600)
    assert fit(adata)["certificate"] == "good"
    source = (adata.obs["perturbation"] == SOURCE).to_numpy()
    before, after = adata.X[source, 0], adata.layers["w1ot"][source, 0]
    assert spearmanr(before, after)[0] > 0.999
    assert np.abs(after - before - 2).mean() < 0.05


@pytest.fixture(scope="module")
def known():
    """Simulated cells with what each would have become, in 20 components."""
    adata = rt.datasets.simulated(n_cells=600, n_genes=60, seed=1)
    sc.pp.pca(adata, n_comps=20)
    return adata


def true_error(adata):
    """Mean distance to what each control cell would have become, relative to not moving."""
    source = (adata.obs["perturbation"] == SOURCE).to_numpy()
    truth = adata.layers["counterfactual"][source].toarray()
    apart = [
        np.linalg.norm((values - truth) @ adata.varm["PCs"], axis=1).mean()
        for values in (adata.layers["w1ot"][source], adata.X[source].toarray())
    ]
    return apart[0] / apart[1]


def test_better_words_go_with_smaller_true_errors(known):
    words, errors = [], []
    for max_steps in (2, 5, None):
        words.append(fit(known, max_steps, use_rep="X_pca")["certificate"])
        errors.append(true_error(known))
    assert errors == sorted(errors, reverse=True)
    order = ["poor", "check", "good"]
    ranks = [order.index(word) for word in words]
    assert ranks == sorted(ranks)
    assert words[0] != "good"
    assert words[-1] == "good"
    assert errors[-1] < 0.5


@pytest.fixture(scope="module")
def crossed():
    """Two islands whose types change places: the nearest way mixes them up and looks perfect."""
    draws = np.random.default_rng(0)
    condition, kind = np.divmod(np.arange(1200) % 4, 2)
    places = np.stack([12.0 * (condition ^ kind), 4.0 * condition], axis=1)
    obs = {
        "perturbation": np.array([SOURCE, TARGET])[condition],
        "cell_type": np.array(["B", "T"])[kind],
    }
    x = (places + draws.normal(size=places.shape)).astype(np.float32)
    return ad.AnnData(x, obs=pd.DataFrame(obs, index=[f"cell{i}" for i in range(1200)]))


def test_cells_among_another_type_are_never_good(crossed):
    report = fit(crossed.copy())
    assert report["share_left"] < 0.1
    assert report["changed_type"] > 0.9
    assert report["certificate"] == "check"
    assert 'Try strata_key="cell_type"' in report["reason"]
    screen = rt.tl.screen(crossed.copy(), SOURCE, show_progress_bar=False)
    assert screen[TARGET].diagnostics == report
    assert screen.table["certificate"].tolist() == ["check"]


def test_what_the_reason_says_to_try_makes_it_good(crossed):
    report = fit(crossed.copy(), strata_key="cell_type", strata="separate")
    assert report["changed_type"] == report["floor_changed_type"] == 0
    assert report["certificate"] == "good", report["reason"]


def test_a_conditional_model_is_told_its_own_way(crossed):
    model = rt.tl.conditional_w1ot(crossed.copy(), SOURCE, show_progress_bar=False, max_steps=150)
    assert 'Try covariate_keys=["cell_type"].' in model.at(TARGET).diagnostics["reason"]


def test_where_conditions_are_types_a_move_is_no_change(crossed):
    types = crossed[crossed.obs["perturbation"] == SOURCE].copy()
    rt.tl.w1ot(
        types, "B", "T", groupby="cell_type", preset="fast", max_steps=50, show_progress_bar=False
    )
    report = types.uns["w1ot"]["diagnostics"]
    assert np.isnan(report["changed_type"])
    assert "cell_type" not in report["reason"]


def test_no_effect_is_said_and_nothing_moves():
    adata = rt.datasets.simulated(n_cells=300, n_genes=60, effect_size=0, seed=1)
    sc.pp.pca(adata, n_comps=10)
    report = fit(adata, 50, use_rep="X_pca")
    assert report["certificate"] == "no effect"
    assert "no detectable effect" in report["reason"]
    source = (adata.obs["perturbation"] == SOURCE).to_numpy()
    np.testing.assert_array_equal(adata.obs["w1ot_step"][source], 0)


def test_without_shrinking_noise_is_fitted_and_said():
    adata = rt.datasets.simulated(n_cells=300, n_genes=60, effect_size=0, seed=1)
    sc.pp.pca(adata, n_comps=10)
    report = fit(adata, 50, use_rep="X_pca", plan_kwargs={"shrink": False})
    assert report["certificate"] == "check"
    assert "yet cells are moved" in report["reason"]
