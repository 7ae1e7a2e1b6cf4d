import numpy as np
import ot
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from rayot.metrics import wasserstein1


def test_in_one_dimension_against_sorting():
    generator = np.random.default_rng(0)
    predicted, observed = generator.normal(size=60), generator.gamma(2, size=60)
    expected = ot.wasserstein_1d(predicted, observed, p=1)
    assert wasserstein1(predicted[:, None], observed[:, None]) == pytest.approx(expected)


def test_against_the_assignment_problem():
    predicted, observed = np.random.default_rng(0).normal(size=(2, 80, 5))
    cost = cdist(predicted, observed)
    expected = cost[linear_sum_assignment(cost)].mean()
    assert wasserstein1(predicted, observed) == pytest.approx(expected)


def test_subsamples_are_equal_in_size_and_repeatable(populations):
    predicted, observed = populations
    first = wasserstein1(predicted, observed, n_cells=20, seed=3)
    np.random.default_rng().normal()
    assert wasserstein1(predicted, observed, n_cells=20, seed=3) == first
    assert wasserstein1(predicted, observed, n_cells=20, seed=4) != first


def test_too_small_a_subsample(populations):
    with pytest.raises(ValueError, match="n_cells must be a whole number of at least 1, found 0"):
        wasserstein1(*populations, n_cells=0)
