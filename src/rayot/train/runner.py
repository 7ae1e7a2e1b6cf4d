"""Fit every ray of a map, phase after phase, with Lightning."""

from dataclasses import dataclass
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
from torch import Tensor
from tqdm.auto import tqdm

from rayot.solvers import (
    Population,
    TransportMap,
    W1Settings,
    diagnostics,
    generator,
    permutation_test,
    shrink,
)
from rayot.train.block import BlockTraining
from rayot.train.callbacks import Checkpoint, Progress, blocks_between
from rayot.train.checkpoints import checkpoint_path, claim, fingerprint_of, load_checkpoint
from rayot.train.lightning import interruptible, quiet
from rayot.train.options import TrainingOptions
from rayot.train.potential import PotentialTraining
from rayot.train.standardise import standardise
from rayot.train.step import AdversarialStepTraining, EnergyStepTraining, StepTraining
from rayot.train.threads import threads_for
from rayot.train.unmatched import matched_only, set_limits

STEP_TRAINING: dict[str, type[StepTraining]] = {
    "adversarial": AdversarialStepTraining,
    "energy": EnergyStepTraining,
}


@dataclass(frozen=True)
class Fit:
    """What a fit leaves beside the map.

    Attributes
    ----------
    history
        For each phase, "step" and its values, the mean over problems, one a block: (blocks,).
    diagnostics
        Held-out figures of each problem.
    """

    history: dict[str, dict[str, np.ndarray]]
    diagnostics: list[dict[str, float]]


def train_transport(
    transport: TransportMap,
    source: Population,
    target: Population,
    settings: W1Settings,
    seed: int,
    options: TrainingOptions,
    labels: tuple[Tensor, Tensor] | None = None,
    p_values: Tensor | None = None,
) -> Fit:
    """Fit the potential and the step size of each ray in turn.

    Parameters
    ----------
    transport
        The map, changed in place.
    source, target
        Training cells of each problem, in the data's units.
    settings, seed
        What is fitted.
    options
        How the fit runs.
    labels
        (n,) and (m,) int64, a class of each cell of the two stores (its cell type), −1 where
        unknown.
    p_values
        (P,), whether source and target differ, where that was tested before.

    Returns
    -------
    History and diagnostics.

    Raises
    ------
    FloatingPointError
        If a loss becomes NaN or infinite.
    ValueError
        If ``checkpoint_dir`` holds the checkpoints of another run.
    KeyboardInterrupt
        If the user interrupts; checkpoints stay.
    """
    options.check()
    if settings.standardise or transport.basis is not None:
        standardise(transport, source, target)
    source_parts, target_parts = (
        population.split(
            [generator(seed, name, "validation", side) for name in transport.names],
            options.validation_size,
        )
        for side, population in (("source", source), ("target", target))
    )
    phases: list[BlockTraining] = [
        kind(
            transport,
            ray,
            source_parts[0],
            target_parts[0],
            (source_parts[1], target_parts[1]),
            settings,
            seed,
            options.early_stopping_patience if options.early_stopping else None,
        )
        for ray in range(settings.n_rays)
        for kind in (PotentialTraining, STEP_TRAINING[settings.step])
    ]
    folder = None
    if options.checkpoint_dir is not None:
        folder = Path(options.checkpoint_dir)
        fingerprint = fingerprint_of(transport, source, target, settings, seed, options)
        claim(folder, fingerprint, [phase.name for phase in phases], options.resume)
    total = sum(phase.n_steps for phase in phases)
    n_problems, n_features = source.n_problems, transport.n_features
    largest = n_problems * 2 * settings.batch_size * max(n_features, settings.width)
    with (
        threads_for(largest * settings.width),
        tqdm(total=total, unit="step", disable=not options.progress) as bar,
    ):
        for number, phase in enumerate(phases):
            _fit(phase, folder, options, bar)
            if settings.unbalanced and number == 0:
                _leave_unmatched(phases, settings)
        transport.to("cpu")
        held_out = phases[-1].validation[0].on("cpu"), phases[-1].validation[1].on("cpu")
        if p_values is None:
            draws = [generator(seed, name, "permutation") for name in transport.names]
            p_values = permutation_test(source, target, draws).p_values
        if settings.shrink:
            shrink(transport, *held_out, p_values)
        report = diagnostics(transport, *held_out, p_values, labels)
    for phase in phases:
        for problem, message in phase.failures.items():
            report[problem].update(certificate="poor", reason=message)
    return Fit({phase.name: _columns(phase) for phase in phases}, report)


def _fit(phase: BlockTraining, folder: Path | None, options: TrainingOptions, bar: tqdm) -> None:
    progress = Progress(bar)
    callbacks: list[pl.Callback] = [progress, *options.callbacks]
    path = None
    if folder is not None:
        path = checkpoint_path(folder, phase.name)
        callbacks.append(Checkpoint(path, blocks_between(options.checkpoint_every)))
    saved = path if path is not None and path.exists() else None
    if saved is not None:
        checkpoint = load_checkpoint(saved)
        phase.on_load_checkpoint(checkpoint)
        progress.seen = phase.steps_done
        bar.update(phase.steps_done)
        if phase.finished:
            phase.setup("fit")
            phase.load_state_dict(checkpoint["state_dict"])
            return
    with quiet(), interruptible():
        trainer = pl.Trainer(
            max_epochs=phase.n_blocks,
            **options.devices_for_trainer(),
            callbacks=callbacks,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            **options.trainer_kwargs,
        )
        trainer.fit(phase, ckpt_path=saved, weights_only=True if saved else None)
    if not phase.finished:
        raise RuntimeError(
            f"The trainer stopped in {phase.name} after {phase.steps_done} of {phase.n_steps} "
            "steps, by a limit or a callback; raise the limit, and continue from checkpoint_dir if "
            "one is set."
        )


def _leave_unmatched(phases: list[BlockTraining], settings: W1Settings) -> None:
    """Weigh the cells of all later phases by what the first potential matches."""
    first = phases[0]
    transport = first.transport
    set_limits(transport, first.source, first.target, settings)
    source, target = matched_only(transport, first.source, first.target)
    validation = matched_only(transport, *first.validation)
    for phase in phases[1:]:
        phase.source, phase.target, phase.validation = source, target, validation


def _columns(phase: BlockTraining) -> dict[str, np.ndarray]:
    columns = {name: np.asarray(rows) for name, rows in phase.history.items()}
    means = {name: rows.mean(1) for name, rows in columns.items()}
    return {**means, "step": columns["step"][:, 0].astype(int)}
