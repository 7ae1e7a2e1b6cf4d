"""Checks of arguments that several generators share."""

from __future__ import annotations

from math import isfinite
from numbers import Integral, Real

from rayot._arguments import LARGEST_SEED


def whole_number(name: str, value: object, minimum: int) -> int:
    """Return `value` as an int, or say what is wrong with the argument `name`.

    Raises
    ------
    ValueError
        If `value` is no whole number or is below `minimum`.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < minimum:
        raise ValueError(f"{name} is {value!r}; give a whole number of at least {minimum}.")
    return int(value)


def seed_of(name: str, value: object) -> int:
    """Return `value` as a seed, or say what is wrong with the argument `name`.

    Raises
    ------
    ValueError
        If `value` is no whole number from 0 to what NumPy and scikit-learn take.
    """
    seed = whole_number(name, value, 0)
    if seed > LARGEST_SEED:
        raise ValueError(f"{name} is {value!r}; give a whole number from 0 to {LARGEST_SEED}.")
    return seed


def number(
    name: str, value: object, low: float, high: float = float("inf"), *, open_low: bool = False
) -> float:
    """Return `value` as a float between `low` and `high`, or say what is wrong with it.

    Raises
    ------
    ValueError
        If `value` is no finite number, lies outside the bounds, or equals `low` with `open_low`.
    """
    wanted = f"above {low:g}" if open_low else f"of at least {low:g}"
    if isfinite(high):
        wanted += f" and at most {high:g}"
    valid = isinstance(value, Real) and not isinstance(value, bool) and isfinite(value)
    if not valid or not low <= float(value) <= high or (open_low and float(value) == low):  # type: ignore[arg-type]
        raise ValueError(f"{name} is {value!r}; give a number {wanted}.")
    return float(value)  # type: ignore[arg-type]
