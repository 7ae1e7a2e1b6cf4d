"""A saved model: JSON and safetensors in one folder, nothing that can run code."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

import rayot

FORMAT = 2
"""Raised when files of an earlier version can no longer be read."""

DESCRIPTION = "model.json"
ARRAYS = "arrays.safetensors"


def write(
    folder: str | Path, values: dict[str, Any], arrays: dict[str, np.ndarray], overwrite: bool
) -> None:
    """Write a folder, whole or not at all.

    Raises
    ------
    FileExistsError
        If the folder exists and may not be overwritten, or holds something else.
    """
    folder = Path(folder)
    if folder.exists():
        known = folder.is_dir() and {entry.name for entry in folder.iterdir()} <= {
            DESCRIPTION,
            ARRAYS,
        }
        if not overwrite:
            raise FileExistsError(f"{str(folder)!r} exists; pass overwrite=True to replace it.")
        if not known:
            raise FileExistsError(f"{str(folder)!r} holds other files; name a folder of its own.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as partial:
        inside = Path(partial) / "model"
        inside.mkdir()
        description = json.dumps({"format": FORMAT, **values}, indent=1)
        (inside / DESCRIPTION).write_text(description)
        contiguous = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
        save_file(contiguous, inside / ARRAYS)
        if folder.exists():
            shutil.rmtree(folder)
        inside.rename(folder)


def read(folder: str | Path, model_name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read a folder that :func:`write` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no saved model.
    ValueError
        If the files are of another method, another format, foreign or truncated.
    """
    folder = Path(folder)
    for name in (DESCRIPTION, ARRAYS):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{str(folder)!r} holds no saved model: {name} is missing.")
    try:
        values = json.loads((folder / DESCRIPTION).read_text())
    except ValueError as error:
        raise ValueError(f"{str(folder / DESCRIPTION)!r} is not readable: {error}.") from error
    if not isinstance(values, dict) or "format" not in values or "model" not in values:
        raise ValueError(f"{str(folder / DESCRIPTION)!r} was not written by rayot.")
    if values["format"] != FORMAT:
        raise ValueError(
            f"{str(folder)!r} has format {values['format']!r}, written by rayot "
            f"{values.get('version', 'of an unknown version')}; this version reads format "
            f"{FORMAT}."
        )
    if _release(values.get("version")) > _release(rayot.__version__):
        raise ValueError(
            f"{str(folder)!r} was written by rayot {values['version']}, which is newer than this "
            f"version, {rayot.__version__}; upgrade to load it."
        )
    if values["model"] != model_name:
        raise ValueError(f"{str(folder)!r} holds a {values['model']}, not a {model_name}.")
    try:
        arrays = load_file(folder / ARRAYS)
    except SafetensorError as error:
        raise ValueError(
            f"{str(folder / ARRAYS)!r} is truncated or not a safetensors file: {error}."
        ) from error
    return values, arrays


def _release(version: Any) -> tuple[int, ...]:  # noqa: ANN401
    """Leading numbers of a version, comparable."""
    numbers = re.match(r"\d+(\.\d+)*", str(version))
    return tuple(int(part) for part in numbers.group().split(".")) if numbers else ()
