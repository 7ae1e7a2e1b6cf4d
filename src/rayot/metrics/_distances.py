"""Squared Euclidean distances between cells, a block at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from rayot.metrics._cells import Cells

BLOCK_ENTRIES = 2**17
"""Distances held at once (1 MiB): a block then stays in cache while kernels sweep over it."""

BLOCK_COLUMNS = 2048
"""Cells of a block's other side, of large populations: they too stay in cache."""

MANY_CELLS = 2000
"""Where a population has more, each pair of its cells is looked at once.

Of fewer both orders are, so that their scores keep the bits they have always had.
"""


class Block(NamedTuple):
    """Some of the squared distances.

    Attributes
    ----------
    squared
        (rows, columns) in a buffer that the next block overwrites.
    times
        How often it counts: 2 where the mirror image of the block is left out.
    diagonal
        Column in which the first row meets itself; None where no cell does.
    """

    squared: Cells
    times: int
    diagonal: int | None

    def set_diagonal(self, value: float) -> None:
        """Give each cell's distance to itself a value; it is zero but for rounding."""
        if self.diagonal is not None:
            rows = np.arange(len(self.squared))
            self.squared[rows, self.diagonal + rows] = value


def squared_distance_blocks(first: Cells, second: Cells) -> Iterator[Block]:
    """Yield ‖x − y‖² for some rows x of ``first`` against some rows y of ``second``.

    Memory does not grow with the number of cells. The matrix product is used instead of differences
    because it is many times faster; the common centre is taken off first, so that cancellation
    costs little. Of a population with itself (the same object) each pair may be yielded once only.
    """
    same = first is second
    centre = second.mean(axis=0)
    first, second = first - centre, second - centre
    first_norms = np.einsum("nd,nd->n", first, first)
    second_norms = np.einsum("nd,nd->n", second, second)
    others = -2.0 * second.T
    once = same and len(second) > MANY_CELLS
    width = len(second) if len(second) <= MANY_CELLS else BLOCK_COLUMNS
    height = max(1, BLOCK_ENTRIES // width)
    buffer = np.empty(min(height, len(first)) * width)
    for row in range(0, len(first), height):
        end = min(row + height, len(first))
        for left, right, times in _columns(row, end, len(second), width, once):
            block = buffer[: (end - row) * (right - left)].reshape(end - row, right - left)
            np.matmul(first[row:end], others[:, left:right], out=block)
            block += first_norms[row:end, None]
            block += second_norms[left:right]
            np.maximum(block, 0.0, out=block)
            meets_itself = same and left <= row and end <= right
            yield Block(block, times, row - left if meets_itself else None)


def _columns(row: int, end: int, n: int, width: int, once: bool) -> Iterator[tuple[int, int, int]]:
    """From where to where the blocks of some rows go, and how often each counts."""
    if once:
        yield row, end, 1
    for left in range(end if once else 0, n, width):
        yield left, min(left + width, n), 2 if once else 1
