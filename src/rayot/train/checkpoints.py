"""The folder of checkpoints of one run."""

import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rayot._files import LOCK, PARTIAL, is_partial, locked, new_file, settle
from rayot.solvers import Population, Stack
from rayot.train.distributed import is_first_process
from rayot.train.options import TrainingOptions

FORMAT = 2
"""Of checkpoints: 1 had other names of a phase's networks."""

RUN_FILE = "run.json"
FOLDS = "folds"
LEFT_OUT = "left-out"
OURS = (FOLDS, LEFT_OUT, "chunk-", "running-")
"""How the names of our folders in a folder of checkpoints start."""


def fingerprint_of(
    transport: Stack,
    source: Population,
    target: Population,
    options: TrainingOptions,
) -> dict[str, Any]:
    """What must agree for a run to be continued."""
    digest = hashlib.blake2b(digest_size=16)
    # Both sides may share their cells.
    for cells in {id(side.cells): side.cells for side in (source, target)}.values():
        for tensor in [cells] if isinstance(cells, Tensor) else cells.tensors():
            digest.update(tensor.contiguous().numpy().data)
    for side in (source, target):
        attributes = [] if side.attributes is None else side.attributes.tensors()
        for values in (side.rows, side.offsets, side.weights, *attributes):
            if values is not None:
                digest.update(values.contiguous().numpy().data)
    return {
        "format": FORMAT,
        "settings": json.loads(json.dumps(transport.settings.to_json())),
        "seed": transport.seed,
        "problems": transport.names,
        **options.chosen(),
        "cells": digest.hexdigest(),
    }


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Work in a folder of checkpoints alone.

    Of the processes of one distributed fit the first holds it for all.

    Raises
    ------
    ValueError
        If it holds symbolic links, through which checkpoints would be written elsewhere.
    OSError
        If another fit is at work there, or it cannot be written to.
    """
    busy = f"Another fit is running in checkpoint_dir {str(folder)!r}; name another folder."
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _refuse_links(folder)
            if is_first_process():
                stack.enter_context(locked(folder, busy))
        except BlockingIOError:
            raise
        except OSError as error:
            raise OSError(
                f"checkpoint_dir {str(folder)!r} cannot be written to: {error}."
            ) from error
        yield


@contextmanager
def claimed(
    options: TrainingOptions, fingerprint: Callable[[], dict[str, Any]], phases: Sequence[str]
) -> Iterator[Path | None]:
    """The folder of checkpoints, this run's while the block lasts; None if there is none.

    A run that agrees is continued; another's, and other files, are refused.

    Parameters
    ----------
    options
        Name the folder.
    fingerprint
        Gives what must agree.
    phases
        Names of the phases.

    Raises
    ------
    ValueError
        If the folder holds another run, other files or symbolic links.
    OSError
        If another fit is at work there, or it cannot be written to.
    """
    if options.checkpoint_dir is None:
        yield None
        return
    folder = Path(options.checkpoint_dir)
    with held(folder) if options.lock else nullcontext():
        _claim(folder, fingerprint(), phases, options.resume)
        try:
            yield folder
        finally:
            # Not before: the other processes of a fit write, too, as they start.
            if is_first_process():
                _remove_partials(folder)


def _claim(folder: Path, fingerprint: dict[str, Any], phases: Sequence[str], resume: bool) -> None:
    path = folder / RUN_FILE
    folder.mkdir(parents=True, exist_ok=True)
    others = (entry for entry in folder.iterdir() if entry.name != LOCK and not is_partial(entry))
    if not path.exists() and any(others):
        raise ValueError(
            f"checkpoint_dir {str(folder)!r} holds files that are no checkpoints of ours; name an "
            "empty folder."
        )
    if path.exists() and resume:
        differing = sorted(_differing(path, fingerprint))
        if differing:
            raise ValueError(
                f"checkpoint_dir {str(folder)!r} holds another run: it differs in "
                f"{', '.join(differing)}. Name an empty folder, or pass resume=False to overwrite."
            )
        return
    for phase in phases:
        checkpoint_path(folder, phase).unlink(missing_ok=True)
    for name in (FOLDS, LEFT_OUT):
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
    with replacing(path) as partial:
        partial.write_text(json.dumps(fingerprint, indent=1), encoding="utf-8")


def _differing(path: Path, fingerprint: dict[str, Any]) -> set[str]:
    """Names of what does not agree with the run that a file describes."""
    try:
        stored = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{str(path)!r} is not readable; pass resume=False to start again."
        ) from error
    if not isinstance(stored, dict):
        raise ValueError(f"{str(path)!r} describes no run; pass resume=False to start again.")
    names = {*stored, *fingerprint}
    return {name for name in names if stored.get(name) != fingerprint.get(name)}


def _refuse_links(folder: Path) -> None:
    """Raise a ValueError if a folder, or one of ours in it, holds a symbolic link."""
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent) / name
            if path.is_symlink():
                raise ValueError(
                    f"checkpoint_dir {str(folder)!r} holds the symbolic link {str(path)!r}, "
                    "through which files elsewhere would be written to; name a folder without."
                )
        if Path(parent) == folder:
            folders[:] = [name for name in folders if name.startswith(OURS)]


def _remove_partials(folder: Path) -> None:
    """Remove what calls left that were killed while they wrote."""
    for path in [*folder.rglob(f"*{PARTIAL}")]:
        if is_partial(path):
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new file that takes the place of a checkpoint once the block ends well.

    Raises
    ------
    OSError
        If it cannot be written; the last one stays.
    """
    try:
        with new_file(path.parent) as partial:
            yield partial
            settle(partial, path)
    except OSError as error:
        raise OSError(
            f"The checkpoint {str(path)!r} was not written ({error}); what was written before is "
            "still there to resume from."
        ) from error


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
