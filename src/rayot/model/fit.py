"""The fit of a stack: the one way in which a pair, and each chunk of a screen, is fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from rayot.model.problems import Problems
from rayot.solvers import Combination, Stack, choose_combination, instability
from rayot.solvers.phase import Sides
from rayot.train import TrainingOptions, train_transport
from rayot.train.left_out import combined_without_strata
from rayot.train.runner import Fit


def fit_problems(
    stack: Stack,
    problems: Sequence[Problems],
    sides: Sides,
    pairs: Sequence[Sides],
    options: TrainingOptions,
    labels: tuple[Tensor, Tensor] | None = None,
    *,
    p_values: Tensor | None = None,
    judges: Sequence[int] | None = None,
) -> tuple[Fit, list[Combination | None]]:
    """Fit a stack, and find how members of an ensemble differ and how maps of strata are combined.

    Parameters
    ----------
    stack
        Maps of all problems, changed in place.
    problems
        What is fitted for each target, one after the other in the stack.
    sides
        Training cells of source and target of all of them.
    pairs
        The same of each target.
    options, labels, p_values, judges
        As in :func:`rayot.train.runner.train_transport`.

    Returns
    -------
    What the fit leaves beside the maps, and the rule of each target; None where strata have no maps
    of their own.
    """
    fit = train_transport(stack, *sides, options, labels, p_values, judges)
    stack.eval()
    rules: list[Combination | None] = []
    ends = np.cumsum([len(each) for each in problems]).tolist()
    for each, pair, end in zip(problems, pairs, ends, strict=True):
        first = end - len(each)
        if each.n_seeds > 1:
            for problem, value in instability(stack, first + each.members, sides[0]).items():
                fit.diagnostics[problem]["instability"] = value
        rule = None
        if each.separate:
            own = stack.take(range(first, end)) if len(problems) > 1 else stack
            rule = choose_combination(own, each.members, *pair)
            if options.leave_out_strata:
                # Of the first problem of a stack, as a fit has one place for it.
                assert len(problems) == 1
                left_out = combined_without_strata(own, each.members, pair)
                fit = replace(fit, left_out=left_out)
        rules.append(rule)
    return fit, rules
