import anndata as ad
import numpy as np
import pytest
import scanpy as sc
from scipy.stats import pearsonr
from sklearn.metrics import r2_score

from rayot.metrics import (
    coefficient_of_determination,
    differential_weights,
    pearson_delta,
    pearson_delta_systema,
    weighted_mse,
    weighted_r2_delta,
)


@pytest.fixture
def control():
    return np.random.default_rng(2).normal(size=(50, 7))


@pytest.fixture
def weights():
    return np.array([0.0, 1.0, 0.5, 0.2, 0.0, 0.7, 0.1])


def test_coefficient_of_determination_is_that_of_scikit_learn(populations):
    means = [cells.mean(axis=0) for cells in populations]
    expected = r2_score(means[1], means[0])
    assert coefficient_of_determination(*populations) == pytest.approx(expected)
    assert np.isnan(coefficient_of_determination([[1.0, 2.0]], [[2.0, 2.0]]))


def test_pearson_delta_is_the_correlation_of_changes(populations, control):
    changes = [cells.mean(axis=0) - control.mean(axis=0) for cells in populations]
    assert pearson_delta(*populations, control) == pytest.approx(pearsonr(*changes).statistic)


def test_no_change_has_no_correlation(populations, control):
    assert np.isnan(pearson_delta(control, populations[1], control))


def test_what_all_perturbations_share_does_not_count(control):
    generator = np.random.default_rng(0)
    common, own = np.array([9.0, 8, 7, 0, 0, 0, 0]), generator.normal(size=(12, 7))
    training = control.mean(axis=0) + common + own
    observed = control + common + np.array([0, 0, 0, 0, 0, 0, 1.0])
    predicted = control + common + generator.normal(size=7) / 100
    assert pearson_delta(predicted, observed, control) > 0.99
    assert pearson_delta_systema(predicted, observed, training) < 0.95
    assert pearson_delta_systema(observed, observed, training) == pytest.approx(1)


def test_fewer_than_ten_perturbations_are_refused(populations):
    with pytest.raises(ValueError, match=r"9 profiles.*fewer than 10"):
        pearson_delta_systema(*populations, np.ones((9, 7)))


def test_weighted_metrics_are_those_of_scikit_learn(populations, control, weights):
    predicted, observed = (cells.mean(axis=0) for cells in populations)
    expected = np.average((predicted - observed) ** 2, weights=weights)
    assert weighted_mse(*populations, weights) == pytest.approx(expected)
    centre = control.mean(axis=0)
    expected = r2_score(observed - centre, predicted - centre, sample_weight=weights)
    assert weighted_r2_delta(*populations, control, weights) == pytest.approx(expected)


def test_weights_are_those_of_scanpys_t_test(populations):
    cells, others = populations
    adata = ad.AnnData(np.concatenate([cells, others]))
    adata.obs["side"] = np.repeat(["cells", "others"], [len(cells), len(others)])
    sc.tl.rank_genes_groups(adata, "side", reference="others", method="t-test_overestim_var")
    table = sc.get.rank_genes_groups_df(adata, "cells").set_index("names")
    scores = table["scores"].loc[adata.var_names].abs().to_numpy()
    # scanpy takes the smaller number of cells for the rest alone.
    expected = ((scores - scores.min()) / np.ptp(scores)) ** 2
    np.testing.assert_allclose(differential_weights(cells, others), expected, rtol=1e-4, atol=1e-6)


def test_genes_without_variance():
    cells, others = np.zeros((5, 3)), np.zeros((5, 3))
    with pytest.raises(ValueError, match="differ alike"):
        differential_weights(cells, others)
    cells[:, 0], cells[:, 1] = 1.0, np.arange(5)
    assert differential_weights(cells, others).tolist() == [1.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        (np.ones(3), "there are 7 features"),
        (-np.ones(7), "at least 0"),
        (np.full(7, np.nan), "NaN"),
    ],
    ids=["too few", "negative", "NaN"],
)
def test_weights_are_checked(populations, weights, sentence):
    with pytest.raises(ValueError, match=sentence):
        weighted_mse(*populations, weights)


def test_no_weight_at_all_is_nan(populations, control):
    assert np.isnan(weighted_mse(*populations, np.zeros(7)))
    assert np.isnan(weighted_r2_delta(*populations, control, np.zeros(7)))
