"""Agreement of mean profiles."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from rayot._public import public
from rayot.metrics._arrays import coefficient_of_determination_of
from rayot.metrics._cells import as_pair


@public()
def r2(predicted: ArrayLike, observed: ArrayLike) -> float:
    """Squared Pearson correlation of the feature means.

    This is the r² of the W1OT paper. It is not the :func:`coefficient_of_determination`, which is
    the R² of CellFlow and pertpy: it ignores shift and scale, and it
    cannot be negative. High values are cheap, since most genes do not respond: read it beside that
    of the untouched control cells.

    Parameters
    ----------
    predicted, observed
        Expression, shapes (n, d) and (m, d), in the same units.

    Returns
    -------
    Between 0 and 1 (best). NaN where fewer than two features are given, or where one of the mean
    profiles is constant.

    Raises
    ------
    ValueError
        If the arrays are not cells by features, differ in their features, or are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from rayot.metrics import r2
    >>> observed = np.array([[1.0, 2.0, 3.0], [1.0, 4.0, 3.0]])
    >>> r2(2 * observed + 1, observed)
    1.0
    """
    first, second = (cells.mean(axis=0) for cells in as_pair(predicted, observed))
    first, second = first - first.mean(), second - second.mean()
    scale = np.linalg.norm(first) * np.linalg.norm(second)
    return float(min(1.0, (first @ second / scale) ** 2)) if scale > 0 else float("nan")


@public()
def coefficient_of_determination(predicted: ArrayLike, observed: ArrayLike) -> float:
    """Coefficient of determination of the observed feature means by the predicted ones.

    ``1 − Σ (t − x)² / Σ (t − t̄)²`` over features, with x and t the means: what
    :func:`sklearn.metrics.r2_score` computes, and the R² of CellFlow and pertpy. Unlike :func:`r2`
    it sees shift and scale. It too is high for untouched control cells.

    Parameters
    ----------
    predicted, observed
        Expression, shapes (n, d) and (m, d), in the same units.

    Returns
    -------
    At most 1 (best), negative where the mean of all features would be the better guess. NaN where
    all observed means are the same.

    Raises
    ------
    ValueError
        If the arrays are not cells by features, differ in their features, or are not finite.

    Examples
    --------
    >>> from rayot.metrics import coefficient_of_determination
    >>> coefficient_of_determination([[1.0, 2.0, 3.0]], [[1.0, 2.0, 5.0]]).__round__(3)
    0.538
    """
    first, second = (cells.mean(axis=0) for cells in as_pair(predicted, observed))
    return coefficient_of_determination_of(second, first)


@public()
def l2(predicted: ArrayLike, observed: ArrayLike) -> float:
    """Euclidean distance of the mean profiles, ‖mean(X) − mean(Y)‖.

    Parameters
    ----------
    predicted, observed
        Expression, shapes (n, d) and (m, d), in the same units.

    Returns
    -------
    At least 0 (best), in the units of the expression.

    Raises
    ------
    ValueError
        If the arrays are not cells by features, differ in their features, or are not finite.

    Examples
    --------
    >>> from rayot.metrics import l2
    >>> l2([[0.0, 0.0], [2.0, 0.0]], [[1.0, 3.0]])
    3.0
    """
    first, second = as_pair(predicted, observed)
    return float(np.linalg.norm(first.mean(axis=0) - second.mean(axis=0)))
