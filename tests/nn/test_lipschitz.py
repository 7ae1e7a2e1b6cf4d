"""The potential's network: Lipschitz constant, gradient norm, independence of stacked problems."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rayot.nn import LipschitzNetwork, StackedMLP

VARIANTS = [
    {"n_groups": 4, "orthogonal": "cayley"},
    {"n_groups": None, "orthogonal": "cayley"},
    {"n_groups": 4, "orthogonal": "bjorck"},
]


def draws(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


@settings(max_examples=60, deadline=None)
@given(
    dimension=st.sampled_from([2, 3, 10, 50, 64, 100, 500, 2000]),
    variant=st.sampled_from(VARIANTS),
    spread=st.floats(0.01, 100),
    seed=st.integers(0, 50),
)
def test_lipschitz_constant_is_at_most_one(dimension, variant, spread, seed):
    network = LipschitzNetwork(dimension, draws(seed), **variant)
    cells = torch.randn(1, 64, dimension, generator=draws(seed + 1)[0]) * spread
    steps = torch.randn(1, 64, dimension, generator=draws(seed + 2)[0])
    with torch.no_grad():
        change = (network.double()(cells.double() + steps) - network(cells.double())).abs()
    assert float((change / steps.norm(dim=-1)).max()) <= 1 + 1e-4


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradient_norm_is_one_where_the_first_layer_keeps_norms(variant):
    network = LipschitzNetwork(200, draws(0), **variant)
    cells = torch.randn(1, 100, 200).requires_grad_(True)
    (gradient,) = torch.autograd.grad(network(cells).sum(), cells)
    assert torch.allclose(gradient.norm(dim=-1), torch.ones(1, 100), atol=1e-4)


def test_every_layer_stays_orthonormal_after_large_steps():
    network = LipschitzNetwork(50, draws(0))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        cells = torch.randn(1, 32, 50) + 5
        (network(cells) - network(-cells)).mean().neg().backward()
        optimizer.step()
    for weight in network.weights():
        wide = weight[0] if weight.shape[1] <= weight.shape[2] else weight[0].mT
        identity = torch.eye(wide.shape[0])
        assert (wide @ wide.mT - identity).abs().max().item() <= 1e-5


@pytest.mark.parametrize("build", [LipschitzNetwork, StackedMLP])
def test_a_problem_does_not_feel_its_neighbours(build):
    cells = torch.randn(1, 9, 6)
    alone = build(6, draws(7))(cells)
    stacked = build(6, draws(3, 7, 5))(cells.expand(3, -1, -1))
    assert torch.allclose(stacked[1], alone[0], atol=1e-6)
    assert not torch.allclose(stacked[0], alone[0], atol=1e-3)


def test_shared_cells_are_read_by_every_problem():
    network = LipschitzNetwork(6, draws(1, 2))
    cells = torch.randn(1, 4, 6)
    assert torch.equal(network(cells), network(cells.expand(2, -1, -1)))


def test_one_hidden_layer_is_enough():
    assert LipschitzNetwork(3, draws(0), n_layers=1)(torch.zeros(1, 2, 3)).shape == (1, 2)
