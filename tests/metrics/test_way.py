import numpy as np
import pytest

from rayot.metrics import way


def test_the_ends_of_the_way():
    assert way(identity=2, method=2, observed=1) == 0
    assert way(identity=2, method=1, observed=1) == 1
    assert way(identity=2, method=3, observed=1) == -1


def test_it_has_no_units():
    assert way(20, 14, 10) == pytest.approx(way(2, 1.4, 1))


def test_no_way_to_go_is_nan():
    assert np.isnan(way(1, 1, 1))
