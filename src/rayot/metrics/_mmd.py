"""Maximum mean discrepancy with Gaussian kernels of many widths."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from rayot._arguments import refused
from rayot._public import public
from rayot.metrics._cells import Cells, as_pair
from rayot.metrics._distances import squared_distance_blocks

GAMMAS: tuple[float, ...] = tuple(np.logspace(1, -3, 50).tolist())
"""Widths of the W1OT and CellOT papers: 50 from 10 to 0.001, equally spaced in the logarithm."""


@public()
def mmd(predicted: ArrayLike, observed: ArrayLike, *, gammas: ArrayLike = GAMMAS) -> float:
    r"""Maximum mean discrepancy of the W1OT paper.

    .. math:: \frac{1}{|\Gamma|} \sum_{\gamma \in \Gamma}
        \overline{k_\gamma(X, X)} + \overline{k_\gamma(Y, Y)} - 2\,\overline{k_\gamma(X, Y)},
        \qquad k_\gamma(x, y) = e^{-\gamma \|x - y\|^2}

    The estimate is biased: the means within a population include each cell with itself, which adds
    about 1/n + 1/m. Compare values only between populations of equal size and with the same
    features, since the widths do not adapt to the number of dimensions.

    Parameters
    ----------
    predicted, observed
        Expression, shapes (n, d) and (m, d), in the same units.
    gammas
        Kernel widths to average over; those of the paper by default. A single
        ``1 / np.median(squared_distances)`` gives the median heuristic.

    Returns
    -------
    At least 0 (best, and reached when both hold the same cells).

    Raises
    ------
    ValueError
        If the arrays are not cells by features, differ in their features, or are not finite, or if
        a width is not positive.

    References
    ----------
    Gretton et al. (2012), A kernel two-sample test; Bunne et al. (2023), CellOT.

    Examples
    --------
    >>> import numpy as np
    >>> from rayot.metrics import mmd
    >>> cells = np.random.default_rng(0).normal(size=(200, 5))
    >>> mmd(cells[:100], cells[100:]) < mmd(cells[:100], cells[100:] + 1)
    True
    """
    first, second = as_pair(predicted, observed)
    widths = np.atleast_1d(np.ma.filled(gammas, np.nan))
    numeric = widths.dtype.kind in "fiu" and widths.ndim == 1 and widths.size > 0
    if not numeric or not (np.isfinite(widths) & (widths > 0)).all():
        raise refused("gammas", "one or more positive numbers", gammas)
    widths = widths.astype(np.float64)
    within = _mean_kernel(first, first, widths) + _mean_kernel(second, second, widths)
    return max(0.0, within - 2.0 * _mean_kernel(first, second, widths))


def _mean_kernel(first: Cells, second: Cells, gammas: Cells) -> float:
    """Mean of exp(−γ ‖x − y‖²) over all pairs and widths."""
    total = 0.0
    for block in squared_distance_blocks(first, second):
        kernel = np.empty_like(block)
        for gamma in gammas:
            np.multiply(block, -gamma, out=kernel)
            total += float(np.exp(kernel, out=kernel).sum())
    return total / (len(first) * len(second) * len(gammas))
