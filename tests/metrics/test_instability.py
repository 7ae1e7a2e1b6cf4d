import numpy as np
import pandas as pd
import pytest

from rayot.metrics import instability


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def moves(rng):
    return rng.normal(size=(2, 30, 4))


def test_it_is_the_mean_distance_over_the_mean_length(moves):
    first, second = moves
    length = np.linalg.norm(moves, axis=2).mean()
    expected = np.linalg.norm(first - second, axis=1).mean() / length
    assert instability(first, second) == pytest.approx(expected)


def test_equal_moves_have_none_and_opposite_ones_two(moves):
    first = moves[0]
    assert instability(first, first) == 0
    assert instability(first, -first) == pytest.approx(2)
    assert instability(np.zeros((3, 2)), np.zeros((3, 2))) == 0


def test_it_is_symmetric_and_knows_no_units_or_rotations(moves, rng):
    first, second = moves
    found = instability(first, second)
    assert instability(second, first) == pytest.approx(found)
    assert instability(7 * first, 7 * second) == pytest.approx(found)
    rotation, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    assert instability(first @ rotation, second @ rotation) == pytest.approx(found)
    order = rng.permutation(len(first))
    assert instability(first[order], second[order]) == pytest.approx(found)


def test_moves_across_are_root_two():
    assert instability([[1.0, 0.0]], [[0.0, 1.0]]) == pytest.approx(2**0.5)


def test_rows_of_tables_are_found_by_name(moves):
    first, second = (pd.DataFrame(each, index=[f"cell{i}" for i in range(30)]) for each in moves)
    assert instability(first, second.iloc[::-1]) == pytest.approx(instability(first, second))


def test_other_cells_are_refused(moves):
    with pytest.raises(ValueError, match=r"first has shape \(30, 4\) and second has \(20, 4\)"):
        instability(moves[0], moves[1, :20])
