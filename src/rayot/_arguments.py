"""What arguments of public functions may be, and one sentence for those that are something else."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from math import inf, isfinite, isnan
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeAlias

Check: TypeAlias = Callable[[str, Any], Any]
"""Takes the name of an argument and its value, and returns it as plain Python or raises."""

LARGEST_SEED = 2**32 - 1
"""What NumPy, scikit-learn and umap-learn take."""


def refused(name: str, what: str, value: object) -> ValueError:
    """The error that says what an argument must be, and what it is."""
    shown = repr(value)
    if len(shown) > 80:
        shown = f"{shown[:77]}… ({type(value).__name__})"
    return ValueError(f"{name} must be {what}, found {shown}.")


def whole_number(name: str, value: object, least: int = 1, most: float = inf) -> int:
    """A whole number within bounds as an int.

    NumPy's numbers are whole numbers too, True and 2.0 are none.

    Raises
    ------
    ValueError
        If it is something else.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or int(value) < least:
        raise refused(name, f"a whole number of at least {least}", value)
    if int(value) > most:
        raise refused(name, f"a whole number from {least} to {most:.0f}", value)
    return int(value)


def from_zero(name: str, value: object) -> int:
    """A whole number that may be zero."""
    return whole_number(name, value, least=0)


def number(
    name: str,
    value: object,
    low: float = -inf,
    high: float = inf,
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> float:
    """A finite number within bounds as a float.

    Parameters
    ----------
    name, value
        Of the argument.
    low, high
        Bounds; those that are open are none of the numbers.
    open_low, open_high
        Whether they are open.

    Raises
    ------
    ValueError
        If it is something else, NaN or infinite.
    """
    wanted = _range(low, high, open_low, open_high)
    if isinstance(value, Real) and not isinstance(value, bool):
        if not isfinite(value):
            raise refused(name, f"finite and {wanted}", value)
        plain = float(value)
        above = plain > low if open_low else plain >= low
        if above and (plain < high if open_high else plain <= high):
            return plain
    raise refused(name, wanted, value)


def _range(low: float, high: float, open_low: bool, open_high: bool) -> str:
    """What a number has to be; an upper bound comes with a lower one."""
    if not isfinite(low):
        return f"at most {high:g}" if isfinite(high) else "a number"
    if not isfinite(high):
        return f"{'greater than' if open_low else 'at least'} {low:g}"
    if open_low and open_high:
        return f"between {low:g} and {high:g}"
    lower, upper = "above" if open_low else "at least", "below" if open_high else "at most"
    return f"{lower} {low:g} and {upper} {high:g}"


def flag(name: str, value: object) -> bool:
    """True or False.

    Raises
    ------
    ValueError
        If it is something else.
    """
    if isinstance(value, bool) or type(value).__name__ in ("bool", "bool_"):
        return bool(value)
    raise refused(name, "True or False", value)


def text(name: str, value: object) -> str:
    """A text that is not empty.

    Raises
    ------
    ValueError
        If it is something else.
    """
    if isinstance(value, str) and value:
        return str(value)
    raise refused(name, "a text that is not empty", value)


def texts(name: str, value: object) -> list[str]:
    """Texts as a list, of which a single one is the only one.

    Raises
    ------
    ValueError
        If it is something else.
    """
    if isinstance(value, str):
        return [text(name, value)]
    if isinstance(value, Iterable) and not isinstance(value, Mapping | bytes):
        names = list(value)
        if all(isinstance(element, str) for element in names):
            return [str(element) for element in names]
    raise refused(name, "a list of texts", value)


def one_of(name: str, value: object, choices: Iterable[object]) -> Any:  # noqa: ANN401
    """One of some choices.

    Raises
    ------
    ValueError
        If it is none of them.
    """
    allowed = tuple(choices)
    # A list equals none of them, and an array is not compared.
    if isinstance(value, str | bool | None) and value in allowed:
        return value
    raise refused(name, f"one of {allowed}", value)


def clip(name: str, value: object) -> bool | str:
    """``"auto"``, True or False."""
    if isinstance(value, str) and value == "auto":
        return value
    if isinstance(value, bool):
        return value
    raise refused(name, "'auto', True or False", value)


def condition(name: str, value: object) -> Any:  # noqa: ANN401
    """A category of a column: a text, or a number or boolean that is compared as its text.

    Raises
    ------
    ValueError
        If it is something else, or missing.
    """
    plain = isinstance(value, str | Real) or type(value).__name__ in ("bool", "bool_")
    is_missing = isinstance(value, Real) and isnan(value)
    if not plain or is_missing or value == "":
        raise refused(name, "a category of a column", value)
    return value


def entry_name(name: str, value: object) -> str:
    """The name of what was written to an AnnData.

    Raises
    ------
    ValueError
        If it is something else; of a fitted model, how to write what it predicts.
    """
    if hasattr(value, "predict"):
        raise ValueError(
            f"{name} must be the name of what was written to adata, found a fitted "
            f"{type(value).__name__}; rayot.tl.transport(adata, model) writes what it predicts."
        )
    return text(name, value)


def result_name(name: str, value: object) -> str:
    """A name under which results are written, which h5ad and zarr take as it is.

    A slash opens a group within a group, a single point is the group itself, zarr keeps names that
    start with two underscores to itself, and neither format has a way to write NUL.

    Raises
    ------
    ValueError
        If it is something else.
    """
    if not isinstance(value, str) or not value:
        raise refused(name, "the name of what is written, a text", value)
    written = value.encode("utf-8", errors="ignore").decode() == value
    if "/" in value or "\0" in value or not value.strip(".") or value.startswith("__"):
        written = False
    if not written:
        raise ValueError(
            f"{name}={value!r} cannot be written to a file; name the result without '/' and NUL, "
            "not by points alone, and not with '__' in front."
        )
    return str(value)


def path(name: str, value: object) -> str | os.PathLike[str]:
    """A path of a file or folder.

    Raises
    ------
    ValueError
        If it is something else.
    """
    if isinstance(value, str | os.PathLike) and str(value) and "\0" not in str(value):
        return value
    raise refused(name, "a path", value)


def figure_file(name: str, value: object) -> bool | str | Path:
    """True, what is appended to a figure's name, or a path, which a text with a slash is too.

    Raises
    ------
    TypeError
        If it is something else.
    FileNotFoundError
        If the folder of the path does not exist.
    ValueError
        If the path is a folder.
    """
    if isinstance(value, str) and value.endswith(("/", os.sep)):
        raise ValueError(f"{name} names the folder {value!r}; name a file in it.")
    if isinstance(value, str) and Path(value).name != value:
        value = Path(value)
    if isinstance(value, Path):
        if value.is_dir():
            raise ValueError(f"{name} names the folder {str(value)!r}; name a file in it.")
        if not value.parent.is_dir():
            raise FileNotFoundError(
                f"{name}: the folder {str(value.parent)!r} does not exist; make it first."
            )
        return value
    if isinstance(value, str | bool):
        return value
    raise TypeError(f"{name} must be True, a text or a pathlib.Path, found {value!r}.")


def mapping(name: str, value: object) -> Mapping[Any, Any]:
    """A dictionary.

    Raises
    ------
    ValueError
        If it is something else.
    """
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return value
    raise refused(name, "a dictionary with texts as keys", value)
