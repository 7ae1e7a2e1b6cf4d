"""Keywords of the verbs of all methods and their defaults, written once, in a reader's order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

from rayot.data.keys import Key
from rayot.representation import Representation
from rayot.train import TRAINING, TrainingKeywords


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

    covariate_keys: str | Sequence[str] | None
    dose_key: str | None


class MapOptions(TypedDict, total=False):
    """What is fitted; the default of ``preset`` is of each method."""

    preset: str
    plan_kwargs: dict[str, Any] | None
    seed: int
    n_seeds: int | None


class FitOptions(MapOptions, TrainingKeywords, total=False):
    """How the map is fitted."""


FITTING = {"plan_kwargs": None, "seed": 0, "n_seeds": None, **TRAINING}


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
