"""Conditional networks: 1-Lipschitz in the cell for every condition, whose gradient it moves."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rayot.nn import ConditionalLipschitzNetwork, ConditionalMLP, LipschitzNetwork, StackedMLP

VARIANTS = [
    {"rank": 0},
    {"rank": 4, "n_groups": None},
    {"rank": 2, "orthogonal": "bjorck", "condition_layers": 0},
    {"rank": 4, "n_layers": 1},
]


def draws(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def some(*shape, seed=0):
    return torch.randn(*shape, generator=draws(seed)[0])


@settings(max_examples=40, deadline=None)
@given(
    dimension=st.sampled_from([2, 3, 20, 64, 300]),
    variant=st.sampled_from(VARIANTS),
    spread=st.floats(0.01, 100),
    size=st.floats(0, 30),
    seed=st.integers(0, 50),
)
def test_lipschitz_constant_in_cells_is_at_most_one_in_every_condition(
    dimension, variant, spread, size, seed
):
    network = ConditionalLipschitzNetwork(dimension, 5, draws(seed), **variant).double()
    conditions = size * some(1, 3, 5, seed=seed).double()
    cells = spread * some(3, 32, dimension, seed=seed + 1).double()
    steps = some(3, 32, dimension, seed=seed + 2).double()
    with torch.no_grad():
        change = (network(cells + steps, conditions) - network(cells, conditions)).abs()
    assert float((change / steps.norm(dim=-1)).max()) <= 1 + 1e-4


def gradient_of(network, cells, conditions):
    cells = cells.clone().requires_grad_(True)
    return torch.autograd.grad(network(cells, conditions).sum(), cells)[0]


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_gradient_in_cells_depends_on_the_condition(variant):
    network = ConditionalLipschitzNetwork(20, 5, draws(0), **variant)
    cells = some(1, 64, 20).expand(2, -1, -1)
    first, second = gradient_of(network, cells, 3 * some(1, 2, 5))
    turned = torch.nn.functional.cosine_similarity(first, second, dim=-1) < 0.99
    assert turned.float().mean() > 0.1
    # As a sum of the potential and a function of the condition it would not.
    same = gradient_of(network, cells, 3 * some(1, 1, 5).expand(-1, 2, -1))
    assert torch.allclose(same[0], same[1])


@pytest.mark.parametrize("variant", VARIANTS)
def test_given_a_condition_it_is_a_plain_network(variant):
    network = ConditionalLipschitzNetwork(20, 5, draws(0, 1), **variant)
    conditions, cells = some(2, 3, 5), some(6, 10, 20)
    values = network.parameters_in(conditions)
    plain = LipschitzNetwork(20, draws(*range(6)), **network.plain)
    plain.load_state_dict(values)
    assert torch.allclose(plain(cells), network(cells, conditions), atol=1e-6)
    perceptron = ConditionalMLP(20, 5, draws(0, 1))
    plain_mlp = StackedMLP(20, draws(*range(6)))
    plain_mlp.load_state_dict(perceptron.parameters_in(conditions))
    assert torch.allclose(plain_mlp(cells), perceptron(cells, conditions), atol=1e-6)


def test_a_problem_does_not_feel_its_neighbours():
    conditions, cells = some(2, 3, 5), some(6, 10, 20)
    for kind in (ConditionalLipschitzNetwork, ConditionalMLP):
        both, alone = kind(20, 5, draws(7, 8)), kind(20, 5, draws(8))
        expected = alone(cells[3:], conditions[1:])
        assert torch.allclose(both(cells, conditions)[3:], expected, atol=1e-6)


def test_embeddings_of_combinations_add_up():
    network = ConditionalMLP(4, 3, draws(0), condition_layers=0)
    one, two = torch.eye(3)[:2].view(2, 1, 1, 3)
    shift = lambda c: network.conditions(c) - network.conditions(torch.zeros_like(c))  # noqa: E731
    assert torch.allclose(shift(one + two), shift(one) + shift(two), atol=1e-6)
