import numpy as np
import ot
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.stats import wasserstein_distance

from rayot.metrics import sinkhorn_divergence, sliced_wasserstein1, wasserstein1, wasserstein2


def test_w2_against_the_assignment_problem():
    predicted, observed = np.random.default_rng(0).normal(size=(2, 80, 5))
    cost = cdist(predicted, observed, "sqeuclidean")
    expected = np.sqrt(cost[linear_sum_assignment(cost)].mean())
    assert wasserstein2(predicted, observed) == pytest.approx(expected)
    assert wasserstein2(predicted, observed) >= wasserstein1(predicted, observed)


def test_sliced_against_pot_on_the_same_directions(populations):
    directions = np.random.default_rng(4).normal(size=(200, 7))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    expected = ot.sliced_wasserstein_distance(*populations, projections=directions.T, p=1)
    got = sliced_wasserstein1(*populations, n_projections=200, seed=4)
    assert got == pytest.approx(float(expected))


def test_sliced_in_one_dimension_against_scipy(populations):
    predicted, observed = (cells[:, :1] for cells in populations)
    expected = wasserstein_distance(predicted[:, 0], observed[:, 0])
    assert sliced_wasserstein1(predicted, observed) == pytest.approx(expected)


@pytest.mark.parametrize("epsilon", [1.0, 10.0, 100.0])
def test_sinkhorn_divergence_from_couplings(epsilon):
    """Against the primal cost of POT's own coupling."""
    predicted, observed = np.random.default_rng(0).normal(size=(2, 60, 4))
    observed = observed + 1

    def cost(first, second):
        squared = cdist(first, second, "sqeuclidean")
        plan = ot.sinkhorn([], [], squared, epsilon, numItermax=20_000, stopThr=1e-10)
        return (plan * squared).sum() + epsilon * (plan * np.log(plan * 3600)).sum()

    expected = cost(predicted, observed)
    expected -= (cost(predicted, predicted) + cost(observed, observed)) / 2
    got = sinkhorn_divergence(predicted, observed, epsilon=epsilon)
    assert got == pytest.approx(expected, rel=1e-4)


def test_sinkhorn_divergence_between_means_and_w2():
    predicted, observed = np.random.default_rng(0).normal(size=(2, 60, 4))
    apart = np.sum((predicted.mean(0) - observed.mean(0)) ** 2)
    assert sinkhorn_divergence(predicted, observed, epsilon=1e6) == pytest.approx(apart, rel=1e-3)
    sharp = sinkhorn_divergence(predicted, observed, epsilon=0.2)
    assert sharp == pytest.approx(wasserstein2(predicted, observed) ** 2, rel=0.15)


def test_iterations_that_do_not_converge_are_said(monkeypatch):
    monkeypatch.setattr("rayot.metrics._transport.MOST_ITERATIONS", 2)
    predicted, observed = np.random.default_rng(0).normal(size=(2, 60, 4))
    with pytest.raises(ValueError, match="did not converge in 2 steps at epsilon=0"):
        sinkhorn_divergence(predicted, observed + 3, epsilon=0.01)


@pytest.mark.parametrize("metric", [wasserstein2, sinkhorn_divergence])
def test_subsamples_are_repeatable(populations, metric):
    assert metric(*populations, n_cells=20) == metric(*populations, n_cells=20, seed=0)
    assert metric(*populations, n_cells=20) != metric(*populations, n_cells=20, seed=1)
