"""The scale of expression: how its values relate to amounts, of which ratios can be taken."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

SAMPLE_CELLS = 200
"""Cells that the scale is looked for in."""

LARGEST_LOGARITHM = 25.0
"""Of an amount, at most; what is larger was not logged."""

LARGEST_WHOLE = 1e4
"""Amounts up to which single precision tells whole numbers after a logarithm."""


@dataclass(frozen=True)
class Scale:
    """How values became from amounts.

    Attributes
    ----------
    name
        In words, which are what is saved.
    to_amounts
        Takes values and returns amounts of the same shape; None where the scale is not known.
    to_values
        Its inverse.
    """

    name: str
    to_amounts: Callable[[np.ndarray], np.ndarray] | None = None
    to_values: Callable[[np.ndarray], np.ndarray] | None = None

    @property
    def is_known(self) -> bool:
        """Whether amounts can be had."""
        return self.to_amounts is not None


UNKNOWN = Scale("unknown")
LINEAR = Scale("linear", np.asarray, np.asarray)
LOG1P = Scale("log1p", np.expm1, np.log1p)


def log1p_of_base(base: float) -> Scale:
    """log(1 + x) to a base, as scuttle (2) or ``scanpy.pp.log1p(base=)`` take it."""
    factor = math.log(base)
    return Scale(
        f"log1p base {base:g}",
        lambda values: np.expm1(factor * values),
        lambda amounts: np.log1p(amounts) / factor,
    )


def arcsinh_of(cofactor: float) -> Scale:
    """arcsinh(x / c), as cytometry takes it."""
    return Scale(
        f"arcsinh with cofactor {cofactor:g}",
        lambda values: cofactor * np.sinh(values),
        lambda amounts: np.arcsinh(amounts / cofactor),
    )


TWICE = Scale(
    "log1p, taken twice",
    lambda values: np.expm1(np.expm1(values)),
    lambda amounts: np.log1p(np.log1p(amounts)),
)

SCALES = (LINEAR, LOG1P, log1p_of_base(2), log1p_of_base(10), TWICE, arcsinh_of(5), arcsinh_of(150))
"""Scales that values themselves can show."""


def scale_named(name: str) -> Scale:
    """The scale of this name; one that nobody knows where there is none.

    Examples
    --------
    >>> from rayot.data.scale import scale_named
    >>> scale_named("log1p base 3").to_amounts(np.array([1.0])).round(3).tolist()
    [2.0]
    """
    for scale in SCALES:
        if scale.name == name:
            return scale
    prefix = "log1p base "
    if name.startswith(prefix):
        return log1p_of_base(float(name.removeprefix(prefix)))
    return UNKNOWN


def find_scale(block: np.ndarray | sparse.csr_matrix, uns: Mapping[str, Any]) -> Scale:
    """Find the scale of expression by what its values are, and by what ``uns`` says of them.

    Amounts that were counted are whole numbers, or whole multiples of the smallest of their cell
    once each cell was divided by a size; amounts that were brought to one total have it. A scale
    shows itself by such amounts, however often a logarithm was taken and to whichever base. Where
    no scale does, as with few decimals or genes, what ``scanpy.pp.log1p`` left in ``uns`` counts,
    if values can be logarithms.

    Parameters
    ----------
    block
        (n, genes) float32, expression of some cells.
    uns
        Of the AnnData that they are from.
    """
    rows = [row[np.isfinite(row)].astype(np.float64) for row in _rows(block)]
    values = np.concatenate([np.zeros(0), *rows])
    if not values.size or values.min() < 0:
        return UNKNOWN
    said = _said(uns, float(values.max()))
    with np.errstate(over="ignore", invalid="ignore"):
        for scale in SCALES:
            if _is_whole(_amounts(scale, values)):
                return scale
        for scale in SCALES:
            if _are_multiples(scale, rows):
                return scale
        totals = [scale for scale in SCALES if _have_one_total(scale, rows)]
    # Values that have one total themselves may have been brought to it after a logarithm.
    logged = [scale for scale in totals if scale is not LINEAR]
    if not logged and said.is_known:
        return said
    return (*logged, *totals, UNKNOWN)[0]


def _said(uns: Mapping[str, Any], largest: float) -> Scale:
    """What ``scanpy.pp.log1p`` says it did, where values can be what it gives."""
    said = uns.get("log1p")
    if not isinstance(said, Mapping) or largest > LARGEST_LOGARITHM:
        return UNKNOWN
    base = said.get("base")
    if base is None:
        return LOG1P
    is_base = isinstance(base, int | float | np.number) and base > 0 and base != 1
    return log1p_of_base(float(base)) if is_base else UNKNOWN


def _rows(block: np.ndarray | sparse.csr_matrix) -> Iterator[np.ndarray]:
    """Values above zero of each of some cells, from the first to the last."""
    chosen = np.unique(np.linspace(0, block.shape[0] - 1, SAMPLE_CELLS).astype(int))
    for row in chosen if block.shape[0] else ():
        values = block[row] if isinstance(block, np.ndarray) else block[row].data
        yield values[values != 0]


def _amounts(scale: Scale, values: np.ndarray) -> np.ndarray:
    assert scale.to_amounts is not None
    return np.asarray(scale.to_amounts(values))


def _is_whole(amounts: np.ndarray) -> bool:
    """Whether amounts are counts: whole numbers, more than two different ones."""
    amounts = amounts[amounts <= LARGEST_WHOLE]
    if len(amounts) < 20 or len(np.unique(amounts.round())) < 3:
        return False
    return bool((np.abs(amounts - amounts.round()) < 1e-2).mean() > 0.99)


def _are_multiples(scale: Scale, rows: list[np.ndarray]) -> bool:
    """Whether most cells' amounts are whole multiples of their smallest, or of a part of it.

    A cell's smallest count among the genes that are there is mostly 1, rarely 2 or 3.
    """
    are_whole = []
    for row in rows:
        amounts = _amounts(scale, row)
        multiples = amounts / amounts.min(initial=np.inf)
        multiples = multiples[(multiples > 1.01) & (multiples <= 50)]
        if len(multiples) >= 5:
            are_whole.append(any(_all_whole(part * multiples) for part in (1, 2, 3)))
    return len(are_whole) >= 10 and float(np.mean(are_whole)) > 0.8


def _all_whole(multiples: np.ndarray) -> bool:
    return bool((np.abs(multiples - multiples.round()) < 1e-3 + 2e-4 * multiples).all())


def _have_one_total(scale: Scale, rows: list[np.ndarray]) -> bool:
    """Whether the amounts of all cells, which differ, have the same sum."""
    amounts = [_amounts(scale, row) for row in rows if len(row) > 2]
    if len(amounts) < 10:
        return False
    totals = np.array([cell.sum() for cell in amounts])
    largest = np.array([cell.max() for cell in amounts])
    return bool(
        np.isfinite(totals).all()
        and np.ptp(totals) < 1e-3 * totals.mean()
        and np.ptp(largest) > 1e-2 * largest.mean()
    )
