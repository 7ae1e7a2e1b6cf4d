"""How far two fits of the same cells disagree."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from rayot._public import public
from rayot.metrics._cells import as_cells, in_one_order, same_cells


@public()
def instability(first: ArrayLike, second: ArrayLike) -> float:
    r"""Mean distance of two fits' moves over the mean length of a move.

    :math:`2\,E\|m_1 - m_2\| / (E\|m_1\| + E\|m_2\|)`, where :math:`m_1` and :math:`m_2` are the
    moves T(x) − x of a cell by two fits that differ in their seed, or in the sample of training
    cells. Distances between populations cannot see it: two maps may send every cell elsewhere, and
    both make the same population.

    Parameters
    ----------
    first, second
        Moves of the same cells in the same order, both of shape (n, d). Of two tables, rows and
        columns are found by their names.

    Returns
    -------
    0 where both move all cells alike, √2 where moves are as long and at right angles, at most 2. It
    does not depend on units or rotations.

    Raises
    ------
    ValueError
        If the arrays are not moves of as many cells in the same features, or are not finite.

    Examples
    --------
    >>> from rayot.metrics import instability
    >>> instability([[3.0, 4.0], [5.0, 0.0]], [[3.0, 4.0], [5.0, 0.0]])
    0.0
    >>> instability([[5.0, 0.0]], [[3.0, 4.0]]) == 20**0.5 / 5
    True
    """
    first, second = same_cells(*in_one_order((first, "first"), (second, "second")))
    moves, others = as_cells(first, "first"), as_cells(second, "second")
    if moves.shape != others.shape:
        raise ValueError(
            f"first has shape {moves.shape} and second has {others.shape}; both need the moves of "
            "the same cells in the same features."
        )
    apart = np.linalg.norm(moves - others, axis=1).mean()
    length = (np.linalg.norm(moves, axis=1).mean() + np.linalg.norm(others, axis=1).mean()) / 2
    return float(apart / length) if length > 0 else 0.0
