"""Leaks that are planted, and folds by which none can be."""

import warnings

import numpy as np
import pytest
import scanpy as sc
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import rayot as rt


def cells(seed=0, n_cells=300, **kwargs):
    adata = rt.datasets.simulated(n_cells=n_cells, n_genes=80, seed=seed, **kwargs)
    rt.pp.split(adata, seed=seed)
    return adata


def checked(adata, **kwargs):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        table = rt.pp.check_split(adata, **kwargs)
    leaks = [str(each.message) for each in told if "leaks" in str(each.message)]
    assert len(leaks) == (table["status"] == "leak").sum()
    return table["status"].to_dict()


def training_of(adata):
    return adata[adata.obs["split"] == "train"].copy()


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("leaky", [True, False])
@pytest.mark.parametrize("kind", [sparse.csr_matrix, np.asarray])
def test_components_of_all_cells_are_a_leak(leaky, kind, seed):
    adata = cells(seed)
    adata.X = kind(adata.X.toarray() if sparse.issparse(adata.X) else adata.X)
    if leaky:
        sc.pp.pca(adata, n_comps=20)
    else:
        adata.varm["PCs"] = sc.pp.pca(training_of(adata), n_comps=20, copy=True).varm["PCs"]
    assert checked(adata)["components"] == ("leak" if leaky else "clean")


@pytest.mark.parametrize("leaky", [True, False])
@pytest.mark.parametrize("max_value", [None, 10])
def test_scaling_by_all_cells_is_a_leak(leaky, max_value):
    adata = cells()
    if leaky:
        sc.pp.scale(adata, max_value=max_value)
    else:
        scaled = sc.pp.scale(training_of(adata), copy=True)
        mean, sd = (scaled.var[name].to_numpy() for name in ("mean", "std"))
        adata.X = (_dense(adata.X) - mean) / np.where(sd > 0, sd, 1)
    assert checked(adata)["scaling"] == ("leak" if leaky else "clean")
    assert checked(cells())["scaling"] == "clean"


@pytest.mark.parametrize("leaky", [True, False])
@pytest.mark.parametrize("flavor", ["seurat", "cell_ranger"])
def test_genes_selected_on_all_cells_are_a_leak(leaky, flavor):
    adata = cells()
    if leaky:
        sc.pp.highly_variable_genes(adata, n_top_genes=40, flavor=flavor)
    else:
        training = training_of(adata)
        sc.pp.highly_variable_genes(training, n_top_genes=40, flavor=flavor)
        for name in ("means", "highly_variable"):
            adata.var[name] = training.var[name]
    expected = "leak" if leaky else "clean"
    assert checked(adata)["genes"] == expected
    # The genes that are kept are still those that were selected.
    assert checked(adata[:, adata.var["highly_variable"]].copy())["genes"] == expected


def test_what_cannot_be_told_is_not_called_clean():
    adata = cells()
    found = checked(adata)
    assert found["components"] == found["genes"] == "unknown"
    adata.varm["PCs"] = np.linalg.qr(np.random.default_rng(0).normal(size=(80, 10)))[0]
    adata.var["means"], adata.var["highly_variable"] = 1.0, True
    found = checked(adata)
    assert found["components"] == found["genes"] == "unknown"


def test_masked_genes_do_not_hide_a_leak():
    adata = cells()
    sc.pp.highly_variable_genes(adata, n_top_genes=40)
    sc.pp.pca(adata, n_comps=20)
    assert not adata.varm["PCs"].any(axis=1).all()
    assert checked(adata)["components"] == "leak"


def test_controls_that_stay_are_told_and_not_forbidden():
    adata = cells()
    rt.pp.split(adata, holdout={"cell_type": ["type_0"]}, control="control")
    assert checked(adata)["controls"] == "told"
    rt.pp.split(adata, holdout={"cell_type": ["type_0"]})
    assert checked(adata)["controls"] == "clean"


def test_labels_that_match_nothing_are_an_error():
    adata = cells()
    adata.obs["split"] = adata.obs["split"].map({"train": "Train", "test": "Test"})
    with pytest.raises(ValueError, match="found 480 'Train', 120 'Test'"):
        rt.pp.check_split(adata)


def test_evaluate_says_so_too():
    adata = cells()
    sc.pp.pca(adata, n_comps=20)
    rt.tl.mean_shift(adata, "control", "perturbed", use_rep="X_pca")
    with pytest.warns(UserWarning, match="leaks: Components"):
        rt.tl.evaluate(adata, metrics=["l2"])


