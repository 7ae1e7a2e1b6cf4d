"""How well cells are translated to another modality, where the truth of each cell is known."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist
from sklearn.neighbors import KNeighborsClassifier


def foscttm(translated: ArrayLike, truth: ArrayLike) -> float:
    """Fraction of samples closer than the true match (Liu et al. 2019), 0 at best, .5 by chance.

    For each translated cell the share of true cells that are nearer to it than its own, and for
    each true cell the share of translated ones; the mean of both. Cells as near count half: one
    translation for all cells scores one half.

    Parameters
    ----------
    translated, truth
        (n, d), of the same cells in the same order.

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
    first, second = np.asarray(translated, dtype=float), np.asarray(truth, dtype=float)
    if first.shape != second.shape or first.ndim != 2 or len(first) < 2:
        raise ValueError(
            "Translated and true cells must be paired, (n, d) of at least two cells each, found "
            f"{first.shape} and {second.shape}."
        )
    for values, what in ((first, "Translated"), (second, "True")):
        if not np.isfinite(values).all():
            raise ValueError(f"{what} cells have NaN or infinite values; leave these cells out.")
    distances = cdist(first, second)
    own = np.diag(distances)
    n = len(own)
    closer = 0.0
    for of_cell in (own[:, None], own[None]):
        # A cell's own match is as near as itself.
        closer += (distances < of_cell).sum() + ((distances == of_cell).sum() - n) / 2
    return float(closer / 2 / (n * (n - 1)))


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
        Neighbours that vote.

    Examples
    --------
    >>> import numpy as np
    >>> cells = np.repeat([0.0, 5.0], 10)[:, None]
    >>> label_transfer_accuracy(cells, cells, cells[:, 0] > 1, cells[:, 0] > 1)
    1.0
    """
    voters = KNeighborsClassifier(k).fit(np.asarray(truth), np.asarray(true_labels).astype(str))
    found = voters.predict(np.asarray(translated))
    return float((found == np.asarray(labels).astype(str)).mean())
