"""Log fold changes of mean expression, and how far a prediction misses them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rayot.metrics._cells import Cells, as_cells, as_pair

PSEUDOCOUNT = 0.01
"""Added to mean expression on the linear scale, so that a gene no cell expresses has a ratio."""


def log_fold_change(
    cells: ArrayLike,
    control: ArrayLike,
    *,
    log1p: bool = True,
    pseudocount: float = PSEUDOCOUNT,
) -> NDArray[np.float64]:
    """Log2 fold change of mean expression against control cells, one per gene.

    ``log2((mean(cells) + pseudocount) / (mean(control) + pseudocount))`` with means taken on the
    linear scale. A mean below zero, which a prediction can have, counts as zero.

    Parameters
    ----------
    cells, control
        Expression, shapes (n, d) and (m, d).
    log1p
        The values are log(1 + x) and are brought back by ``expm1`` before averaging, cell by cell.
        False for values on the linear scale.
    pseudocount
        Added to both means, in units of linear expression. It pulls the fold change of genes that
        are expressed less than this towards zero; scanpy adds 1e-9, Seurat 1.

    Returns
    -------
    Shape (d,).

    Raises
    ------
    ValueError
        If the arrays are not cells by features, differ in their features, or are not finite, or if
        the pseudo-count is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from rayot.metrics import log_fold_change
    >>> counts = np.array([[4.0, 1.0], [2.0, 1.0]])
    >>> log_fold_change(np.log1p(2 * counts), np.log1p(counts)).round(2).tolist()
    [1.0, 0.99]
    """
    if pseudocount <= 0:
        raise ValueError(f"pseudocount is {pseudocount}; it needs to be positive.")
    ratio = _linear_mean(as_cells(cells, "cells"), log1p) + pseudocount
    reference = _linear_mean(as_cells(control, "control"), log1p) + pseudocount
    if ratio.shape != reference.shape:
        raise ValueError(
            f"cells have {ratio.size} features and control has {reference.size}; "
            "both need the same features in the same order."
        )
    return np.asarray(np.log2(ratio / reference))


def log_fold_change_error(
    predicted: ArrayLike,
    observed: ArrayLike,
    control: ArrayLike,
    *,
    log1p: bool = True,
    pseudocount: float = PSEUDOCOUNT,
) -> float:
    """Mean absolute error of the predicted log2 fold changes, over genes.

    For the signed error of each gene subtract two calls of :func:`log_fold_change`.

    Parameters
    ----------
    predicted, observed, control
        Expression, shapes (n, d), (m, d) and (k, d).
    log1p, pseudocount
        As in :func:`log_fold_change`.

    Returns
    -------
    At least 0 (best), in log2 units: an error of 1 is a factor of two.

    Raises
    ------
    ValueError
        If the arrays are not cells by features, differ in their features, or are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from rayot.metrics import log_fold_change_error
    >>> control = np.array([[4.0, 1.0], [2.0, 1.0]])
    >>> error = log_fold_change_error(control, 2 * control, control, log1p=False, pseudocount=1e-9)
    >>> round(error, 3)
    1.0
    """
    first, second = as_pair(predicted, observed)
    error = log_fold_change(first, control, log1p=log1p, pseudocount=pseudocount) - log_fold_change(
        second, control, log1p=log1p, pseudocount=pseudocount
    )
    return float(np.abs(error).mean())


def _linear_mean(cells: Cells, log1p: bool) -> Cells:
    mean = np.expm1(cells).mean(axis=0) if log1p else cells.mean(axis=0)
    return np.maximum(mean, 0.0)
