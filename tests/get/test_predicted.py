"""Predicted cells beside observed ones: what their conditions are called."""

import anndata as ad
import pandas as pd
import pytest

import rayot as rt

LABEL = "predicted perturbed"


@pytest.fixture
def fitted(cells, quick):
    """Cells with a map, and the model that wrote it."""
    cells.uns["perturbation_colors"] = ["#7F7F7F", "#E69F00"]
    return cells, rt.tl.w1ot(cells, "control", "perturbed", **quick)


def only(cells, groupby="perturbation"):
    """The one label of all cells, of a categorical column."""
    column = cells.obs[groupby]
    assert isinstance(column.dtype, pd.CategoricalDtype)
    (label,) = column.cat.categories
    assert column.notna().all()
    return label


def test_beside_observed_cells_there_are_three_groups(fitted):
    cells, _ = fitted
    predicted = rt.get.predicted(cells)
    assert only(predicted) == LABEL
    both = ad.concat([cells, predicted], index_unique="-", keys=["observed", "predicted"])
    assert isinstance(both.obs["perturbation"].dtype, pd.CategoricalDtype)
    counts = both.obs["perturbation"].value_counts().to_dict()
    assert counts == {"control": 120, "perturbed": 120, LABEL: 120}


def test_cells_keep_all_else_and_those_they_come_from_are_left_alone(fitted):
    cells, model = fitted
    before = cells.obs.copy()
    source = cells[cells.obs["perturbation"] == "control"]
    for found in (rt.get.predicted(cells), model.predict(source)):
        assert found.obs_names.tolist() == source.obs_names.tolist()
        assert list(found.obs) == list(source.obs)
        others = [name for name in source.obs if name != "perturbation" and "w1ot" not in name]
        pd.testing.assert_frame_equal(found.obs[others], source.obs[others])
        # Colours are of other categories.
        assert "perturbation_colors" not in found.uns
    pd.testing.assert_frame_equal(cells.obs, before)


def test_the_column_and_the_target_are_those_of_the_map(cells, quick):
    cells.obs["treatment"] = cells.obs["perturbation"].cat.rename_categories(["x", "A+B"])
    model = rt.tl.w1ot(cells, "A+B", "x", groupby="treatment", **quick)
    for found in (rt.get.predicted(cells), model.predict(cells[:9])):
        assert only(found, "treatment") == "predicted x"
        assert set(found.obs["perturbation"]) <= {"control", "perturbed"}


def test_a_model_labels_what_has_a_condition_and_nothing_else(fitted, tmp_path):
    cells, model = fitted
    assert only(model.predict(cells[:9])) == LABEL
    bare = cells[:9].copy()
    del bare.obs["perturbation"]
    assert "perturbation" not in model.predict(bare).obs
    text = cells[:9].copy()
    text.obs["perturbation"] = text.obs["perturbation"].astype(str)
    assert only(model.predict(text)) == LABEL


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_so_does_a_file_which_can_be_predicted_again(fitted, suffix, tmp_path):
    cells, model = fitted
    found = model.predict(cells, write=tmp_path / f"predicted.{suffix}").to_memory()
    assert only(found) == LABEL
    assert only(model.predict(found)) == LABEL


@pytest.mark.parametrize("method", ["mean_shift", "genot", "cpa"])
def test_predictions_of_other_methods_have_it_too(cells, quick, method):
    further = {} if method == "mean_shift" else {"max_steps": 2, "show_progress_bar": False}
    model = getattr(rt.tl, method)(cells, "control", "perturbed", **further)
    for found in (rt.get.predicted(cells, method), model.predict(cells[:5])):
        assert only(found) == LABEL


def test_a_condition_of_a_conditional_model_is_the_target(quick):
    screen = rt.datasets.simulated_screen(3, n_cells=40, n_genes=20, seed=0)
    model = rt.tl.conditional_w1ot(
        screen, "control", "drug_000", max_steps=2, show_progress_bar=False
    )
    assert only(rt.get.predicted(screen, "conditional_w1ot")) == "predicted drug_000"
    assert only(model.predict(screen[:5], "drug_001+drug_002")) == "predicted drug_001+drug_002"


def test_without_a_map_nothing_is_labelled(cells):
    with pytest.raises(KeyError, match="There is no fitted map in adata"):
        rt.get.predicted(cells)
    assert cells.obs["perturbation"].cat.categories.tolist() == ["control", "perturbed"]
