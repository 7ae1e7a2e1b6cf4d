"""Agreement of the changes of mean profiles, and of the genes that matter in them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import ttest_ind_from_stats

from rayot._public import public
from rayot.metrics._arrays import as_weights, coefficient_of_determination_of, pearson
from rayot.metrics._cells import Cells, as_cells, as_pair, in_one_order

FEWEST_PERTURBATIONS = 10
"""Whose mean says what perturbations have in common."""


@public()
def pearson_delta(predicted: ArrayLike, observed: ArrayLike, reference: ArrayLike) -> float:
    """Pearson correlation of the predicted and the observed change of the feature means.

    Of control cells as reference this is the field's "Pearson delta". What all perturbations do
    alike, such as a stress of handling, raises it for any method that predicts it: read it beside
    the mean of other perturbations, or take these as the reference, by
    :func:`pearson_delta_systema`.

    Parameters
    ----------
    predicted, observed
        Expression, shapes (n, d) and (m, d), in the same units.
    reference
        Cells, or mean profiles, whose mean changes are counted from, shape (k, d).

    Returns
    -------
    Between −1 and 1 (best). NaN where a change is the same in all features, as for control cells
    that are their own prediction.

    Raises
    ------
    ValueError
        If the arrays are not cells by features, differ in their features, or are not finite.

    Examples
    --------
    >>> from rayot.metrics import pearson_delta
    >>> control = [[5.0, 1.0, 1.0]]
    >>> pearson_delta([[5.0, 3.0, 1.0]], [[5.0, 2.0, 1.0]], control).__round__(6)
    1.0
    """
    first, second, third = _three(predicted, observed, reference, "reference")
    centre = third.mean(axis=0)
    return pearson(first.mean(axis=0) - centre, second.mean(axis=0) - centre)


@public()
def pearson_delta_systema(predicted: ArrayLike, observed: ArrayLike, reference: ArrayLike) -> float:
    """:func:`pearson_delta` against the mean of the perturbations in training (Systema).

    What perturbations have in common is taken off: only what is particular to this one counts.

    Parameters
    ----------
    predicted, observed
        Expression, shapes (n, d) and (m, d), in the same units.
    reference
        Mean profiles of at least ten perturbations that were in training, one a row, shape (q, d).

    Returns
    -------
    Between −1 and 1 (best); about 0 where a method predicts the same for all perturbations. NaN
    where a difference is the same in all features.

    Raises
    ------
    ValueError
        If there are fewer than ten profiles, or the arrays are not cells by features, differ in
        their features, or are not finite.

    References
    ----------
    Viñas Torné et al. (2025), Systema.

    Examples
    --------
    >>> import numpy as np
    >>> from rayot.metrics import pearson_delta_systema
    >>> training = np.random.default_rng(0).normal(size=(12, 5))
    >>> cells = np.random.default_rng(1).normal(size=(30, 5))
    >>> pearson_delta_systema(cells, cells, training).__round__(6)
    1.0
    """
    profiles = as_cells(reference, "reference")
    if len(profiles) < FEWEST_PERTURBATIONS:
        raise ValueError(
            f"reference has {len(profiles)} profiles; the mean of fewer than "
            f"{FEWEST_PERTURBATIONS} perturbations does not say what they have in common. "
            "pearson_delta counts changes from control cells."
        )
    return float(pearson_delta(predicted, observed, reference))


@public()
def differential_weights(cells: ArrayLike, others: ArrayLike) -> NDArray[np.float64]:
    r"""Weights of genes by how clearly they differ: 0 for the least, 1 for the most.

    :math:`((|s| - \min |s|) / (\max |s| - \min |s|))^2`, with s the t statistic of scanpy's
    ``"t-test_overestim_var"``. Take the weights from observed cells that are not those a prediction
    is compared with, such as one half of them.

    Parameters
    ----------
    cells, others
        Expression, shapes (n, d) and (m, d), of at least two cells each: of a perturbation, and of
        control cells or of all other perturbations.

    Returns
    -------
    Shape (d,).

    Raises
    ------
    ValueError
        If the arrays are not cells by features, differ in their features, are not finite, have a
        single cell, or all genes differ alike.

    References
    ----------
    Mejia et al. (2025), arXiv 2506.22641.

    Examples
    --------
    >>> from rayot.metrics import differential_weights
    >>> differential_weights([[0.0, 5.0], [1.0, 6.0]], [[0.0, 1.0], [1.0, 0.0]]).tolist()
    [0.0, 1.0]
    """
    cells, others = in_one_order((cells, "cells"), (others, "others"))
    first, second = as_cells(cells, "cells", at_least=2), as_cells(others, "others", at_least=2)
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"cells have {first.shape[1]} features and others "
            f"{second.shape[1]}; both need the same."
        )
    n = len(first)
    sides = [(side.mean(axis=0), side.std(axis=0, ddof=1), n) for side in (first, second)]
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = ttest_ind_from_stats(*sides[0], *sides[1], equal_var=False).statistic
    size = np.abs(np.nan_to_num(statistic, posinf=np.inf, neginf=np.inf))
    # Genes that are constant on both sides and differ: as clear as the clearest of the others.
    size[np.isinf(size)] = size[np.isfinite(size)].max(initial=0.0) or 1.0
    if np.ptp(size) == 0:
        raise ValueError("All genes differ alike between the two, so none has more weight.")
    return np.asarray(((size - size.min()) / np.ptp(size)) ** 2)


@public()
def weighted_mse(predicted: ArrayLike, observed: ArrayLike, weights: ArrayLike) -> float:
    """Mean squared error of the feature means, with a weight for each: Σ w (x − t)² / Σ w.

    Parameters
    ----------
    predicted, observed
        Expression, shapes (n, d) and (m, d), in the same units.
    weights
        Shape (d,), at least 0, such as those of :func:`differential_weights`.

    Returns
    -------
    At least 0 (best), in squared units of the expression. NaN where all weights are 0.

    Raises
    ------
    ValueError
        If the arrays are not cells by features, differ in their features, or are not finite, or
        weights are not as many, or negative.

    References
    ----------
    Mejia et al. (2025), arXiv 2506.22641.

    Examples
    --------
    >>> from rayot.metrics import weighted_mse
    >>> weighted_mse([[0.0, 2.0]], [[1.0, 0.0]], weights=[1.0, 3.0])
    3.25
    """
    first, second = as_pair(predicted, observed)
    values = as_weights(weights, first.shape[1])
    if values.sum() == 0:
        return float("nan")
    return float(values @ (first.mean(axis=0) - second.mean(axis=0)) ** 2 / values.sum())


@public()
def weighted_r2_delta(
    predicted: ArrayLike, observed: ArrayLike, reference: ArrayLike, weights: ArrayLike
) -> float:
    """Coefficient of determination of the changes of the means, with a weight for each feature.

    ``1 − Σ w (e − d)² / Σ w (e − ē)²``, with d and e the predicted and the observed change and ē
    the weighted mean of e.

    Parameters
    ----------
    predicted, observed
        Expression, shapes (n, d) and (m, d), in the same units.
    reference
        Cells, or mean profiles, whose mean changes are counted from, shape (k, d).
    weights
        Shape (d,), at least 0, such as those of :func:`differential_weights`.

    Returns
    -------
    At most 1 (best). NaN where the observed change is the same in all features that weigh anything.

    Raises
    ------
    ValueError
        If the arrays are not cells by features, differ in their features, or are not finite, or
        weights are not as many, or negative.

    References
    ----------
    Mejia et al. (2025), arXiv 2506.22641.

    Examples
    --------
    >>> from rayot.metrics import weighted_r2_delta
    >>> weighted_r2_delta([[1.0, 4.0]], [[1.0, 3.0]], [[1.0, 1.0]], weights=[1.0, 1.0])
    0.5
    """
    first, second, third = _three(predicted, observed, reference, "reference")
    centre = third.mean(axis=0)
    values = as_weights(weights, first.shape[1])
    return coefficient_of_determination_of(
        second.mean(axis=0) - centre, first.mean(axis=0) - centre, values
    )


def _three(
    predicted: ArrayLike, observed: ArrayLike, reference: ArrayLike, name: str
) -> tuple[Cells, Cells, Cells]:
    """Two populations and what they are compared with, validated, with the same features."""
    tables = (predicted, "predicted"), (observed, "observed"), (reference, name)
    predicted, observed, reference = in_one_order(*tables)
    first, second = as_pair(predicted, observed)
    _, third = as_pair(predicted, reference, other=name)
    return first, second, third
