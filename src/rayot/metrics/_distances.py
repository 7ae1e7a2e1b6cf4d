"""Squared Euclidean distances between cells, a block of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rayot.metrics._cells import Cells

BLOCK_ENTRIES = 2**17
"""Distances held at once (1 MiB): a block then stays in cache while kernels sweep over it."""


def squared_distance_blocks(first: Cells, second: Cells) -> Iterator[Cells]:
    """Yield ‖x − y‖² for a few rows x of ``first`` against all rows y of ``second``.

    The block is a buffer that the next one overwrites, so memory does not grow with the number of
    cells. The matrix product is used instead of differences because it is many times faster; the
    common centre is taken off first, so that cancellation costs little.
    """
    centre = second.mean(axis=0)
    first, second = first - centre, second - centre
    first_norms = np.einsum("nd,nd->n", first, first)
    second_norms = np.einsum("nd,nd->n", second, second)
    rows = max(1, BLOCK_ENTRIES // len(second))
    buffer = np.empty((min(rows, len(first)), len(second)))
    for start in range(0, len(first), rows):
        part = slice(start, start + rows)
        block = buffer[: len(first[part])]
        np.matmul(first[part], -2.0 * second.T, out=block)
        block += first_norms[part, None]
        block += second_norms
        yield np.maximum(block, 0.0, out=block)
