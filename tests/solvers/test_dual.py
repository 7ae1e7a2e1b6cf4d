"""The dual against exact transport, balanced and partial."""

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from rayot.solvers import W1Map, W1Settings, dual_value, matched, unbalanced_dual_value


def test_weights_are_chances():
    values = torch.tensor([[1.0, 5.0, 9.0]])
    twice = torch.tensor([[1.0, 1.0, 5.0, 9.0]])
    weighted = dual_value(values, values, torch.tensor([[2.0, 1.0, 1.0]]))
    assert torch.allclose(weighted, dual_value(twice, values))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 999), share=st.floats(0, 0.95), weighted=st.booleans())
def test_what_is_matched_is_the_lowest_share(seed, share, weighted):
    rng = np.random.default_rng(seed)
    values = torch.from_numpy(rng.normal(size=(1, 17)))
    weights = torch.from_numpy(rng.uniform(0.1, 2, (1, 17))) if weighted else None
    mass = matched(values, share, weights)[0]
    full = torch.full((17,), 1 / 17) if weights is None else (weights / weights.sum())[0]
    assert float(mass.sum()) == pytest.approx(1 - share, abs=1e-6)
    assert bool((mass <= full + 1e-6).all())
    assert bool((mass >= 0).all())
    kept, left = mass > 1e-9, mass < full - 1e-6
    if bool(kept.any()) and bool(left.any()):
        assert float(values[0][kept].max()) <= float(values[0][left].min()) + 1e-9


def partial_wasserstein(x, y, unmatched_source, unmatched_target):
    """Least cost a unit of matched mass, where each side may leave a share out (linear program)."""
    n, m = len(x), len(y)
    # Capacities above what is matched, and a dummy on either side that takes the rest for free.
    a = np.full(n, 1 / n / (1 - unmatched_source))
    b = np.full(m, 1 / m / (1 - unmatched_target))
    return ot.partial.partial_wasserstein2(a, b, cdist(x, y), m=1.0, nb_dummies=20)


@pytest.mark.parametrize("shares", [(0.0, 0.0), (0.3, 0.0), (0.0, 0.4), (0.25, 0.25)])
def test_the_unbalanced_dual_of_any_potential_is_below_partial_transport(shares):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 3)), rng.normal(size=(40, 3)) + 1.0
    x[:12] += 8.0
    y[:16] -= 6.0
    exact = partial_wasserstein(x, y, *shares)
    cells, truth = (torch.from_numpy(each).float()[None] for each in (x, y))
    best = -np.inf
    for seed in range(8):
        transport = W1Map(3, ["a"], W1Settings(), seed)
        with torch.no_grad():
            values = transport.potential(cells), transport.potential(truth)
        found = float(unbalanced_dual_value(*values, *shares))
        assert found <= exact + 1e-3
        best = max(best, found)
    # The direction between the two populations is a 1-Lipschitz potential as well.
    linear = [each @ torch.full((3,), -(3**-0.5)) for each in (cells, truth)]
    assert float(unbalanced_dual_value(*linear, *shares)) <= exact + 1e-3


def test_on_a_line_the_unbalanced_dual_is_partial_transport():
    """In one dimension f(x) = x is optimal where all mass moves down."""
    x = np.linspace(5, 9, 20)[:, None]
    y = np.linspace(0, 2, 20)[:, None]
    values = [torch.from_numpy(each[:, 0])[None] for each in (x, y)]
    for shares in ((0.0, 0.0), (0.25, 0.0), (0.0, 0.5), (0.25, 0.5)):
        exact = partial_wasserstein(x, y, *shares)
        assert float(unbalanced_dual_value(*values, *shares)) == pytest.approx(exact, rel=1e-4)


def test_nothing_unmatched_is_the_balanced_dual():
    values = torch.randn(2, 30), torch.randn(2, 20)
    assert torch.allclose(unbalanced_dual_value(*values, 0.0, 0.0), dual_value(*values), atol=1e-6)
