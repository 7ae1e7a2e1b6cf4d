"""The scale of expression: found in whatever matrix, and what ratios are taken of."""

import warnings

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import rayot as rt
from rayot.data.scale import SCALES, find_scale, scale_named


def amounts(n_genes=60, seed=0):
    """Counts of 400 cells; in the second half the first gene is doubled."""
    rng = np.random.default_rng(seed)
    means = rng.gamma(2, 4, n_genes)
    means[0] = 20
    counts = rng.poisson(means * rng.lognormal(0, 0.2, (400, 1)))
    counts[200:, 0] *= 2
    return counts.astype(np.float32)


def normalised(counts):
    return (1e4 * counts / counts.sum(1, keepdims=True)).astype(np.float32)


KNOWN = {
    "counts": (lambda counts: counts, "linear"),
    "normalised": (normalised, "linear"),
    "log1p": (lambda counts: np.log1p(normalised(counts)), "log1p"),
    "log1p of counts": (np.log1p, "log1p"),
    "base 2": (lambda counts: np.log2(1 + normalised(counts)), "log1p base 2"),
    "base 10": (lambda counts: np.log10(1 + normalised(counts)), "log1p base 10"),
    "twice": (lambda counts: np.log1p(np.log1p(normalised(counts))), "log1p, taken twice"),
    "cytometry": (lambda counts: np.arcsinh(counts / 5), "arcsinh with cofactor 5"),
    "flow": (lambda counts: np.arcsinh(counts / 150), "arcsinh with cofactor 150"),
}
"""Values made of amounts, and the scale that they are on."""

CONTAINERS = {
    "dense": np.asarray,
    "csr": sparse.csr_matrix,
    "csc": sparse.csc_matrix,
    "csr_array": sparse.csr_array,
    "float64": lambda values: values.astype(np.float64),
    "fortran": np.asfortranarray,
}


def cells(values):
    obs = pd.DataFrame(
        {"perturbation": np.repeat(["control", "drug"], 200)},
        index=[f"cell{number}" for number in range(400)],
    )
    return ad.AnnData(values, obs=obs)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.mark.parametrize("name", KNOWN)
def test_a_scale_is_found_from_values_and_kept(name):
    make, scale = KNOWN[name]
    adata = cells(make(amounts()))
    rt.pp.split(adata)
    rt.tl.mean_shift(adata, "control", "drug", allow_counts=True)
    assert adata.uns["mean_shift"]["scale"] == scale


@pytest.mark.parametrize("container", CONTAINERS)
def test_every_container_and_a_layer_show_the_same(container):
    adata = cells(CONTAINERS[container](KNOWN["base 2"][0](amounts())))
    adata.layers["logged"] = adata.X.copy()
    adata.X = sparse.csr_matrix(adata.shape)
    rt.tl.mean_shift(adata, "control", "drug", layer="logged")
    assert adata.uns["mean_shift"]["scale"] == "log1p base 2"


def test_what_scanpy_left_in_uns_counts_where_values_say_nothing():
    # Three decimals hide which amounts the values were made of.
    rounded = np.log1p(normalised(amounts())).round(2)
    assert find_scale(rounded, {}).name == "unknown"
    assert find_scale(rounded, {"log1p": {}}).name == "log1p"
    assert find_scale(rounded, {"log1p": {"base": None}}).name == "log1p"
    assert find_scale(rounded, {"log1p": {"base": 2}}).name == "log1p base 2"
    for foreign in ({"base": "e"}, {"base": -1}, "yes", None):
        assert find_scale(rounded, {"log1p": foreign}).name == "unknown"


def test_uns_is_not_believed_against_the_values():
    """As after sc.pp.log1p and sc.pp.scale, or where another layer was logged."""
    values = np.log1p(normalised(amounts()))
    assert find_scale(values - values.mean(0), {"log1p": {"base": None}}).name == "unknown"
    assert find_scale(normalised(amounts()), {"log1p": {"base": None}}).name == "linear"
    assert find_scale(values, {"log1p": {"base": 2}}).name == "log1p"


