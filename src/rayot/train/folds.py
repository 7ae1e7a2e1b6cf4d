"""Cross-fitting of problems with few cells: each cell is judged by a map that has not seen it."""

import gc
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor
from tqdm.auto import tqdm

from rayot.solvers import Fold, Population, Stack, generator
from rayot.train.memory import numbers_held
from rayot.train.options import TrainingOptions
from rayot.train.phases import Sides, failures_of, fit_phases, phases_of
from rayot.train.standardise import standardise

FEW_CELLS = 100
"""Training cells of a problem's smaller side below which it is cross-fitted."""

BATCH = 64
"""Cells of a batch of a fold, which has fewer than 100 of the smaller side."""


@dataclass(frozen=True)
class CrossFit:
    """What cross-fitting leaves.

    Attributes
    ----------
    folds
        By problem.
    failures
        By problem, what happened where a fold's loss was not finite.
    """

    folds: dict[int, list[Fold]] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)


def fold_counts(source: Population, target: Population, n_folds: int) -> list[int]:
    """Folds of each problem; 1 where it is not cross-fitted.

    Every fold has at least two cells of each stratum and side, which an energy distance needs;
    where there are too few for ``n_folds``, there are as many folds as can have two.
    """
    smaller = torch.minimum(source.sizes, target.sizes)
    of_strata = torch.minimum(_cells_that_count(source), _cells_that_count(target))
    fitting = (of_strata.view(source.n_problems, -1).amin(1) // 2).clamp(1, n_folds)
    return torch.where(smaller < FEW_CELLS, fitting, 1).tolist()


def stacks_of(counts: Sequence[int], folds_per_problem: int) -> list[list[int]]:
    """Problems whose folds are fitted in one stack.

    The folds of a problem stay together. A stack holds no more folds than are as large as all
    problems, so that memory does not grow, or else the folds of one problem alone: these then come
    out bit for bit the same whatever the other problems are.

    Parameters
    ----------
    counts
        Folds of each problem.
    folds_per_problem
        How many folds take the memory of one problem, see :func:`folds_per_problem`.
    """
    stacks: list[list[int]] = []
    room = 0
    largest = len(counts) * folds_per_problem
    for problem, count in enumerate(counts):
        if count == 1:
            continue
        if count > room:
            stacks.append([])
            room = max(largest, count)
        stacks[-1].append(problem)
        room -= count
    return stacks


def folds_per_problem(stack: Stack, source: Population, target: Population) -> int:
    """How many folds, with their smaller batches, take the memory of one problem."""
    one, batch = stack.take([0]), stack.settings.batch_size
    n_cells = int((source.sizes + target.sizes).max())
    whole, fold = (numbers_held(one, size, n_cells) for size in (batch, min(batch, BATCH)))
    return max(1, whole // fold)


def cross_fit(
    stack: Stack,
    counts: Sequence[int],
    stacks: Sequence[Sequence[int]],
    source: Population,
    target: Population,
    options: TrainingOptions,
    folder: Path | None,
    bar: tqdm,
) -> CrossFit:
    """Fit the folds of every problem that has more than one.

    Each fold's map is fitted like the problem's own, but for smaller batches, on the cells outside
    of the fold; those inside are what early stopping watches, as it watches the cells set apart
    from the problem's own map.

    Parameters
    ----------
    stack
        The problems' own maps.
    counts, stacks
        Folds of each problem, of :func:`fold_counts`, and which are fitted together.
    source, target
        All training cells of each problem.
    options
        As in :func:`rayot.train.train_transport`.
    folder
        Of checkpoints, one folder a stack; None writes none.
    bar
        Is moved by the steps that are done.
    """
    crossed = CrossFit()
    settings = replace(stack.settings, batch_size=min(stack.settings.batch_size, BATCH))
    names = stack.names
    for number, problems in enumerate(stacks, 1):
        if number > 1:
            # Trainer and module of the stack before hold each other, and its networks.
            gc.collect()
        owners = [problem for problem in problems for _ in range(counts[problem])]
        of_stack = [f"{names[p]}, fold {k + 1}" for p in problems for k in range(counts[p])]
        outside, inside = _divided(names, problems, counts, (source, target), stack.seed)
        own = None if folder is None else folder / str(number)
        maps = type(stack)(source.cells.shape[1], of_stack, settings, stack.seed)
        try:
            folds, failures = fit_folds(maps, outside, inside, own, options, bar)
        except FloatingPointError as error:
            # The problems' own maps are fitted, and are judged by the cells set apart from them.
            crossed.failures.update(dict.fromkeys(problems, str(error)))
            continue
        for owner, fold in zip(owners, folds, strict=True):
            crossed.folds.setdefault(owner, []).append(fold)
        crossed.failures.update({owners[n]: what for n, what in failures.items()})
    return crossed


def fit_folds(
    maps: Stack,
    outside: Sides,
    inside: Sides,
    folder: Path | None,
    options: TrainingOptions,
    bar: tqdm,
) -> tuple[list[Fold], dict[int, str]]:
    """Fit maps on some cells, to be judged on others.

    Parameters
    ----------
    maps
        Not fitted yet, changed in place.
    outside, inside
        For each map, cells that it is fitted on, and cells that judge it.
    folder, options, bar
        As in :func:`rayot.train.phases.fit_phases`.

    Returns
    -------
    The fold of each map, and what happened to maps whose loss was not finite.

    Raises
    ------
    FloatingPointError
        If that stopped the fit.
    """
    settings = maps.settings
    if settings.standardise or maps.basis is not None:
        standardise(maps, *outside)
    phases = phases_of(maps, outside, inside, options)
    folds = fit_phases(maps, phases, outside, inside, folder, options, bar)
    return folds, failures_of(phases)


def _divided(
    names: Sequence[str], problems: Sequence[int], counts: Sequence[int], sides: Sides, seed: int
) -> tuple[Sides, Sides]:
    """Cells outside and inside of each fold, those of each problem shuffled by its name."""
    outside, inside = [], []
    for side, population in zip(("source", "target"), sides, strict=True):
        parts: tuple[list[Tensor], list[Tensor]] = ([], [])
        for problem in problems:
            orders = _shuffled(population, problem, generator(seed, names[problem], "folds", side))
            for fold in range(counts[problem]):
                for order in orders:
                    held_out = torch.arange(len(order)) % counts[problem] == fold
                    parts[0].append(order[~held_out])
                    parts[1].append(order[held_out])
        outside.append(population.select(parts[0]))
        inside.append(population.select(parts[1]))
    return (outside[0], outside[1]), (inside[0], inside[1])


def _shuffled(population: Population, problem: int, draw: torch.Generator) -> list[Tensor]:
    """Positions of each stratum's cells, those without weight last: folds share both kinds."""
    n_strata = population.n_strata
    starts = population.offsets[problem * n_strata : (problem + 1) * n_strata + 1].tolist()
    orders = []
    for start, end in pairwise(starts):
        order = start + torch.randperm(end - start, generator=draw)
        weights = population.weights_at(order)
        orders.append(order if weights is None else order[(weights == 0).argsort(stable=True)])
    return orders


def _cells_that_count(population: Population) -> Tensor:
    """Cells of each group that have weight, (P S,)."""
    if population.weights is None:
        return population.group_sizes
    groups = population.weights.split(population.group_sizes.tolist())
    return torch.stack([(weights > 0).sum() for weights in groups])
