"""Predictions from the profiles of other perturbations."""

import numpy as np
import pandas as pd
import pytest
from simulated_cells import act_by
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge

import rayot as rt
from rayot.solvers.profiles import additive_shift, described, nearest_shift, ridge_shift

NAMES = ["control", "A", "B", "C", "A+B", "B+C"]


@pytest.fixture
def combinations():
    """Cells of two combinations; those of the first are all test cells."""
    data = rt.datasets.simulated_screen(n_perturbations=5, n_cells=60, n_genes=20, inactive=0)
    data.obs["perturbation"] = data.obs["perturbation"].cat.rename_categories(NAMES)
    data.obs["split"] = np.where(data.obs["perturbation"] == "A+B", "test", "train")
    return data


def mean_of(data, name):
    return np.asarray(data[data.obs["perturbation"] == name].X.mean(0)).ravel()


def test_a_combination_is_the_sum_of_its_parts(combinations):
    rt.tl.additive(combinations, "control", "A+B", clip=False)
    control = (combinations.obs["perturbation"] == "control").to_numpy()
    found = combinations.layers["additive"][control].mean(0)
    expected = mean_of(combinations, "A") + mean_of(combinations, "B")
    np.testing.assert_allclose(found, expected - mean_of(combinations, "control"), atol=1e-4)
    report = combinations.uns["additive"]["diagnostics"]
    assert report["certificate"] == "check"
    assert "Try cells of the target: rayot.tl.evaluate" in report["reason"]


def test_the_nearest_has_a_part_in_common(combinations):
    rt.tl.nearest(combinations, "control", "A+B", clip=False)
    control = (combinations.obs["perturbation"] == "control").to_numpy()
    found = combinations.layers["nearest"][control].mean(0)
    # Of A and B alone, which are as near; B+C shares one part of two.
    expected = (mean_of(combinations, "A") + mean_of(combinations, "B")) / 2
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_vectors_decide_what_is_near(combinations):
    combinations.uns["drugs"] = pd.DataFrame(
        [[1, 0], [0, 1], [1, 1], [0.9, 0.1], [-1, 0]], index=NAMES[1:], columns=["x", "y"]
    )
    rt.tl.nearest(
        combinations, "control", "A+B", clip=False, plan_kwargs={"embedding_key": "drugs"}
    )
    control = (combinations.obs["perturbation"] == "control").to_numpy()
    found = combinations.layers["nearest"][control].mean(0)
    np.testing.assert_allclose(found, mean_of(combinations, "A"), atol=1e-4)


@pytest.mark.parametrize("name", ["nearest", "ridge"])
def test_a_combination_without_a_vector_has_the_sum_of_its_parts(combinations, name):
    parts = pd.DataFrame([[1, 0.5], [0.2, 1], [-1, 1]], index=list("ABC"), columns=["x", "y"])
    combinations.uns["parts"] = parts
    whole = {n: np.sum([parts.loc[part] for part in n.split("+")], axis=0) for n in NAMES[1:]}
    combinations.uns["whole"] = whole
    model, expected = (
        getattr(rt.tl, name)(combinations, "control", "A+B", plan_kwargs={"embedding_key": key})
        for key in ("parts", "whole")
    )
    np.testing.assert_array_equal(model.module.shift, expected.module.shift)


def test_ridge_finds_effects_that_add_up():
    rng = np.random.default_rng(0)
    names = ["A", "B", "C", "D", "A+B", "C+D", "B+C", "A+D"]
    single = dict(zip("ABCD", rng.normal(size=(4, 30)), strict=True))
    shifts = {name: np.sum([single[part] for part in name.split("+")], axis=0) for name in names}
    vectors = dict(zip([*names, "A+C"], described([*names, "A+C"]), strict=True))
    control = rng.normal(size=30)
    found = ridge_shift("A+C", shifts, vectors, 10, 1e-6, control).shift
    assert np.corrcoef(found, single["A"] + single["C"])[0, 1] > 0.95
    np.testing.assert_allclose(additive_shift("A+C", shifts), single["A"] + single["C"])
    assert len(nearest_shift("A+C", shifts, vectors)) == 30


