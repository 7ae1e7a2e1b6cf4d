"""Subsamples of equal size, for metrics that need a coupling or equal numbers."""

from __future__ import annotations

import numpy as np

from rayot.metrics._cells import Cells


def equal_subsamples(
    first: Cells, second: Cells, n_cells: int | None, seed: int
) -> tuple[Cells, Cells]:
    """Both populations at the size of the smaller, of at most ``n_cells``; rows keep their order.

    Parameters
    ----------
    first, second
        Shapes (n, d) and (m, d).
    n_cells
        Largest size; None knows of none.
    seed
        Of the draw, without replacement.
    """
    size = min(len(first), len(second))
    size = size if n_cells is None else min(n_cells, size)
    generator = np.random.default_rng(seed)
    drawn = [
        cells[np.sort(generator.choice(len(cells), size, replace=False))]
        for cells in (first, second)
    ]
    return drawn[0], drawn[1]
