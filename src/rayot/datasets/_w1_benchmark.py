"""The pairs of the continuous Wasserstein-1 benchmark, as cells would come."""

from __future__ import annotations

import numpy as np
from anndata import AnnData

from rayot._public import public
from rayot.data.keys import Key
from rayot.datasets._min_funnels import MinFunnels
from rayot.datasets._planar import two_populations

DIMENSIONS = (2, 4, 8, 16, 32, 64, 128)
FUNNELS = (4, 16, 64, 256)


@public()
def w1_benchmark(dim: int, funnels: int, *, n_samples: int = 1000, seed: int = 0) -> AnnData:
    """A pair of the continuous Wasserstein-1 benchmark: the direction of every ray is known.

    Target points are uniform in a cube of half side 2.5. Source points lie nearer to the next of a
    number of centres, on the same rays, so that mass moves away from the centres. Source and target
    are drawn apart: no point knows its partner. Centres and biases are the published ones.

    Parameters
    ----------
    dim
        Dimension of the cube: 2, 4, 8, 16, 32, 64 or 128.
    funnels
        Number of centres: 4, 16, 64 or 256.
    n_samples
        Points in each population.
    seed
        Seed of the generator that is made for this call; it draws points, not centres.

    Returns
    -------
    AnnData of shape (2 · `n_samples`, `dim`): float32 ``X``, ``obs["perturbation"]`` with the
    categories "control" (source, first half) and "perturbed" (target), ``obs["true_potential"]``,
    an optimal Kantorovich potential f, and ``obsm["true_direction"]``, the unit vectors −∇f along
    which mass moves. The mean of f over the source minus that over the target is W1.

    Raises
    ------
    ValueError
        If there is no such pair, `n_samples` < 1 or `seed` < 0.

    References
    ----------
    Korotin A, Kolesov A, Burnaev E. Kantorovich strikes back! Wasserstein GANs are not optimal
    transport? NeurIPS, datasets and benchmarks (2022).

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.w1_benchmark(16, 64, n_samples=100)
    >>> adata.shape, adata.obsm["true_direction"].shape
    ((200, 16), (200, 16))
    """
    for name, value, allowed in (("dim", dim, DIMENSIONS), ("funnels", funnels, FUNNELS)):
        if value not in allowed:
            raise ValueError(f"{name} is {value!r}; the benchmark has pairs of {allowed}.")
    rng = np.random.default_rng(seed)
    pair = MinFunnels.drawn(dim, funnels)
    partners, target = pair.target(n_samples, rng), pair.target(n_samples, rng)
    adata = two_populations(pair.source_of(partners), target)
    adata.obs[Key.obs.true_potential] = pair.potential(np.asarray(adata.X))
    # Near a centre the source point itself, once rounded, no longer tells its ray.
    adata.obsm[Key.obsm.true_direction] = pair.direction(np.concatenate([partners, target]))
    return adata
