"""One word about a map, and the figures that it follows from."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayot.solvers import CERTIFICATES, certificate

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
        (
            {"changed_type": 0.47, "floor_changed_type": 0.24},
            "check",
            '47% of predicted cells lie among another cell type, and 24% .*strata_key="cell_type"',
        ),
        ({"changed_type": 0.24, "floor_changed_type": 0.47}, "good", "^1% of the distance"),
        ({"changed_type": 0.26, "floor_changed_type": 0.24}, "good", "^1% of the distance"),
        ({"changed_type": 1.0, "floor_changed_type": 0.0}, "check", "^1% .*, but 100% of"),
        ({"changed_type": NAN, "floor_changed_type": NAN}, "good", "^1% of the distance"),
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


@given(st.floats(0, 1), st.floats(0, 1), st.integers(30, 100_000))
def test_it_is_never_good_where_more_cells_change_their_type_than_by_chance(changed, floor, n):
    types = {"changed_type": changed, "floor_changed_type": floor, "n_cells": n}
    found, why = certificate({**FIGURES, **types})
    error = np.sqrt((changed * (1 - changed) + floor * (1 - floor)) / n)
    if changed - floor > 1.645 * error + 1e-6:
        assert found == "check"
        assert "strata_key" in why
    elif changed - floor < 1.644 * error - 1e-6:
        assert found == "good"
    # Types make no word better.
    for left in (0.3, 1.0):
        worse = {"residual_energy_distance": left}
        assert certificate({**FIGURES, **types, **worse}) == certificate({**FIGURES, **worse})


def test_any_excess_is_seen_with_enough_cells():
    types = {"changed_type": 0.26, "floor_changed_type": 0.24}
    words = [certificate({**FIGURES, **types, "n_cells": n})[0] for n in (100, 1000, 10_000)]
    assert words == ["good", "good", "check"]


def test_what_matches_types_is_said_as_the_model_calls_it():
    types = {"changed_type": 0.47, "floor_changed_type": 0.24}
    _, why = certificate({**FIGURES, **types}, 'covariate_keys=["cell_type"]')
    assert why.endswith('and 24% of target cells do. Try covariate_keys=["cell_type"].')


@pytest.mark.parametrize(
    ("changes", "step"),
    [
        ({"residual_energy_distance": 0.3}, "Try more cells, more steps"),
        ({"residual_energy_distance": 1.0}, "Try more cells, more steps"),
        (
            {"residual_energy_distance": 0.21, "floor_energy_distance": 0.1},
            "Try a larger validation_size",
        ),
        ({"gap": 0.8}, "Try n_seeds=5"),
        ({"gap": 0.8, "instability": 0.2}, "See step_sd"),
        ({"n_cells": 12}, "Try a larger validation_size"),
        ({"n_cells": 12, "n_folds": 5}, "it takes more cells"),
        ({"p_value": 0.4}, "More cells may tell"),
        ({"strength": 0.0, "mean_step": 0.0}, "Try a larger validation_size"),
        ({"strength": 0.0, "mean_step": 0.0, "n_folds": 5}, "it takes more cells"),
        ({"residual_energy_distance": NAN}, "Try a lower learning rate"),
        ({"floor_energy_distance": NAN}, "Try a larger validation_size"),
        ({"initial_energy_distance": 0.005}, "Try a larger validation_size"),
        ({"changed_type": 0.9, "floor_changed_type": 0.1}, "Try strata_key="),
    ],
)
def test_what_is_not_good_says_what_to_try(changes, step):
    found, why = certificate({**FIGURES, **changes})
    assert found in ("check", "poor")
    sentences = why.removesuffix(".").split(". ")
    assert len(sentences) == 2
    assert step in sentences[1]


def test_a_figure_that_is_missing_is_an_error():
    with pytest.raises(KeyError, match="gap"):
        certificate({name: value for name, value in FIGURES.items() if name != "gap"})


def test_the_words_are_those_that_are_said():
    changes = ({"residual_energy_distance": 1.0}, {"gap": 0.8}, {}, {"p_value": 0.4, "strength": 0})
    assert tuple(certificate({**FIGURES, **each})[0] for each in changes) == CERTIFICATES
