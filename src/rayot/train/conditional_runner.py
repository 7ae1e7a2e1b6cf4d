"""Fit the maps of many conditions, and judge those of each."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from rayot.solvers import (
    SIGNIFICANCE,
    ConditionalMap,
    Fold,
    Population,
    diagnostics,
    generator,
    permutation_test,
)
from rayot.train.checkpoints import claimed, fingerprint_of
from rayot.train.options import TrainingOptions
from rayot.train.phases import failures_of, fit_phases, phases_of
from rayot.train.runner import Fit, columns_of
from rayot.train.standardise import standardise
from rayot.train.threads import threads_for

MATCH_TYPES = 'covariate_keys=["cell_type"]'
"""How cells are matched within their types, by a model that has no strata."""


def train_conditional(
    maps: ConditionalMap,
    names: list[str],
    families: list[int],
    source: Population,
    target: Population,
    options: TrainingOptions,
    labels: tuple[Tensor, Tensor] | None = None,
) -> Fit:
    """Fit the maps of all conditions phase after phase, and judge each condition's.

    Parameters
    ----------
    maps
        Changed in place.
    names
        Of the S conditions.
    families
        (S,), equal for conditions that differ in the cells alone: whether these respond is tested
        in all of them together.
    source, target
        Training cells of each condition, which are the strata of each of the P problems.
    options, labels
        As in :func:`rayot.train.train_transport`; small conditions are not cross-fitted.

    Returns
    -------
    History and diagnostics, those of all conditions of the first problem first.

    Raises
    ------
    FloatingPointError, ValueError, OSError, KeyboardInterrupt
        As :func:`rayot.train.train_transport`.
    """
    options.check()
    settings, seed = maps.settings, maps.seed
    if settings.standardise or maps.basis is not None:
        standardise(maps, *(_once(side) for side in (source, target)))
    (training, validation) = zip(
        *(_split(side, maps.names, seed, options.validation_size) for side in (source, target)),
        strict=True,
    )
    phases = phases_of(maps, training, validation, options)

    def fingerprint() -> dict[str, Any]:
        values = fingerprint_of(maps, source, target, options)
        return {**values, "conditions": maps.conditions[0].tolist()}

    total = sum(phase.n_steps for phase in phases)
    largest = source.n_problems * 2 * settings.batch_size * max(maps.n_features, settings.width)
    with (
        claimed(options, fingerprint, [phase.name for phase in phases]) as folder,
        threads_for(largest * settings.width),
        tqdm(total=total, unit="step", disable=not options.progress) as bar,
    ):
        fit_phases(maps, phases, training, validation, folder, options, bar)
        p_values = _p_values(names, families, source, target, seed)
        if settings.shrink:
            maps.strengths[:] = (p_values <= SIGNIFICANCE).float()
        of_each = maps.of_conditions(maps.conditions[0], names, maps.strengths)
        apart = Fold.stack(of_each, *(replace(side, n_strata=1) for side in validation))
        p_values = p_values.repeat(source.n_problems)
        report = diagnostics([[fold] for fold in apart], p_values, labels, MATCH_TYPES)
    for problem, message in failures_of(phases).items():
        for figures in report[problem * len(names) : (problem + 1) * len(names)]:
            figures.update({"certificate": "poor", "reason": message})
    return Fit({phase.name: columns_of(phase) for phase in phases}, report)


def _once(side: Population) -> Population:
    """The cells of each problem as one group that has none of them twice."""
    bounds = pairwise(side.problem_offsets.tolist())
    groups = [side.rows[start:end].unique() for start, end in bounds]
    return Population.from_groups(side.cells, groups)


def _split(
    side: Population, names: list[str], seed: int, share: float
) -> tuple[Population, Population]:
    """Set a share of each condition's cells apart, the same cells in all conditions they are in."""
    order = [
        torch.rand(
            side.cells.shape[0], generator=generator(seed, name, "validation"), dtype=torch.float32
        )
        for name in names
    ]
    bounds = pairwise(side.offsets.tolist())
    rest, apart = [], []
    for group, (start, end) in enumerate(bounds):
        drawn = order[group // side.n_strata][side.rows[start:end]].argsort() + start
        n_apart = max(2, round(share * (end - start)))
        rest.append(drawn[n_apart:])
        apart.append(drawn[:n_apart])
    return side.select(rest), side.select(apart)


def _p_values(
    names: list[str], families: list[int], source: Population, target: Population, seed: int
) -> Tensor:
    """p-value (S,) of each condition's family, in which cells are compared within conditions."""
    p_values = torch.ones(len(names), dtype=torch.float32)
    for family in sorted(set(families)):
        members = [number for number, own_family in enumerate(families) if own_family == family]
        first, second = (
            replace(side, n_strata=len(members)).select(
                [torch.arange(*side.offsets[k : k + 2].tolist()) for k in members]
            )
            for side in (source, target)
        )
        draws = [generator(seed, names[members[0]], "permutation")]
        p_values[members] = permutation_test(first, second, draws).p_values
    return p_values