def test_ridge_is_two_regressions_of_sklearn():
    """Of the shifts on the genes' scores, and of the coefficients on the perturbations' vectors."""
    rng = np.random.default_rng(1)
    shifts = {name: rng.normal(size=12) for name in "ABCDEF"}
    vectors = {name: rng.normal(size=3) for name in "ABCDEFG"}
    others, control = list("ABCDEF"), rng.normal(size=12)
    changes = np.stack([shifts[name] for name in others], axis=1)
    mean = changes.mean(1)
    scores = PCA(4, svd_solver="full").fit_transform(changes + control[:, None])
    ridge = Ridge(0.1, fit_intercept=False)
    coefficients = ridge.fit(scores, changes - mean[:, None]).coef_
    known = np.stack([vectors[name] for name in others])
    found = ridge.fit(known, coefficients).predict(vectors["G"][None])[0]
    expected = scores @ found + mean
    np.testing.assert_allclose(ridge_shift("G", shifts, vectors, 4, 0.1, control).shift, expected)


@pytest.mark.parametrize(
    ("name", "target", "options", "message"),
    [
        ("additive", "A", {}, "is no combination"),
        ("additive", "A+D", {}, "No training cells of \\['D'\\]"),
        ("nearest", "D", {}, "in common with"),
        ("ridge", "D", {}, "in common with 'D'"),
        ("ridge", "A+B", {"embedding_key": "none"}, "adata.uns has no 'none'"),
        ("ridge", "A+B", {"embedding_key": "uneven"}, "equally long"),
        (
            "ridge",
            "A+D",
            {"embedding_key": "few"},
            "no vector of 'C', 'D'; it has those of 'A', 'B'",
        ),
        ("nearest", "A+B", {"embedding_key": "zeros"}, "'C' in .* is all zeros"),
        ("ridge", "A+B", {"embedding_key": "nan"}, "finite"),
    ],
)
def test_bad_input(combinations, name, target, options, message):
    combinations.uns["uneven"] = {name: [1.0] * (1 + (name == "B")) for name in NAMES}
    combinations.uns["nan"] = {name: [1.0, np.nan] for name in NAMES}
    combinations.uns["zeros"] = {name: [0, name != "C"] for name in NAMES}
    combinations.uns["few"] = {"A": [1.0], "B": [2.0]}
    with pytest.raises((KeyError, ValueError), match=message):
        getattr(rt.tl, name)(combinations, "control", target, plan_kwargs=options)
    assert name not in combinations.layers


@pytest.mark.parametrize("name", ["additive", "nearest", "ridge"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_stepz": 5}, "max_stepz: neither an option"),
        ({"max_steps": 0}, "max_steps must be a whole number of at least 1, found 0"),
        ({"batch_size": -3}, "batch_size must be"),
        ({"validation_size": 7}, "validation_size must be between"),
    ],
)
def test_bad_options(combinations, name, options, message):
    with pytest.raises(ValueError, match=message):
        getattr(rt.tl, name)(combinations, "control", "A+B", **options)
    assert name not in combinations.layers


def test_a_target_without_any_cells(combinations):
    model = rt.tl.additive(combinations, "control", "A+C")
    assert model.predict(combinations[:3]).shape == (3, 20)


@pytest.fixture
def drugs():
    """Drugs whose responses are linear in two latent activities; two of them have no cells."""
    data = rt.datasets.simulated_screen(n_perturbations=12, n_cells=60, n_genes=20, inactive=0)
    rng = np.random.default_rng(0)
    activities, effects = rng.normal(size=(12, 2)), rng.normal(size=(2, 20))
    names = act_by(data, activities, effects, rng)
    data.uns["vectors"] = dict(zip(names, activities, strict=True))
    data.uns["bits"] = dict(
        zip(names, np.sign(activities @ rng.normal(size=(2, 30))) > 0, strict=True)
    )
    data.obs["split"] = np.where(data.obs["perturbation"].isin(names[10:]), "test", "train")
    return data


