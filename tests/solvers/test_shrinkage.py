"""Moves are shortened to what held-out cells support."""

import pytest
import torch

from rayot.solvers import SIGNIFICANCE, Fold, Population, W1Map, W1Settings, shrink


class Shift(W1Map):
    """Moves cells by 4 along x, times the strength."""

    def __init__(self, n_problems=1):
        super().__init__(2, [str(p) for p in range(n_problems)], W1Settings(), seed=0)

    def take(self, problems):
        part = Shift(len(problems))
        part.strength.copy_(self.strength[list(problems)])
        return part

    def forward(self, cells, known=None):
        return cells + self.strength * torch.tensor([4.0, 0.0])


def populations(shifts, n=300, n_strata=1):
    draws = torch.Generator().manual_seed(0)
    source, target = torch.randn(2, len(shifts), n, 2, generator=draws)
    target[..., 0] += torch.tensor(shifts)[:, None]
    cells = torch.cat([source, target]).reshape(-1, 2)
    rows = torch.arange(len(cells)).view(2, len(shifts), n)
    return [Population.from_groups(cells, list(side), n_strata=n_strata) for side in rows]


def folds(transport, shifts, **options):
    return [[each] for each in Fold.stack(transport, *populations(shifts, **options))]


def test_each_problem_goes_as_far_as_its_cells_support():
    transport = Shift(4)
    shrink(transport, folds(transport, [4.0, 2.0, 0.0, -3.0]), torch.full((4,), 0.005))
    found = transport.strength.flatten().tolist()
    assert found == pytest.approx([1.0, 0.5, 0.0, 0.0], abs=0.11)


def test_without_an_effect_nothing_moves():
    transport = Shift(2)
    p_values = torch.tensor([SIGNIFICANCE, SIGNIFICANCE + 0.01])
    shrink(transport, folds(transport, [4.0, 4.0]), p_values)
    assert transport.strength.flatten().tolist() == [1.0, 0.0]


def test_strata_agree_on_one_strength():
    transport = Shift(1)
    shrink(transport, folds(transport, [4.0, 0.0], n_strata=2), torch.zeros(1))
    assert transport.strength.shape == (1, 1, 1)
    assert 0.2 <= float(transport.strength) <= 0.8


def test_weights_say_which_cells_count():
    source, target = populations([4.0])
    cells = target.cells.clone()
    cells[300:450, 0] -= 4.0
    target = Population.from_groups(
        cells, [target.rows], weights=[(torch.arange(300) >= 150).float()]
    )
    transport = Shift(1)
    shrink(transport, [Fold.stack(transport, source, target)], torch.zeros(1))
    assert float(transport.strength) == pytest.approx(1.0, abs=0.11)


def test_a_fold_goes_as_far_as_the_cells_of_the_others_support():
    transport, maps = Shift(1), Shift(2)
    own = Fold.stack(maps, *populations([4.0, 0.0]))
    shrink(transport, [own], torch.zeros(1))
    strata = Shift(1)
    shrink(strata, folds(strata, [4.0, 0.0], n_strata=2), torch.zeros(1))
    assert 0.2 <= float(transport.strength) <= 0.8
    assert maps.strength.flatten().tolist() == [0.0, 1.0]
    assert torch.equal(transport.strength, strata.strength)


def test_problems_that_share_folds_go_equally_far():
    transport, maps = Shift(3), Shift(2)
    shared = Fold.stack(maps, *populations([2.0, 2.0]))
    shrink(transport, [shared] * 3, torch.zeros(3))
    found = transport.strength.flatten()
    assert torch.equal(found, found[:1].expand(3))
    assert float(found[0]) == pytest.approx(0.5, abs=0.11)
