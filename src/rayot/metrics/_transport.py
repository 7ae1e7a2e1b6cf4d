"""Other optimal transport distances of two samples: W2, sliced W1 and the Sinkhorn divergence."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist

from rayot import _arguments as arguments
from rayot._public import public
from rayot.metrics._cells import Cells, as_pair
from rayot.metrics._subsample import equal_subsamples
from rayot.metrics._wasserstein1 import exact_cost

MOST_ITERATIONS = 10_000
"""Of Sinkhorn's algorithm."""

TOLERANCE = 1e-4
"""Up to which the coupling has the mass of each cell, as a share of it."""


@public()
def wasserstein2(
    predicted: ArrayLike, observed: ArrayLike, *, n_cells: int = 500, seed: int = 0
) -> float:
    """Exact Wasserstein-2 distance, between subsamples of equal size.

    The root of the least mean *squared* Euclidean distance of a coupling; otherwise as
    :func:`wasserstein1`, whose warning holds: mostly sampling error in many dimensions.

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
        If the arrays are not cells by features, differ in their features, or are not finite.

    Examples
    --------
    >>> from rayot.metrics import wasserstein2
    >>> round(wasserstein2([[0.0], [1.0]], [[3.0], [2.0]]), 6)
    2.0
    """
    first, second = equal_subsamples(*as_pair(predicted, observed), n_cells, seed)
    return float(np.sqrt(max(0.0, exact_cost(cdist(first, second, "sqeuclidean")))))


@public()
def sliced_wasserstein1(
    predicted: ArrayLike, observed: ArrayLike, *, n_projections: int = 500, seed: int = 0
) -> float:
    """Mean Wasserstein-1 distance of the cells' projections on random directions.

    In one dimension the distance is found by sorting, so all cells count and its sampling error
    does not grow with the number of dimensions. It is smaller than :func:`wasserstein1`.

    Parameters
    ----------
    predicted, observed
        Expression, shapes (n, d) and (m, d), in the same units.
    n_projections
        Directions, uniform on the sphere.
    seed
        Seed of the directions.

    Returns
    -------
    At least 0 (best), in the units of the expression.

    Raises
    ------
    ValueError
        If the arrays are not cells by features, differ in their features, or are not finite.

    References
    ----------
    Bonneel et al. (2015), Sliced and Radon Wasserstein barycenters of measures.

    Examples
    --------
    >>> from rayot.metrics import sliced_wasserstein1
    >>> round(sliced_wasserstein1([[0.0], [1.0]], [[3.0], [2.0]]), 6)
    2.0
    """
    first, second = as_pair(predicted, observed)
    directions = np.random.default_rng(seed).normal(size=(n_projections, first.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    distances = [_on_a_line(first @ line, second @ line) for line in directions]
    return float(np.mean(distances))


def _on_a_line(first: Cells, second: Cells) -> float:
    """W1 in one dimension: the area between two distribution functions."""
    places = np.sort(np.concatenate([first, second]))
    below = [
        np.searchsorted(np.sort(cells), places[:-1], side="right") / len(cells)
        for cells in (first, second)
    ]
    return float(np.abs(below[0] - below[1]) @ np.diff(places))


@public(epsilon=partial(arguments.number, low=0, open_low=True))
def sinkhorn_divergence(
    predicted: ArrayLike,
    observed: ArrayLike,
    *,
    epsilon: float = 10.0,
    n_cells: int = 500,
    seed: int = 0,
) -> float:
    r"""Sinkhorn divergence with squared Euclidean cost, between subsamples of equal size.

    :math:`S(X, Y) - (S(X, X) + S(Y, Y)) / 2`, with S the entropic transport cost
    :math:`\min_P \langle P, C \rangle + \varepsilon\,\mathrm{KL}(P \| a b^\top)`. It lies between
    the squared W2 (small ε) and the squared distance of the means (large ε). CellFlow reports it
    for ε of 1, 10 and 100, on the cost as it is.

    Parameters
    ----------
    predicted, observed
        Expression, shapes (n, d) and (m, d), in the same units.
    epsilon
        Strength of the entropy, in squared units of the expression. Where it is far below the cost,
        a hundredth or less, the iterations take long.
    n_cells
        Largest size of a subsample. Both are drawn without replacement, to the same size.
    seed
        Seed of the subsampling.

    Returns
    -------
    At least 0 (best) up to the tolerance of the iterations, in squared units of the expression.

    Raises
    ------
    ValueError
        If the arrays are not cells by features, differ in their features, or are not finite, or the
        iterations did not converge.

    References
    ----------
    Feydy et al. (2019), Interpolating between optimal transport and MMD using Sinkhorn divergences.

    Examples
    --------
    >>> import numpy as np
    >>> from rayot.metrics import sinkhorn_divergence
    >>> cells = np.random.default_rng(0).normal(size=(50, 2))
    >>> round(sinkhorn_divergence(cells + 3, cells, epsilon=1e4), 2)
    18.0
    """
    first, second = equal_subsamples(*as_pair(predicted, observed), n_cells, seed)
    between = _entropic_cost(first, second, epsilon)
    return (
        between
        - (_entropic_cost(first, first, epsilon) + _entropic_cost(second, second, epsilon)) / 2
    )


def _entropic_cost(first: Cells, second: Cells, epsilon: float) -> float:
    """Entropic transport cost as the mean of both dual potentials."""
    # POT imports every array library that it finds (torch among them): wait until it is needed.
    from ot.bregman import sinkhorn_log

    n, cost = len(first), cdist(first, second, "sqeuclidean")
    weights = np.full(n, 1.0 / n)
    # A coupling that did not converge can have any mass.
    with np.errstate(over="ignore"):
        plan, log = sinkhorn_log(
            weights,
            weights,
            cost,
            epsilon,
            numItermax=MOST_ITERATIONS,
            stopThr=TOLERANCE / np.sqrt(n),
            log=True,
            warn=False,
        )
    error = max(float(np.abs(plan.sum(axis=axis) * n - 1).max()) for axis in (0, 1))
    if not error < 10 * TOLERANCE:
        raise ValueError(
            f"Sinkhorn's iterations did not converge in {MOST_ITERATIONS} steps at "
            f"epsilon={epsilon:g}, as squared distances are up to {cost.max():.3g}; take a larger "
            "epsilon."
        )
    return float(epsilon * (np.mean(log["log_u"]) + np.mean(log["log_v"]) + 2 * np.log(n)))
