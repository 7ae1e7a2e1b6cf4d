"""One word about a map, and the figures that it follows from."""

import re

import numpy as np
import pytest

from rayot.solvers import certificate

FIGURES = {
    "p_value": 0.005,
    "strength": 1.0,
    "mean_step": 1.0,
    "gap": 0.1,
    "initial_energy_distance": 2.0,
    "residual_energy_distance": 0.02,
    "floor_energy_distance": 0.01,
    "n_cells": 200,
}
NAN = float("nan")


@pytest.mark.parametrize(
    ("changes", "word", "reason"),
    [
        ({}, "good", r"^1% of the distance to held-out target cells is left\.$"),
        ({"residual_energy_distance": -0.01}, "good", "^0% of the distance"),
        ({"residual_energy_distance": 0.3}, "check", "^15% of the distance"),
        ({"residual_energy_distance": 1.0}, "poor", "^50% of the distance"),
        (
            {"residual_energy_distance": 1.0, "floor_energy_distance": 0.9},
            "check",
            "^50% .*do not tell from none",
        ),
        ({"gap": 0.8}, "check", "farther than the lower bound asks"),
        ({"n_cells": 12}, "check", "Only 12 held-out cells of a side"),
        ({"p_value": float(np.float32(0.05))}, "good", r"^1% of the distance"),
        ({"p_value": 0.4}, "check", r"no detectable effect \(p = 0.40\), yet cells are moved"),
        (
            {"p_value": 0.4, "strength": 0.0, "mean_step": 0.0},
            "no effect",
            "cells stay where they are",
        ),
        ({"strength": 0.0, "mean_step": 0.0}, "check", "held-out cells support no move"),
        ({"residual_energy_distance": NAN}, "check", "is not finite"),
        ({"initial_energy_distance": NAN}, "check", "is not finite"),
        ({"floor_energy_distance": NAN}, "check", "of a stratum are too few"),
    ],
)
def test_the_word_follows_from_the_figures(changes, word, reason):
    found, why = certificate({**FIGURES, **changes})
    assert found == word
    assert re.search(reason, why)


@pytest.mark.parametrize("initial", [-0.1, 0.0, 0.005])
def test_an_effect_below_the_floor_cannot_be_judged(initial):
    found, why = certificate({**FIGURES, "initial_energy_distance": initial})
    assert (found, why[:19]) == ("check", "There is an effect,")


def test_more_left_is_never_a_better_word():
    order = ["poor", "check", "good"]
    words = [
        order.index(certificate({**FIGURES, "residual_energy_distance": left / 20})[0])
        for left in range(41)
    ]
    assert words == sorted(words, reverse=True)
    assert set(words) == {0, 1, 2}
