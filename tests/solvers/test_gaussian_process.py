"""Responses by a Gaussian process: as others compute it, left out as by fitting again."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel

from rayot.solvers.gaussian_process import KERNELS, GaussianProcess, choose, scaled
from rayot.solvers.profiles import kernel_shift


def drawn(seed, n=30, k=4, d=5):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, k)), rng.normal(size=(n, d)), rng.normal(size=(3, k))


@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("kernel", ["rbf", "linear"])
def test_it_is_that_of_sklearn_with_a_wide_prior_of_the_mean(kernel, standardise):
    vectors, responses, new = drawn(0)
    process = GaussianProcess(kernel, 1.7, 0.2, standardise, vectors)
    covariance = {
        "rbf": RBF(1.7, "fixed"),
        "linear": ConstantKernel(1 / 4, "fixed") * DotProduct(0, "fixed"),
    }[kernel]
    whole = ConstantKernel(1e6, "fixed") + covariance + WhiteKernel(0.2, "fixed")
    fitted = GaussianProcessRegressor(whole, optimizer=None, alpha=0)
    fitted.fit(scaled(vectors, vectors, standardise), responses)
    mean, sd = fitted.predict(scaled(new, vectors, standardise), return_std=True)
    np.testing.assert_allclose(process.weights(new) @ responses, mean, atol=1e-5)
    np.testing.assert_allclose(process.variance(new), sd[:, 0] ** 2, atol=1e-5)


@given(seed=st.integers(0, 999), kernel=st.sampled_from(["none", "linear", "rbf"]))
@settings(max_examples=30, deadline=None)
def test_what_is_left_out_is_as_fitted_without_it(seed, kernel):
    vectors, responses, _ = drawn(seed, n=9)
    process = GaussianProcess(kernel, 1.3, 0.5, True, vectors)
    errors, variances = process.left_out(responses)
    known = scaled(vectors, vectors, True)
    own = KERNELS[kernel](known, known, 1.3) + 0.5 * np.eye(9)
    for rows in np.arange(9)[:, None]:
        others = np.setdiff1d(np.arange(9), rows)
        # Kriging's equations: weights that add up to 1, by a Lagrange multiplier.
        system = np.ones((len(others) + 1,) * 2)
        system[:-1, :-1], system[-1, -1] = own[np.ix_(others, others)], 0
        right = np.ones((len(others) + 1, len(rows)))
        right[:-1] = own[np.ix_(others, rows)]
        solved = np.linalg.solve(system, right)
        predicted = solved[:-1].T @ responses[others]
        np.testing.assert_allclose(errors[rows], responses[rows] - predicted, atol=1e-8)
        variance = own.diagonal()[rows] - (right * solved).sum(0)
        np.testing.assert_allclose(variances[rows], variance, atol=1e-8)


@given(seed=st.integers(0, 999), kernel=st.sampled_from(["none", "linear", "rbf"]))
@settings(max_examples=30, deadline=None)
def test_weights_add_up_to_one_and_variances_grow_with_distance(seed, kernel):
    vectors, _, new = drawn(seed)
    process = GaussianProcess(kernel, 1.0, 0.1, True, vectors)
    np.testing.assert_allclose(process.weights(new).sum(1), 1)
    near, far = process.variance(vectors), process.variance(100 * new)
    assert near.max() <= far.min() + 1e-9
    if kernel == "none":
        np.testing.assert_allclose(process.weights(new), 1 / 30)


def test_tanimoto_is_that_of_sets():
    first, second = np.array([[1.0, 1, 0, 1]]), np.array([[1.0, 0, 1, 1], [0, 0, 0, 0]])
    np.testing.assert_allclose(KERNELS["tanimoto"](first, second, 1.0), [[2 / 4, 0]])


def test_vectors_that_say_nothing_are_told_from_those_that_do():
    informative, nothing = 0, 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        vectors, mixing = rng.normal(size=(20, 5)), rng.normal(size=(5, 20))
        responses = np.tanh(vectors) @ mixing + 0.5 * rng.normal(size=(20, 20))
        own, other = (
            choose(known, responses, ("linear", "rbf"), seed)
            for known in (vectors, rng.permutation(vectors))
        )
        informative += own.process.covariance != "none" and min(own.errors.values()) < 0.5
        nothing += other.process.covariance == "none"
    # One of 20 is what the test allows.
    assert informative >= 38 and nothing >= 35


def test_one_scale_of_all_entries_keeps_small_ones_small():
    vectors = np.random.default_rng(0).normal(size=(50, 2)) * [1, 1e-3]
    assert scaled(vectors, vectors, False).std(0)[1] < 0.01
    np.testing.assert_allclose(scaled(vectors, vectors, True).std(0), 1)
    for standardise in (True, False):
        found = scaled(vectors, vectors, standardise)
        np.testing.assert_allclose(np.square(found).mean(), 1)
        assert np.isfinite(scaled(np.ones((2, 3)), np.ones((4, 3)), standardise)).all()


def test_few_perturbations_are_averaged():
    vectors, responses, new = drawn(0, n=4)
    choice = choose(vectors, responses, ("rbf",), 0)
    np.testing.assert_allclose(choice.process.weights(new), 1 / 4)
    assert "too few to tell" in choice.sentence(4)


def test_responses_that_are_all_the_same_are_their_mean():
    vectors, _, new = drawn(0)
    for value in (0.0, 1.0):
        choice = choose(vectors, np.full((30, 3), value), ("linear", "rbf"), 0)
        np.testing.assert_allclose(choice.process.weights(new) @ np.full((30, 3), value), value)


@pytest.mark.parametrize("informative", [True, False])
def test_intervals_of_90_per_cent_cover_as_much(informative):
    inside = []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        names = [f"drug_{number}" for number in range(41)]
        drugs = rng.normal(size=(41, 4))
        scales = rng.lognormal(size=30)
        responses = (np.sin(drugs) @ rng.normal(size=(4, 30)) + rng.normal(size=(41, 30))) * scales
        known = drugs if informative else rng.normal(size=drugs.shape)
        shifts = dict(zip(names[:-1], responses, strict=False))
        vectors = dict(zip(names, known, strict=True))
        found = kernel_shift(names[-1], shifts, vectors, "rbf", seed)
        sd = np.sqrt(np.square(found.errors).mean(0))
        inside.append(np.abs(found.shift - responses[-1]) < 1.645 * sd)
    assert 0.8 < np.mean(inside) < 0.97
