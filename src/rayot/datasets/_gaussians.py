"""Planar sets that are made of Gaussians."""

from __future__ import annotations

import numpy as np
from anndata import AnnData

from rayot._public import public
from rayot.datasets._planar import two_populations

_STANDARD_DEVIATION = 0.1**0.5


@public()
def eight_gaussians(n_samples: int = 1000, *, seed: int = 0) -> AnnData:
    """One Gaussian in the middle that must be split among eight on a circle of radius 5.

    Every Gaussian has variance 0.1; the eight have sizes that differ by one point at most.

    Parameters
    ----------
    n_samples
        Points in each population.
    seed
        Seed of the generator that is made for this call.

    Returns
    -------
    AnnData of shape (2 · `n_samples`, 2): float32 ``X`` with ``var_names`` x and y,
    ``obs["perturbation"]`` with the categories "control" and "perturbed".

    Raises
    ------
    ValueError
        If `n_samples` < 1 or `seed` < 0.

    Examples
    --------
    >>> import rayot as rt
    >>> rt.datasets.eight_gaussians(80).shape
    (160, 2)
    """
    rng = np.random.default_rng(seed)
    angles = np.arange(8) * np.pi / 4
    centres = 5 * np.column_stack([np.cos(angles), np.sin(angles)])
    return two_populations(
        _blobs(np.zeros((1, 2)), n_samples, rng), _blobs(centres, n_samples, rng)
    )


@public()
def checkerboard(n_samples: int = 1000, *, seed: int = 0) -> AnnData:
    """Five source and four target Gaussians on the alternating fields of a 3 x 3 board.

    Fields are 3 apart and every Gaussian has variance 0.1; the source holds the corners and the
    middle, the target the fields between them.

    Parameters
    ----------
    n_samples
        Points in each population.
    seed
        Seed of the generator that is made for this call.

    Returns
    -------
    AnnData of shape (2 · `n_samples`, 2): float32 ``X`` with ``var_names`` x and y,
    ``obs["perturbation"]`` with the categories "control" and "perturbed".

    Raises
    ------
    ValueError
        If `n_samples` < 1 or `seed` < 0.

    Examples
    --------
    >>> import rayot as rt
    >>> rt.datasets.checkerboard(80).shape
    (160, 2)
    """
    rng = np.random.default_rng(seed)
    fields = np.array([(x, y) for x in (-3, 0, 3) for y in (-3, 0, 3)], dtype=float)
    return two_populations(
        _blobs(fields[0::2], n_samples, rng), _blobs(fields[1::2], n_samples, rng)
    )


def _blobs(centres: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    which = rng.permutation(np.arange(n) % len(centres))
    return centres[which] + rng.normal(0, _STANDARD_DEVIATION, (n, 2))
