"""CPA and biolord on AnnData: what comes along, what they refuse, other conditions."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc

import rayot as rt
from rayot.model import CPA, Biolord, ScGen

METHODS = ["cpa", "biolord"]
FAST = {"max_steps": 20, "batch_size": 32, "n_folds": 1, "show_progress_bar": False}
SMALL = {"plan_kwargs": {"width": 16}}


@pytest.fixture
def screen():
    """A control and three drugs, each at three doses, in two cell types."""
    adata = rt.datasets.simulated_screen(3, n_cells=90, n_genes=20, n_cell_types=2, inactive=0.0)
    sc.pp.pca(adata, n_comps=5)
    rt.pp.split(adata)
    doses = np.random.default_rng(0).choice([1.0, 10.0, 100.0], adata.n_obs)
    adata.obs["dose"] = np.where(adata.obs["perturbation"] == "control", 0.0, doses)
    return adata


def fit(adata, method="cpa", target="drug_000", **options):
    verb = getattr(rt.tl, method)
    return verb(adata, "control", target, use_rep="X_pca", **{**FAST, **SMALL, **options})


@pytest.mark.parametrize("method", METHODS)
def test_all_conditions_come_along(screen, method):
    model = fit(screen, method)
    assert model.settings.conditions == ("control", "drug_000", "drug_001", "drug_002")
    assert model.settings.covariates == ("type_0", "type_1")
    named = {"width": 16, "conditions": ("drug_002",)}
    model = fit(screen, method, plan_kwargs=named)
    assert model.settings.conditions == ("control", "drug_000", "drug_002")
    pair = screen[screen.obs["perturbation"].isin(["control", "drug_001"])].copy()
    assert fit(pair, method, "drug_001").settings.conditions == ("control", "drug_001")


@pytest.mark.parametrize("method", METHODS)
def test_what_is_written_is_read_again(screen, method, tmp_path):
    model = fit(screen, method, dose_key="dose", n_seeds=2)
    assert model.module.towards == 1 and len(model.problems) == 2
    source = (screen.obs["perturbation"] == "control").to_numpy()
    assert np.isfinite(screen.layers[method][source]).all()
    assert np.isnan(screen.layers[method][~source]).all()
    screen.write_h5ad(tmp_path / "screen.h5ad")
    again = ad.read_h5ad(tmp_path / "screen.h5ad").uns[method]
    assert list(again["params"]["conditions"]) == list(model.settings.conditions)
    model.save(tmp_path / "model")
    loaded = type(model).load(tmp_path / "model")
    assert loaded.settings == model.settings
    for one, other in ((loaded, model), (loaded.at("drug_002"), model.at("drug_002"))):
        np.testing.assert_array_equal(
            one.predict(screen).to_df().to_numpy(), other.predict(screen).to_df().to_numpy()
        )


@pytest.mark.parametrize("method", METHODS)
def test_other_conditions_and_doses_are_predicted_by_the_same_model(screen, method):
    model = fit(screen, method, dose_key="dose", max_steps=300)
    cells = screen[screen.obs["perturbation"] == "control"]
    low, high = (model.at(dose=dose).predict(cells).to_df().to_numpy() for dose in (1.0, 100.0))
    assert not np.allclose(low, high)
    other = model.at("drug_001")
    assert (other.target_key, model.target_key) == ("drug_001", "drug_000")
    assert "to 'drug_001'" in repr(other)
    assert "to 'drug_000'" in repr(model)
    assert not np.allclose(
        other.predict(cells).to_df().to_numpy(), model.predict(cells).to_df().to_numpy()
    )
    assert other.diagnostics["certificate"] == "check"
    assert "Try cells of this one: rayot.tl.evaluate" in other.diagnostics["reason"]
    truth = screen[screen.obs["perturbation"] == "drug_001"].obsm["X_pca"].mean(0)
    to_truth = [
        np.linalg.norm(each.predict(cells).obsm[f"X_{method}"].mean(0) - truth)
        for each in (other, model)
    ]
    assert to_truth[0] < to_truth[1]
    for target, match in (("drug_9", "target must be one of"), ("control", "target must be")):
        with pytest.raises(ValueError, match=match):
            model.at(target)
    with pytest.raises(ValueError, match="greater than 0"):
        model.at(dose=0.0)
    with pytest.raises(ValueError, match="needs dose_key"):
        fit(screen, method, key_added="plain").at(dose=1.0)


@pytest.mark.parametrize("method", METHODS)
def test_cells_set_apart_are_not_learned_from(screen, method):
    first = fit(screen, method).predict(screen).to_df().to_numpy()
    changed = screen.copy()
    test = (changed.obs["split"] == "test").to_numpy() & (changed.obs["perturbation"] != "control")
    changed.X = changed.X.toarray()
    changed.X[test] = 1
    centre = changed.X[~test].mean(0) - changed.obsm["X_pca"][~test].mean(0) @ changed.varm["PCs"].T
    changed.obsm["X_pca"][test] = (changed.X[test] - centre) @ changed.varm["PCs"]
    again = fit(changed, method).predict(screen).to_df().to_numpy()
    # The map is the same but for rounding, which ranks of genes may turn into some more.
    np.testing.assert_allclose(again, first, atol=1e-3)
    kept = changed[~test].copy()
    np.testing.assert_allclose(
        fit(kept, method).predict(screen).to_df().to_numpy(), first, atol=1e-3
    )


@pytest.mark.parametrize("method", METHODS)
def test_an_interrupted_fit_continues(screen, method, tmp_path):
    options = {"max_steps": 200, "checkpoint_every": 100}
    whole = fit(screen, method, **options).predict(screen).to_df().to_numpy()

    import lightning.pytorch as pl

    class Stop(pl.Callback):
        def on_train_epoch_end(self, trainer, module):
            if module.block == 1:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(screen, method, checkpoint_dir=tmp_path, callbacks=[Stop()], **options)
    for _ in range(2):
        model = fit(screen, method, checkpoint_dir=tmp_path, **options)
        np.testing.assert_array_equal(model.predict(screen).to_df().to_numpy(), whole)


def test_weights_reach_the_other_conditions(screen):
    screen.obs["weight"] = (screen.obs["perturbation"] != "drug_002").astype(float)
    model = fit(screen, weights_key="weight")
    assert model.settings.conditions == ("control", "drug_000", "drug_001")


@pytest.mark.parametrize(
    ("values", "found"), [(0.0, "0.0"), (-1.0, "-1.0"), (np.nan, "nan"), ("high", "'high'")]
)
@pytest.mark.parametrize("drug", ["drug_000", "drug_001"])
def test_a_dose_without_a_logarithm_is_refused_before_training(screen, values, found, drug):
    screen.obs["dose"] = screen.obs["dose"].astype(object)
    row = np.flatnonzero((screen.obs["perturbation"] == drug) & (screen.obs["split"] == "train"))[0]
    screen.obs.iloc[row, screen.obs.columns.get_loc("dose")] = values
    with pytest.raises(ValueError, match=rf"adata.obs\['dose'\] is .*{found}.* above 0"):
        fit(screen, dose_key="dose")
    assert "cpa" not in screen.uns and "cpa" not in screen.layers


def test_doses_of_source_cells_are_not_looked_at(screen):
    screen.obs.loc[screen.obs["perturbation"] == "control", "dose"] = np.nan
    model = fit(screen, dose_key="dose")
    drug = screen.obs["perturbation"].eq("drug_000") & screen.obs["split"].eq("train")
    mean = np.exp(np.log(screen.obs.loc[drug, "dose"]).mean())
    assert model.settings.dose == pytest.approx(mean, rel=1e-5)
    assert fit(screen, dose_key="dose", plan_kwargs={"dose": 3.0}).settings.dose == 3.0


@pytest.mark.parametrize("method", METHODS)
def test_a_covariate_that_is_missing_or_new_is_refused(screen, method):
    model = fit(screen, method)
    cells = screen[:9].copy()
    cells.obs["cell_type"] = pd.Categorical(["type_0"] * 8 + ["type_7"])
    with pytest.raises(ValueError, match=r"'type_7', which no training cell has"):
        model.predict(cells)
    cells.obs.loc[cells.obs_names[-1], "cell_type"] = np.nan
    with pytest.raises(ValueError, match="is missing for 1 of the 9 cells"):
        model.predict(cells)
    del cells.obs["cell_type"]
    with pytest.raises(KeyError, match="has no column 'cell_type'"):
        model.predict(cells)
    free = fit(screen, method, covariate_keys=None, key_added="free")
    assert free.predict(cells).shape == (9, 20)

    screen.obs.loc[screen.obs["split"].eq("train").idxmax(), "cell_type"] = np.nan
    with pytest.raises(ValueError, match="is missing for 1 of the"):
        fit(screen, method, key_added="new")
    assert "new" not in screen.uns


def test_a_cell_type_held_out_whole_is_refused_before_training(screen):
    del screen.obs["split"]
    rt.pp.split(screen, holdout={"cell_type": ["type_1"]})
    with pytest.raises(ValueError, match="'type_1', which no training cell has"):
        fit(screen)
    fit(screen, covariate_keys=None)


@pytest.mark.parametrize("method", METHODS)
def test_several_columns_are_one_covariate(screen, method, tmp_path):
    """Each combination of their values is one, which cells of another cannot have."""
    screen.obs["batch"] = np.where(np.arange(screen.n_obs) % 3, "a/b", "c")
    model = fit(screen, method, covariate_keys=["cell_type", "batch"])
    assert model.settings.covariates == tuple(
        f"type_{number} / {batch}" for number in (0, 1) for batch in ("a//b", "c")
    )
    screen.obs["both"] = screen.obs["cell_type"].astype(str) + screen.obs["batch"]
    one = fit(screen, method, covariate_keys="both", key_added="one")
    np.testing.assert_array_equal(*(each.predict(screen[:9]).to_df() for each in (model, one)))
    model.save(tmp_path / "model")
    loaded = type(model).load(tmp_path / "model")
    np.testing.assert_array_equal(*(each.predict(screen[:9]).to_df() for each in (model, loaded)))
    screen.obs["batch"] = "d"
    with pytest.raises(ValueError, match=r"'type_\d / d', which no training cell has"):
        loaded.predict(screen[:9])


@pytest.mark.parametrize("method", METHODS)
def test_the_default_covariate_need_not_be_there(screen, method):
    kinds = screen.obs.pop("cell_type")
    assert fit(screen, method).data.covariate_keys == ()
    screen.obs["cell_type"] = kinds
    model = getattr(rt.tl, method)(
        screen, "type_0", "type_1", groupby="cell_type", use_rep="X_pca", **FAST, **SMALL
    )
    assert model.data.covariate_keys == ()


@pytest.mark.parametrize("method", METHODS)
def test_the_former_name_of_covariates_is_read(screen, method, tmp_path, saved_folder):
    with pytest.warns(FutureWarning, match="covariate_key= is covariate_keys= now"):
        model = fit(screen, method, covariate_key="cell_type")
    assert model.data.covariate_keys == ("cell_type",)
    model.save(tmp_path / "model")
    folder = saved_folder(tmp_path / "model")
    values = folder.values
    del values["data"]["covariate_keys"]
    folder.sign({**values, "format": 3, "data": {**values["data"], "covariate_key": "cell_type"}})
    loaded = type(model).load(tmp_path / "model")
    np.testing.assert_array_equal(*(each.predict(screen[:9]).to_df() for each in (model, loaded)))


def test_options_that_cannot_be_are_refused(screen):
    for options, match in (
        ({"strata": "separate", "strata_key": "cell_type"}, "strata='separate' cannot"),
        ({"plan_kwargs": {"conditions": ("drug_9",)}}, "no category 'drug_9'"),
        ({"plan_kwargs": {"dose": 1.0}}, "needs dose_key"),
        ({"plan_kwargs": {"covariates": ("a",)}}, "name their columns by covariate_keys"),
        ({"plan_kwargs": {"adversary_weight": -1.0}}, "adversary_weight must be at least 0"),
        ({"plan_kwargs": {"dose_response": "cubic"}}, "dose_response must be one of"),
    ):
        with pytest.raises(ValueError, match=match):
            fit(screen, **options)
    with pytest.raises(KeyError, match="has no column 'nothing'"):
        fit(screen, covariate_keys="nothing")
    with pytest.raises(KeyError, match="has no column 'nothing'"):
        fit(screen, dose_key="nothing")
    test = screen.obs["perturbation"].eq("drug_000")
    screen.obs["split"] = np.where(test, "test", screen.obs["split"])
    with pytest.raises(ValueError, match="has 0 training cells"):
        fit(screen)


@pytest.mark.parametrize("method", METHODS)
def test_a_screen_says_which_verb_to_call(screen, method):
    with pytest.raises(ValueError, match=rf"call rayot.tl.{method} for one of them"):
        rt.tl.screen(screen, "control", method=method)


def test_strata_are_drawn_equally_beside_a_covariate(screen):
    fit(screen, strata_key="cell_type", covariate_keys=None)
    fit(screen, strata_key="cell_type", key_added="both")


def test_the_classes_say_what_they_are():
    assert CPA.joint and Biolord.joint and not ScGen.joint


def test_scgen_counts_cell_types_alike_where_there_are_any(screen):
    plan = {"shrink": False, "n_components": None, "decode": "delta"}
    options = {**FAST, "use_rep": "X_pca", "plan_kwargs": plan}
    model = rt.tl.scgen(screen, "control", "drug_000", **options)
    assert model.problems.strata == ("type_0", "type_1")
    assert model.module.encoder is None and model.history == {}
    options["strata_key"] = "cell_type"
    plain = rt.tl.mean_shift(
        screen, "control", "drug_000", **{**options, "plan_kwargs": {"decode": "delta"}}
    )
    np.testing.assert_allclose(
        model.predict(screen).to_df().to_numpy(),
        plain.predict(screen).to_df().to_numpy(),
        atol=1e-4,
    )
    del screen.obs["cell_type"]
    model = rt.tl.scgen(screen, "control", "drug_000", **FAST, key_added="pooled")
    assert model.problems.strata == () and "autoencoder" in model.history


def test_scgen_in_genes_is_saved_with_its_autoencoder(screen, tmp_path):
    model = rt.tl.scgen(screen, "control", "drug_000", n_seeds=2, **FAST)
    model.save(tmp_path / "model")
    again = ScGen.load(tmp_path / "model")
    np.testing.assert_array_equal(
        again.predict(screen).to_df().to_numpy(), model.predict(screen).to_df().to_numpy()
    )
    many = rt.tl.screen(screen, "control", method="scgen", fdr=None, **FAST)
    assert many["drug_001"].predict(screen[:5]).shape == (5, 20)
    many = rt.tl.screen(
        screen, "control", method="scgen", use_rep="X_pca", fdr=None, key_added="components", **FAST
    )
    assert many["drug_001"].module.encoder is None


@pytest.mark.parametrize("method", METHODS)
def test_a_fit_is_judged_at_the_doses_of_target_cells(screen, method):
    model = fit(screen, method, dose_key="dose")
    rows = np.concatenate(
        [model.data.training_rows(screen, name) for name in ("control", "drug_000")]
    )
    known = model._attributes_in_training(screen, rows)
    assert set(known.log_dose.tolist()) == {0.0, 1.0, 2.0}
    of_source, of_target = (known.log_dose[known.condition == each] for each in (0, 1))
    shares = [np.bincount(each.int(), minlength=3) / len(each) for each in (of_source, of_target)]
    np.testing.assert_allclose(*shares, atol=0.15)
    assert model.dose == pytest.approx(10 ** float(of_target.mean()))


@pytest.mark.parametrize("method", METHODS)
def test_few_cells_are_judged_by_cross_fitting(screen, method):
    few = screen[::2].copy()
    model = fit(few, method, n_folds=3, plan_kwargs={"width": 16, "shrink": True})
    assert model.diagnostics["n_folds"] == 3
    assert set(model.diagnostics_table.columns) >= {"certificate", "share_left"}


@pytest.mark.parametrize("method", METHODS)
def test_a_dose_is_scored_against_cells_of_that_dose(screen, method):
    model = fit(screen, method, dose_key="dose")
    for target in ("drug_000", "drug_001"):
        at_dose = (screen.obs["perturbation"] == target) & (screen.obs["dose"] == 10.0)
        alone = screen[at_dose | (screen.obs["perturbation"] == "control")].copy()
        low = model.at(target, dose=10.0)
        found = rt.tl.evaluate(screen, low, metrics=("mmd",))
        assert found.equals(rt.tl.evaluate(alone, low, metrics=("mmd",)))
    with pytest.warns(UserWarning, match="which no cell in adata.obs\\['dose'\\] has"):
        rt.tl.evaluate(screen, model.at(dose=3.0), metrics=("mmd",))
    with pytest.warns(UserWarning, match="scored against cells of all doses"):
        rt.tl.evaluate(screen, method, metrics=("mmd",))
