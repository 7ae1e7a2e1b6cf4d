"""Exact Wasserstein-1 distance of two samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist

from rayot._public import public
from rayot.metrics._cells import Cells, as_pair
from rayot.metrics._subsample import equal_subsamples


@public()
def wasserstein1(
    predicted: ArrayLike, observed: ArrayLike, *, n_cells: int = 500, seed: int = 0
) -> float:
    """Exact Wasserstein-1 distance with Euclidean cost, between subsamples of equal size.

    Solved by network simplex (POT's :func:`ot.emd2`). In many dimensions the value is mostly
    sampling error (two halves of one population are far from zero), which depends on the number of
    cells: compare it with the distance of other observed cells at the same ``n_cells``, never with
    zero.

    Parameters
    ----------
    predicted, observed
        Expression, shapes (n, d) and (m, d), in the same units.
    n_cells
        Largest size of a subsample. Both are drawn without replacement, to the same size.
    seed
        Seed of the subsampling.

    Returns
    -------
    At least 0 (best), in the units of the expression.

    Raises
    ------
    ValueError
        If the arrays are not cells by features, differ in their features, or are not finite, or if
        ``n_cells`` is below 1.

    References
    ----------
    Bonneel et al. (2011), Displacement interpolation using Lagrangian mass transport.

    Examples
    --------
    >>> from rayot.metrics import wasserstein1
    >>> round(wasserstein1([[0.0], [1.0]], [[3.0], [2.0]]), 6)
    2.0
    """
    first, second = as_pair(predicted, observed)
    if n_cells < 1:
        raise ValueError(f"n_cells is {n_cells}; a subsample needs at least 1 cell.")
    first, second = equal_subsamples(first, second, n_cells, seed)
    return exact_cost(cdist(first, second))


def exact_cost(cost: Cells) -> float:
    """Least mean cost of a coupling of two populations of n cells each, from costs (n, n)."""
    # POT imports every array library that it finds (torch among them): wait until it is needed.
    import ot

    weights = np.full(len(cost), 1.0 / len(cost))
    # The default of 100,000 pivots can fall short at a few thousand cells.
    return float(ot.emd2(weights, weights, cost, numItermax=10_000_000))
