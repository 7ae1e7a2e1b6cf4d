import numpy as np
import pytest

from rayot.metrics import _energy_distance_test as module
from rayot.metrics import energy_distance, energy_distance_test


def by_hand(first, second, memberships, squared=False):
    cells = np.concatenate([first, second])
    return [
        energy_distance(cells[member], cells[~member], squared=squared) for member in memberships
    ]


@pytest.mark.parametrize("squared", [False, True])
def test_against_the_distance_of_each_permutation(populations, squared, monkeypatch):
    seen = []
    permuted = module._permuted

    def keep(*args):
        seen.append(permuted(*args))
        return seen[0]

    monkeypatch.setattr(module, "_permuted", keep)
    monkeypatch.setattr(module, "BLOCK_ENTRIES", 1000)
    found = energy_distance_test(*populations, n_permutations=30, squared=squared, seed=3)
    distances = by_hand(*populations, seen[0].astype(bool).T, squared)
    assert found.statistic == pytest.approx(distances[0], rel=1e-5)
    assert found.p_value == (1 + sum(np.array(distances[1:]) >= distances[0])) / 31
    assert found.n_permutations == 30


def test_p_values_are_uniform_without_a_difference():
    generator = np.random.default_rng(0)
    values = [
        energy_distance_test(*generator.normal(size=(2, 15, 2)), n_permutations=19, seed=i).p_value
        for i in range(200)
    ]
    assert np.mean(values) == pytest.approx(0.525, abs=0.06)
    assert np.mean(np.array(values) <= 0.1) == pytest.approx(0.1, abs=0.06)


def test_strata_in_other_numbers_are_no_difference():
    generator = np.random.default_rng(0)
    strata = np.repeat([0, 1], [40, 10]), np.repeat([0, 1], [10, 40])
    cells = [generator.normal(size=(50, 2)) + 5 * labels[:, None] for labels in strata]
    assert energy_distance_test(*cells, n_permutations=99).p_value == 0.01
    assert energy_distance_test(*cells, strata=strata, n_permutations=99).p_value > 0.05
    moved = cells[0] + 1, cells[1]
    assert energy_distance_test(*moved, strata=strata, n_permutations=99).p_value == 0.01


def test_nobodys_random_state_is_touched(populations):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first = energy_distance_test(*populations, n_permutations=20, seed=1)
    assert energy_distance_test(*populations, n_permutations=20, seed=1) == first
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_strata_are_checked(populations):
    with pytest.raises(ValueError, match="one label for each of 83 and 61 cells"):
        energy_distance_test(*populations, strata=([0, 1], [0, 1]))
    with pytest.raises(ValueError, match="No stratum has two cells of both"):
        energy_distance_test(*populations, strata=(["a"] * 83, ["b"] * 61))
    with pytest.raises(ValueError, match="at least 2"):
        energy_distance_test(populations[0][:1], populations[1])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("squared", [True, False])
def test_partitions_that_are_as_far_are_counted(seed, squared):
    """Of three against three cells one partition in ten is as far, as sides can be exchanged."""
    rng = np.random.default_rng(seed)
    first, second = 1000 + rng.normal(size=(3, 4)), 1050 + rng.normal(size=(3, 4))
    test = energy_distance_test(first, second, n_permutations=1999, squared=squared, seed=seed)
    assert test.p_value == pytest.approx(0.1, abs=0.025)
