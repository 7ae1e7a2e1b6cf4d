"""Strata left out of a fit, one after the other: what a map does where it has seen nothing."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from tqdm.auto import tqdm

from rayot.solvers import CombinedFold, Fold, Population, Stack, choose_combination
from rayot.train.folds import fit_folds
from rayot.train.options import TrainingOptions
from rayot.train.phases import Sides

logger = logging.getLogger(__name__)

MOST_STRATA = 8
"""Strata left out at most, those with the most cells."""


@dataclass(frozen=True)
class LeftOut:
    """Maps of strata that were left out.

    Attributes
    ----------
    strata
        Numbers of the strata.
    folds
        For each, a map that has not seen it, and its cells.
    failure
        What happened where a loss was not finite; empty otherwise.
    """

    strata: list[int] = field(default_factory=list)
    folds: list[Fold | CombinedFold] = field(default_factory=list)
    failure: str = ""


def strata_left_out(
    stack: Stack, source: Population, target: Population, options: TrainingOptions
) -> list[int]:
    """Numbers of the strata of the first problem that are left out, ascending.

    None where there is one, or where one model learns further conditions, whose cells are of all
    strata.
    """
    n_strata = source.n_strata
    if not options.leave_out_strata or n_strata < 2 or not stack.leaves_out_strata:
        return []
    return _largest(*(side.group_sizes[:n_strata] for side in (source, target)))


def fit_without_strata(
    stack: Stack,
    strata: Sequence[int],
    sides: Sides,
    options: TrainingOptions,
    folder: Path | None,
    bar: tqdm,
) -> LeftOut:
    """Fit the first problem again without each of some strata, in one stack.

    Batches are so much smaller that a step costs as much as one of the fit itself.

    Parameters
    ----------
    stack
        Has the fitted map of the problem.
    strata
        Of :func:`strata_left_out`.
    sides
        All training cells of each problem, source and target.
    options, folder, bar
        As in :func:`rayot.train.folds.cross_fit`.
    """
    if not strata:
        return LeftOut()
    n_strata = sides[0].n_strata
    settings = stack.settings
    of_fit = settings.batch_size * len(stack.names)
    settings = replace(settings, batch_size=max(2 * n_strata, of_fit // len(strata)))
    names = [f"{stack.names[0]}, without stratum {number + 1}" for number in strata]
    maps = type(stack)(sides[0].cells.shape[1], names, settings, stack.seed)
    others = [other for number in strata for other in range(n_strata) if other != number]
    outside = [_only(side, others, n_strata - 1) for side in sides]
    inside = [_only(side, strata, 1) for side in sides]
    # Cells of a stratum that is to stay unseen say nothing about when to stop.
    options = replace(options, early_stopping=False)
    try:
        folds, failures = fit_folds(
            maps, (outside[0], outside[1]), (inside[0], inside[1]), folder, options, bar
        )
    except FloatingPointError as error:
        logger.warning("Nothing is known of strata that were not seen: %s", error)
        return LeftOut()
    # How far cells go is one number for all strata, found on held-out cells of all of them.
    for fold in folds:
        maps.strength[fold.number] = stack.strength[0]
    return LeftOut(list(strata), list(folds), next(iter(failures.values()), ""))


def combined_without_strata(stack: Stack, members: torch.Tensor, sides: Sides) -> LeftOut:
    """What the maps of all other strata say of each, where strata have maps of their own.

    They have not seen its cells, and the rule that combines them is chosen without them, too.

    Parameters
    ----------
    stack
        The fitted maps.
    members
        (K, S) int64, problem of each member of an ensemble and stratum.
    sides
        Training cells of each problem, source and target.
    """
    source, target = sides
    n_strata = members.shape[1]
    if n_strata < 2:
        return LeftOut()
    strata = _largest(source.sizes[members[0]], target.sizes[members[0]])
    folds: list[Fold | CombinedFold] = []
    for stratum in strata:
        others = members[:, [other for other in range(n_strata) if other != stratum]]
        combination = choose_combination(stack, others, source, target)
        number = int(members[0, stratum])
        folds.append(CombinedFold(stack, source, target, number, others, combination))
    return LeftOut(strata, folds)


def _largest(n_source: torch.Tensor, n_target: torch.Tensor) -> list[int]:
    """Numbers of the strata with the most cells of the smaller side, ascending."""
    sizes = torch.minimum(n_source, n_target)
    return sorted(sizes.argsort(descending=True, stable=True)[:MOST_STRATA].tolist())


def _only(side: Population, strata: Sequence[int], n_strata: int) -> Population:
    """These strata of the first problem, in groups of so many to a problem."""
    groups = [torch.arange(*side.offsets[number : number + 2].tolist()) for number in strata]
    return replace(side.select(groups), n_strata=n_strata)