@pytest.mark.parametrize("kernel", ["linear", "rbf", "tanimoto"])
def test_kernels_predict_a_drug_and_say_how_sure_they_are(drugs, kernel, tmp_path):
    key = "bits" if kernel == "tanimoto" else "vectors"
    settings = {"embedding_key": key, "kernel": kernel}
    model = rt.tl.ridge(drugs, "control", "drug_010", clip=False, plan_kwargs=settings)
    control = (drugs.obs["perturbation"] == "control").to_numpy()
    found = drugs.layers["ridge"][control].mean(0) - mean_of(drugs, "control")
    truth = mean_of(drugs, "drug_010") - mean_of(drugs, "control")
    assert np.corrcoef(found, truth)[0, 1] > (0.5 if kernel == "tanimoto" else 0.9)
    sd = drugs.uns["ridge"]["predictive_sd"]
    assert sd.shape == (20,) and (sd > 0).all()
    model.save(tmp_path / "model")
    again = rt.model.Ridge.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predictive_sd, sd)
    told = again.predict(drugs[:5]).uns["ridge"]["predictive_sd"]
    np.testing.assert_array_equal(told, sd)
    assert "others" in again.diagnostics["reason"]


def test_linear_ridge_is_what_it_was(drugs):
    shifts = {
        name: mean_of(drugs, name) - mean_of(drugs, "control")
        for name in list(drugs.uns["vectors"])[:10]
    }
    model = rt.tl.ridge(drugs, "control", "drug_011", plan_kwargs={"embedding_key": "vectors"})
    vectors = {name: np.asarray(vector) for name, vector in drugs.uns["vectors"].items()}
    expected = ridge_shift("drug_011", shifts, vectors, 10, 0.1, mean_of(drugs, "control")).shift
    np.testing.assert_allclose(model.module.shift[0, 0], expected, atol=1e-4)


def test_the_sd_of_genes_is_decoded(drugs):
    import scanpy as sc

    sc.pp.pca(drugs, n_comps=19, mask_var=None)
    settings = {"embedding_key": "vectors", "kernel": "rbf"}
    in_genes = rt.tl.ridge(drugs, "control", "drug_010", plan_kwargs=settings)
    in_components = rt.tl.ridge(drugs, "control", "drug_010", use_rep="X_pca", plan_kwargs=settings)
    np.testing.assert_allclose(in_components.predictive_sd, in_genes.predictive_sd, rtol=0.3)


def test_fingerprints_have_no_negative_entries(drugs):
    settings = {"embedding_key": "vectors", "kernel": "tanimoto"}
    with pytest.raises(ValueError, match="take kernel='rbf'"):
        rt.tl.ridge(drugs, "control", "drug_010", plan_kwargs=settings)
    with pytest.raises(ValueError, match="kernel must be"):
        rt.tl.ridge(drugs, "control", "drug_010", plan_kwargs={"kernel": "cosine"})


def test_files_from_before_kernels_are_linear(drugs, tmp_path):
    from rayot.model import files

    settings = {"embedding_key": "vectors"}
    model = rt.tl.ridge(drugs, "control", "drug_010", plan_kwargs=settings)
    model.save(tmp_path / "model")
    values, arrays = files.read(tmp_path / "model", "Ridge")
    del values["settings"]["kernel"], arrays["profiles.predictive_sd"]
    files.write(tmp_path / "old", {"model": "Ridge", **values}, arrays, False)
    again = rt.model.Ridge.load(tmp_path / "old")
    assert again.settings.kernel == "linear" and again.predictive_sd is None
    assert again.predict(drugs[:5]).to_df().equals(model.predict(drugs[:5]).to_df())
