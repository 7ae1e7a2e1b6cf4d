"""What JSON is checked against: kinds of values, written as types."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from reprlib import repr as shortened
from types import NoneType, UnionType
from typing import Any, Literal, NewType, Union, get_args, get_origin, get_type_hints, is_typeddict

Figure = NewType("Figure", float)
"""A number that may be NaN or infinite, where ``float`` is finite."""

PLAIN: dict[Any, tuple[type | tuple[type, ...], str]] = {
    str: (str, "text"),
    bool: (bool, "true or false"),
    int: (int, "a whole number"),
    float: ((int, float), "a finite number"),
    Figure: ((int, float), "a number"),
    None: (NoneType, "null"),
}
"""For each kind of single value, its types in Python and its name."""


def check(value: Any, kind: Any, where: str) -> None:  # noqa: ANN401
    """Raise a ValueError that says where a JSON value is not of a kind.

    Parameters
    ----------
    value
        As :func:`json.loads` gives it.
    kind
        A type of Python: ``str``, ``int``, ``float``, ``bool``, None, a literal, or a list, tuple,
        dictionary or optional of these. A dictionary of kinds, a TypedDict or a dataclass stands
        for an object with just these fields, ``Any`` for whatever. Fields of a dataclass that have
        a default may lack, as they do where an earlier version wrote the file.
    where
        Its place, for messages; empty for the whole.
    """
    origin, parts = get_origin(kind), get_args(kind)
    if kind is Any:
        return
    if origin in (Union, UnionType):
        # A function of a user's own is never in JSON.
        (other,) = (each for each in parts if each is not NoneType and not _is_function(each))
        if value is not None or NoneType not in parts:
            check(value, other, where)
    elif origin is Literal:
        if value not in parts:
            raise ValueError(f"{where} must be one of {parts}, found {shortened(value)}.")
    elif origin is list or (origin is tuple and parts[-1] is Ellipsis):
        _check_type(value, list, "a list", where)
        for number, each in enumerate(value):
            check(each, parts[0], f"{where}[{number}]")
    elif origin is tuple:
        _check_type(value, list, "a list", where)
        if len(value) != len(parts):
            raise ValueError(f"{where} must have {len(parts)} entries, found {len(value)}.")
        for number, (each, part) in enumerate(zip(value, parts, strict=True)):
            check(each, part, f"{where}[{number}]")
    elif origin is dict:
        _check_type(value, dict, "an object", where)
        for name, each in value.items():
            check(each, parts[1], f"{where}[{name!r}]")
    elif not isinstance(kind, dict) and kind in PLAIN:
        _check_plain(value, kind, where)
    else:
        _check_object(value, fields_of(kind), where, _with_default(kind))


def fields_of(kind: Any) -> dict[str, Any]:  # noqa: ANN401
    """Kind of each field of an object."""
    if isinstance(kind, dict):
        return kind
    hints = get_type_hints(kind)
    if is_typeddict(kind):
        return hints
    assert is_dataclass(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def check_unique(names: Iterable[str], what: str) -> None:
    """Raise a ValueError if a name is there twice."""
    seen = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{what} has {name!r} more than once.")
        seen.add(name)


def _is_function(kind: Any) -> bool:  # noqa: ANN401
    return get_origin(kind) is Callable


def _check_type(value: Any, types: Any, what: str, where: str) -> None:  # noqa: ANN401
    if not isinstance(value, types):
        raise ValueError(f"{where or 'the description'} must be {what}, found {shortened(value)}.")


def _check_plain(value: Any, kind: Any, where: str) -> None:  # noqa: ANN401
    types, what = PLAIN[kind]
    # In Python, true is a number.
    is_kind = isinstance(value, types) and isinstance(value, bool) == (kind is bool)
    # Whole numbers may be too large for a float.
    if not is_kind or (kind is float and not abs(value) <= sys.float_info.max):
        raise ValueError(f"{where} must be {what}, found {shortened(value)}.")


def _with_default(kind: Any) -> set[str]:  # noqa: ANN401
    """Fields that may lack."""
    if not is_dataclass(kind):
        return set()
    return {field.name for field in fields(kind) if field.default is not MISSING}


def _check_object(
    value: Any,  # noqa: ANN401
    kinds: Mapping[str, Any],
    where: str,
    may_lack: Collection[str],
) -> None:
    _check_type(value, dict, "an object", where)
    for name in kinds:
        if name not in value and name not in may_lack:
            raise ValueError(f"{where or 'the description'} lacks {name!r}.")
    for name in value:
        if name not in kinds:
            raise ValueError(f"{where or 'the description'} has {name!r}, which is not known.")
    for name, each in value.items():
        check(each, kinds[name], f"{where}.{name}" if where else name)
