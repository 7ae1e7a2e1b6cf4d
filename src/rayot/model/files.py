"""A saved model: JSON and safetensors in one folder, nothing that can run code."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from stat import S_ISLNK, S_ISREG
from typing import Any, TypeVar

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

import rayot
from rayot._files import LOCK, is_partial, locked, mode_of, new_file, settle

FORMAT = 4
"""Raised when the fields or the arrays of a model change, or where they are."""

FIRST_FORMAT = 2
"""The oldest that is read: it has no digests, and its arrays are always in :data:`OLD_ARRAYS`."""

DESCRIPTION = "model.json"
OLD_ARRAYS = "arrays.safetensors"
ARRAYS = re.compile(r"arrays-([0-9a-f]{32})\.safetensors")
"""Named by their content, so that the file that a description names is never another."""

DTYPES = {"BOOL", "F16", "F32", "F64", "I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64"}
"""Types of numbers that NumPy has; which array has which is for its reader to check."""

WAIT = 60.0
"""Seconds that a save waits for another one to the same folder."""

Loaded = TypeVar("Loaded")


def write(
    folder: str | Path, values: dict[str, Any], arrays: dict[str, np.ndarray], overwrite: bool
) -> None:
    """Write a folder, whole or not at all: whoever reads it finds the old model or the new one.

    The arrays go to a file of their own, then the description that names it takes the place of the
    old one, and then what it does not name is removed. What a killed call left is removed, too.

    Raises
    ------
    FileExistsError
        If the folder holds a model and may not be overwritten, or holds something else.
    OSError
        If it cannot be written to; what was there before still is.
    """
    folder = Path(folder)
    # What cannot be written is said before anything is.
    values = json.loads(json.dumps(values, default=_plain))
    new = False
    try:
        refusal = refused(folder, overwrite)
        if refusal is None:
            new = not folder.exists()
            folder.mkdir(parents=True, exist_ok=True)
            with locked(folder, "another process is writing to it", WAIT):
                refusal = refused(folder, overwrite)
                if refusal is None:
                    _put(folder, values, arrays)
    except OSError as error:
        left = "no part of it is left" if new else "what was there before still is"
        if new:
            with suppress(OSError):
                folder.rmdir()
        raise OSError(f"{str(folder)!r} was not written ({error}); {left}.") from error
    if refusal is not None:
        raise FileExistsError(refusal)


def refused(folder: Path, overwrite: bool) -> str | None:
    """Why a model may not be written to a folder; None if it may."""
    if not folder.exists():
        return None
    if not folder.is_dir():
        return f"{str(folder)!r} is a file; name a folder of its own."
    others = [entry.name for entry in folder.iterdir() if not _is_ours(entry)]
    if others and (overwrite or not holds(folder)):
        return f"{str(folder)!r} holds other files ({others[0]!r}); name a folder of its own."
    if holds(folder) and not overwrite:
        return f"{str(folder)!r} exists; pass overwrite=True to replace it."
    return None


def holds(folder: Path) -> bool:
    """Whether a folder has a description of a model; what else is in it does not make one."""
    return (folder / DESCRIPTION).exists()


def _is_ours(entry: Path) -> bool:
    """Whether a save wrote this, or may take its place."""
    name, mode = entry.name, mode_of(entry)
    if mode is None:
        # Another save's, which has ended since the folder was listed.
        return True
    is_link = S_ISLNK(mode)
    if not (is_link or S_ISREG(mode)):
        return is_partial(entry)
    if name == LOCK:
        # It is opened, where all else is replaced or removed.
        return not is_link
    if name == OLD_ARRAYS:
        return holds(entry.parent)
    if name == DESCRIPTION:
        return is_link or not _is_foreign(entry)
    return ARRAYS.fullmatch(name) is not None


def _is_foreign(path: Path) -> bool:
    """Whether a description is another program's; a damaged one is taken for ours."""
    try:
        values = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return False
    return not _is_description(values)


def _is_description(values: Any) -> bool:  # noqa: ANN401
    return isinstance(values, dict) and {"format", "model"} <= values.keys()


