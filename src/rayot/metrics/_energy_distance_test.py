"""Whether two populations differ: the permutation test of the energy distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist

from rayot._arguments import refused
from rayot._public import public
from rayot.metrics._cells import Cells, as_pair

BLOCK_ENTRIES = 2**22
"""Distances held at once."""


@dataclass(frozen=True)
class EnergyDistanceTest:
    """What :func:`energy_distance_test` found.

    Attributes
    ----------
    statistic
        Energy distance of the two populations.
    p_value
        Share of the permutations that lie as far apart, the data among them.
    n_permutations
        How many there were.
    """

    statistic: float
    p_value: float
    n_permutations: int


@public()
def energy_distance_test(
    predicted: ArrayLike,
    observed: ArrayLike,
    *,
    strata: tuple[ArrayLike, ArrayLike] | None = None,
    n_permutations: int = 999,
    squared: bool = False,
    seed: int = 0,
) -> EnergyDistanceTest:
    """Permutation test of whether two populations are of one distribution.

    Cells are exchanged between the populations. The p-value is
    ``(1 + number of permutations with a distance of at least the observed one) / (1 + number of
    permutations)``, never zero. Whether the distance is biased or not does not matter, as sizes
    stay. Over several perturbations correct it, such as by Benjamini and Hochberg.

    Parameters
    ----------
    predicted, observed
        Expression, shapes (n, d) and (m, d), of at least two cells each. Memory grows with the
        number of cells times that of permutations.
    strata
        Labels (n,) and (m,), such as patients or cell types: cells are then compared and exchanged
        within them only, so that strata that are there in other numbers are not taken for a
        difference. The distance is the mean over strata, weighted by their cells; those without two
        cells of both populations are left out.
    n_permutations
        How many.
    squared
        Squared Euclidean distances, as the E-test of scPerturb takes them.
    seed
        Seed of the permutations.

    Returns
    -------
    Energy distance (unbiased), p-value and number of permutations.

    Raises
    ------
    ValueError
        If the arrays are not cells by features, differ in their features, are not finite or have a
        single cell, there are not as many labels as cells, or no stratum has two cells of both.

    References
    ----------
    Székely and Rizzo (2013), Energy statistics; Peidli et al. (2024), scPerturb.

    Examples
    --------
    >>> import numpy as np
    >>> from rayot.metrics import energy_distance_test
    >>> cells = np.random.default_rng(0).normal(size=(60, 3))
    >>> energy_distance_test(cells[:30], cells[30:] + 1, n_permutations=99).p_value
    0.01
    >>> energy_distance_test(cells[:30], cells[30:], n_permutations=99).p_value > 0.05
    True
    """
    first, second = as_pair(predicted, observed, at_least=2)
    pairs = [(first, second)] if strata is None else _by_stratum(first, second, strata)
    generator = np.random.default_rng(seed)
    sizes = np.array([len(one) + len(other) for one, other in pairs], dtype=np.float64)
    distances = sum(
        size * _distances(*pair, n_permutations, squared, generator)
        for size, pair in zip(sizes / sizes.sum(), pairs, strict=True)
    )
    # Equal distances may differ in their last digits, which are those of the sums they are made of.
    scale = max(float(np.ptp(np.concatenate([first, second]), axis=0).max()), 1e-300)
    as_far = distances[1:] >= distances[0] - 1e-9 * (scale**2 if squared else scale)
    p_value = (1 + int(as_far.sum())) / (1 + n_permutations)
    return EnergyDistanceTest(float(distances[0]), p_value, n_permutations)


def _by_stratum(
    first: Cells, second: Cells, strata: tuple[ArrayLike, ArrayLike]
) -> list[tuple[Cells, Cells]]:
    """Cells of each stratum that has at least two of both populations."""
    if not isinstance(strata, tuple | list) or len(strata) != 2:
        raise refused("strata", "a pair, the labels of the cells of each population", strata)
    labels = [np.asarray(side).astype(str) for side in strata]
    if [side.shape for side in labels] != [(len(first),), (len(second),)]:
        raise ValueError(
            f"strata have shapes {labels[0].shape} and {labels[1].shape}; they need one label for "
            f"each of {len(first)} and {len(second)} cells."
        )
    pairs = [
        (first[labels[0] == label], second[labels[1] == label])
        for label in np.intersect1d(labels[0], labels[1])
        if min((side == label).sum() for side in labels) > 1
    ]
    if not pairs:
        raise ValueError(
            "No stratum has two cells of both populations, so none can be exchanged; name fewer "
            "strata."
        )
    return pairs


def _distances(
    first: Cells, second: Cells, n_permutations: int, squared: bool, generator: np.random.Generator
) -> Cells:
    """Energy distance of the populations as they are, and of their permutations: (1 + B,)."""
    n, m = len(first), len(second)
    members = _permuted(np.arange(n + m) < n, n_permutations, generator)
    within, between, within_others = _sums(np.concatenate([first, second]), members, squared)
    return 2 * between / (n * m) - within / (n * (n - 1)) - within_others / (m * (m - 1))


def _permuted(
    is_first: NDArray[np.bool_], n_permutations: int, generator: np.random.Generator
) -> Cells:
    """Which cells are of the first population, as they are and permuted: (cells, 1 + B)."""
    members = np.tile(is_first.astype(np.float64)[:, None], 1 + n_permutations)
    members[:, 1:] = generator.permuted(members[:, 1:], axis=0)
    return members


def _sums(cells: Cells, members: Cells, squared: bool) -> tuple[Cells, Cells, Cells]:
    """Sums of distances within the first population, between both, within the second: (1 + B,)."""
    within, of_first, total = np.zeros(members.shape[1]), np.zeros(members.shape[1]), 0.0
    rows = max(1, BLOCK_ENTRIES // len(cells))
    for start in range(0, len(cells), rows):
        block = cdist(cells[start : start + rows], cells, "sqeuclidean" if squared else "euclidean")
        inside = members[start : start + rows]
        within += np.einsum("rb,rb->b", inside, block @ members)
        of_first += block.sum(axis=1) @ inside
        total += float(block.sum())
    return within, of_first - within, total - 2 * of_first + within
