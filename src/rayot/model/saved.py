"""Whether what a file holds fits together, checked before anything is made of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from fnmatch import fnmatchcase
from reprlib import repr as shortened
from types import NoneType, UnionType
from typing import (
    Any,
    Literal,
    NewType,
    TypedDict,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

import numpy as np
import pandas as pd
import torch
from torch import nn

from rayot.data import checks
from rayot.data.spec import DataSpec
from rayot.representation import Representation
from rayot.representation.resolve import KINDS, representation_from_saved
from rayot.solvers import Combination, Settings, Stack
from rayot.solvers.report import Report

Arrays = dict[str, np.ndarray]

Allowed = Literal["finite", "infinite", "NaN"]
"""What numbers of an array may be, each with all before it."""

Module = TypeVar("Module", bound=nn.Module)

UNFITTED_COUNT = 1000
UNFITTED_NUMBERS = 2**28
"""Layers, and numbers, of a map that no arrays were saved for."""


class SavedCombination(TypedDict):
    """A rule for the maps of strata, without its centres."""

    rule: str
    share: float
    scale: float


REPORT = {"certificate": Literal["good", "check", "poor", "no effect"], "reason": str}
"""What the diagnostics of a problem always have."""

NUMBERS = {name for name, kind in get_type_hints(Report).items() if kind in (int, float)}
"""What else they may have."""


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
        (other,) = (part for part in parts if part is not NoneType and not _is_function(part))
        if value is not None or NoneType not in parts:
            check(value, other, where)
    elif origin is Literal:
        if value not in parts:
            raise ValueError(f"{where} must be one of {parts}, found {shortened(value)}.")
    elif origin is list or (origin is tuple and parts[-1] is Ellipsis):
        _check_type(value, list, "a list", where)
        for number, item in enumerate(value):
            check(item, parts[0], f"{where}[{number}]")
    elif origin is tuple:
        _check_type(value, list, "a list", where)
        if len(value) != len(parts):
            raise ValueError(f"{where} must have {len(parts)} entries, found {len(value)}.")
        for number, (item, part) in enumerate(zip(value, parts, strict=True)):
            check(item, part, f"{where}[{number}]")
    elif origin is dict:
        _check_type(value, dict, "an object", where)
        for name, item in value.items():
            check(item, parts[1], f"{where}[{name!r}]")
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
    if isinstance(kind, type) and issubclass(kind, Settings):
        # With the default of another setting a map would be another one.
        return set(kind.may_lack)
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
    for name, item in value.items():
        check(item, kinds[name], f"{where}.{name}" if where else name)


def grouped(arrays: Arrays, separator: str, names: Sequence[str]) -> dict[str, Arrays]:
    """Arrays by the first part of their name, of which all known ones are there."""
    groups: dict[str, Arrays] = {name: {} for name in names}
    for name, values in arrays.items():
        group, _, rest = name.partition(separator)
        if group not in groups:
            raise ValueError(f"there is an array {name!r}, which is not known.")
        groups[group][rest] = values
    return groups


def training_cells_of(arrays: Arrays) -> np.ndarray | None:
    """Hashes of the names of training cells, taken out of arrays; None in files of 0.1.0."""
    hashes = arrays.pop("training_cells", None)
    if hashes is not None:
        check_array(hashes, "training_cells", (hashes.size,), np.uint64)
        if (hashes[1:] <= hashes[:-1]).any():
            raise ValueError("the array 'training_cells' is not ascending.")
    return hashes


def check_array(
    values: np.ndarray,
    what: str,
    shape: Sequence[int],
    dtype: Any = np.float32,  # noqa: ANN401
    allowed: Allowed = "finite",
) -> None:
    """Raise a ValueError if an array has another shape or type, or numbers that it may not have."""
    if values.shape != tuple(shape) or values.dtype != dtype:
        raise ValueError(
            f"the array {what!r} must be {np.dtype(dtype)} of shape {tuple(shape)}, found "
            f"{values.dtype} of shape {values.shape}."
        )
    if n_bad := _count_bad(values, allowed):
        raise ValueError(f"the array {what!r} has {n_bad} values that are not finite.")


def check_places(values: np.ndarray, what: str, size: int) -> None:
    """Raise a ValueError if an array is not of ascending places among so many."""
    check_array(values, what, (values.size,), np.int64)
    if values.size and (values[0] < 0 or values[-1] >= size or (np.diff(values) <= 0).any()):
        raise ValueError(f"the array {what!r} must ascend from 0 to {size - 1}.")


def check_numbers(state: Arrays, kind: type[Stack]) -> None:
    """Raise a ValueError if a stack has numbers that a saved one may not have."""
    for name, values in state.items():
        if n_bad := _count_bad(values, _allowed(name, kind)):
            raise ValueError(
                f"{n_bad} values of {name!r} are not finite, so nobody could load what is saved; "
                "fit again, with a lower learning rate or standardised input."
            )


def _allowed(name: str, kind: type[Stack]) -> Allowed:
    return "infinite" if name in kind.maybe_infinite else "finite"


def _count_bad(values: np.ndarray, allowed: Allowed) -> int:
    if values.dtype.kind != "f" or allowed == "NaN":
        return 0
    good = np.isfinite(values) if allowed == "finite" else ~np.isnan(values)
    return int(values.size - np.count_nonzero(good))


def check_names(names: Iterable[str], expected: Iterable[str], what: str) -> None:
    """Raise a ValueError if names lack, or are more than those expected."""
    names, expected = set(names), set(expected)
    if lacking := sorted(expected - names):
        raise ValueError(f"{what} lack {lacking[0]!r}.")
    if more := sorted(names - expected):
        raise ValueError(f"{what} have {more[0]!r}, which is not known.")


def size_of(state: Arrays) -> tuple[int, int]:
    """Problems of a stack, and features of the cells that it moves."""
    centre = state.get("centre", np.zeros(0))
    if centre.ndim != 3:
        raise ValueError("the arrays of the maps lack a 'centre' of three axes.")
    return centre.shape[0], centre.shape[2]


def check_state(
    state: Arrays,
    kind: type[Stack],
    settings: Settings,
    build: Callable[[], Stack],
    n_problems: int,
) -> None:
    """Raise a ValueError unless arrays are the state of so many problems.

    Parameters
    ----------
    state
        The arrays.
    kind, settings
        Of the stack. Its networks and layers are counted in the arrays first.
    build
        Makes a stack of a single problem.
    n_problems
        First axis of every array.
    """
    _check_counts(settings, kind.counts(settings), state)
    stack = _outline(build)
    expected = stack.state_dict()
    check_names(state, expected, "the arrays of the maps")
    n_rows = {state[name].shape[1] for name in stack.sized_by_data if state[name].ndim > 1}
    for name, one in expected.items():
        shape = [n_problems, *one.shape[1:]]
        if name in stack.sized_by_data and len(n_rows) == 1:
            shape[1] = max(1, *n_rows)
        check_array(state[name], name, shape, _numpy_type(one), _allowed(name, kind))


def check_module(
    state: Arrays, settings: Settings, counts: dict[str, str], build: Callable[[], nn.Module]
) -> None:
    """The same of a module that is no stack."""
    _check_counts(settings, counts, state)
    expected = _outline(build).state_dict()
    check_names(state, expected, "the arrays of the map")
    for name, values in expected.items():
        check_array(state[name], name, values.shape, _numpy_type(values))


def check_unfitted(kind: type[Stack], settings: Settings, build: Callable[[], Stack]) -> None:
    """Raise a ValueError if a map that no arrays were saved for would be larger than any is."""
    numbers = UNFITTED_NUMBERS + 1
    if all(getattr(settings, name) <= UNFITTED_COUNT for name in kind.counts(settings)):
        numbers = sum(values.numel() for values in _outline(build).state_dict().values())
    if numbers > UNFITTED_NUMBERS:
        raise ValueError("the networks of its settings are larger than any that are fitted.")


def _check_counts(settings: Settings, counts: dict[str, str], state: Arrays) -> None:
    for name, pattern in counts.items():
        count = sum(fnmatchcase(name_of_array, pattern) for name_of_array in state)
        if getattr(settings, name) != count:
            raise ValueError(
                f"{name} is {getattr(settings, name)} in the settings, and the arrays are those of "
                f"{count}."
            )


def _outline(build: Callable[[], Module]) -> Module:
    """A module whose parameters have shapes and take no memory."""
    try:
        with torch.device("meta"):
            return build()
    except (OverflowError, RuntimeError, TypeError) as error:
        # How torch says that a size, or a product of sizes, is no number of its own.
        raise ValueError("the sizes of its networks are too large.") from error


def _numpy_type(tensor: torch.Tensor) -> np.dtype:
    return torch.empty(0, dtype=tensor.dtype).numpy().dtype


def tensors(arrays: Arrays) -> dict[str, torch.Tensor]:
    """Arrays as tensors, in the same memory."""
    return {name: torch.from_numpy(values) for name, values in arrays.items()}


def data_of(values: dict[str, Any]) -> DataSpec:
    """The description of an AnnData."""
    data = DataSpec.from_json(values)
    checks.unique(data.var_names, "data.var_names")
    first, last = data.times or (0.0, 1.0)
    if (data.time is None) != (data.times is None) or not first < last or not 0 <= data.share <= 1:
        raise ValueError(f"data.time is {data.time} and data.times {data.times}.")
    return data


def settings_of(kind: type[Settings], values: dict[str, Any], preset: str) -> Settings:
    """Settings of a method, which has such a preset."""
    check(values, kind, "settings")
    if preset not in kind.presets:
        raise ValueError(f"preset must be one of {sorted(kind.presets)}, found {preset!r}.")
    return kind.from_json(values)


def representation_of(
    saved: dict[str, Any],
    arrays: Arrays,
    passed: Representation | None,
    n_genes: int,
    n_features: int,
) -> Representation:
    """The representation of a saved model, or the one given if it is the same."""
    kind = KINDS.get(str(saved.get("kind")))
    if kind is not None:
        # Files of earlier versions lack some fields.
        kinds = {"kind": str, **kind.saved}
        wanted = {name: kinds[name] for name in kinds if name in saved or name not in kind.may_lack}
        check(saved, wanted, "representation")
        shapes = kind.shapes(saved, n_genes, n_features)
        check_names(arrays, shapes, "the arrays of the representation")
        for name, shape in shapes.items():
            check_array(arrays[name], f"representation.{name}", shape)
    elif passed is None:
        raise ValueError(
            f"representation.kind must be one of {sorted(KINDS)}, found {saved.get('kind')!r}."
        )
    representation = (
        representation_from_saved(saved, arrays) if passed is None else passed.restored(saved)
    )
    sizes = (representation.n_features, n_genes if representation.name is None else n_features)
    if sizes != (n_features, n_features):
        raise ValueError(
            f"the representation has {sizes[0]} features and there are {n_genes} genes, and the "
            f"maps are of {n_features} features."
        )
    return representation


def combination_of(
    saved: SavedCombination | None,
    centres: np.ndarray | None,
    separate: Sequence[str],
    n_features: int,
    strengths: np.ndarray,
) -> Combination | None:
    """How the maps of strata are combined; None where there is nothing to combine.

    Parameters
    ----------
    saved, centres
        Its fields and its centres, both None where there is none.
    separate
        Strata that have maps of their own.
    n_features
        Dimension of the centres.
    strengths
        Of all maps: where none moves a cell, as none could be fitted, there is no rule.
    """
    if saved is None and separate and strengths.any():
        raise ValueError(f"no rule combines the maps of {len(separate)} strata.")
    if saved is not None and not separate:
        raise ValueError("a rule combines the maps of strata, and there are none.")
    if (saved is None) != (centres is None):
        raise ValueError("a rule and its centres are not both there.")
    if saved is None or centres is None:
        return None
    check_array(centres, "centres", (len(separate), n_features))
    return Combination(**saved, centres=torch.from_numpy(centres))


def history_of(saved: dict[str, list[str]], arrays: Arrays) -> dict[str, pd.DataFrame]:
    """Training curves: of each phase one column after the steps."""
    check_names(arrays, saved, "the arrays of the history")
    history = {}
    for phase, columns in saved.items():
        checks.unique(columns, f"history[{phase!r}]")
        numbers = arrays[phase]
        shape = (len(numbers) if numbers.ndim else 0, 1 + len(columns))
        check_array(numbers, f"history of {phase}", shape, np.float64, "NaN")
        steps = numbers[:, 0]
        if not (np.isfinite(steps) & (steps == steps.round()) & (abs(steps) < 2**53)).all():
            raise ValueError(f"the array 'history of {phase}' has steps that are no whole numbers.")
        index = pd.Index(steps.astype(int), name="step")
        history[phase] = pd.DataFrame(numbers[:, 1:], index=index, columns=columns)
    return history


def check_reports(reports: Sequence[Mapping[str, Any]], counts: Sequence[int]) -> None:
    """Raise a ValueError unless there are so many diagnostics of maps, each with a certificate."""
    if len(reports) not in counts:
        raise ValueError(f"there are diagnostics of {len(reports)} maps, and {counts[0]} maps.")
    for number, report in enumerate(reports):
        where = f"diagnostics[{number}]"
        check({name: report.get(name) for name in REPORT}, REPORT, where)
        for name, value in report.items():
            if name in NUMBERS:
                check(value, Figure, f"{where}.{name}")
            elif isinstance(value, list | dict):
                raise ValueError(f"{where}.{name} must be a single value.")


def with_no_effect(report: Report) -> Report:
    """Diagnostics of a map, where earlier versions called one "good" that finds no effect."""
    # Only a map without a detectable effect was ever called good that moves no cell.
    still = 0 in (report.get("strength"), report.get("mean_step"))
    if report["certificate"] == "good" and still:
        return {**report, "certificate": "no effect"}
    return report
