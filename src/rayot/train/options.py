"""How a fit runs, apart from what it fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from inspect import signature
from pathlib import Path
from typing import Any, TypedDict

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException

from rayot._arguments import number, refused, whole_number
from rayot.train.lightning import quiet

SINGLE_PRECISION = (None, 32, "32", "32-true")
"""How Lightning's Trainer calls the precision that fits have."""

RESERVED = {
    "enable_checkpointing",
    "enable_model_summary",
    "enable_progress_bar",
    "logger",
    "max_epochs",
    "num_sanity_val_steps",
}
"""Arguments of Lightning's Trainer that the training in blocks decides."""


class TrainingKeywords(TypedDict, total=False):
    """Keywords of every fit that say how it runs, as ``train`` and the verbs take them."""

    max_steps: int | None
    batch_size: int | None
    validation_size: float
    n_folds: int
    leave_out_strata: bool
    early_stopping: bool
    early_stopping_patience: int
    checkpoint_dir: str | Path | None
    checkpoint_every: int
    resume: bool
    accelerator: str
    devices: int | str | list[int]
    show_progress_bar: bool
    callbacks: Sequence[pl.Callback]


LIMITS = ("max_steps", "batch_size")
"""Keywords that change the settings of the solver."""


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
    leave_out_strata
        Whether a fit with strata leaves out one after the other, to say what it does for others.
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
    leave_out_strata: bool = True
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

    @classmethod
    def of(cls, *, show_progress_bar: bool = True, **options: Any) -> TrainingOptions:  # noqa: ANN401
        """Options by the keywords of ``train``, checked; what Lightning's Trainer takes among them.

        Parameters
        ----------
        show_progress_bar
            Whether a progress bar is shown.
        **options
            Of these, those that have other names are arguments of the Trainer; steps and batch
            size are of the settings of the solver.
        """
        own = {field.name for field in fields(cls)} - {"trainer_kwargs", "progress"}
        options = {name: value for name, value in options.items() if name not in LIMITS}
        chosen = {name: options.pop(name) for name in sorted(own & set(options))}
        asked = cls(progress=show_progress_bar, trainer_kwargs=options, **chosen)
        asked.check()
        return asked

    def chosen(self) -> dict[str, Any]:
        """What decides the result of a fit, and not only how it runs."""
        names = (
            "validation_size",
            "n_folds",
            "leave_out_strata",
            "early_stopping",
            "early_stopping_patience",
        )
        return {name: getattr(self, name) for name in names}

    def check(self) -> None:
        """Raise a ValueError that names the first option out of range."""
        number("validation_size", self.validation_size, 0, 0.9, open_low=True, open_high=True)
        for name in ("n_folds", "early_stopping_patience", "checkpoint_every"):
            whole_number(name, getattr(self, name))
        if isinstance(self.callbacks, str) or not isinstance(self.callbacks, Sequence):
            raise refused("callbacks", "a list of Lightning callbacks", self.callbacks)
        for callback in self.callbacks:
            if not isinstance(callback, pl.Callback):
                raise refused("callbacks", "a list of Lightning callbacks", self.callbacks)
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
        if self.trainer_kwargs.get("precision") not in SINGLE_PRECISION:
            raise refused(
                "precision",
                "'32-true', as energy distances and orthonormal layers lose their meaning in less "
                "and networks this small gain nothing",
                self.trainer_kwargs["precision"],
            )
        self._check_trainer()

    def _check_trainer(self) -> None:
        """Raise a ValueError for what Lightning refuses, before cells are read for it."""
        if (self.accelerator, self.devices) == ("auto", "auto") and not self.trainer_kwargs:
            return
        try:
            with quiet():
                pl.Trainer(
                    **self.devices_for_trainer(),
                    logger=False,
                    enable_checkpointing=False,
                    enable_progress_bar=False,
                    enable_model_summary=False,
                    **self.trainer_kwargs,
                )
        except (
            MisconfigurationException,
            ImportError,
            RuntimeError,
            TypeError,
            ValueError,
        ) as error:
            asked = {"accelerator": self.accelerator, "devices": self.devices}
            shown = ", ".join(f"{k}={v!r}" for k, v in {**asked, **self.trainer_kwargs}.items())
            raise ValueError(
                f"lightning.pytorch.Trainer refuses {shown}: {' '.join(str(error).split())}"
            ) from error

    def devices_for_trainer(self) -> dict[str, Any]:
        """One device unless more are asked for: a map is too small to be spread over several."""
        accelerator = self.accelerator
        if accelerator == "auto":
            accelerator = "gpu" if torch.cuda.is_available() else "cpu"
        return {
            "accelerator": accelerator,
            "devices": 1 if self.devices == "auto" else self.devices,
        }


_OWN = {field.name: field.default for field in fields(TrainingOptions)}
TRAINING: dict[str, Any] = {
    **{name: _OWN[name] for name in TrainingKeywords.__annotations__ if name in _OWN},
    "max_steps": None,
    "batch_size": None,
    "show_progress_bar": _OWN["progress"],
}
"""Defaults of :class:`TrainingKeywords`."""
