"""Fit every ray of a map, phase after phase, with Lightning."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping
from tqdm.auto import tqdm

from rayot.solvers import (
    Population,
    SparseCells,
    TransportMap,
    W1Settings,
    generator,
)
from rayot.solvers.diagnostics import diagnostics
from rayot.train.block import BlockTraining
from rayot.train.callbacks import Checkpoint, Progress, blocks_between
from rayot.train.lightning import interruptible, quiet
from rayot.train.potential import PotentialTraining
from rayot.train.source import CHUNK_ROWS
from rayot.train.step import AdversarialStepTraining, EnergyStepTraining, StepTraining
from rayot.train.threads import threads_for

STEP_TRAINING: dict[str, type[StepTraining]] = {
    "adversarial": AdversarialStepTraining,
    "energy": EnergyStepTraining,
}


@dataclass(frozen=True)
class TrainingOptions:
    """How a fit runs, apart from what it fits.

    Attributes
    ----------
    validation_size
        Share of the training cells set apart, after a shuffle.
    early_stopping
        Whether a phase ends when its held-out value has not improved.
    early_stopping_patience
        Blocks of 100 steps without improvement after which it ends.
    checkpoint_dir
        Folder of checkpoints; None writes none.
    checkpoint_every
        Steps between two checkpoints.
    resume
        Whether a run in ``checkpoint_dir`` is continued.
    accelerator, devices
        As in :class:`lightning.pytorch.Trainer`.
    progress
        Whether a progress bar is shown.
    callbacks
        Lightning callbacks beside our own.
    trainer_kwargs
        Further arguments of :class:`lightning.pytorch.Trainer`.
    """

    validation_size: float = 0.1
    early_stopping: bool = False
    early_stopping_patience: int = 10
    checkpoint_dir: str | Path | None = None
    checkpoint_every: int = 1000
    resume: bool = True
    accelerator: str = "auto"
    devices: int | str | list[int] = "auto"
    progress: bool = True
    callbacks: Sequence[pl.Callback] = ()
    trainer_kwargs: dict[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """Raise a ValueError that names the first option out of range."""
        if not 0 < self.validation_size < 0.9:
            raise ValueError(
                f"validation_size must be between 0 and 0.9, found {self.validation_size}."
            )
        for name in ("early_stopping_patience", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, found {getattr(self, name)}.")


@dataclass(frozen=True)
class Fit:
    """What a fit leaves beside the map.

    Attributes
    ----------
    history
        For each phase, "step" and its values, one row a block: (blocks,), or (blocks, P).
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
    if settings.standardise:
        _standardise(transport, source, target)
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
        )
        for ray in range(settings.n_rays)
        for kind in (PotentialTraining, STEP_TRAINING[settings.step])
    ]
    folder = None
    if options.checkpoint_dir is not None:
        folder = Path(options.checkpoint_dir)
        _claim(folder, _fingerprint(transport, source, target, settings, seed, options), options)
    total = sum(phase.n_steps for phase in phases)
    n_problems, n_features = source.n_problems, source.cells.shape[1]
    largest = n_problems * 2 * settings.batch_size * max(n_features, settings.width)
    with (
        threads_for(largest * settings.width),
        tqdm(total=total, unit="step", disable=not options.progress) as bar,
    ):
        for phase in phases:
            _fit(phase, folder, options, bar)
        transport.to("cpu")
        report = diagnostics(transport, source_parts[1], target_parts[1])
    return Fit({phase.name: _columns(phase) for phase in phases}, report)


def _fit(phase: BlockTraining, folder: Path | None, options: TrainingOptions, bar: tqdm) -> None:
    progress = Progress(bar)
    callbacks: list[pl.Callback] = [progress, *options.callbacks]
    if options.early_stopping:
        callbacks.append(
            EarlyStopping(
                phase.monitor,
                mode=phase.monitor_mode,
                patience=options.early_stopping_patience,
                check_on_train_epoch_end=True,
            )
        )
    path = None
    if folder is not None:
        path = folder / f"{phase.name.replace(' ', '_')}.ckpt"
        callbacks.append(Checkpoint(path, blocks_between(options.checkpoint_every)))
    saved = path if path is not None and path.exists() else None
    if saved is not None:
        checkpoint = torch.load(saved, map_location="cpu", weights_only=True)
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
            accelerator=options.accelerator,
            devices=options.devices,
            callbacks=callbacks,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            **options.trainer_kwargs,
        )
        trainer.fit(phase, ckpt_path=saved, weights_only=True if saved else None)


def _standardise(transport: TransportMap, source: Population, target: Population) -> None:
    """Set the centre and scale of each problem from its training cells."""
    for problem in range(source.n_problems):
        n = 0
        total = total_squares = torch.zeros(source.cells.shape[1], dtype=torch.float64)
        for side in (source, target):
            rows = side.rows[side.offsets[problem] : side.offsets[problem + 1]]
            for chunk in rows.split(CHUNK_ROWS):
                cells = side.cells[chunk].double()
                n += len(chunk)
                total = total + cells.sum(0)
                total_squares = total_squares + cells.square().sum(0)
        centre = total / n
        scale = (total_squares / n - centre.square()).clamp_min(0).mean().sqrt()
        transport.centre[problem, 0] = centre.to(transport.centre.dtype)
        # Constant cells have no scale; any will do.
        transport.scale[problem] = scale.to(transport.scale.dtype) if scale > 0 else 1.0


def _fingerprint(
    transport: TransportMap,
    source: Population,
    target: Population,
    settings: W1Settings,
    seed: int,
    options: TrainingOptions,
) -> dict[str, Any]:
    """What must agree for a run to be continued."""
    digest = hashlib.blake2b(digest_size=16)
    for population in (source, target):
        cells = population.cells
        tensors = cells.tensors() if isinstance(cells, SparseCells) else [cells]
        for tensor in (*tensors, population.rows, population.offsets):
            digest.update(tensor.contiguous().numpy().data)
    return {
        "settings": json.loads(json.dumps(asdict(settings))),
        "seed": seed,
        "problems": transport.names,
        "validation_size": options.validation_size,
        "early_stopping": options.early_stopping,
        "early_stopping_patience": options.early_stopping_patience,
        "cells": digest.hexdigest(),
    }


def _claim(folder: Path, fingerprint: dict[str, Any], options: TrainingOptions) -> None:
    """Make the folder this run's: continue a run that agrees, refuse another's."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "run.json"
    if path.exists() and options.resume:
        found = json.loads(path.read_text())
        differing = sorted(
            name for name in {*found, *fingerprint} if found.get(name) != fingerprint.get(name)
        )
        if differing:
            raise ValueError(
                f"checkpoint_dir {str(folder)!r} holds another run: it differs in "
                f"{', '.join(differing)}. Name an empty folder, or pass resume=False to overwrite."
            )
        return
    for stale in folder.glob("*.ckpt"):
        stale.unlink()
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(fingerprint, indent=1))
    partial.replace(path)


def _columns(phase: BlockTraining) -> dict[str, np.ndarray]:
    columns = {name: np.asarray(rows) for name, rows in phase.history.items()}
    columns = {name: rows[:, 0] if rows.shape[1] == 1 else rows for name, rows in columns.items()}
    steps = columns["step"]
    return {**columns, "step": (steps if steps.ndim == 1 else steps[:, 0]).astype(int)}
