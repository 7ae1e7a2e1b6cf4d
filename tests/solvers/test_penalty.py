"""The gradient penalty: its value on functions of known gradient, problem by problem."""

import pytest
import torch

from rayot.solvers.penalty import gradient_penalty

CELLS = torch.randn(2, 8, 3, generator=torch.Generator().manual_seed(0))
SHARE = torch.rand(2, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("slope", "expected"), [(0.0, 0.0), (0.5, 0.0), (1.0, 0.0), (3.0, 4.0)])
def test_only_steeper_slopes_cost(slope, expected):
    found = gradient_penalty(lambda x: slope * x[..., 0], CELLS, -CELLS, SHARE)
    assert torch.allclose(found, torch.full((2,), expected))


def test_gradients_are_taken_between_the_cells():
    found = gradient_penalty(lambda x: x.square().sum(-1), CELLS, 3 * CELLS, SHARE)
    between = SHARE[..., None] * CELLS + (1 - SHARE[..., None]) * 3 * CELLS
    expected = (2 * between.norm(dim=-1) - 1).clamp_min(0).square().mean(-1)
    assert torch.allclose(found, expected, rtol=1e-4)


def test_a_problem_does_not_feel_its_neighbours():
    slopes = torch.tensor([2.0, 4.0], requires_grad=True)
    found = gradient_penalty(lambda x: slopes[:, None] * x[..., 0], CELLS, -CELLS, SHARE)
    (gradient,) = torch.autograd.grad(found[1], slopes)
    assert gradient.tolist() == [0.0, 6.0]
