"""Draws of cells that follow from a seed and the cells' names alone."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Rows = NDArray[np.intp]


def shuffled(names: pd.Index, rows: Rows, seed: int, purpose: str = "") -> Rows:
    """Rows in an order that depends on the seed and their names, and not on where they stand.

    The first few of them are a sample, which larger samples contain. Cells of the same names have
    another order for another purpose.
    """
    keys = np.fromiter(_keys(names[rows], f"{seed} {purpose}"), dtype=np.uint64, count=len(rows))
    return rows[np.argsort(keys, kind="stable")]


def halves(names: pd.Index, rows: Rows, seed: int) -> tuple[Rows, Rows]:
    """Two halves of some rows, shuffled; the first has the odd one."""
    order = shuffled(names, rows, seed)
    middle = (len(order) + 1) // 2
    return order[:middle], order[middle:]


def _keys(names: Iterable[str], key: str) -> Iterable[int]:
    for name in names:
        digest = blake2b(f"{key} {name}".encode(), digest_size=8).digest()
        yield int.from_bytes(digest, "little")
