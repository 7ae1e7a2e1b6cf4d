import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import r2_score

from rayot.metrics import l2, r2


def test_r2_is_the_squared_pearson_correlation_of_means(populations):
    predicted, observed = populations
    expected = pearsonr(predicted.mean(axis=0), observed.mean(axis=0)).statistic ** 2
    assert r2(predicted, observed) == pytest.approx(expected)


def test_r2_is_not_the_coefficient_of_determination(populations):
    _, observed = populations
    predicted = 3 * observed + 2
    assert r2(predicted, observed) == pytest.approx(1)
    assert r2_score(observed.mean(axis=0), predicted.mean(axis=0)) < 0


@pytest.mark.parametrize("features", [[[1.0]], [[2.0, 2.0]]])
def test_r2_without_variation_is_nan(features):
    assert np.isnan(r2(features, features))


def test_l2_of_a_shift_is_its_length(populations):
    predicted, _ = populations
    assert l2(predicted + np.full(7, 2.0), predicted) == pytest.approx(2 * np.sqrt(7))
