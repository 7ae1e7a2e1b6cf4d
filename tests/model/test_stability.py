"""The same cell, the same answer: what the default of single fits does for it."""

import numpy as np
import pytest

import rayot as rt
from rayot.metrics import instability
from rayot.model import W1OT
from rayot.solvers import W1Settings, certificate, ensemble_report

SOURCE, TARGET = "control", "perturbed"


@pytest.fixture(scope="module")
def simulated():
    import scanpy as sc

    data = rt.datasets.simulated(n_cells=300, n_genes=30, seed=0)
    sc.pp.pca(data, n_comps=10)
    rt.pp.split(data)
    return data


def fit(adata, seed=0, **options):
    spec = W1OT.setup_anndata(adata, use_rep="X_pca")
    model = W1OT(adata, spec, SOURCE, TARGET, preset="fast", seed=seed, **options)
    model.train(max_steps=60, show_progress_bar=False)
    return model


def moves(model, cells):
    """Of held-out source cells."""
    held_out = (cells.obs["split"] == "test") & (cells.obs["perturbation"] == SOURCE)
    predicted = model.predict(cells[held_out.to_numpy()], write_genes=False)
    return predicted.obsm["X_w1ot"] - cells.obsm["X_pca"][held_out.to_numpy()]


@pytest.fixture(scope="module")
def fits(simulated):
    return [fit(simulated, seed) for seed in (0, 1)]


def test_a_fast_fit_depends_less_on_its_seed_than_one_member(simulated, fits):
    of_default, of_one = (
        instability(*(moves(model, simulated) for model in pair))
        for pair in (fits, [fit(simulated, seed, n_seeds=1) for seed in (0, 1)])
    )
    # Independent members would make it 1 / √5, and two fits measure it with an error.
    assert of_default < 0.7 * of_one
    # What the members of one fit say of it.
    told = np.mean([model.diagnostics["instability"] for model in fits])
    assert 0.6 < told / of_default < 1.6


def test_the_order_of_cells_matters_no_more_than_the_seed(simulated, fits):
    order = np.random.default_rng(0).permutation(simulated.n_obs)
    shuffled = moves(fit(simulated[order].copy()), simulated)
    first, second = (moves(model, simulated) for model in fits)
    assert instability(first, shuffled) < 1.4 * instability(first, second)


def test_five_members_unless_another_number_is_named(simulated):
    spec = W1OT.setup_anndata(simulated, use_rep="X_pca", strata_key="cell_type")

    def members(**options):
        model = W1OT(simulated, spec, SOURCE, TARGET, **options)
        return model.problems.n_seeds, model.settings.batch_size

    assert members(preset="fast") == (5, 64)
    assert members(preset="fast", n_seeds=1) == (1, 256)
    assert members(preset="fast", n_seeds=2, batch_size=100) == (2, 100)
    # Each stratum has a map already; other presets are one map, with their own batches.
    assert members(preset="fast", strata="separate") == (1, 256)
    assert members(preset="paper") == (1, 256)
    assert members(preset="adversarial", n_seeds=2)[1] == 512
    assert W1Settings.from_preset("fast").batch_size == 256


def test_one_member_says_nothing_of_its_stability(simulated):
    model = fit(simulated, n_seeds=1)
    assert "instability" not in model.diagnostics
    assert "instability" not in model.diagnostics_table


def test_members_that_agree_have_none(simulated):
    model = rt.tl.mean_shift(
        simulated.copy(), SOURCE, TARGET, use_rep="X_pca", n_seeds=2, show_progress_bar=False
    )
    assert model.diagnostics["instability"] < 0.2


def test_a_stable_fit_is_saved_whole(fits, simulated, tmp_path):
    fits[0].save(tmp_path / "model")
    again = W1OT.load(tmp_path / "model")
    assert again.diagnostics == pytest.approx(fits[0].diagnostics, nan_ok=True)
    np.testing.assert_array_equal(moves(again, simulated), moves(fits[0], simulated))


def test_an_ensemble_is_judged_by_the_mean_of_its_members(fits):
    model = fits[0]
    table, together = model.diagnostics_table, model.diagnostics
    for name in ("mean_step", "residual_energy_distance", "held_out_dual"):
        assert together[name] == pytest.approx(table[name].mean())
    assert together["n_cells"] == table["n_cells"].min()
    word, reason = certificate(together)
    assert (together["certificate"], together["reason"]) == (word, reason)


def test_a_member_that_failed_decides(fits):
    reports = [dict(each) for each in fits[0].diagnostics_]
    reports[2].update(certificate="poor", reason="The loss became nan.")
    assert ensemble_report(reports)["reason"] == "The loss became nan."


def test_members_that_nobody_asked_for_share_folds(simulated):
    few = simulated[::5].copy()
    table = fit(few).diagnostics_table
    assert table["n_folds"].tolist() == [5] * 5
    assert table["residual_energy_distance"].nunique() == 1
    assert fit(few, n_seeds=2).diagnostics_table["residual_energy_distance"].nunique() == 2


@pytest.mark.parametrize("seed", range(3))
def test_members_that_share_folds_have_one_test_and_one_strength(seed):
    adata = rt.datasets.simulated(n_cells=60, n_genes=30, seed=seed)
    # Most of the effect taken away, so that tests of single members would disagree.
    control = adata[(adata.obs["perturbation"] == "control").to_numpy()].copy()
    labels = np.where(np.arange(control.n_obs) % 2, "control", "perturbed")
    control.obs["perturbation"] = labels
    options = {"preset": "fast", "max_steps": 20, "show_progress_bar": False}
    for cells in (adata, control):
        table = rt.tl.w1ot(cells, "control", "perturbed", **options).diagnostics_table
        assert len(table) == 5
        assert table["p_value"].nunique() == table["strength"].nunique() == 1
