"""The permutation test is uniform where nothing happened, and finds what did."""

import pytest
import torch
from scipy import stats

from rayot.solvers import (
    Population,
    SparseCells,
    energy_distance,
    generator,
    permutation_test,
)


def p_values(n_problems, shift, *, n=40, d=3, n_strata=1, offset=0.0, seed=0):
    """Of ``n_problems`` independent draws; strata lie ``offset`` apart."""
    draws = torch.Generator().manual_seed(seed)
    n_groups = n_problems * n_strata
    cells = torch.randn(2, n_groups, n, d, generator=draws)
    cells[1, ..., 0] += shift
    cells += offset * (torch.arange(n_groups) % n_strata).view(1, -1, 1, 1)
    rows = torch.arange(2 * n_groups * n).view(2, n_groups, n)
    populations = [
        Population.from_groups(cells.reshape(-1, d), list(side), n_strata=n_strata) for side in rows
    ]
    keys = [generator(seed, problem) for problem in range(n_problems)]
    return permutation_test(*populations, keys, n_permutations=99).p_values


@pytest.mark.parametrize(("n_strata", "offset"), [(1, 0.0), (2, 0.0), (2, 20.0)])
def test_p_values_are_uniform_under_the_null(n_strata, offset):
    found = p_values(200, 0.0, n_strata=n_strata, offset=offset)
    assert 0 < float(found.min()) <= float(found.max()) <= 1
    assert stats.kstest(found.numpy(), "uniform").pvalue > 0.001
    assert float((found <= 0.05).float().mean()) < 0.12


def test_p_values_are_small_under_a_shift():
    assert float(p_values(5, 1.5).max()) == pytest.approx(0.01)


def test_strata_that_differ_do_not_hide_a_shift():
    assert float(p_values(5, 1.5, n_strata=2, offset=50.0).max()) == pytest.approx(0.01)


def test_a_problem_does_not_feel_its_neighbours():
    cells = torch.randn(80, 3)
    rows = [torch.arange(40), torch.arange(40, 80)]
    alone = [Population.from_groups(cells, [each]) for each in rows]
    stacked = [Population.from_groups(cells, [each, each]) for each in rows]
    first = permutation_test(*alone, [generator(0, "a")])
    both = permutation_test(*stacked, [generator(0, "b"), generator(0, "a")])
    assert float(both.p_values[1]) == float(first.p_values[0])
    assert float(both.distances[1]) == float(first.distances[0])


def test_constant_and_duplicated_cells_have_no_effect():
    rows = [torch.arange(30), torch.arange(30, 60)]
    half = torch.randn(30, 2)
    for cells in (torch.ones(60, 2), torch.cat([half, half])):
        populations = [Population.from_groups(cells, [each]) for each in rows]
        assert float(permutation_test(*populations, [generator(0)]).p_values) > 0.5


def test_sparse_cells():
    from scipy import sparse

    cells = torch.randn(60, 4).clamp_min(0)
    rows = [torch.arange(30), torch.arange(30, 60)]
    found = [
        permutation_test(
            *(Population.from_groups(each, [side]) for side in rows), [generator(0)]
        ).p_values
        for each in (cells, SparseCells.from_scipy(sparse.csr_matrix(cells.numpy())))
    ]
    assert torch.equal(*found)


def test_the_distance_is_that_of_the_cells_looked_at():
    cells = torch.randn(80, 3, generator=torch.Generator().manual_seed(0))
    cells[40:] += 1
    rows = [torch.arange(40), torch.arange(40, 80)]
    found = permutation_test(*(Population.from_groups(cells, [r]) for r in rows), [generator(0)])
    expected = energy_distance(cells[None, :40], cells[None, 40:])
    torch.testing.assert_close(found.distances, expected)
