"""Log fold changes of mean expression, and how far a prediction misses them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rayot._public import public
from rayot.metrics._cells import Cells, as_cells, as_pair, in_one_order

MIN_EXPRESSED = 0.1
"""Share of cells that must express a gene."""

LARGEST_LOGARITHM = 25.0
"""Of an amount, at most."""

PSEUDOCOUNT = 0.01
"""Added to mean expression on the linear scale, so that a gene no cell expresses has a ratio."""


@public()
def log_fold_change(
    cells: ArrayLike,
    control: ArrayLike,
    *,
    log1p: bool = True,
    pseudocount: float = PSEUDOCOUNT,
    min_expressed: float = MIN_EXPRESSED,
) -> NDArray[np.float64]:
    """Log2 fold change of mean expression against control cells, one per gene.

    ``log2((mean(cells) + pseudocount) / (mean(control) + pseudocount))`` with means taken on the
    linear scale. A mean below zero, which a prediction can have, counts as zero. Of a gene that
    hardly any cell expresses the ratio is one of two pseudo-counts, and NaN is returned.

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
    min_expressed
        Share of the cells of either population that must express a gene, as Seurat's ``min.pct``;
        0 takes all genes.

    Returns
    -------
    Shape (d,), NaN for genes that are expressed too rarely.

    Raises
    ------
    ValueError
        If the arrays are not cells by features, differ in their features, or are not finite, if
        control cells are not on the scale that ``log1p`` says, or a number is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from rayot.metrics import log_fold_change
    >>> counts = np.array([[4.0, 1.0], [2.0, 1.0]])
    >>> log_fold_change(np.log1p(2 * counts), np.log1p(counts)).round(2).tolist()
    [1.0, 0.99]
    """
    cells, control = in_one_order((cells, "cells"), (control, "control"))
    first, second = as_cells(cells, "cells"), as_cells(control, "control")
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"cells have {first.shape[1]} features and control has {second.shape[1]}; "
            "both need the same features in the same order."
        )
    _check_scale(second, "control", log1p)
    ratio, reference = (_linear_mean(cells, log1p) + pseudocount for cells in (first, second))
    if not np.isfinite(ratio).all():
        raise ValueError(f"cells have values up to {first.max():.3g}, which are no log(1 + x).")
    changes = np.asarray(np.log2(ratio / reference))
    changes[~is_expressed(first, second, min_expressed)] = np.nan
    return changes


def is_expressed(first: Cells, second: Cells, min_expressed: float) -> NDArray[np.bool_]:
    """Which genes at least this share of the cells of one of two populations expresses, (d,)."""
    shares = np.maximum((first > 0).mean(0), (second > 0).mean(0))
    return np.asarray(shares >= min_expressed)


@public()
def log_fold_change_error(
    predicted: ArrayLike,
    observed: ArrayLike,
    control: ArrayLike,
    *,
    log1p: bool = True,
    pseudocount: float = PSEUDOCOUNT,
    min_expressed: float = MIN_EXPRESSED,
) -> float:
    """Mean absolute error of the predicted log2 fold changes, over genes that are expressed.

    For the signed error of each gene subtract two calls of :func:`log_fold_change`.

    Parameters
    ----------
    predicted, observed, control
        Expression, shapes (n, d), (m, d) and (k, d).
    log1p, pseudocount
        As in :func:`log_fold_change`.
    min_expressed
        Share of the observed or of the control cells that must express a gene; others are left out.

    Returns
    -------
    At least 0 (best), in log2 units: an error of 1 is a factor of two. NaN if no gene is expressed.

    Raises
    ------
    ValueError
        As :func:`log_fold_change`, also where observed cells are on another scale.

    Examples
    --------
    >>> import numpy as np
    >>> from rayot.metrics import log_fold_change_error
    >>> control = np.array([[4.0, 1.0], [2.0, 1.0]])
    >>> error = log_fold_change_error(control, 2 * control, control, log1p=False, pseudocount=1e-9)
    >>> round(error, 3)
    1.0
    """
    tables = (predicted, "predicted"), (observed, "observed"), (control, "control")
    first, second, reference = in_one_order(*tables)
    first, second = as_pair(first, second)
    reference = as_cells(reference, "control")
    _check_scale(second, "observed", log1p)
    changes = [
        log_fold_change(cells, reference, log1p=log1p, pseudocount=pseudocount, min_expressed=0.0)
        for cells in (first, second)
    ]
    errors = np.abs(changes[0] - changes[1])[is_expressed(second, reference, min_expressed)]
    return float(errors.mean()) if errors.size else float("nan")


@public()
def mean_difference_error(predicted: ArrayLike, observed: ArrayLike) -> float:
    """Mean absolute difference of the feature means: ``mean |mean X − mean Y|`` over features.

    What stands in the place of :func:`log_fold_change_error` where the scale of the expression is
    not known, and ratios of means have no meaning.

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
    >>> from rayot.metrics import mean_difference_error
    >>> mean_difference_error([[0.0, 0.0], [2.0, 0.0]], [[1.0, 3.0]])
    1.5
    """
    first, second = as_pair(predicted, observed)
    return float(np.abs(first.mean(axis=0) - second.mean(axis=0)).mean())


def _check_scale(cells: Cells, name: str, log1p: bool) -> None:
    """Raise a ValueError if observed cells are not on the scale they are said to be on."""
    if not log1p or (cells.min() >= 0 and cells.max() <= LARGEST_LOGARITHM):
        return
    raise ValueError(
        f"{name} has values from {cells.min():.3g} to {cells.max():.3g}, which are no log(1 + x); "
        "pass log1p=False for expression on the linear scale; compare centred expression and "
        "proteins by mean_difference_error."
    )


def _linear_mean(cells: Cells, log1p: bool) -> Cells:
    mean = np.expm1(cells).mean(axis=0) if log1p else cells.mean(axis=0)
    return np.maximum(mean, 0.0)
