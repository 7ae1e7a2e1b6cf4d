"""Fit a stack of maps and what judges them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from torch import Tensor
from tqdm.auto import tqdm

from rayot.solvers import (
    SIGNIFICANCE,
    Population,
    Stack,
    diagnostics,
    generator,
    permutation_test,
    shrink,
)
from rayot.solvers.report import Report
from rayot.train.checkpoints import FOLDS, LEFT_OUT, claimed, fingerprint_of
from rayot.train.folds import cross_fit, fold_counts, folds_per_problem, stacks_of
from rayot.train.left_out import LeftOut, fit_without_strata, strata_left_out
from rayot.train.options import TrainingOptions
from rayot.train.phases import failures_of, fit_phases, phases_of
from rayot.train.standardise import standardise
from rayot.train.threads import threads_for
from rayot.train.training import Training


@dataclass(frozen=True)
class Fit:
    """What a fit leaves beside the map.

    Attributes
    ----------
    history
        For each phase, "step" and its values, the mean over problems, one a block: (blocks,).
    diagnostics
        Held-out figures of each problem.
    left_out
        Maps of the first problem without one of its strata each.
    """

    history: dict[str, dict[str, np.ndarray]]
    diagnostics: list[Report]
    left_out: LeftOut = field(default_factory=LeftOut)


def train_transport(
    transport: Stack,
    source: Population,
    target: Population,
    options: TrainingOptions,
    labels: tuple[Tensor, Tensor] | None = None,
    p_values: Tensor | None = None,
    judges: Sequence[int] | None = None,
) -> Fit:
    """Fit a stack of maps phase after phase, and judge the maps.

    A problem with fewer than 100 cells of a side is cross-fitted too: further maps are fitted
    without a part of its cells each, and judged on that part in its stead. Where the test finds no
    effect, no such judgement would change what is said of the map.

    Parameters
    ----------
    transport
        The map, changed in place.
    source, target
        Training cells of each problem, in the data's units.
    options
        How the fit runs.
    labels
        (n,) and (m,) int64, a class of each cell of the two stores (its cell type), −1 where
        unknown.
    p_values
        (P,), whether source and target differ, where that was tested before.
    judges
        By problem, of the same cells, the one whose folds judge it where there are any; by default
        each its own.

    Returns
    -------
    History and diagnostics.

    Raises
    ------
    FloatingPointError
        If a loss becomes NaN or infinite.
    ValueError
        If ``checkpoint_dir`` holds the checkpoints of another run, or symbolic links.
    OSError
        If it cannot be written to, or another fit is running there.
    KeyboardInterrupt
        If the user interrupts; checkpoints stay.
    """
    options.check()
    settings, seed = transport.settings, transport.seed
    if settings.standardise or transport.basis is not None:
        standardise(transport, source, target)
    (training, validation) = zip(
        *(
            population.split(
                [generator(seed, name, "validation", side) for name in transport.names],
                options.validation_size,
            )
            for side, population in (("source", source), ("target", target))
        ),
        strict=True,
    )
    phases = phases_of(transport, training, validation, options)
    judges = range(source.n_problems) if judges is None else judges
    counts = fold_counts(source, target, options.n_folds)
    n_problems, n_features = source.n_problems, transport.n_features
    largest = n_problems * 2 * settings.batch_size * max(n_features, settings.widest)
    if p_values is None:
        draws = [generator(seed, name, "permutation") for name in transport.names]
        with threads_for(largest * settings.widest):
            p_values = permutation_test(source, target, draws).p_values
    # Folds that judge several problems have one strength, which follows from one test.
    p_values = p_values[[judge if counts[judge] > 1 else k for k, judge in enumerate(judges)]]
    judged = (p_values <= SIGNIFICANCE).tolist()
    counts = [count if judges[k] == k and judged[k] else 1 for k, count in enumerate(counts)]
    fingerprint = partial(fingerprint_of, transport, source, target, options)
    per_problem = folds_per_problem(transport, source, target)
    strata = strata_left_out(transport, source, target, options)
    n_fits = 1 + len(stacks_of(counts, per_problem)) + bool(strata)
    total = sum(phase.n_steps for phase in phases) * n_fits
    with (
        claimed(options, fingerprint, [phase.name for phase in phases]) as folder,
        threads_for(largest * settings.widest),
        tqdm(total=total, unit="step", disable=not (options.progress and total)) as bar,
    ):
        apart = fit_phases(transport, phases, training, validation, folder, options, bar)
        failures = failures_of(phases)
        # A problem that failed is poor whatever its folds would say.
        counts = [1 if problem in failures else count for problem, count in enumerate(counts)]
        crossed = cross_fit(
            transport,
            counts,
            stacks_of(counts, per_problem),
            source,
            target,
            options,
            None if folder is None else folder / FOLDS,
            bar,
        )
        folds = [crossed.folds.get(judges[problem], [own]) for problem, own in enumerate(apart)]
        if settings.shrink:
            shrink(transport, folds, p_values)
        report = diagnostics(folds, p_values, labels, strengths=transport.strength)
        left_out = fit_without_strata(
            transport,
            strata,
            (source, target),
            options,
            None if folder is None else folder / LEFT_OUT,
            bar,
        )
    for problem, judge in enumerate(judges):
        if message := failures.get(problem) or crossed.failures.get(judge):
            report[problem].update({"certificate": "poor", "reason": message})
    return Fit({phase.name: columns_of(phase) for phase in phases}, report, left_out)


def columns_of(phase: Training) -> dict[str, np.ndarray]:
    """History of a phase, the mean over problems."""
    columns = {name: np.asarray(rows) for name, rows in phase.history.items()}
    means = {name: rows.mean(1) for name, rows in columns.items()}
    return {**means, "step": columns["step"][:, 0].astype(int)}
