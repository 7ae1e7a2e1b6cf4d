"""Two populations of points in the plane, to see a transport map with one's own eyes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from sklearn.datasets import make_circles, make_moons, make_s_curve, make_swiss_roll

from rayot._public import public
from rayot.datasets._planar import legacy_seed, two_populations


@public()
def bookshelf(n_samples: int = 1000, *, noise: float = 0.001, seed: int = 0) -> AnnData:
    r"""Two thin shelves on one line: does a map keep the order of the books?

    Source x ~ U(0, 1), target x ~ U(2, 3), both with y ~ N(0, `noise`\ ²). On a line every coupling
    that sends the source into the target has the same W1 cost, 2; the monotone one is wanted.

    Parameters
    ----------
    n_samples
        Points in each population.
    noise
        Standard deviation of y.
    seed
        Seed of the generator that is made for this call.

    Returns
    -------
    AnnData of shape (2 · `n_samples`, 2): float32 ``X`` with ``var_names`` x and y,
    ``obs["perturbation"]`` with the categories "control" (source, first half) and "perturbed"
    (target).

    Raises
    ------
    ValueError
        If `n_samples` < 1, `noise` < 0 or `seed` < 0.

    References
    ----------
    The W1OT paper, figure 2a.

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.bookshelf(100)
    >>> adata.shape, list(adata.obs["perturbation"].cat.categories)
    ((200, 2), ['control', 'perturbed'])
    """
    rng = np.random.default_rng(seed)
    source = np.column_stack([rng.uniform(0, 1, n_samples), rng.normal(0, noise, n_samples)])
    target = np.column_stack([rng.uniform(2, 3, n_samples), rng.normal(0, noise, n_samples)])
    return two_populations(source, target)


@public()
def circles(n_samples: int = 1000, *, noise: float = 0.01, seed: int = 0) -> AnnData:
    """Four concentric circles: does the inner source reach the inner target, the outer the outer?

    Source radii are 0.5 and 1.5, target radii 1 and 2, each ring with half of its population's
    points at equal angles.

    Parameters
    ----------
    n_samples
        Points in each population.
    noise
        Standard deviation of the Gaussian noise on both coordinates, the same on every ring.
    seed
        Seed of the generator that is made for this call.

    Returns
    -------
    AnnData of shape (2 · `n_samples`, 2): float32 ``X`` with ``var_names`` x and y,
    ``obs["perturbation"]`` with the categories "control" and "perturbed", and ``obs["ring"]`` with
    the categories "inner" and "outer".

    Raises
    ------
    ValueError
        If `n_samples` < 1, `noise` < 0 or `seed` < 0.

    References
    ----------
    The W1OT paper, figure 2b.

    Examples
    --------
    >>> import rayot as rt
    >>> rt.datasets.circles(100).obs["ring"].value_counts().to_dict()
    {'inner': 100, 'outer': 100}
    """
    rng = np.random.default_rng(seed)
    n_inner = (n_samples + 1) // 2
    n_outer = n_samples - n_inner
    ring = np.repeat(["inner", "outer"], [n_inner, n_outer])
    small, small_is_source = make_circles((n_inner, n_inner), shuffle=False, factor=0.5)
    large, large_is_source = make_circles((n_outer, n_outer), shuffle=False, factor=0.5)
    source = np.concatenate([small[small_is_source == 1], 3 * large[large_is_source == 1]])
    target = np.concatenate([small[small_is_source == 0], 2 * large[large_is_source == 0]])
    order = [rng.permutation(n_samples), rng.permutation(n_samples)]
    adata = two_populations(
        source[order[0]] + rng.normal(0, noise, (n_samples, 2)),
        target[order[1]] + rng.normal(0, noise, (n_samples, 2)),
    )
    adata.obs["ring"] = pd.Categorical(
        np.concatenate([ring[order[0]], ring[order[1]]]), categories=["inner", "outer"]
    )
    return adata


@public()
def swiss_roll(n_samples: int = 1000, *, noise: float = 0.01, seed: int = 0) -> AnnData:
    """A standard Gaussian that must be wound into a Swiss roll.

    The target is the first and third coordinate of scikit-learn's Swiss roll divided by 4, so that
    it reaches about 3.5 from the origin.

    Parameters
    ----------
    n_samples
        Points in each population.
    noise
        Standard deviation of the Gaussian noise of the target, in units of the returned data.
    seed
        Seed of the generator that is made for this call.

    Returns
    -------
    AnnData of shape (2 · `n_samples`, 2): float32 ``X`` with ``var_names`` x and y,
    ``obs["perturbation"]`` with the categories "control" and "perturbed".

    Raises
    ------
    ValueError
        If `n_samples` < 1, `noise` < 0 or `seed` < 0.

    References
    ----------
    The W1OT paper, figure 2c.

    Examples
    --------
    >>> import rayot as rt
    >>> rt.datasets.swiss_roll(100).shape
    (200, 2)
    """
    rng = np.random.default_rng(seed)
    roll, _ = make_swiss_roll(n_samples, random_state=legacy_seed(rng))
    target = roll[:, [0, 2]] / 4 + rng.normal(0, noise, (n_samples, 2))
    return two_populations(rng.normal(0, 1, (n_samples, 2)), target)


@public()
def moons(n_samples: int = 1000, *, noise: float = 0.05, seed: int = 0) -> AnnData:
    """Two interleaving half circles, one the source and one the target.

    Parameters
    ----------
    n_samples
        Points in each population.
    noise
        Standard deviation of the Gaussian noise on both coordinates.
    seed
        Seed of the generator that is made for this call.

    Returns
    -------
    AnnData of shape (2 · `n_samples`, 2): float32 ``X`` with ``var_names`` x and y,
    ``obs["perturbation"]`` with the categories "control" and "perturbed".

    Raises
    ------
    ValueError
        If `n_samples` < 1, `noise` < 0 or `seed` < 0.

    References
    ----------
    The W1OT paper, figure 2d.

    Examples
    --------
    >>> import rayot as rt
    >>> rt.datasets.moons(100).shape
    (200, 2)
    """
    rng = np.random.default_rng(seed)
    points, moon = make_moons((n_samples, n_samples), noise=noise, random_state=legacy_seed(rng))
    return two_populations(points[moon == 0], points[moon == 1])


@public()
def s_curve(n_samples: int = 1000, *, noise: float = 0.01, seed: int = 0) -> AnnData:
    """A small Gaussian (variance 0.05) that must be drawn out into an S.

    Parameters
    ----------
    n_samples
        Points in each population.
    noise
        Standard deviation of the Gaussian noise of the target.
    seed
        Seed of the generator that is made for this call.

    Returns
    -------
    AnnData of shape (2 · `n_samples`, 2): float32 ``X`` with ``var_names`` x and y,
    ``obs["perturbation"]`` with the categories "control" and "perturbed".

    Raises
    ------
    ValueError
        If `n_samples` < 1, `noise` < 0 or `seed` < 0.

    Examples
    --------
    >>> import rayot as rt
    >>> rt.datasets.s_curve(100).shape
    (200, 2)
    """
    rng = np.random.default_rng(seed)
    curve, _ = make_s_curve(n_samples, noise=noise, random_state=legacy_seed(rng))
    return two_populations(rng.normal(0, 0.05**0.5, (n_samples, 2)), curve[:, [2, 0]])
