"""Maps of known strata, combined for one that is not known."""

import pytest
import torch

from rayot.solvers import Combination, Population, W1Map, W1Settings, choose_combination

CENTRES = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])


def moves(n=4):
    """Each stratum's map shifts by another amount along x: 1, 2 and 9."""
    return torch.tensor([1.0, 2.0, 9.0])[:, None, None] * torch.tensor([1.0, 0.0]).expand(3, n, 2)


@pytest.mark.parametrize(("rule", "expected"), [("mean", 4.0), ("median", 2.0)])
@pytest.mark.parametrize("share", [1.0, 0.7])
def test_mean_and_median(rule, expected, share):
    found = Combination(rule, share, CENTRES, 1.0).apply(moves(), torch.zeros(4, 2))
    assert torch.allclose(found, torch.tensor([share * expected, 0.0]).expand(4, 2))


def test_the_nearest_stratum_counts_most():
    found = Combination("nearest", 1.0, CENTRES, 1.0).apply(moves(3), CENTRES)
    assert torch.allclose(found[:, 0], torch.tensor([1.0, 2.0, 9.0]), atol=1e-4)
    between = torch.tensor([[5.0, 0.0]])
    halfway = Combination("nearest", 1.0, CENTRES, 1.0).apply(moves(1), between)
    assert float(halfway[0, 0]) == pytest.approx(1.5, abs=1e-3)


def test_without_a_stratum():
    left = Combination("nearest", 0.7, CENTRES, 1.0).without(1)
    assert left.centres.tolist() == [[0.0, 0.0], [0.0, 10.0]]
    assert (left.rule, left.share) == ("nearest", 0.7)


def shifted(shifts, n=120, seed=0):
    """Strata whose cells shift along x, and maps that have learned their own shift exactly."""
    draws = torch.Generator().manual_seed(seed)
    n_strata = len(shifts)
    source = torch.randn(n_strata, n, 2, generator=draws)
    target = torch.randn(n_strata, n, 2, generator=draws)
    target[..., 0] += torch.tensor(shifts)[:, None]
    cells = torch.cat([source, target]).reshape(-1, 2)
    rows = torch.arange(len(cells)).view(2, n_strata, n)
    return [Population.from_groups(cells, list(side)) for side in rows]


class Shift(W1Map):
    """Moves each problem's cells by its shift."""

    def __init__(self, shifts):
        names = [str(number) for number in range(len(shifts))]
        super().__init__(2, names, W1Settings(), seed=0)
        self.shifts = torch.tensor(shifts)

    def forward(self, cells, known=None):
        moved = cells.clone()
        moved[..., 0] += self.shifts[:, None]
        return moved


def test_two_strata_leave_nothing_to_choose_by():
    shifts = [1.0, 5.0]
    found = choose_combination(Shift(shifts), torch.tensor([[0, 1]]), *shifted(shifts))
    assert (found.rule, found.share) == ("mean", 1.0)


def test_an_outlying_stratum_asks_for_the_median():
    shifts = [2.0, 2.0, 2.0, 2.0, 40.0]
    found = choose_combination(Shift(shifts), torch.arange(5)[None], *shifted(shifts))
    assert (found.rule, found.share) == ("median", 1.0)


def test_members_of_an_ensemble_are_averaged():
    shifts = [2.0, 2.0, 2.0, 2.0, 40.0]
    twice = [
        Population.from_groups(side.cells, list(side.rows.split(120)) * 2)
        for side in shifted(shifts)
    ]
    members = [shift - 1 for shift in shifts] + [shift + 1 for shift in shifts]
    found = choose_combination(Shift(members), torch.arange(10).view(2, 5), *twice)
    assert (found.rule, found.share) == ("median", 1.0)
    assert found.centres.shape == (5, 2)


def test_cells_without_weight_have_no_say():
    """Half of the cells of each stratum lie far off."""
    shifts = [8.0, 8.0, 8.0]
    source, target = shifted(shifts)
    cells = target.cells.clone()
    cells[target.rows.view(3, -1)[:, ::2]] += 50.0
    cells[source.rows.view(3, -1)[:, ::2]] -= 50.0
    kept = [(torch.arange(120) % 2).float()] * 3
    weighted = [
        Population.from_groups(cells, list(side.rows.split(120)), weights=kept)
        for side in (source, target)
    ]
    found = choose_combination(Shift(shifts), torch.arange(3)[None], *weighted)
    assert found.share == 1.0
    assert float(found.centres.abs().max()) < 1
    assert found.scale == pytest.approx(1.0, abs=0.2)
