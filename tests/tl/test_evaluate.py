import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

import rayot as rt

FAST = ["r2", "l2", "mmd", "energy_distance"]


@pytest.fixture
def fitted():
    """120 control cells, 100 of a drug that doubles genes 0..4, and a map that gets it nearly."""
    generator = np.random.default_rng(0)
    n_control, n_drug, n_genes = 120, 100, 130
    counts = generator.poisson(5, size=(n_control + n_drug, n_genes)).astype(float)
    counts[n_control:, :5] *= 2
    adata = ad.AnnData(
        np.log1p(counts).astype(np.float32),
        obs=pd.DataFrame(
            {
                "condition": pd.Categorical(["control"] * n_control + ["drug"] * n_drug),
                "split": np.where(np.arange(n_control + n_drug) % 5 < 2, "test", "train"),
                "cell_type": np.where(np.arange(n_control + n_drug) % 3, "B", "T"),
            },
            index=[f"cell{i}" for i in range(n_control + n_drug)],
        ),
        var=pd.DataFrame(index=[f"gene{i}" for i in range(n_genes)]),
    )
    add_map(adata, "w1ot", 1.9)
    return adata


def add_map(adata, key, factor):
    """Write a map that multiplies the first five genes."""
    predicted = np.full(adata.shape, np.nan, dtype=np.float32)
    is_source = (adata.obs["condition"] == "control").to_numpy()
    predicted[is_source] = adata.X[is_source]
    predicted[is_source, :5] = np.log1p(factor * np.expm1(adata.X[is_source, :5]))
    adata.layers[key] = predicted
    adata.uns[key] = {
        "source": "control",
        "target": "drug",
        "groupby": "condition",
        "split_key": "split",
    }


def rows(adata, condition, split):
    return ((adata.obs["condition"] == condition) & (adata.obs["split"] == split)).to_numpy()


def test_rows_and_columns(fitted):
    table = rt.tl.evaluate(fitted, "w1ot")
    assert table.index.tolist() == ["w1ot", "identity", "mean shift", "observed"]
    assert table.index.name == "method"
    assert table.columns.tolist() == [
        "r2",
        "l2",
        "mmd",
        "energy_distance",
        "wasserstein1",
        "way_mmd",
        "way_energy_distance",
        "n_cells",
    ]
    assert (table["n_cells"] == rows(fitted, "drug", "test").sum()).all()
    np.testing.assert_allclose(table.loc["identity", ["way_mmd", "way_energy_distance"]], 0)
    np.testing.assert_allclose(table.loc["observed", ["way_mmd", "way_energy_distance"]], 1)
    assert table.loc["w1ot", "way_energy_distance"] > 0.8
    assert table.loc["w1ot", "l2"] < table.loc["identity", "l2"] / 2


def test_scores_by_hand(fitted):
    control_test, drug_test = rows(fitted, "control", "test"), rows(fitted, "drug", "test")
    shift = fitted.X[rows(fitted, "drug", "train")].mean(0)
    shift = shift - fitted.X[rows(fitted, "control", "train")].mean(0)
    # With equal sizes the subsample is everything.
    keep = np.flatnonzero(control_test)[: drug_test.sum()]
    cells = fitted[np.sort(np.concatenate([keep, np.flatnonzero(~control_test)]))]
    assert drug_test.sum() < rows(fitted, "drug", "train").sum()
    table = rt.tl.evaluate(cells, "w1ot", n_top_genes=200, metrics=["l2"])
    truth = fitted.X[drug_test].mean(0)
    expected = {
        "w1ot": fitted.layers["w1ot"][keep].mean(0),
        "identity": fitted.X[keep].mean(0),
        "mean shift": fitted.X[keep].mean(0) + shift,
    }
    for method, mean in expected.items():
        np.testing.assert_allclose(
            table.loc[method, "l2"], np.linalg.norm(mean - truth), rtol=1e-4, err_msg=method
        )


def test_top_genes_are_those_that_differ_whatever_the_direction(fitted):
    fitted.X[(fitted.obs["condition"] == "drug").to_numpy(), 7] = 0
    table = rt.tl.log_fold_change(fitted, "w1ot", n_top_genes=6)
    assert table.index.tolist() == [*(f"gene{i}" for i in range(5)), "gene7"]


def test_top_genes_come_from_observed_training_cells_only(fitted):
    before = rt.tl.log_fold_change(fitted, "w1ot", n_top_genes=5).index.tolist()
    fitted.X[rows(fitted, "drug", "test"), 20] = 9
    fitted.layers["w1ot"][:, 21] = 9
    assert rt.tl.log_fold_change(fitted, "w1ot", n_top_genes=5).index.tolist() == before


