"""Responses of perturbations that only a vector describes, by a Gaussian process on others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.spatial.distance import cdist

Kernel = Literal["linear", "rbf", "tanimoto"]
Covariance = Literal["none", "linear", "rbf", "tanimoto"]

NOISES = (0.001, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Variances of the noise that are tried, where that of the process is about 1."""

LENGTH_SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Length scales that are tried, over the median distance of two vectors."""

FEWEST = 5
"""Perturbations with which it can be told whether vectors predict one from the others."""

N_PERMUTATIONS, SIGNIFICANCE = 39, 0.05
"""Of vectors among perturbations, and the share of them that may be as good as the vectors."""

N_COMPONENTS = 50
"""Of the responses, whose errors are compared."""


@dataclass(frozen=True)
class GaussianProcess:
    """A Gaussian process of responses over vectors, with a constant mean that is not known.

    All features of a response share the covariance and have scales of their own, so a predicted
    response is a weighted sum of those of training. The weights add up to 1, as the mean is
    estimated by generalised least squares: ordinary kriging (Rasmussen & Williams 2006, section
    2.7). With the covariance ``"none"`` vectors say nothing, and all weigh alike.

    Attributes
    ----------
    covariance
        ``"none"``, or the kernel: ``"linear"`` and ``"rbf"`` of scaled vectors, or ``"tanimoto"``
        of vectors as they are, none of whose entries is negative.
    length_scale
        Of ``"rbf"``, in units of scaled vectors.
    noise
        Variance of what vectors do not explain, where that of the process is about 1.
    standardise
        Whether each entry of vectors has a scale of its own, as suits properties in different
        units; else all have one, as suits principal components.
    vectors
        (n, k), of the perturbations of training.

    Examples
    --------
    >>> import numpy as np
    >>> process = GaussianProcess("rbf", 1.0, 0.1, True, np.eye(3))
    >>> process.weights(np.eye(3)[:1]).round(2)
    array([[0.94, 0.03, 0.03]])
    """

    covariance: Covariance
    length_scale: float
    noise: float
    standardise: bool
    vectors: np.ndarray

    def weights(self, vectors: np.ndarray) -> np.ndarray:
        """Weights (m, n) of the responses of training in those of vectors (m, k)."""
        inverse, across = self._inverse, self._kernel(vectors, self.vectors)
        of_mean = inverse.sum(0) / inverse.sum()
        weights = across @ inverse
        return weights + (1 - weights.sum(1, keepdims=True)) * of_mean

    def variance(self, vectors: np.ndarray) -> np.ndarray:
        """Predictive variance (m,) of responses at vectors (m, k), noise included.

        It is in units of a scale of each feature, which left-out errors tell.
        """
        inverse, across = self._inverse, self._kernel(vectors, self.vectors)
        own = np.array([self._kernel(each[None], each[None])[0, 0] for each in vectors])
        explained = np.einsum("mn,nl,ml->m", across, inverse, across)
        of_mean = np.square(1 - across @ inverse.sum(1)) / inverse.sum()
        return self.noise + own - explained + of_mean

    def left_out(self, responses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Errors (n, d) of responses (n, d), each predicted by the others, and variances (n,).

        Nothing is fitted again (Dubrule 1983).
        """
        precision = self.precision
        variances = 1 / precision.diagonal()
        return variances[:, None] * (precision @ responses), variances

    @property
    def precision(self) -> np.ndarray:
        """Precision (n, n) of the responses of training, whose mean may be any."""
        inverse = self._inverse
        of_mean = inverse.sum(0)
        return inverse - np.outer(of_mean, of_mean) / of_mean.sum()

    @property
    def _inverse(self) -> np.ndarray:
        """Inverse of the covariance of the responses of training."""
        own = self._kernel(self.vectors, self.vectors)
        return np.linalg.inv(own + self.noise * np.eye(len(own)))

    def _kernel(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        if self.covariance != "tanimoto":
            first, second = (
                scaled(vectors, self.vectors, self.standardise) for vectors in (first, second)
            )
        return KERNELS[self.covariance](first, second, self.length_scale)


def scaled(vectors: np.ndarray, known: np.ndarray, standardise: bool) -> np.ndarray:
    """Vectors (m, k) less the mean of those known (n, k), whose entries are about 1 thereafter.

    Each entry is divided by its standard deviation over those known, or all by the same.
    """
    spread = known.std(0)
    if not standardise:
        spread = np.full_like(spread, np.sqrt(np.square(spread).mean()))
    return (vectors - known.mean(0)) / np.where(spread > 0, spread, 1)


def _none(first: np.ndarray, second: np.ndarray, length_scale: float) -> np.ndarray:
    return np.zeros((len(first), len(second)))


def _linear(first: np.ndarray, second: np.ndarray, length_scale: float) -> np.ndarray:
    return first @ second.T / first.shape[1]


def _rbf(first: np.ndarray, second: np.ndarray, length_scale: float) -> np.ndarray:
    return np.exp(-cdist(first, second, "sqeuclidean") / (2 * length_scale**2))


def _tanimoto(first: np.ndarray, second: np.ndarray, length_scale: float) -> np.ndarray:
    """Shared over all bits (Ralaivola et al. 2005)."""
    shared = first @ second.T
    squares = np.square(first).sum(1)[:, None] + np.square(second).sum(1)
    return shared / np.maximum(squares - shared, np.finfo(float).tiny)


KERNELS: dict[str, Callable[[np.ndarray, np.ndarray, float], np.ndarray]] = {
    "none": _none,
    "linear": _linear,
    "rbf": _rbf,
    "tanimoto": _tanimoto,
}
"""By name: between vectors (m, k) and (l, k), with a length scale."""


@dataclass(frozen=True)
class Choice:
    """A Gaussian process that predicts left-out perturbations, and what else was tried.

    Attributes
    ----------
    process
        The one chosen.
    errors
        For each covariance that was tried, the squared error of left-out responses by its best
        length scale and noise, over that of the mean of the others; 1 of ``"none"``.
    """

    process: GaussianProcess
    errors: dict[str, float]

    def sentence(self, n_others: int) -> str:
        """What a predicted response is made of, for a reader."""
        chosen = self.process.covariance
        if chosen != "none":
            return (
                f"It is a weighted sum of the responses of {n_others} others by their vectors "
                f"({chosen} kernel), which left {self.errors[chosen]:.0%} of the squared error of "
                "their mean where each was left out."
            )
        if len(self.errors) == 1:
            return (
                f"It is the mean response of {n_others} others: they are too few to tell whether "
                "vectors predict a response."
            )
        return (
            f"It is the mean response of {n_others} others: where each was left out, vectors did "
            "not predict it better than vectors of other perturbations would."
        )


def choose(
    vectors: np.ndarray, responses: np.ndarray, kernels: Sequence[Kernel], seed: int
) -> Choice:
    """The Gaussian process with the smallest error of left-out perturbations.

    Unless it is smaller than nearly always where vectors are those of other perturbations, drawn at
    random, vectors are taken to say nothing. This holds however many candidates there are, as all
    are tried each time. Of fewer than :data:`FEWEST` perturbations nothing can be told.

    Parameters
    ----------
    vectors, responses
        (n, k) and (n, d), of training.
    kernels
        Those that are tried.
    seed
        Keys the permutations.
    """
    nothing = GaussianProcess("none", 1.0, 1.0, False, vectors)
    n = len(vectors)
    if n < FEWEST:
        return Choice(nothing, {"none": 1.0})
    left, values, _ = np.linalg.svd(responses, full_matrices=False)
    components = (left * values)[:, :N_COMPONENTS]
    generator = np.random.default_rng([seed, n])
    orders = [np.arange(n), *(generator.permutation(n) for _ in range(N_PERMUTATIONS))]
    permuted = np.concatenate([components[order] for order in orders], axis=1)
    of_nothing = max(_squared_error(nothing, components)[0], np.finfo(float).tiny)
    best, errors = nothing, {"none": 1.0}
    smallest = np.full(len(orders), np.inf)
    for kernel in kernels:
        for process in _candidates(kernel, vectors):
            error = _squared_error(process, permuted, len(orders)) / of_nothing
            if error[0] < smallest[0]:
                best = process
            errors[kernel] = min(errors.get(kernel, np.inf), float(error[0]))
            smallest = np.minimum(smallest, error)
    p_value = np.mean(smallest <= smallest[0])
    says_something = p_value <= SIGNIFICANCE and smallest[0] < 1
    return Choice(best if says_something else nothing, errors)


def _candidates(kernel: Kernel, vectors: np.ndarray) -> Iterator[GaussianProcess]:
    """Processes of a kernel, with each scaling, length scale and noise."""
    for standardise in (True, False) if kernel != "tanimoto" else (False,):
        lengths = [1.0]
        if kernel == "rbf":
            own = scaled(vectors, vectors, standardise)
            median = float(np.median(cdist(own, own)[np.triu_indices(len(own), 1)])) or 1.0
            lengths = [share * median for share in LENGTH_SCALES]
        for length in lengths:
            for noise in NOISES:
                yield GaussianProcess(kernel, length, noise, standardise, vectors)


def _squared_error(process: GaussianProcess, responses: np.ndarray, n_sets: int = 1) -> np.ndarray:
    """Squared length of left-out errors of each of several sets (n, n_sets d) of responses."""
    errors = process.left_out(responses)[0]
    return np.square(errors).reshape(len(errors), n_sets, -1).sum((0, 2))
