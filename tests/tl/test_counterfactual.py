"""Distance of each prediction to what the cell would have become."""

import numpy as np
import pytest

import rayot as rt
from rayot.tl._counterfactual import counterfactual_distance


@pytest.fixture
def fitted(cells, quick):
    for name in ("w1ot", "other"):
        rt.tl.w1ot(cells, "control", "perturbed", use_rep="X_pca", key_added=name, **quick)
    return cells


def held_out(adata):
    return adata[(adata.obs["perturbation"] == "control") & (adata.obs["split"] == "test")]


def test_one_row_a_method_with_the_distances_over_held_out_cells(fitted):
    table = counterfactual_distance(fitted, ["w1ot", "other"])
    assert table.index.tolist() == ["w1ot", "other", "identity", "mean shift", "another draw"]
    # All features are scored where there are fewer than 100.
    test = held_out(fitted)
    own = test.layers["counterfactual"].toarray()
    for name, values in {
        "w1ot": test.layers["w1ot"],
        "identity": test.X.toarray(),
        "another draw": test.layers["second_counterfactual"].toarray(),
    }.items():
        expected = np.linalg.norm(values - own, axis=1).mean()
        assert table.loc[name, "distance"] == pytest.approx(expected, rel=1e-5)
    assert table.loc["identity", "of identity"] == 1


def test_the_truth_is_at_no_distance(fitted):
    fitted.layers["w1ot"] = fitted.layers["counterfactual"].toarray()
    assert counterfactual_distance(fitted, "w1ot").loc["w1ot", "distance"] == 0


def test_cells_exchanged_within_a_population_are_seen(fitted):
    rows = np.flatnonzero(fitted.obs["perturbation"] == "control")
    predicted = fitted.layers["counterfactual"].toarray()
    predicted[rows] = predicted[np.roll(rows, 1)]
    fitted.layers["w1ot"] = predicted
    table = counterfactual_distance(fitted, "w1ot")
    assert table.loc["w1ot", "distance"] > table.loc["another draw", "distance"]


def test_data_without_a_counterfactual_are_refused(fitted):
    del fitted.layers["second_counterfactual"]
    assert "another draw" not in counterfactual_distance(fitted, "w1ot").index
    del fitted.layers["counterfactual"]
    with pytest.raises(KeyError, match="has no 'counterfactual'; only simulated cells have one"):
        counterfactual_distance(fitted, "w1ot")
