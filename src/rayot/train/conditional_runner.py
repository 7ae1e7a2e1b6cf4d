"""Fit the maps of many conditions, and judge those of each."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from tqdm.auto import tqdm

from rayot.solvers import (
    ConditionalMap,
    ConditionalW1Settings,
    Fold,
    Population,
    diagnostics,
    generator,
    permutation_test,
)
from rayot.train.checkpoints import claim, fingerprint_of
from rayot.train.conditional import STEP_TRAINING, ConditionalPotential
from rayot.train.options import TrainingOptions
from rayot.train.phases import failures_of, fit_phases
from rayot.train.runner import Fit, columns_of
from rayot.train.standardise import standardise
from rayot.train.threads import threads_for


def train_conditional(
    maps: ConditionalMap,
    names: list[str],
    source: Population,
    target: Population,
    settings: ConditionalW1Settings,
    seed: int,
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
    source, target
        Training cells of each condition, which are the strata of each of the P problems.
    settings, seed, options, labels
        As in :func:`rayot.train.train_transport`; small conditions are not cross-fitted.

    Returns
    -------
    History and diagnostics, those of all conditions of the first problem first.

    Raises
    ------
    FloatingPointError, ValueError, KeyboardInterrupt
        As :func:`rayot.train.train_transport`.
    """
    options.check()
    if settings.standardise or maps.basis is not None:
        standardise(maps, *(_once(side) for side in (source, target)))
    training, validation = zip(
        *(_split(side, maps.names, seed, options.validation_size) for side in (source, target)),
        strict=True,
    )
    patience = options.early_stopping_patience if options.early_stopping else None
    phases = [
        kind(maps, ray, *training, validation, settings, seed, patience)
        for ray in range(settings.n_rays)
        for kind in (ConditionalPotential, STEP_TRAINING[settings.step])
    ]
    folder = None
    if options.checkpoint_dir is not None:
        folder = Path(options.checkpoint_dir)
        fingerprint = fingerprint_of(maps, source, target, settings, seed, options)
        fingerprint["conditions"] = maps.conditions[0].tolist()
        claim(folder, fingerprint, [phase.name for phase in phases], options.resume)
    total = sum(phase.n_steps for phase in phases)
    largest = source.n_problems * 2 * settings.batch_size * max(maps.n_features, settings.width)
    with (
        threads_for(largest * settings.width),
        tqdm(total=total, unit="step", disable=not options.progress) as bar,
    ):
        fit_phases(maps, phases, training, validation, folder, options, bar)
        of_each = maps.given(maps.conditions[0], names)
        apart = Fold.stack(of_each, *(replace(side, n_strata=1) for side in validation))
        draws = [generator(seed, name, "permutation") for name in names]
        tested = permutation_test(*(_member(side) for side in (source, target)), draws)
        p_values = tested.p_values.repeat(source.n_problems)
        report = diagnostics([[each] for each in apart], p_values, labels)
    for problem, message in failures_of(phases).items():
        for figures in report[problem * len(names) : (problem + 1) * len(names)]:
            figures.update(certificate="poor", reason=message)
    return Fit({phase.name: columns_of(phase) for phase in phases}, report)


def _once(side: Population) -> Population:
    """The cells of each problem as one group that has none of them twice."""
    bounds = side.problem_offsets.tolist()
    groups = [
        side.rows[start:end].unique() for start, end in zip(bounds[:-1], bounds[1:], strict=True)
    ]
    return Population.from_groups(side.cells, groups)


def _split(
    side: Population, names: list[str], seed: int, share: float
) -> tuple[Population, Population]:
    """Set a share of each condition's cells apart, the same cells in all conditions they are in."""
    order = [
        torch.rand(side.cells.shape[0], generator=generator(seed, name, "validation"))
        for name in names
    ]
    bounds = zip(side.offsets[:-1].tolist(), side.offsets[1:].tolist(), strict=True)
    rest, apart = [], []
    for group, (start, end) in enumerate(bounds):
        drawn = order[group // side.n_strata][side.rows[start:end]].argsort() + start
        n_apart = max(2, round(share * (end - start)))
        rest.append(drawn[n_apart:])
        apart.append(drawn[:n_apart])
    return side.select(rest), side.select(apart)


def _member(side: Population) -> Population:
    """The conditions of the first problem, as problems."""
    offsets = side.offsets[: side.n_strata + 1]
    return replace(side, rows=side.rows[: int(offsets[-1])], offsets=offsets, n_strata=1)
