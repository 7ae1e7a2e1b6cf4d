"""Funnel potentials: Lipschitz constant, sharpening, starting points, stacked problems."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rayot.nn import FunnelPotential


def draws(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def started(dimension, *seeds, n_funnels=20):
    potential = FunnelPotential(dimension, draws(*seeds), n_funnels=n_funnels)
    cells = [torch.randn(n_funnels, dimension, generator=each) for each in draws(*seeds)]
    potential.start_at(torch.stack(cells))
    return potential


@settings(max_examples=60, deadline=None)
@given(
    dimension=st.sampled_from([1, 2, 10, 50, 500]),
    progress=st.floats(0, 1),
    spread=st.floats(0.01, 100),
    seed=st.integers(0, 50),
)
def test_lipschitz_constant_is_at_most_one(dimension, progress, spread, seed):
    potential = started(dimension, seed)
    potential.anneal(progress, [True])
    potential.double()
    torch.nn.init.normal_(potential.height, generator=draws(seed)[0])
    cells = torch.randn(1, 64, dimension, generator=draws(seed + 1)[0]).double() * spread
    steps = torch.randn(1, 64, dimension, generator=draws(seed + 2)[0]).double()
    with torch.no_grad():
        change = (potential(cells + steps) - potential(cells)).abs()
    assert float((change / steps.norm(dim=-1)).max()) <= 1 + 1e-9


@pytest.mark.parametrize("offset", [0.0, 1e-6, 1e-3, 1.0])
def test_gradient_norm_is_at_most_one_also_near_a_centre(offset):
    potential = started(8, 0)
    cells = (potential.centre.detach() + offset).requires_grad_(True)
    (gradient,) = torch.autograd.grad(potential(cells).sum(), cells)
    assert torch.isfinite(gradient).all()
    assert float(gradient.norm(dim=-1).max()) <= 1 + 1e-2


def test_gradients_are_those_of_the_formula():
    potential = started(3, 0, 1, n_funnels=5).double()
    torch.nn.init.normal_(potential.height, generator=draws(3)[0])
    cells = torch.randn(2, 7, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda *inputs: potential(inputs[0], list(inputs[1:])),
        (cells, potential.centre, potential.height),
    )


def test_the_soft_minimum_becomes_the_minimum():
    potential = started(4, 0)
    torch.nn.init.normal_(potential.height, generator=draws(1)[0])
    cells = torch.randn(1, 30, 4)
    minimum = (torch.cdist(cells, potential.centre) - potential.height).amin(-1)
    gaps = []
    for progress in (0.0, 0.5, 1.0):
        potential.anneal(progress, [True])
        gaps.append((minimum - potential(cells)).max().item())
    assert gaps[0] > gaps[1] > gaps[2]
    # log(20) temperatures at most.
    assert gaps[2] <= 3 * float(potential.temperature)


def test_centres_start_at_the_cells_given():
    cells = torch.randn(2, 6, 3)
    potential = FunnelPotential(3, draws(0, 1), n_funnels=6)
    assert potential.n_start_cells == 6
    potential.start_at(cells)
    assert torch.equal(potential.centre, cells)


def test_temperature_follows_the_scale_of_the_cells():
    cells = torch.randn(1, 20, 3)
    potentials = [FunnelPotential(3, draws(0), n_funnels=20) for _ in range(2)]
    for potential, scale in zip(potentials, (1, 1000), strict=True):
        potential.start_at(cells * scale)
    ours, theirs = (float(potential.temperature) for potential in potentials)
    assert theirs == pytest.approx(1000 * ours, rel=1e-5)


def test_a_problem_does_not_feel_its_neighbours():
    cells = torch.randn(1, 9, 6)
    stacked = started(6, 3, 7, 5)
    assert torch.allclose(stacked(cells)[1], started(6, 7)(cells)[0], atol=1e-6)
    assert torch.equal(stacked(cells), stacked(cells.expand(3, -1, -1)))


def test_a_copy_of_the_state_is_the_same_potential():
    potential = started(4, 0)
    potential.anneal(0.7, [True])
    copy = FunnelPotential(4, draws(1), n_funnels=20)
    copy.load_state_dict(potential.state_dict())
    cells = torch.randn(1, 9, 4)
    assert torch.equal(copy(cells), potential(cells))


def test_a_problem_that_has_ended_keeps_its_temperature():
    potential = started(4, 0, 1)
    before = potential.temperature.clone()
    potential.anneal(0.5, [True, False])
    assert potential.temperature[0] < before[0]
    assert potential.temperature[1] == before[1]
