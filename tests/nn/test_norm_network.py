"""Networks of norms: distances they represent exactly, stacked problems."""

import pytest
import torch

from rayot.nn import NormNetwork


def draws(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def test_one_unit_is_a_distance():
    network = NormNetwork(3, draws(0), width=1, n_layers=1, group_size=3).double()
    centre = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    with torch.no_grad():
        network.weight[0].copy_(torch.eye(3))
        network.bias[0].copy_(-centre)
        network.output_weight.fill_(2.0)
    cells = torch.randn(1, 9, 3, dtype=torch.float64)
    assert torch.allclose(network(cells), 2 * (cells - centre).norm(dim=-1), atol=1e-6)


def test_gradients_are_finite_where_a_norm_vanishes():
    network = NormNetwork(3, draws(0), width=4, group_size=2)
    with torch.no_grad():
        network.bias[0].zero_()
    cells = torch.zeros(1, 1, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(cells).sum(), cells)
    assert torch.isfinite(gradient).all()


def test_a_problem_does_not_feel_its_neighbours():
    cells = torch.randn(1, 9, 6)
    alone = NormNetwork(6, draws(7))(cells)
    stacked = NormNetwork(6, draws(3, 7, 5))(cells.expand(3, -1, -1))
    assert torch.allclose(stacked[1], alone[0], atol=1e-5)
    assert not torch.allclose(stacked[0], alone[0], atol=1e-3)


@pytest.mark.parametrize("n_layers", [1, 3])
def test_it_can_be_differentiated_twice(n_layers):
    network = NormNetwork(4, draws(0), width=6, n_layers=n_layers, group_size=2)
    cells = torch.randn(1, 5, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(cells).sum(), cells, create_graph=True)
    second = torch.autograd.grad(gradient.norm(dim=-1).sum(), list(network.weight))
    assert all(torch.isfinite(each).all() and each.abs().sum() > 0 for each in second)
