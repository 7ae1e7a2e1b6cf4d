"""Conditional maps: what a condition gives, and what training finds."""

import pytest
import torch

from rayot.solvers import ConditionalMap, ConditionalW1Settings, Population, generator
from rayot.train import TrainingOptions, train_conditional

QUICK = {"potential_steps": 150, "step_steps": 150, "n_components": None, "batch_size": 128}


def maps_of(names=("one",), **changes):
    settings = ConditionalW1Settings.from_preset("fast", **{**QUICK, **changes})
    return ConditionalMap(3, list(names), settings, 0, torch.eye(4))


def test_the_map_of_a_condition_is_that_of_the_stack():
    maps = maps_of(["one", "one / 2"], n_rays=2)
    maps.centre += 1
    maps.scale *= 2
    cells = torch.randn(2, 4 * 5, 3, generator=generator(0, "cells"))
    expected = maps(cells).unflatten(1, (4, 5)).flatten(0, 1)
    given = maps.of_conditions(maps.conditions[0], list("abcd"))
    assert given.names == ["a", "b", "c", "d", "a / 2", "b / 2", "c / 2", "d / 2"]
    found = given(cells.unflatten(1, (4, 5)).flatten(0, 1))
    assert torch.allclose(found, expected, atol=1e-5)


def populations(shifts, n=200):
    """Normal cells, moved by a vector in each condition; a store for both sides."""
    noise = torch.randn(len(shifts) + 1, n, 3, generator=generator(1, "noise"))
    cells = torch.cat(
        [noise[0], *(each + shift for each, shift in zip(noise[1:], shifts, strict=True))]
    )
    rows = torch.arange(len(cells)).split(n)
    n_strata = len(shifts)
    source = Population.from_groups(cells, [rows[0]] * n_strata, n_strata=n_strata)
    return source, Population.from_groups(cells, rows[1:], n_strata=n_strata)


def fitted(shifts, conditions, n_problems=1, **changes):
    settings = ConditionalW1Settings.from_preset("fast", **{**QUICK, **changes})
    names = ["all", *(f"all / {k}" for k in range(2, n_problems + 1))]
    maps = ConditionalMap(3, names, settings, 0, conditions)
    source, target = populations(shifts)
    sides = (Population.join([each] * n_problems) for each in (source, target))
    names = [f"condition {k}" for k in range(len(shifts))]
    options = TrainingOptions(progress=False)
    fit = train_conditional(maps, names, list(range(len(shifts))), *sides, options)
    return maps, fit, source.cells[:200]


def moves(maps, condition, cells):
    return (maps.of_conditions(condition[None], ["new"])(cells[None]) - cells)[0]


def test_translations_and_those_between_them_are_found():
    shifts = 4 * torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    maps, fit, cells = fitted(shifts, torch.eye(3))
    for condition, shift in zip(torch.eye(3), shifts, strict=True):
        assert (moves(maps, condition, cells).mean(0) - shift).norm() < 0.15 * shift.norm()
    assert [each["certificate"] for each in fit.diagnostics] != ["poor"] * 3


def test_a_dose_that_was_left_out_moves_in_between():
    doses = torch.tensor([[-1.5], [-0.5], [0.5], [1.5]])
    direction = torch.tensor([1.0, 1.0, 0.0])
    maps, _, cells = fitted([(d + 2.5) * direction for d in (-1.5, -0.5, 0.5, 1.5)], doses)
    lengths = [float(moves(maps, torch.tensor([d]), cells).mean(0).norm()) for d in (-1, 0, 1)]
    expected = [(d + 2.5) * 2**0.5 for d in (-1, 0, 1)]
    assert torch.allclose(torch.tensor(lengths), torch.tensor(expected), rtol=0.15)


def test_conditions_without_an_effect_move_nothing():
    maps, fit, _ = fitted([torch.zeros(3), torch.full((3,), 3.0)], torch.eye(2))
    assert maps.strengths.tolist() == [[0, 1]]
    assert fit.diagnostics[0]["mean_step"] == 0
    assert fit.diagnostics[0]["p_value"] > 0.05 > fit.diagnostics[1]["p_value"]


def test_members_do_not_feel_each_other():
    shifts = [torch.ones(3), -torch.ones(3)]
    # Few steps: Adam makes whole steps of gradients that are rounding errors.
    few = {"potential_steps": 3, "step_steps": 3}
    alone, _, cells = fitted(shifts, torch.eye(2), **few)
    both, _, _ = fitted(shifts, torch.eye(2), n_problems=2, **few)
    first = both.of_conditions(torch.eye(2)[:1], ["a"])(cells.expand(2, -1, -1))
    expected = alone.of_conditions(torch.eye(2)[:1], ["a"])(cells[None])
    assert torch.allclose(first[0], expected[0], atol=5e-3)
    assert not torch.allclose(first[0], first[1], atol=1e-2)


@pytest.mark.parametrize("step", ["adversarial", "energy"])
def test_the_papers_network_trains(step):
    maps, fit, cells = fitted(
        [torch.ones(3)] * 2,
        torch.eye(2),
        potential="groupsort",
        width=64,
        rank=0,
        step=step,
        potential_steps=20,
        step_steps=20,
    )
    assert moves(maps, torch.eye(2)[0], cells).isfinite().all()
    assert set(fit.history) == {"ray 1 potential", "ray 1 step"}


def test_settings_out_of_range_are_named():
    for changes, what in (
        ({"potential": "funnel"}, "potential must be one of"),
        ({"step": "fixed"}, "step must be one of"),
        ({"unmatched_source": 0.1}, "must be 0"),
        ({"rank": -1}, "rank must be a whole number of at least 0"),
    ):
        with pytest.raises(ValueError, match=what):
            ConditionalW1Settings.from_preset("fast", **changes)
