"""How a fit runs, apart from what it fits."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from inspect import signature
from numbers import Integral
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

RESERVED = {
    "enable_checkpointing",
    "enable_model_summary",
    "enable_progress_bar",
    "logger",
    "max_epochs",
    "num_sanity_val_steps",
}
"""Arguments of Lightning's Trainer that the training in blocks decides."""


@dataclass(frozen=True)
class TrainingOptions:
    """How a fit runs, apart from what it fits.

    Attributes
    ----------
    validation_size
        Share of the training cells set apart, after a shuffle.
    n_folds
        Folds that a problem with fewer than 100 training cells of a side is cross-fitted on; 1
        turns that off.
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
    lock
        Whether the run holds ``checkpoint_dir`` for itself; a screen does it for its chunks.
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
    n_folds: int = 5
    early_stopping: bool = False
    early_stopping_patience: int = 10
    checkpoint_dir: str | Path | None = None
    checkpoint_every: int = 1000
    resume: bool = True
    lock: bool = True
    accelerator: str = "auto"
    devices: int | str | list[int] = "auto"
    progress: bool = True
    callbacks: Sequence[pl.Callback] = ()
    trainer_kwargs: dict[str, Any] = field(default_factory=dict)

    def chosen(self) -> dict[str, Any]:
        """What decides the result of a fit, and not only how it runs."""
        names = ("validation_size", "n_folds", "early_stopping", "early_stopping_patience")
        return {name: getattr(self, name) for name in names}

    def check(self) -> None:
        """Raise a ValueError that names the first option out of range."""
        if not 0 < self.validation_size < 0.9:
            raise ValueError(
                f"validation_size must be between 0 and 0.9, found {self.validation_size}."
            )
        if not isinstance(self.n_folds, Integral) or self.n_folds < 1:
            raise ValueError(
                f"n_folds must be a whole number of at least 1, found {self.n_folds!r}."
            )
        for name in ("early_stopping_patience", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, found {getattr(self, name)}.")
        if taken := sorted(RESERVED & set(self.trainer_kwargs)):
            raise ValueError(
                f"{', '.join(taken)} cannot be set: fits run in blocks of 100 steps and keep "
                "their own history and checkpoints; use max_steps, checkpoint_dir and callbacks."
            )
        if unknown := sorted(set(self.trainer_kwargs) - set(signature(pl.Trainer).parameters)):
            raise ValueError(
                f"{', '.join(unknown)}: neither an option of rayot nor an argument of "
                "lightning.pytorch.Trainer. The verb lists its options (groupby, max_steps, …), "
                "which are not the same for all methods; settings of the solver go into "
                "plan_kwargs."
            )

    def devices_for_trainer(self) -> dict[str, Any]:
        """One device unless more are asked for: a map is too small to be spread over several."""
        accelerator = self.accelerator
        if accelerator == "auto":
            accelerator = "gpu" if torch.cuda.is_available() else "cpu"
        return {
            "accelerator": accelerator,
            "devices": 1 if self.devices == "auto" else self.devices,
        }
