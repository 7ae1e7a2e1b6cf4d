"""Keywords of the verbs of all methods and their defaults, written once, in a reader's order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

import lightning.pytorch as pl

from rayot.data.keys import Key
from rayot.representation import Representation


class CellOptions(TypedDict, total=False):
    """Where the cells are, and which of them are matched."""

    groupby: str
    use_rep: str | Representation | None
    layer: str | None
    split_key: str | None
    strata_key: str | None
    strata: str
    small_strata: str
    weights_key: str | None
    modality: str | None
    allow_counts: bool


CELLS = CellOptions(
    groupby=Key.obs.perturbation,
    use_rep=None,
    layer=None,
    split_key=Key.obs.split,
    strata_key=None,
    strata="balanced",
    small_strata="drop",
    weights_key=None,
    modality=None,
    allow_counts=False,
)


class AttributeOptions(TypedDict, total=False):
    """What a model of all conditions knows of each cell; the defaults are of its class."""

    covariate_key: str | None
    dose_key: str | None


class FitOptions(TypedDict, total=False):
    """How the map is fitted; the default of ``preset`` is of each method."""

    preset: str
    plan_kwargs: dict[str, Any] | None
    seed: int
    n_seeds: int | None
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


FITTING = FitOptions(
    plan_kwargs=None,
    seed=0,
    n_seeds=None,
    max_steps=None,
    batch_size=None,
    validation_size=0.1,
    n_folds=5,
    leave_out_strata=True,
    early_stopping=False,
    early_stopping_patience=10,
    checkpoint_dir=None,
    checkpoint_every=1000,
    resume=True,
    accelerator="auto",
    devices="auto",
    show_progress_bar=True,
    callbacks=(),
)


class WriteOptions(TypedDict, total=False):
    """What is written; the default of ``key_added`` is the name of the method."""

    key_added: str
    write_genes: bool
    clip: bool | str
    copy: bool | None


WRITING = WriteOptions(write_genes=True, clip="auto", copy=None)


class Options(CellOptions, FitOptions, WriteOptions, total=False):
    """Keywords of every verb, as a type checker knows them.

    Verbs take arguments of Lightning's Trainer beside. A type checker marks these, as it marks a
    misspelt keyword: it knows all keywords that there are, or none. The Trainer's are seldom
    wanted, and pass as a dictionary, ``**trainer_kwargs``.
    """


class JointOptions(CellOptions, AttributeOptions, FitOptions, WriteOptions, total=False):
    """Keywords of the verbs of models that learn all conditions at once."""
