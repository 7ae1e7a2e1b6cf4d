"""Weighted energy distances against NumPy."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from rayot.solvers import energy_distance


def expected(x, y, v, w):
    """By definition: pairs of different cells, each with the product of their weights."""

    def within(cells, weights):
        products = np.outer(weights, weights)
        np.fill_diagonal(products, 0)
        return (products * cdist(cells, cells)).sum() / products.sum()

    across = (np.outer(v, w) * cdist(x, y)).sum() / (v.sum() * w.sum())
    return 2 * across - within(x, v) - within(y, w)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), n=st.integers(2, 30), m=st.integers(2, 30), d=st.integers(1, 6))
def test_weighted_energy_distance_is_that_of_numpy(seed, n, m, d):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(m, d)) + 1
    v, w = rng.uniform(0.1, 3, n), rng.uniform(0.1, 3, m)
    found = energy_distance(*(torch.from_numpy(each)[None].float() for each in (x, y, v, w)))
    assert np.isclose(float(found), expected(x, y, v, w), rtol=1e-3, atol=1e-4)


def test_equal_weights_are_none():
    x, y = torch.randn(2, 20, 3), torch.randn(2, 30, 3)
    weighted = energy_distance(x, y, torch.full((2, 20), 0.3), torch.full((2, 30), 7.0))
    assert torch.allclose(weighted, energy_distance(x, y), atol=1e-5)


def test_cells_without_weight_are_not_there():
    x, y = torch.randn(1, 20, 3), torch.randn(1, 30, 3)
    weights = (torch.arange(30) < 12).float()[None]
    found = energy_distance(x, y, None, weights)
    assert torch.allclose(found, energy_distance(x, y[:, :12]), atol=1e-5)


def test_one_cell_with_all_the_weight_is_a_point():
    x, y = torch.randn(1, 20, 3), torch.zeros(1, 5, 3)
    y[0, 0] = 3.0
    found = energy_distance(x, y, None, torch.tensor([[1.0, 0, 0, 0, 0]]))
    cells = x[0].numpy()
    to_point = np.linalg.norm(cells - 3.0, axis=1).mean()
    assert np.isclose(float(found), 2 * to_point - cdist(cells, cells).sum() / 380, rtol=1e-4)