@pytest.mark.parametrize("kind", ["csr", "view", "backed", "backed csr", "layer"])
def test_every_kind_of_storage_scores_the_same(fitted, kind, tmp_path):
    expected = rt.tl.evaluate(fitted, metrics=FAST)
    adata = fitted.copy()
    if "csr" in kind:
        adata.X = csr_matrix(adata.X)
    if kind == "view":
        more = ad.concat([adata, adata[:3]], index_unique="-")
        more.uns = adata.uns
        adata = more[: fitted.n_obs]
        assert adata.is_view
    if kind == "layer":
        adata.layers["logcounts"] = csr_matrix(adata.X)
        adata.X = np.zeros(adata.shape)
        adata.uns["w1ot"]["layer"] = "logcounts"
    if "backed" in kind:
        adata.write_h5ad(tmp_path / "cells.h5ad")
        adata = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    np.testing.assert_allclose(rt.tl.evaluate(adata, metrics=FAST), expected, rtol=1e-4, atol=1e-6)


def test_repeatable_and_free_of_the_global_seed(fitted):
    first = rt.tl.evaluate(fitted, n_cells=20, metrics=FAST, seed=1)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    np.testing.assert_array_equal(first, rt.tl.evaluate(fitted, n_cells=20, metrics=FAST, seed=1))
    np.testing.assert_array_equal(state, np.random.get_state()[1])  # noqa: NPY002
    assert not first.equals(rt.tl.evaluate(fitted, n_cells=20, metrics=FAST, seed=2))
    assert (first["n_cells"] == 20).all()


def test_several_maps_side_by_side(fitted):
    add_map(fitted, "poor", 1.2)
    table = rt.tl.evaluate(fitted, ["poor", "w1ot"], metrics=["l2", "mmd"])
    assert table.index.tolist() == ["poor", "w1ot", "identity", "mean shift", "observed"]
    assert table.loc["w1ot", "way_mmd"] > table.loc["poor", "way_mmd"]
    alone = rt.tl.evaluate(fitted, "w1ot", metrics=["l2", "mmd"])
    np.testing.assert_array_equal(table.loc[alone.index], alone)


def test_maps_of_different_questions_are_refused(fitted):
    add_map(fitted, "back", 1)
    fitted.uns["back"]["split_key"] = "fold"
    with pytest.raises(ValueError, match=r"'w1ot' and 'back' differ in split_key \('split' and"):
        rt.tl.evaluate(fitted, ["w1ot", "back"])


def test_metric_that_needs_control(fitted):
    table = rt.tl.evaluate(fitted, metrics=["log_fold_change_error"])
    assert table.columns.tolist() == ["log_fold_change_error", "n_cells"]
    assert table.loc["w1ot"].iloc[0] < table.loc["identity"].iloc[0]


def test_cell_mask_scores_some_cells(fitted):
    mask = (fitted.obs["cell_type"] == "T").to_numpy()
    table = rt.tl.evaluate(fitted, metrics=["l2"], cell_mask=mask)
    assert (table["n_cells"] < rt.tl.evaluate(fitted, metrics=["l2"])["n_cells"]).all()
    with pytest.raises(ValueError, match="cell_mask has dtype int64"):
        rt.tl.evaluate(fitted, cell_mask=np.arange(3))


def test_without_observed_training_cells_the_row_is_nan(fitted):
    table = rt.tl.evaluate(fitted, metrics=["mmd"], cell_mask=fitted.obs["split"] == "test")
    assert table.loc["observed", ["mmd", "way_mmd"]].isna().all()
    assert table.loc["observed", "n_cells"] == 0
    assert table.loc["w1ot", "mmd"] < table.loc["identity", "mmd"]


def test_without_a_split_it_warns_and_halves_the_targets(fitted):
    del fitted.obs["split"]
    with pytest.warns(UserWarning, match="no column of train and test cells"):
        table = rt.tl.evaluate(fitted, metrics=["mmd"])
    assert (table["n_cells"] == 50).all()
    assert table.loc["observed", "mmd"] > 0


def test_with_a_split_it_does_not_warn(fitted):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # What anndata itself still uses of pandas.
        warnings.simplefilter("ignore", DeprecationWarning)
        rt.tl.evaluate(fitted)


def test_cells_that_were_not_transported_are_left_out(fitted):
    fitted.layers["w1ot"][:10] = np.nan
    with pytest.warns(UserWarning, match="4 cells of 'control' .* were not transported"):
        table = rt.tl.evaluate(fitted, metrics=["l2"])
    assert table.notna().all(axis=None)


def test_unknown_key_names_what_exists(fitted):
    with pytest.raises(KeyError, match=r"no fitted map 'w2ot' .* fitted maps found: 'w1ot'"):
        rt.tl.evaluate(fitted, "w2ot")
    del fitted.uns["w1ot"]
    with pytest.raises(KeyError, match="There is no fitted map in adata"):
        rt.tl.evaluate(fitted)


