"""Agreement of what the means do not show: standard deviations and correlations of features."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from rayot._public import public
from rayot.metrics._cells import Cells, as_pair

SMALLEST_RATIO = 0.01
"""Of standard deviations; a prediction without any spread is this many times too narrow."""

BLOCK_FEATURES = 512
"""Features whose correlations with all others are held at once."""


@public()
def l2_sd(predicted: ArrayLike, observed: ArrayLike) -> float:
    """Euclidean distance of the features' standard deviations, ‖sd(X) − sd(Y)‖ (CellOT).

    Parameters
    ----------
    predicted, observed
        Expression, shapes (n, d) and (m, d), in the same units, of at least two cells each.

    Returns
    -------
    At least 0 (best), in the units of the expression.

    Raises
    ------
    ValueError
        If the arrays are not cells by features, differ in their features, are not finite, or have a
        single cell.

    Examples
    --------
    >>> from rayot.metrics import l2_sd
    >>> l2_sd([[0.0], [1.0]], [[3.0], [5.0]]).__round__(3)
    0.707
    """
    first, second = as_pair(predicted, observed, at_least=2)
    return float(np.linalg.norm(first.std(axis=0, ddof=1) - second.std(axis=0, ddof=1)))


@public()
def spread_error(predicted: ArrayLike, observed: ArrayLike) -> float:
    """By which factor predictions are off in spread: mean absolute log2 of sd(X) / sd(Y).

    Features that are constant in the observed cells are left out. A feature that is predicted as
    constant, or nearly, counts as a hundred times too narrow (6.6).

    Parameters
    ----------
    predicted, observed
        Expression, shapes (n, d) and (m, d), in the same units, of at least two cells each.

    Returns
    -------
    At least 0 (best), in log2 units: 1 is half or twice the standard deviation. NaN where all
    observed features are constant.

    Raises
    ------
    ValueError
        If the arrays are not cells by features, differ in their features, are not finite, or have a
        single cell.

    Examples
    --------
    >>> from rayot.metrics import spread_error
    >>> spread_error([[0.0, 0.0], [1.0, 4.0]], [[0.0, 0.0], [2.0, 2.0]])
    1.0
    """
    first, second = as_pair(predicted, observed, at_least=2)
    varies = np.ptp(second, axis=0) > 0
    if not varies.any():
        return float("nan")
    ratio = first[:, varies].std(axis=0) / second[:, varies].std(axis=0)
    # Both divide by n, or both by n − 1: populations of other sizes are compared without a bias.
    sizes = len(first), len(second)
    ratio *= np.sqrt(sizes[0] / (sizes[0] - 1) / (sizes[1] / (sizes[1] - 1)))
    return float(np.abs(np.log2(np.maximum(ratio, SMALLEST_RATIO))).mean())


@public()
def correlation_error(predicted: ArrayLike, observed: ArrayLike) -> float:
    """Mean absolute difference of the correlations of pairs of features.

    Blind to means and standard deviations, it sees whether genes go together in predicted cells as
    they do in observed ones. Features that are constant in the observed cells are left out; a
    feature that is predicted as constant correlates with none (0).

    Parameters
    ----------
    predicted, observed
        Expression, shapes (n, d) and (m, d), of at least two cells each; memory grows with d, not
        with its square.

    Returns
    -------
    Between 0 (best) and 2. NaN where fewer than two observed features vary.

    Raises
    ------
    ValueError
        If the arrays are not cells by features, differ in their features, are not finite, or have a
        single cell.

    References
    ----------
    Bunne et al. (2023), CellOT.

    Examples
    --------
    >>> from rayot.metrics import correlation_error
    >>> correlation_error([[0.0, 1.0], [1.0, 0.0]], [[0.0, 0.0], [2.0, 3.0]]).__round__(6)
    2.0
    """
    first, second = as_pair(predicted, observed, at_least=2)
    varies = np.ptp(second, axis=0) > 0
    n = int(varies.sum())
    if n < 2:
        return float("nan")
    first, second = (_standardised(cells[:, varies]) for cells in (first, second))
    total = sum(
        float(np.abs(one - other).sum())
        for one, other in zip(_correlations(first), _correlations(second), strict=True)
    )
    # A feature correlates with itself alike in both, unless it is predicted as constant.
    constant = float((np.ptp(first, axis=0) == 0).sum())
    return (total - constant) / (n * (n - 1))


def _standardised(cells: Cells) -> Cells:
    """Centred features of length one; zero where a feature is constant."""
    cells = np.where(np.ptp(cells, axis=0) > 0, cells - cells.mean(axis=0), 0.0)
    norms = np.linalg.norm(cells, axis=0)
    return cells / np.where(norms > 0, norms, 1.0)


def _correlations(standardised: Cells) -> Iterator[Cells]:
    for start in range(0, standardised.shape[1], BLOCK_FEATURES):
        yield standardised[:, start : start + BLOCK_FEATURES].T @ standardised
