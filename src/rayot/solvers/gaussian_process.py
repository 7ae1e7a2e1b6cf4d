"""Responses of perturbations that only a vector describes, by a Gaussian process on others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

FEWEST_GROUPS = 5
"""Perturbations with which it can be told whether vectors predict one from the others."""


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
        ``"none"``, or the kernel: ``"linear"`` and ``"rbf"`` of standardised vectors, or
        ``"tanimoto"`` of vectors as they are, none of whose entries is negative.
    length_scale
        Of ``"rbf"``, in units of standardised vectors.
    noise
        Variance of what vectors do not explain, where that of the process is about 1.
    vectors
        (n, k), of the perturbations of training.

    Examples
    --------
    >>> import numpy as np
    >>> process = GaussianProcess("rbf", 1.0, 0.1, np.eye(3))
    >>> process.weights(np.eye(3)[:1]).round(2)
    array([[0.89, 0.05, 0.05]])
    """

    covariance: Covariance
    length_scale: float
    noise: float
    vectors: np.ndarray

    def weights(self, vectors: np.ndarray) -> np.ndarray:
        """Weights (m, n) of the responses of training in those of vectors (m, k)."""
        inverse, across = self._inverse, self._kernel(vectors, self.vectors)
        of_mean = inverse.sum(0) / inverse.sum()
        weights = across @ inverse
        return weights + (1 - weights.sum(1, keepdims=True)) * of_mean

    def variance(self, vectors: np.ndarray) -> np.ndarray:
        """Predictive variance (m,) of responses at vectors (m, k), noise included.

        It is in units of a scale of each feature, see :meth:`scale`.
        """
        inverse, across = self._inverse, self._kernel(vectors, self.vectors)
        own = np.array([self._kernel(each[None], each[None])[0, 0] for each in vectors])
        explained = np.einsum("mn,nl,ml->m", across, inverse, across)
        of_mean = np.square(1 - across @ inverse.sum(1)) / inverse.sum()
        return self.noise + own - explained + of_mean

    def left_out(
        self, responses: np.ndarray, groups: Sequence[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Errors (n, d) of responses (n, d) by the others, and their predictive variances (n,).

        Groups, rows of one perturbation each, are left out whole, one after the other (Dubrule
        1983): nothing is fitted again.
        """
        inverse = self._inverse
        of_mean = inverse.sum(0)
        precision = inverse - np.outer(of_mean, of_mean) / of_mean.sum()
        errors, variances = np.array(precision @ responses), np.zeros(len(responses))
        for rows in groups:
            covariance = np.linalg.inv(precision[np.ix_(rows, rows)])
            errors[rows] = covariance @ errors[rows]
            variances[rows] = np.diag(covariance)
        return errors, variances

    def scale(self, responses: np.ndarray, groups: Sequence[np.ndarray]) -> np.ndarray:
        """Standard deviation (d,) of each feature where :meth:`variance` is 1.

        It is that of left-out errors, so that intervals are as wide as these ask for, whatever the
        kernel.
        """
        errors, variances = self.left_out(responses, groups)
        return np.sqrt(np.mean(np.square(errors) / variances[:, None], axis=0))

    @property
    def _inverse(self) -> np.ndarray:
        """Inverse of the covariance of the responses of training."""
        own = self._kernel(self.vectors, self.vectors)
        return np.linalg.inv(own + self.noise * np.eye(len(own)))

    def _kernel(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return KERNELS[self.covariance](first, second, self.vectors, self.length_scale)


def _none(
    first: np.ndarray, second: np.ndarray, known: np.ndarray, length_scale: float
) -> np.ndarray:
    return np.zeros((len(first), len(second)))


def _linear(
    first: np.ndarray, second: np.ndarray, known: np.ndarray, length_scale: float
) -> np.ndarray:
    return standardised(first, known) @ standardised(second, known).T / known.shape[1]


def _rbf(
    first: np.ndarray, second: np.ndarray, known: np.ndarray, length_scale: float
) -> np.ndarray:
    squares = cdist(standardised(first, known), standardised(second, known), "sqeuclidean")
    return np.exp(-squares / (2 * length_scale**2))


def _tanimoto(
    first: np.ndarray, second: np.ndarray, known: np.ndarray, length_scale: float
) -> np.ndarray:
    """Shared over all bits (Ralaivola et al. 2005)."""
    shared = first @ second.T
    squares = np.square(first).sum(1)[:, None] + np.square(second).sum(1)
    return shared / np.maximum(squares - shared, np.finfo(float).tiny)


KERNELS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray, float], np.ndarray]] = {
    "none": _none,
    "linear": _linear,
    "rbf": _rbf,
    "tanimoto": _tanimoto,
}
"""By name: between vectors (m, k) and (l, k), by those of training and a length scale."""


def standardised(vectors: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Vectors (m, k), each entry with mean 0 and standard deviation 1 over those known (n, k)."""
    spread = known.std(0)
    return (vectors - known.mean(0)) / np.where(spread > 0, spread, 1)


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
            "not predict its response better than this mean."
        )


def choose(
    vectors: np.ndarray,
    responses: np.ndarray,
    groups: Sequence[np.ndarray],
    kernels: Sequence[Kernel],
) -> Choice:
    """The Gaussian process with the smallest error of left-out perturbations.

    Unless its error is below that of the mean of the others by more than one standard error of
    the difference, vectors are taken to say nothing, as they are of fewer than
    :data:`FEWEST_GROUPS` perturbations.

    Parameters
    ----------
    vectors, responses
        (n, k) and (n, d), of training.
    groups
        Rows of each perturbation.
    kernels
        Those that are tried.
    """
    nothing = GaussianProcess("none", 1.0, 1.0, vectors)
    if len(groups) < FEWEST_GROUPS:
        return Choice(nothing, {"none": 1.0})
    of_nothing = _squared_errors(nothing, responses, groups)
    best, errors = (nothing, of_nothing), {"none": 1.0}
    for kernel in kernels:
        tried = [
            (process, _squared_errors(process, responses, groups))
            for process in _candidates(kernel, vectors)
        ]
        of_kernel = min(tried, key=lambda one: one[1].sum())
        errors[kernel] = float(of_kernel[1].sum() / max(of_nothing.sum(), np.finfo(float).tiny))
        if of_kernel[1].sum() < best[1].sum():
            best = of_kernel
    gain = of_nothing - best[1]
    is_sure = gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain))
    return Choice(best[0] if is_sure else nothing, errors)


def _candidates(kernel: Kernel, vectors: np.ndarray) -> list[GaussianProcess]:
    lengths = [1.0]
    if kernel == "rbf":
        own = standardised(vectors, vectors)
        apart = cdist(own, own)[np.triu_indices(len(own), 1)]
        median = float(np.median(apart)) or 1.0
        lengths = [share * median for share in LENGTH_SCALES]
    return [
        GaussianProcess(kernel, length, noise, vectors) for length in lengths for noise in NOISES
    ]


def _squared_errors(
    process: GaussianProcess, responses: np.ndarray, groups: Sequence[np.ndarray]
) -> np.ndarray:
    """Mean squared length of the left-out errors of each group."""
    squares = np.square(process.left_out(responses, groups)[0]).sum(1)
    return np.array([squares[rows].mean() for rows in groups])
