"""JSON against kinds: what is wrong, where, and what would be right."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

import pytest

from rayot.data import checks
from rayot.model.saved import Figure, check


@dataclass
class Point:
    x: float
    name: str = ""


class Table(TypedDict):
    mode: Literal["a", "b"]
    points: list[Point]
    range: tuple[float, float] | None


GOOD = {"mode": "a", "points": [{"x": 1}, {"x": 2.5, "name": "p"}], "range": [0, 1]}


def test_what_is_right_passes():
    check(GOOD, Table, "")
    check({**GOOD, "range": None, "points": []}, Table, "")
    check({"any": [{"thing": None}]}, dict[str, Any], "")
    for value in (float("nan"), float("inf"), 10**400):
        check(value, Figure, "x")
    check("name", str | Callable[[int], int], "cost")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mode": "c"}, r"mode must be one of \('a', 'b'\), found 'c'"),
        ({"mode": ["a"]}, "mode must be one of"),
        ({"points": {}}, "points must be a list, found {}"),
        ({"points": [{"x": 1}, {"x": "1"}]}, r"points\[1\].x must be a finite number, found '1'"),
        ({"points": [{"x": True}]}, "must be a finite number, found True"),
        ({"points": [{"x": float("nan")}]}, "must be a finite number, found nan"),
        ({"points": [{"x": 10**400}]}, "must be a finite number"),
        ({"points": [{}]}, r"points\[0\] lacks 'x'"),
        ({"points": [{"x": 1, "y": 2}]}, r"points\[0\] has 'y', which is not known"),
        ({"points": [{"x": 1, "name": None}]}, "name must be text, found None"),
        ({"points": [3]}, r"points\[0\] must be an object, found 3"),
        ({"range": [1]}, "range must have 2 entries, found 1"),
        ({"range": [1, None]}, r"range\[1\] must be a finite number, found None"),
        ({"more": 1}, "the description has 'more', which is not known"),
    ],
)
def test_what_is_wrong_is_said(change, message):
    with pytest.raises(ValueError, match=message):
        check({**GOOD, **change}, Table, "")


@pytest.mark.parametrize(("value", "kind"), [(True, int), (1, bool), (1.0, int), (0, None)])
def test_numbers_and_truths_are_told_apart(value, kind):
    with pytest.raises(ValueError, match="x must be"):
        check(value, kind, "x")


def test_names_that_are_there_twice():
    checks.unique(["a", "b"], "names")
    with pytest.raises(ValueError, match="names has 'a' more than once"):
        checks.unique(["a", "b", "a"], "names")
