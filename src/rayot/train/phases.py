"""Fit the phases of a stack of maps one after the other, with Lightning."""

from pathlib import Path

import lightning.pytorch as pl
from tqdm.auto import tqdm

from rayot.solvers import Fold, Stack
from rayot.solvers.phase import Sides
from rayot.train.callbacks import Checkpoint, Progress, blocks_between
from rayot.train.checkpoints import checkpoint_path, load_checkpoint
from rayot.train.lightning import interruptible, quiet
from rayot.train.options import TrainingOptions
from rayot.train.training import Training


def phases_of(
    stack: Stack,
    training: Sides,
    validation: Sides,
    options: TrainingOptions,
) -> list[Training]:
    """Phases of a method, not fitted yet.

    Parameters
    ----------
    stack
        The maps, in whose units ``standardise`` has put them where the settings ask for that.
    training, validation
        Cells that the maps are fitted on, and cells apart from these.
    options
        As in :func:`rayot.train.train_transport`.
    """
    patience = options.early_stopping_patience if options.early_stopping else None
    return [Training(phase, *training, validation, patience) for phase in stack.phases()]


def fit_phases(
    stack: Stack,
    phases: list[Training],
    training: Sides,
    validation: Sides,
    folder: Path | None,
    options: TrainingOptions,
    bar: tqdm,
) -> list[Fold]:
    """Fit a stack: what needs no steps, all its phases, and what follows from them, on the CPU.

    Parameters
    ----------
    stack, training, validation
        As in :func:`phases_of`.
    phases
        What it returned.
    folder
        Of their checkpoints; None writes none.
    options
        How the fit runs.
    bar
        Is moved by the steps that are done.

    Returns
    -------
    The fold of each map: the cells apart from its training, those without a match weighed zero.
    """
    stack.fit(*training)
    stores = [side.cells for side in validation]
    try:
        for number, phase in enumerate(phases):
            _fit(phase, folder, options, bar)
            # Lightning has taken the maps back to the CPU, and the cells are still on the device.
            stack.to(phase.source.rows.device)
            rest = phase.phase.finish((phase.source, phase.target), phase.validation)
            for later in phases[number + 1 :]:
                (later.source, later.target), later.validation = rest
        if phases:
            validation = phases[-1].validation
    finally:
        for phase in phases:
            phase.let_go()
    stack.to("cpu")
    stack.finish(*training)
    # Cells themselves need not come back from the device.
    apart = [side.on("cpu", cells) for side, cells in zip(validation, stores, strict=True)]
    return Fold.stack(stack, *apart)


def failures_of(phases: list[Training]) -> dict[int, str]:
    """By map, what happened where a loss was not finite."""
    return {number: what for phase in phases for number, what in phase.failures.items()}


def _fit(phase: Training, folder: Path | None, options: TrainingOptions, bar: tqdm) -> None:
    progress = Progress(bar)
    callbacks: list[pl.Callback] = [progress, *options.callbacks]
    path = None
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
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
