"""The folder of checkpoints of one run."""

import hashlib
import json
import pickle
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rayot.solvers import Population, Settings, Stack
from rayot.train.options import TrainingOptions

RUN_FILE = "run.json"
FOLDS = "folds"


def fingerprint_of(
    transport: Stack,
    source: Population,
    target: Population,
    settings: Settings,
    seed: int,
    options: TrainingOptions,
) -> dict[str, Any]:
    """What must agree for a run to be continued."""
    digest = hashlib.blake2b(digest_size=16)
    # Both sides may share their cells.
    for cells in {id(side.cells): side.cells for side in (source, target)}.values():
        for tensor in [cells] if isinstance(cells, Tensor) else cells.tensors():
            digest.update(tensor.contiguous().numpy().data)
    for side in (source, target):
        known = [] if side.attributes is None else side.attributes.tensors()
        for values in (side.rows, side.offsets, side.weights, *known):
            if values is not None:
                digest.update(values.contiguous().numpy().data)
    return {
        "settings": json.loads(json.dumps(settings.to_json())),
        "seed": seed,
        "problems": transport.names,
        **options.chosen(),
        "cells": digest.hexdigest(),
    }


def claim(folder: Path, fingerprint: dict[str, Any], phases: Sequence[str], resume: bool) -> None:
    """Make the folder this run's: continue a run that agrees, refuse another's or other files."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / RUN_FILE
    if not path.exists() and any(entry.suffix != ".partial" for entry in folder.iterdir()):
        raise ValueError(
            f"checkpoint_dir {str(folder)!r} holds files that are no checkpoints of ours; name an "
            "empty folder."
        )
    if path.exists() and resume:
        try:
            found = json.loads(path.read_text())
        except json.JSONDecodeError as error:
            raise ValueError(
                f"{str(path)!r} is not readable; pass resume=False to start again."
            ) from error
        differing = sorted(
            name for name in {*found, *fingerprint} if found.get(name) != fingerprint.get(name)
        )
        if differing:
            raise ValueError(
                f"checkpoint_dir {str(folder)!r} holds another run: it differs in "
                f"{', '.join(differing)}. Name an empty folder, or pass resume=False to overwrite."
            )
        return
    for phase in phases:
        checkpoint_path(folder, phase).unlink(missing_ok=True)
    if (folder / FOLDS).is_dir():
        shutil.rmtree(folder / FOLDS)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(fingerprint, indent=1))
    partial.replace(path)


def checkpoint_path(folder: Path, phase: str) -> Path:
    """File of one phase."""
    return folder / f"{phase.replace(' ', '_')}.ckpt"


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of ours, without running code.

    Raises
    ------
    ValueError
        If it is truncated or foreign.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise ValueError(
            f"The checkpoint {str(path)!r} is truncated or foreign; delete it, or pass "
            "resume=False to start again."
        ) from error
    if not isinstance(checkpoint, dict) or "rayot" not in checkpoint:
        raise ValueError(f"The checkpoint {str(path)!r} was not written by rayot.")
    return checkpoint
