"""Whether predicted cells lie among observed ones or among themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from sklearn.neighbors import NearestNeighbors

from rayot._arguments import refused
from rayot._public import public
from rayot.metrics._cells import as_pair
from rayot.metrics._subsample import equal_subsamples


@public()
def knn_enrichment(
    predicted: ArrayLike,
    observed: ArrayLike,
    *,
    neighbours: Sequence[int] = (50, 100),
    seed: int = 0,
) -> float:
    """Share of the nearest neighbours of predicted cells that are predicted, too (CellOT).

    Neighbours are looked for among both populations together, of equal size, without the cell
    itself; the mean over numbers of neighbours and cells. 0.5 where both mix, 1 where predictions
    lie apart, or too close together; below 0.5 they avoid each other.

    Parameters
    ----------
    predicted, observed
        Expression, shapes (n, d) and (m, d), in the same units. The larger is subsampled.
    neighbours
        Numbers of neighbours.
    seed
        Seed of the subsampling.

    Returns
    -------
    Between 0 and 1; best is 0.5.

    Raises
    ------
    ValueError
        If the arrays are not cells by features, differ in their features, or are not finite, or
        there are not more cells than neighbours.

    References
    ----------
    Bunne et al. (2023), CellOT.

    Examples
    --------
    >>> import numpy as np
    >>> from rayot.metrics import knn_enrichment
    >>> cells = np.random.default_rng(0).normal(size=(400, 3))
    >>> abs(knn_enrichment(cells[:200], cells[200:]) - 0.5) < 0.02
    True
    >>> knn_enrichment(cells[:200], cells[200:] + 100)
    1.0
    """
    numbers = np.atleast_1d(np.asarray(neighbours))
    if numbers.size == 0 or numbers.dtype.kind not in "iu" or numbers.min() < 1:
        raise refused("neighbours", "whole numbers of at least 1", neighbours)
    first, second = equal_subsamples(*as_pair(predicted, observed), None, seed)
    most = int(numbers.max())
    if most >= 2 * len(first):
        raise ValueError(
            f"There are {len(first)} predicted and as many observed cells, too few for {most} "
            "neighbours; pass smaller neighbours."
        )
    search = NearestNeighbors(n_neighbors=most).fit(np.concatenate([first, second]))
    # The cells of the search themselves; each is left out of its own neighbours.
    nearest = search.kneighbors(return_distance=False)[: len(first)]
    is_predicted = nearest < len(first)
    return float(np.mean([is_predicted[:, :number].mean() for number in numbers]))
