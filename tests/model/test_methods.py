"""What holds for every method: the same verbs, words and guarantees."""

import anndata as ad
import numpy as np
import pytest
import torch

import rayot as rt
from rayot.model.method import method_of
from rayot.model.methods import METHODS
from rayot.model.profiles import ProfileMethod
from rayot.solvers import W1Map

SOURCE, TARGET = "control", "perturbed"
PLAIN = {"decode": "delta"}
NAMES = sorted(name for name in METHODS if not issubclass(method_of(name), ProfileMethod))


def fit(name, cells, quick, **options):
    return getattr(rt.tl, name)(cells, SOURCE, TARGET, use_rep="X_pca", **{**quick, **options})


@pytest.mark.parametrize("name", NAMES)
def test_every_method_writes_the_same_keys(name, cells, quick):
    model = fit(name, cells, quick)
    source = (cells.obs["perturbation"] == SOURCE).to_numpy()
    assert isinstance(model, method_of(name))
    assert np.isfinite(cells.layers[name][source]).all()
    assert np.isnan(cells.layers[name][~source]).all()
    assert np.isfinite(cells.obsm[f"X_{name}"][source]).all()
    assert (cells.obs[f"{name}_step"][source] >= 0).all()
    assert cells.uns[name]["diagnostics"]["certificate"] in ("good", "check", "poor")
    assert (f"{name}_potential" in cells.obs) == isinstance(model.module, W1Map)
    assert name in rt.tl.evaluate(cells, name, metrics=("energy_distance",)).index


def test_the_way_back_of_w2ot_undoes_its_map(cells, quick):
    model = fit("w2ot", cells, {**quick, "max_steps": 300})
    back = model.back()
    control = cells[cells.obs["perturbation"] == SOURCE].copy()
    target = cells[cells.obs["perturbation"] == TARGET].copy()
    assert (back.source_key, back.target_key) == (TARGET, SOURCE)
    assert back.diagnostics["certificate"] == "check"
    gap = control.obsm["X_pca"].mean(0) - target.obsm["X_pca"].mean(0)
    found = back.predict(target, write_genes=False).obsm["X_w2ot"].mean(0)
    left = control.obsm["X_pca"].mean(0) - found
    assert np.linalg.norm(left) < 0.2 * np.linalg.norm(gap)
    # The way there is as it was.
    assert (model.source_key, model.target_key) == (SOURCE, TARGET)


@pytest.mark.parametrize("name", ["biolord", "cpa", "genot", "otcfm", "scgen", "w2ot"])
def test_a_finished_fit_is_read_back_without_training(name, cells, quick, tmp_path):
    first = fit(name, cells, quick, checkpoint_dir=tmp_path)
    written = cells.layers[name].copy()
    second = fit(name, cells, quick, checkpoint_dir=tmp_path)
    np.testing.assert_array_equal(cells.layers[name], written)
    assert first.history.keys() == second.history.keys()


@pytest.mark.parametrize("name", NAMES)
def test_strata_and_ensembles(name, cells, quick):
    cells.obs["patient"] = np.resize(["a", "b"], cells.n_obs)
    for strata in ("balanced",) if method_of(name).joint else ("balanced", "separate"):
        model = fit(name, cells, quick, strata_key="patient", strata=strata, n_seeds=2)
        assert len(model.problems) == (2 if strata == "balanced" else 4)
        assert f"{name}_step_sd" in cells.obs
        source = (cells.obs["perturbation"] == SOURCE).to_numpy()
        assert np.isfinite(cells.layers[name][source]).all()


@pytest.mark.parametrize("name", NAMES)
def test_genes_beyond_the_components_are_handled(name, cells, quick):
    model = getattr(rt.tl, name)(cells, SOURCE, TARGET, **quick, plan_kwargs={"n_components": 4})
    assert model.predict(cells[:3]).to_df().to_numpy().shape == (3, 30)


@pytest.mark.parametrize("name", NAMES)
def test_bad_input_is_refused_before_anything_is_written(name, cells, quick):
    before = set(cells.layers)
    for options, message in (
        ({"preset": "best"}, "preset must be one of"),
        ({"plan_kwargs": {"nonsense": 1}}, "unknown settings"),
        ({"max_steps": 0}, "at least 1"),
        ({"batch_size": 1}, "batch_size must be"),
    ):
        with pytest.raises(ValueError, match=message):
            fit(name, cells, quick, **options)
    assert set(cells.layers) == before


@pytest.mark.parametrize("name", ["discrete_ot", "mean_shift", "w2ot"])
def test_a_screen_of_any_method_is_its_single_fits(name, cells, quick, tmp_path):
    treated = (cells.obs["perturbation"] == TARGET).to_numpy().nonzero()[0]
    labels = cells.obs["perturbation"].astype(str).to_numpy()
    labels[treated[::3]] = "other"
    cells.obs["perturbation"] = labels
    screen = rt.tl.screen(
        cells, SOURCE, method=name, use_rep="X_pca", fdr=None, max_memory=1e-9, **quick
    )
    alone = fit(name, cells, quick)
    np.testing.assert_allclose(
        screen[TARGET].predict(cells[:5]).to_df().to_numpy(),
        alone.predict(cells[:5]).to_df().to_numpy(),
        atol=1e-5,
    )
    screen.save(tmp_path / "screen")
    loaded = rt.model.Screen.load(tmp_path / "screen")
    assert type(loaded[TARGET]) is method_of(name)


