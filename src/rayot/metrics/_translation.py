"""How well cells are translated to another modality, where the truth of each cell is known."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist
from sklearn.neighbors import KNeighborsClassifier

from rayot._public import public
from rayot.metrics._cells import as_cells, as_pair, in_one_order, same_cells


@public()
def foscttm(translated: ArrayLike, truth: ArrayLike) -> float:
    """Fraction of samples closer than the true match (Liu et al. 2019), 0 at best, .5 by chance.

    For each translated cell the share of true cells that are nearer to it than its own, and for
    each true cell the share of translated ones; the mean of both. Cells as near count half: one
    translation for all cells scores one half.

    Parameters
    ----------
    translated, truth
        (n, d), of the same cells in the same order; tables are matched by the names of their rows
        and columns.

    Raises
    ------
    ValueError
        If shapes differ, there are fewer than two cells, or values are NaN or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> cells = np.arange(10.0)[:, None]
    >>> foscttm(cells, cells)
    0.0
    """
    translated, truth = in_one_order((translated, "translated"), (truth, "truth"))
    translated, truth = same_cells(translated, truth)
    first = as_cells(translated, "translated", at_least=2)
    second = as_cells(truth, "truth", at_least=2)
    if first.shape != second.shape:
        raise ValueError(
            "Translated and true cells must be paired, (n, d) of at least two cells each, found "
            f"{first.shape} and {second.shape}."
        )
    distances = cdist(first, second)
    own = np.diag(distances)
    n = len(own)
    closer = 0.0
    for of_cell in (own[:, None], own[None]):
        # A cell's own match is as near as itself.
        closer += (distances < of_cell).sum() + ((distances == of_cell).sum() - n) / 2
    return float(closer / 2 / (n * (n - 1)))


@public()
def label_transfer_accuracy(
    translated: ArrayLike, truth: ArrayLike, labels: ArrayLike, true_labels: ArrayLike, k: int = 5
) -> float:
    """Share of translated cells whose label their k nearest true cells vote for, 1 at best.

    Parameters
    ----------
    translated, truth
        (n, d) and (m, d), which need not be the same cells.
    labels, true_labels
        (n,) and (m,), their cell types.
    k
        Neighbours that vote; all true cells where they are fewer.

    Raises
    ------
    ValueError
        If there are not as many labels as cells, dimensions differ, or values are NaN or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> cells = np.repeat([0.0, 5.0], 10)[:, None]
    >>> label_transfer_accuracy(cells, cells, cells[:, 0] > 1, cells[:, 0] > 1)
    1.0
    """
    first, second = as_pair(translated, truth)
    own = _labels(labels, "labels", len(first))
    others = _labels(true_labels, "true_labels", len(second))
    voters = KNeighborsClassifier(min(k, len(second))).fit(second, others)
    return float((voters.predict(first) == own).mean())


def _labels(values: ArrayLike, name: str, n: int) -> np.ndarray:
    labels = np.asarray(values)
    if labels.shape != (n,):
        raise ValueError(
            f"{name} has shape {labels.shape}; it needs one label for each of {n} cells."
        )
    return labels.astype(object).astype(str)