def test_missing_layer_says_how_to_get_it(fitted):
    del fitted.layers["w1ot"]
    with pytest.raises(KeyError, match="write_genes=True"):
        rt.tl.evaluate(fitted)


@pytest.mark.parametrize(
    ("condition", "split", "sentence"),
    [
        ("drug", "test", "1 cells of 'drug' with 'test'"),
        ("control", "test", "1 transported cells of 'control' with 'test'"),
        ("drug", "train", "1 training cells of 'drug'"),
    ],
)
def test_too_few_cells(fitted, condition, split, sentence):
    drop = np.flatnonzero(rows(fitted, condition, split))[1:]
    adata = fitted[~np.isin(np.arange(fitted.n_obs), drop)]
    with pytest.raises(ValueError, match=sentence):
        rt.tl.evaluate(adata)


def test_a_condition_that_is_gone(fitted):
    with pytest.raises(ValueError, match="No cell of adata has 'drug'"):
        rt.tl.evaluate(fitted[fitted.obs["condition"] == "control"])
    del fitted.obs["condition"]
    with pytest.raises(KeyError, match="which is gone; columns found: 'split'"):
        rt.tl.evaluate(fitted)


def test_silly_numbers(fitted):
    with pytest.raises(ValueError, match="n_cells must be a whole number of at least 2, found 1"):
        rt.tl.evaluate(fitted, n_cells=1)
    with pytest.raises(ValueError, match=r"n_top_genes must be .* at least 1, found 0"):
        rt.tl.evaluate(fitted, n_top_genes=0)
    with pytest.raises(ValueError, match="empty list"):
        rt.tl.evaluate(fitted, [])


def test_log_fold_change_of_chosen_genes(fitted):
    table = rt.tl.log_fold_change(fitted, genes=["gene3", "gene100"])
    assert table.index.tolist() == ["gene3", "gene100"]
    np.testing.assert_allclose(table.loc["gene3", "observed"], 1, atol=0.25)
    np.testing.assert_allclose(table.loc["gene3", "predicted"], np.log2(1.9), atol=0.01)
    np.testing.assert_allclose(table["identity"], 0)
    np.testing.assert_allclose(table["predicted error"], table["predicted"] - table["observed"])
    np.testing.assert_allclose(table["identity error"], -table["observed"])
    with pytest.raises(KeyError, match=r"'gene999' is not in adata\.var_names"):
        rt.tl.log_fold_change(fitted, genes=["gene999"])


def test_log_fold_change_of_simulated_perturbed_genes(fitted):
    fitted.var["perturbed"] = np.arange(fitted.n_vars) < 5
    assert len(rt.tl.log_fold_change(fitted)) == 5


def test_a_model_scores_as_what_it_has_written(cells, quick):
    model = rt.tl.w1ot(cells, "control", "perturbed", use_rep="X_pca", **quick)
    written = rt.tl.evaluate(cells, "w1ot", metrics=FAST)
    del cells.layers["w1ot"], cells.uns["w1ot"]
    pd.testing.assert_frame_equal(rt.tl.evaluate(cells, model, metrics=FAST), written)
    with pytest.raises(ValueError, match="No cell of adata has 'perturbed'"):
        rt.tl.evaluate(cells[cells.obs["perturbation"] == "control"], model)
    with pytest.raises(KeyError, match="was not fitted on the gene 'new'"):
        rt.tl.evaluate(renamed(cells), model)


def renamed(cells):
    cells = cells.copy()
    cells.var_names = ["new", *cells.var_names[1:]]
    return cells


def test_differential_expression_is_tested_on_amounts(fitted):
    names = ["de_overlap", "de_direction_match"]
    table = rt.tl.evaluate(fitted, metrics=names, n_top_genes=130)
    assert table.columns.tolist() == [*names, "n_cells"]
    assert table.loc["observed", "de_overlap"] > table.loc["identity", "de_overlap"] == 0
    counts = fitted.copy()
    counts.X, counts.layers["w1ot"] = np.expm1(fitted.X), np.expm1(fitted.layers["w1ot"])
    of_counts = rt.tl.evaluate(counts, metrics=names, n_top_genes=130)
    np.testing.assert_allclose(of_counts.loc["w1ot"].iloc[:2], table.loc["w1ot"].iloc[:2])
    with pytest.raises(ValueError, match="needs a weight for each feature"):
        rt.tl.evaluate(fitted, metrics=["weighted_mse"])
    with pytest.raises(ValueError, match="mean profiles of several perturbations"):
        rt.tl.evaluate(fitted, metrics=["centroid_accuracy"])