@given(
    n_folds=st.integers(2, 5),
    n_groups=st.integers(2, 9),
    seed=st.integers(0, 5),
    controls=st.booleans(),
)
@settings(max_examples=25, deadline=None)
def test_each_group_is_for_testing_once(n_folds, n_groups, seed, controls):
    adata = rt.datasets.moons(60)
    rng = np.random.default_rng(seed)
    adata.obs["donor"] = [f"donor {n}" for n in rng.integers(0, n_groups, adata.n_obs)]
    control = "control" if controls else None
    kwargs = {"groups": "donor", "n_folds": n_folds, "seed": seed, "control": control}
    n_there = adata.obs["donor"].nunique()
    if n_there < n_folds:
        with pytest.raises(ValueError, match=f"has {n_there} groups"):
            rt.pp.folds(adata, **kwargs)
        assert not [name for name in adata.obs if name.startswith("fold")]
        return
    names = rt.pp.folds(adata, **kwargs)
    is_test = np.stack([(adata.obs[name] == "test").to_numpy() for name in names])
    responding = (adata.obs["perturbation"] != "control").to_numpy()
    np.testing.assert_array_equal(is_test.sum(0), responding if controls else 1)
    for name, test in zip(names, is_test, strict=True):
        shared = set(adata.obs["donor"][test]) & set(adata.obs["donor"][~test & responding])
        assert not shared
        assert set(adata.uns[name]["holdout"]["donor"]) == set(adata.obs["donor"][test])


def test_inner_folds_never_see_the_outer_test():
    adata = cells()
    (first, *_) = rt.pp.folds(adata, groups="cell_type", n_folds=3, n_inner_folds=2)
    inner = [f"{first}_inner_{number}" for number in range(2)]
    outer_test = adata.obs[first] == "test"
    for name in inner:
        assert (adata.obs.loc[outer_test, name] == "outer test").all()
        assert set(adata.obs.loc[~outer_test, name]) == {"train", "test"}
    model = rt.tl.mean_shift(adata, "control", "perturbed", split_key=inner[0])
    known = model.split.is_trained_on(adata)
    assert not known[outer_test.to_numpy()].any()


def test_a_perturbation_is_left_out_by_each_fold_and_the_control_by_none():
    adata = rt.datasets.simulated_screen(6, n_cells=60, n_genes=20)
    adata.obs.loc[adata.obs_names[:3], "perturbation"] = np.nan
    names = rt.pp.folds(adata, groups="perturbation", control="control", n_folds=3)
    for name in names:
        test = adata.obs.loc[adata.obs[name] == "test", "perturbation"]
        assert test.nunique() == 2 and "control" not in set(test)
    with pytest.raises(ValueError, match="has 6 groups"):
        rt.pp.folds(adata, groups="perturbation", control="control", n_folds=7)
    assert set(rt.pp.folds(adata, n_folds=2, key_added="random")) <= set(adata.obs)


def test_random_folds_keep_conditions_in_proportion():
    adata = cells()
    names = rt.pp.folds(adata, n_folds=4)
    for name in names:
        counts = adata.obs.loc[adata.obs[name] == "test", "perturbation"].value_counts()
        assert set(counts) == {75}


def test_a_split_has_a_hash_that_its_maps_keep(tmp_path):
    adata = cells()
    told = adata.uns["split"]["hash"]
    model = rt.tl.mean_shift(adata, "control", "perturbed")
    model.save(tmp_path / "model")
    assert rt.model.MeanShift.load(tmp_path / "model").split.hash == told
    assert adata.uns["mean_shift"]["split"]["hash"] == told
    shuffled = adata[np.random.default_rng(0).permutation(adata.n_obs)].copy()
    assert rt.tl.mean_shift(shuffled, "control", "perturbed").split.hash == told
    rt.pp.split(adata, seed=1)
    assert adata.uns["split"]["hash"] != told


@pytest.mark.parametrize(
    ("kwargs", "says"),
    [
        ({"n_folds": 1}, "n_folds"),
        ({"n_inner_folds": 1}, "n_inner_folds"),
        ({"control": "control"}, "needs groups"),
        ({"groups": "nonsense"}, "nonsense"),
        ({"groups": "cell_type", "n_folds": 9}, "fewer than the 9 folds"),
        ({"n_folds": 1000}, "fewer than the 1000 folds"),
        ({"key_added": "cell"}, "would overwrite"),
    ],
    ids=str,
)
def test_bad_folds_are_refused(kwargs, says):
    adata = cells()
    adata.obs["cell_0"] = 1
    before = list(adata.obs), list(adata.uns)
    with pytest.raises((KeyError, ValueError), match=says):
        rt.pp.folds(adata, **kwargs)
    assert (list(adata.obs), list(adata.uns)) == before


def _dense(values):
    return values.toarray() if sparse.issparse(values) else np.asarray(values)


@pytest.mark.parametrize("kind", [sparse.csr_matrix, np.asarray])
def test_components_of_training_cells_are_those_of_scanpy(kind):
    adata = cells()
    adata.X = kind(_dense(adata.X))
    rt.pp.pca(adata, 10)
    training = training_of(adata)
    expected = sc.pp.pca(training, n_comps=10, copy=True)
    is_train = (adata.obs["split"] == "train").to_numpy()
    np.testing.assert_allclose(adata.obsm["X_pca"][is_train], expected.obsm["X_pca"], atol=1e-3)
    assert checked(adata)["components"] == "clean"
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*leaks")
        rt.tl.mean_shift(adata, "control", "perturbed", use_rep="X_pca")
        rt.tl.evaluate(adata, metrics=["l2"])


def test_a_layer_and_few_cells_have_components_too():
    adata = cells(n_cells=6)
    adata.layers["other"] = adata.X * 2
    rt.pp.pca(adata, layer="other")
    assert adata.obsm["X_pca"].shape == (12, (adata.obs["split"] == "train").sum() - 1)