def _put(folder: Path, values: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    contiguous = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
    with new_file(folder) as partial:
        try:
            save_file(contiguous, partial)
        except SafetensorError as error:
            raise OSError(str(error)) from error
        name = f"arrays-{_digest_of_file(partial)}.safetensors"
        is_new = not (folder / name).exists()
        settle(partial, folder / name)
    described = {"format": FORMAT, **values, "arrays": name}
    described["digest"] = _digest(described)
    try:
        with new_file(folder) as partial:
            partial.write_text(json.dumps(described, indent=1), encoding="utf-8")
            settle(partial, folder / DESCRIPTION)
    except OSError:
        if is_new:
            (folder / name).unlink(missing_ok=True)
        raise
    _clean(folder, (DESCRIPTION, name, LOCK))


def _clean(folder: Path, kept: Collection[str]) -> None:
    """Remove what else is ours; what cannot be removed is left to the next call."""
    for entry in folder.iterdir():
        if entry.name in kept or not _is_ours(entry):
            continue
        if is_partial(entry):
            shutil.rmtree(entry, ignore_errors=True)
            continue
        with suppress(OSError):
            entry.unlink()


def _plain(value: Any) -> Any:  # noqa: ANN401
    """A number of NumPy, which users pass for Python's, as JSON has it."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} cannot be saved.")


def _digest(described: dict[str, Any]) -> str:
    """Of what a description says, however it is laid out."""
    return hashlib.blake2b(json.dumps(described).encode(), digest_size=16).hexdigest()


def _digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def load(
    folder: str | Path,
    model_name: str,
    restore: Callable[[dict[str, Any], dict[str, np.ndarray]], Loaded],
) -> Loaded:
    """Read a folder, and make of it what was saved.

    Parameters
    ----------
    folder
        What :func:`write` wrote, or version 0.1.0.
    model_name
        Of the class that was saved.
    restore
        Makes it of the description and the arrays. It raises a ValueError where they do not fit
        together, before it makes anything that is larger than the arrays.

    Raises
    ------
    FileNotFoundError
        If there is no saved model.
    OSError
        If the files cannot be read.
    ValueError
        If they are of another class, another format, foreign, damaged, or changed since.
    """
    values, arrays = read(folder, model_name)
    try:
        return restore(values, arrays)
    except ValueError as error:
        raise ValueError(f"{str(folder)!r} cannot be loaded: {error}") from error


def read(folder: str | Path, model_name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Fields and arrays of a folder that :func:`write` wrote, see :func:`load`."""
    folder = Path(folder)
    while True:
        values, state = _description(folder, model_name)
        name = values.pop("arrays")
        try:
            return values, _arrays(folder / name)
        except FileNotFoundError as error:
            # Where another process has replaced the model meanwhile, the new one is read.
            if _state(folder / DESCRIPTION) == state:
                raise _missing(folder, name) from error


def _missing(folder: Path, name: str) -> FileNotFoundError:
    return FileNotFoundError(f"{str(folder)!r} holds no saved model: {name} is missing.")


def _state(path: Path) -> tuple[int, int] | None:
    """What differs once a file was replaced; None where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns


def _check_file(path: Path) -> None:
    """Raise an error that names a file which is there and cannot be read."""
    try:
        # Looked at once, as another process may replace it between two looks.
        regular = S_ISREG(path.stat().st_mode)
        if regular:
            path.open("rb").close()
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise OSError(f"{str(path)!r} cannot be read: {error.strerror}.") from error
    if not regular:
        raise ValueError(f"{str(path)!r} is a folder or a device, and no file.")


def _description(folder: Path, model_name: str) -> tuple[dict[str, Any], tuple[int, int] | None]:
    """The description with the name of the arrays' file, and its state before it was read."""
    path = folder / DESCRIPTION
    state = _state(path)
    try:
        _check_file(path)
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _missing(folder, DESCRIPTION) from error
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{str(path)!r} is not readable: {error}.") from error
    if not _is_description(values):
        raise ValueError(f"{str(path)!r} was not written by rayot.")
    number, version = values.pop("format"), values.get("version", "of an unknown version")
    if number not in range(FIRST_FORMAT, FORMAT + 1):
        raise ValueError(
            f"{str(folder)!r} has format {number!r}, written by rayot {version}; this version "
            f"reads formats {FIRST_FORMAT} to {FORMAT}."
        )
    if _release(version) > _release(rayot.__version__):
        raise ValueError(
            f"{str(folder)!r} was written by rayot {version}, which is newer than this version, "
            f"{rayot.__version__}; upgrade to load it."
        )
    if values["model"] != model_name:
        raise ValueError(f"{str(folder)!r} holds a {values['model']}, not a {model_name}.")
    if number == FIRST_FORMAT:
        return {**_in_present_fields(values), "arrays": OLD_ARRAYS}, state
    digest = values.pop("digest", None)
    if digest != _digest({"format": number, **values}):
        raise ValueError(f"{str(path)!r} was changed after it was saved.")
    name = values.get("arrays")
    if not isinstance(name, str) or not ARRAYS.fullmatch(name):
        raise ValueError(f"{str(path)!r} names no file of arrays, found {name!r}.")
    return values if number == FORMAT else _in_present_fields(values), state


def _in_present_fields(values: dict[str, Any]) -> dict[str, Any]:
    """The description of an earlier format, whose data had one covariate at most."""
    data = values.get("data")
    if not isinstance(data, dict) or "covariate_key" not in data:
        return values
    others = {name: value for name, value in data.items() if name != "covariate_key"}
    key = data["covariate_key"]
    return {**values, "data": {**others, "covariate_keys": [] if key is None else [key]}}


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """Arrays of a file, whose name may say what its content is."""
    _check_file(path)
    named = ARRAYS.fullmatch(path.name)
    if named and named[1] != _digest_of_file(path):
        raise ValueError(f"{str(path)!r} is truncated, or was changed after it was saved.")
    try:
        with safe_open(path, framework="numpy") as file:
            names = file.keys()
            for name in names:
                if (dtype := file.get_slice(name).get_dtype()) not in DTYPES:
                    raise ValueError(f"{str(path)!r} has an array {name!r} of type {dtype}.")
            return {name: file.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise ValueError(
            f"{str(path)!r} is truncated or not a safetensors file: {error}."
        ) from error


def _release(version: Any) -> tuple[int, ...]:  # noqa: ANN401
    """Leading numbers of a version, comparable."""
    numbers = re.match(r"\d{1,9}(\.\d{1,9})*", str(version))
    return tuple(int(part) for part in numbers.group().split(".")) if numbers else ()
