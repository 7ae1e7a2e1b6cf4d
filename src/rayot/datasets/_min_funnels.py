"""Min-funnel potentials on a cube, and populations that they transport into each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rayot.datasets._twister import Twister

HALF_SIDE = 2.5
"""Of the cube, which is centred on the origin."""

PUBLISHED_SEED = 987
DEGREE = 8


@dataclass(frozen=True)
class MinFunnels:
    """The potential u(x) = min_k ‖x − c_k‖ + b_k and the pair of populations that it solves.

    Target points are uniform in the cube. Each lies on a ray of u that starts in a centre and ends
    where another funnel takes over or the cube ends; at the share t of its ray, it comes from the
    source point at t⁸ of the same ray. So mass moves away from the centres and f = −u is the
    potential of the Wasserstein-1 problem (Korotin et al. 2022, section 4).

    Attributes
    ----------
    centres
        (funnels, d) float32, within the cube.
    biases
        (funnels,) float32.

    Examples
    --------
    >>> import numpy as np
    >>> pair = MinFunnels.drawn(2, 4)
    >>> points = pair.target(3, np.random.default_rng(0))
    >>> pair.source_of(points).shape, pair.direction(points).shape
    ((3, 2), (3, 2))
    """

    centres: np.ndarray
    biases: np.ndarray

    @classmethod
    def drawn(cls, dim: int, funnels: int, seed: int = PUBLISHED_SEED) -> MinFunnels:
        """Draw centres and biases; the published seed gives the published pairs.

        Parameters
        ----------
        dim, funnels
            Powers of two from 2 and 4, for which the published order of draws is known.
        seed
            Below 2³².
        """
        stream = Twister(seed)
        # The published network was initialised before its parameters were replaced.
        stream.normal(funnels * dim)
        stream.normal(funnels)
        centres = np.float32(HALF_SIDE) * (2 * stream.uniform(funnels * dim) - 1)
        return cls(centres.reshape(funnels, dim), np.float32(0.1) * stream.normal(funnels))

    def distances(self, points: np.ndarray) -> np.ndarray:
        """‖x − c_k‖, (n, funnels)."""
        squares = np.square(points).sum(1)[:, None] + np.square(self.centres).sum(1)
        return np.sqrt(np.maximum(squares - 2 * points @ self.centres.T, 0))

    def potential(self, points: np.ndarray) -> np.ndarray:
        """f(x) = −u(x), (n,): E_source f − E_target f is the Wasserstein-1 distance."""
        nearest = self._nearest(points)
        return -np.linalg.norm(points - self.centres[nearest], axis=1) - self.biases[nearest]

    def direction(self, points: np.ndarray) -> np.ndarray:
        """Unit vectors −∇f(x) along which mass moves, (n, d); zero in a centre."""
        return _unit(points - self.centres[self._nearest(points)])[0]

    def target(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Points uniform in the cube, (n, d) float32."""
        uniform = rng.random((n, self.centres.shape[1]), dtype=np.float32)
        return np.float32(HALF_SIDE) * (2 * uniform - 1)

    def source(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Points of the source, (n, d) float32, independent of those of the target."""
        return self.source_of(self.target(n, rng))

    def source_of(self, target: np.ndarray) -> np.ndarray:
        """Where each target point comes from under the optimal plan, (n, d)."""
        nearest = self._nearest(target)
        start = self.centres[nearest]
        direction, reached = _unit(target - start)
        left = np.minimum(
            _to_the_wall(target, direction), self._to_another_funnel(target, direction, nearest)
        )
        # A point in a centre has no ray and stays.
        length = reached + np.where(reached > 0, left, 0)
        share = np.divide(reached, length, out=np.zeros_like(reached), where=length > 0)
        return start + (share**DEGREE * length)[:, None] * direction

    def _nearest(self, points: np.ndarray) -> np.ndarray:
        return (self.distances(points) + self.biases).argmin(1)

    def _to_another_funnel(
        self, points: np.ndarray, direction: np.ndarray, nearest: np.ndarray
    ) -> np.ndarray:
        """How far u still grows along the ray, r, before another funnel is lower: (n,).

        ‖x − c_k + r v‖ = h + r with h = u(x) − b_k, squared, is linear in r; the root must not make
        the right side negative.
        """
        distances = self.distances(points)
        height = (distances + self.biases).min(1)[:, None] - self.biases
        along = (points * direction).sum(1)[:, None] - direction @ self.centres.T
        with np.errstate(divide="ignore", invalid="ignore"):
            root = (np.square(distances) - np.square(height)) / (2 * (height - along))
        root[~((root > 0) & (root > -height))] = np.inf
        root[np.arange(len(root)), nearest] = np.inf
        return root.min(1)


def _to_the_wall(points: np.ndarray, direction: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = (np.copysign(np.float32(HALF_SIDE), direction) - points) / direction
    return np.where(direction == 0, np.inf, steps).min(1).astype(points.dtype)


def _unit(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    length = np.linalg.norm(vectors, axis=1)
    return vectors / np.where(length > 0, length, 1)[:, None], length