@pytest.mark.parametrize("name", [name for name in KNOWN if name != "counts"])
def test_fold_changes_are_those_of_amounts_on_every_scale(name):
    adata = cells(KNOWN[name][0](amounts()))
    rt.pp.split(adata)
    rt.tl.mean_shift(adata, "control", "drug")
    table = rt.tl.log_fold_change(adata, "mean_shift")
    assert (table["measure"] == "log2 fold change").all()
    counted = name in ("log1p of counts", "cytometry", "flow")
    linear = amounts() if counted else normalised(amounts())
    test, drug = adata.obs["split"] == "test", adata.obs["perturbation"] == "drug"
    after, before = (linear[(test & each).to_numpy()].mean(0) for each in (drug, ~drug))
    np.testing.assert_allclose(
        table["observed"], np.log2((after + 0.01) / (before + 0.01)), atol=1e-3
    )
    scores = rt.tl.evaluate(adata, "mean_shift", metrics=["log_fold_change_error"])
    assert np.isfinite(scores["log_fold_change_error"]).all()
    assert scores["log_fold_change_error"]["identity"] < 1
    rt.pl.log_fold_change(table, show=False)


@pytest.mark.parametrize("name", ["scaled", "proteins", "regressed"])
def test_means_are_compared_by_differences_where_no_scale_is_known(name):
    values = np.log1p(normalised(amounts())).astype(np.float64)
    adata = cells(values)
    if name == "scaled":
        sc.pp.scale(adata)
    elif name == "proteins":
        adata.X = values - values.mean(1, keepdims=True)
    else:
        adata.obs["depth"] = np.random.default_rng(0).normal(size=400)
        sc.pp.regress_out(adata, "depth")
    rt.pp.split(adata)
    rt.tl.mean_shift(adata, "control", "drug")
    assert adata.uns["mean_shift"]["scale"] == "unknown"
    with pytest.warns(UserWarning, match="scale that is not known.*by their differences"):
        table = rt.tl.log_fold_change(adata, "mean_shift")
    assert (table["measure"] == "difference of means").all()
    test = (adata.obs["split"] == "test").to_numpy()
    drug = (adata.obs["perturbation"] == "drug").to_numpy()
    expected = adata.X[test & drug].mean(0) - adata.X[test & ~drug].mean(0)
    np.testing.assert_allclose(table["observed"], expected, atol=1e-4)
    with pytest.warns(UserWarning, match="scale that is not known"):
        scores = rt.tl.evaluate(adata, "mean_shift", metrics=["l2", "log_fold_change_error"])
    assert scores.columns.tolist() == ["l2", "mean_difference_error", "n_cells"]
    assert np.isfinite(scores).all().all()
    axes = rt.pl.log_fold_change(table, show=False)
    assert "difference" in axes.get_xlabel().lower()


def test_a_scale_that_the_user_names_is_taken():
    adata = cells(np.log1p(normalised(amounts())).round(2))
    rt.tl.mean_shift(adata, "control", "drug", split_key=None)
    rt.pp.split(adata)
    rt.tl.mean_shift(adata, "control", "drug")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # What anndata itself still uses of pandas.
        warnings.simplefilter("ignore", DeprecationWarning)
        table = rt.tl.log_fold_change(adata, "mean_shift", log1p=True)
    assert table["observed"].iloc[0] == pytest.approx(1, abs=0.2)
    assert (table["measure"] == "log2 fold change").all()


def test_genes_that_hardly_any_cell_expresses_have_no_fold_change():
    counts = amounts()
    counts[:, 1] = 0
    counts[399, 1] = 90
    counts[:, 2] = 0
    adata = cells(np.log1p(normalised(counts)))
    adata.obs["split"] = np.resize(["train", "test"], 400)
    rt.tl.mean_shift(adata, "control", "drug")
    table = rt.tl.log_fold_change(adata, "mean_shift")
    assert table["observed"].iloc[[1, 2]].isna().all()
    assert table["observed"].drop(adata.var_names[[1, 2]]).notna().all()
    everything = rt.tl.log_fold_change(adata, "mean_shift", min_expressed=0)
    assert everything["observed"].iloc[1] > 3
    assert everything["observed"].iloc[2] == 0


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(SCALES), st.lists(st.floats(0, 50), min_size=1, max_size=20))
def test_amounts_and_values_are_inverse(scale, values):
    values = np.array(values)
    np.testing.assert_allclose(
        scale.to_amounts(scale.to_values(values)), values, rtol=1e-6, atol=1e-9
    )
    assert scale_named(scale.name).name == scale.name


def test_scales_of_any_base_are_kept_by_name():
    three = scale_named("log1p base 3")
    np.testing.assert_allclose(three.to_amounts(three.to_values(np.array([5.0]))), 5)
    assert not scale_named("nonsense").is_known