def test_a_cost_of_the_users_own(cells, quick, tmp_path):
    def manhattan(first, second):
        return torch.cdist(first, second, p=1)

    model = fit("genot", cells, quick, plan_kwargs={"cost": manhattan})
    assert "manhattan" in cells.uns["genot"]["params"]["cost"]
    cells.write_h5ad(tmp_path / "cells.h5ad")
    model.save(tmp_path / "model")
    loaded = rt.model.GENOT.load(tmp_path / "model")
    np.testing.assert_array_equal(
        loaded.predict(cells[:4]).to_df().to_numpy(), model.predict(cells[:4]).to_df().to_numpy()
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tau_source": 0.0}, "above 0 and at most 1"),
        ({"tau_target": 1.5}, "above 0 and at most 1"),
        ({"cost": "taxi"}, "cost must be a function or one of"),
        ({"epsilon": -1.0}, "epsilon must be greater than 0"),
        ({"cost": lambda x, y: torch.cdist(x, y) * np.nan}, "cost gives values that are NaN"),
        ({"cost": lambda x, y: x.sum()}, r"cost must give a tensor of shape \(1, .* found \(\)"),
        ({"n_samples": 0}, "n_samples must be a whole number of at least 1"),
        ({"tau_source": True}, "above 0 and at most 1, found True"),
    ],
)
def test_bad_settings_of_genot(cells, quick, options, message):
    with pytest.raises(ValueError, match=message):
        fit("genot", cells, quick, plan_kwargs=options)


@pytest.mark.parametrize("use_rep", [None, "X_pca"])
def test_predictions_of_genot_have_the_mean_and_spread_of_samples(cells, quick, use_rep, tmp_path):
    options = {
        **quick,
        "n_seeds": 2,
        "plan_kwargs": {**PLAIN, "n_samples": 3, "n_components": None},
    }
    model = rt.tl.genot(cells, SOURCE, TARGET, use_rep=use_rep, **options)
    source = cells[cells.obs["perturbation"] == SOURCE]
    assert cells.obs["genot_sd"].notna().sum() == len(source)
    predicted = model.predict(source, n_samples=7, clip=False)
    # Noise is a function of a cell to the last bit, so the very same codes are needed.
    unmoved = rt.tl.identity(cells.copy(), SOURCE, TARGET, use_rep=use_rep, plan_kwargs=PLAIN)
    kept = unmoved.predict(source, clip=False)
    start = torch.from_numpy(
        kept.to_df().to_numpy() if use_rep is None else kept.obsm["X_identity"]
    )
    samples = model.module.samples(start.expand(2, -1, -1), 7).numpy()
    found = predicted.X if use_rep is None else predicted.obsm["X_genot"]
    np.testing.assert_allclose(found, samples.mean((0, 1)), atol=1e-4)
    expected = np.sqrt(samples.var(0).mean((0, 2)))
    np.testing.assert_allclose(predicted.obs["genot_sd"], expected, rtol=1e-3)
    model.predict(source, n_samples=7, write=tmp_path / "predicted.h5ad", clip=False)
    read = ad.read_h5ad(tmp_path / "predicted.h5ad")
    np.testing.assert_allclose(read.obs["genot_sd"], predicted.obs["genot_sd"])
    # The model itself keeps its setting, and one sample has no spread.
    assert model.settings.n_samples == 3
    assert "genot_sd" not in model.predict(source, n_samples=1).obs
    with pytest.raises(ValueError, match="n_samples must be a whole number"):
        model.predict(source, n_samples=0)


def test_no_progress_is_shown_where_nothing_is_trained(cells, capsys):
    rt.tl.mean_shift(cells, SOURCE, TARGET, use_rep="X_pca")
    assert capsys.readouterr().err == ""


def test_a_screen_of_an_unknown_method(cells):
    with pytest.raises(ValueError, match="method must be one of"):
        rt.tl.screen(cells, SOURCE, method="magic")


def test_the_mean_shift_is_that_of_evaluate(cells, quick):
    """Two ways to the same baseline, in genes and not clipped."""
    rt.tl.mean_shift(
        cells, SOURCE, TARGET, clip=False, validation_size=1e-3, show_progress_bar=False
    )
    table = rt.tl.evaluate(cells, "mean_shift", metrics=("l2",))
    assert np.isclose(table.loc["mean_shift", "l2"], table.loc["mean shift", "l2"], rtol=0.1)


def test_cell_types_shift_by_their_own_means(cells):
    model = rt.tl.celltype_shift(
        cells, SOURCE, TARGET, clip=False, show_progress_bar=False, plan_kwargs=PLAIN
    )
    moves = cells.layers["celltype_shift"] - cells.X.toarray()
    source = (cells.obs["perturbation"] == SOURCE).to_numpy()
    for stratum in model.problems.strata:
        own = moves[source & (cells.obs["cell_type"] == stratum).to_numpy()]
        np.testing.assert_allclose(own, own[:1].repeat(len(own), 0), atol=1e-4)
    assert len(np.unique(moves[source].round(3), axis=0)) == len(model.problems.strata)
