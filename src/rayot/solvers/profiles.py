"""Predictions from the mean profiles of other perturbations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rayot._combinations import COMBINED_BY, parts_of
from rayot._docs import shared
from rayot.solvers.gaussian_process import Kernel, choose
from rayot.solvers.population import Population
from rayot.solvers.shift import ShiftMap, ShiftSettings

LEAST_LEFT = 1e-3
"""Share of a shift, at least, that its regression does not simply repeat."""


@shared
@dataclass(frozen=True)
class ProfileSettings(ShiftSettings):
    """Settings of a prediction from the profiles of other perturbations.

    Attributes
    ----------
    embedding_key
        Entry of ``uns`` with a vector for each perturbation (a mapping or a data frame with one row
        each). A combination without one has the sum of its parts'. None describes a perturbation by
        the parts that its name joins by ``+``.
    kernel
        Of a regression on vectors. ``"linear"`` is :func:`ridge_shift`. ``"rbf"``, of
        scaled vectors, and ``"tanimoto"``, of fingerprints, are Gaussian processes, whose scaling,
        length scale and noise predict the responses of perturbations that are left out, one after
        the other. Where they do not, it is the mean of all others.
    n_profiles
        Principal components of the training profiles, for :func:`ridge_shift`.
    penalty
        Of the squared coefficients there.
    {common_settings}
    """

    embedding_key: str | None = None
    kernel: Kernel = "linear"
    n_profiles: int = 10
    penalty: float = 0.1

    may_lack: ClassVar[tuple[str, ...]] = ("kernel",)

    presets: ClassVar[dict[str, dict[str, Any]]] = {"paper": {}, "fast": {"decode": "delta"}}


@dataclass(frozen=True)
class PredictedShift:
    """A shift that follows from those of other perturbations, and how sure it is.

    Attributes
    ----------
    shift
        (d,).
    errors
        (n, d), errors of the shifts of other perturbations, each predicted without its own cells,
        over the standard deviation that they are expected to have relative to that of this one;
        None where that is not known. So their root mean square is the predictive standard deviation
        of the shift.
    said
        What the prediction is made of, for a reader.
    """

    shift: np.ndarray
    errors: np.ndarray | None = None
    said: str = ""

    @classmethod
    def of(
        cls,
        shift: np.ndarray,
        left_out: tuple[np.ndarray, np.ndarray],
        variance: float,
        said: str,
    ) -> PredictedShift:
        """A shift with its predictive variance, and errors (n, d) and variances (n,) of others.

        Both variances are relative. What n errors say of their scale makes the predictive
        distribution Student's with n − 1 degrees of freedom, whose variance is larger.
        """
        errors, variances = left_out
        n_errors = len(errors)
        of_few = (n_errors - 1) / (n_errors - 3) if n_errors > 3 else 1.0
        return cls(shift, errors * np.sqrt(of_few * variance / variances)[:, None], said)


def described(names: Sequence[str]) -> np.ndarray:
    """Vectors (n, parts) that count the parts of each name."""
    parts = sorted({part for name in names for part in parts_of(name)})
    return np.array([[parts_of(name).count(part) for part in parts] for name in names], dtype=float)


def additive_shift(target: str, shifts: Mapping[str, np.ndarray]) -> np.ndarray:
    """Sum of the shifts (d,) of the parts of a combination.

    Raises
    ------
    ValueError
        If the target is no combination, or training cells lack one of its parts.
    """
    parts = sorted(parts_of(target))
    if len(parts) < 2:
        raise ValueError(
            f"{target!r} is no combination; name one whose parts are joined by {COMBINED_BY!r}."
        )
    if missing := [part for part in parts if part not in shifts]:
        raise ValueError(
            f"No training cells of {missing}, of which {target!r} is made; there are those of "
            f"{sorted(shifts)}."
        )
    return np.sum([shifts[part] for part in parts], axis=0)


def nearest_shift(
    target: str, shifts: Mapping[str, np.ndarray], vectors: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Shift (d,) of the other perturbation whose vector is nearest by its cosine.

    Where several are as near, their mean.

    Raises
    ------
    ValueError
        If no other perturbation has anything in common with the target.
    """
    others = [name for name in shifts if name != target]
    own = vectors[target]
    lengths = np.array([np.linalg.norm(vectors[name]) for name in others]) * np.linalg.norm(own)
    products = np.array([vectors[name] @ own for name in others])
    similarity = products / np.maximum(lengths, np.finfo(float).tiny)
    if not len(others) or similarity.max() <= 0:
        raise ValueError(_nothing_in_common(target))
    nearest = np.flatnonzero(similarity >= similarity.max() - 1e-9)
    return np.mean([shifts[others[number]] for number in nearest], axis=0)


def ridge_shift(
    target: str,
    shifts: Mapping[str, np.ndarray],
    vectors: Mapping[str, np.ndarray],
    n_components: int,
    penalty: float,
    control: np.ndarray,
) -> PredictedShift:
    r"""Shift (d,) by the bilinear ridge regression of Ahlmann-Eltze, Huber & Anders (2025).

    With the shifts of the training perturbations as columns of Y, centred by their mean b, the
    genes' scores A on the leading principal components of the perturbations' mean profiles, and the
    perturbations' vectors B: :math:`K = (A^T A + λ)^{-1} A^T Y B^T (B B^T + λ)^{-1}`, and the
    prediction is A K B_new + b.

    Variances are those of a Bayesian linear regression with this penalty. Left-out errors follow
    from the leverages of the regression on vectors; components are those of all perturbations, so
    that errors are rather too small.

    Parameters
    ----------
    target
        Name of the perturbation.
    shifts
        Of other perturbations, (d,) each; the target's own is not looked at.
    vectors
        Of these and of the target.
    n_components, penalty
        Columns of A, and λ.
    control
        Mean (d,) of the cells that shifts start from.

    Raises
    ------
    ValueError
        If fewer than two other perturbations have training cells, or none has anything in common
        with the target.
    """
    others = _others(target, shifts)
    of_others = np.stack([vectors[name] for name in others], axis=1)
    if not np.any(vectors[target] @ of_others):
        raise ValueError(_nothing_in_common(target))
    changes = np.stack([shifts[name] for name in others], axis=1)
    mean = changes.mean(1, keepdims=True)
    centred = changes - mean
    scores = _scores(changes, control, n_components)
    inner = scores.T @ scores + penalty * np.eye(scores.shape[1])
    outer = of_others @ of_others.T + penalty * np.eye(len(of_others))
    inverse = np.linalg.inv(outer)
    core = np.linalg.solve(inner, scores.T @ centred @ of_others.T) @ inverse
    shift = scores @ core @ vectors[target] + mean[:, 0]
    hat = of_others.T @ inverse @ of_others
    # A fitted shift knows its own one by the regression and by the mean of all.
    own = np.diag(hat) + (1 - hat.sum(1)) / len(others)
    left = 1 - own.clip(0, 1 - LEAST_LEFT)
    predicted = centred - (centred - centred @ hat) / left
    errors = centred - scores @ np.linalg.solve(inner, scores.T @ predicted)
    variance = 1 + 1 / len(others) + float(vectors[target] @ inverse @ vectors[target])
    said = f"It is a ridge regression on the vectors of {len(others)} others."
    return PredictedShift.of(shift, (errors.T, 1 / left), variance, said)


def kernel_shift(
    target: str,
    shifts: Mapping[str, np.ndarray],
    vectors: Mapping[str, np.ndarray],
    kernel: Kernel,
    seed: int,
) -> PredictedShift:
    """Shift by a Gaussian process on the vectors of other perturbations.

    Raises
    ------
    ValueError
        If fewer than two other perturbations have training cells, or a Tanimoto kernel is asked
        for and vectors have negative entries.
    """
    others = _others(target, shifts)
    known, own = np.stack([vectors[name] for name in others]), vectors[target][None]
    if kernel == "tanimoto" and min(known.min(), own.min()) < 0:
        raise ValueError(
            "kernel='tanimoto' compares fingerprints, whose entries are not negative, and some of "
            "these vectors have negative ones; take kernel='rbf'."
        )
    changes = np.stack([shifts[name] for name in others])
    choice = choose(known, changes, (kernel,), seed)
    process = choice.process
    return PredictedShift.of(
        (process.weights(own) @ changes)[0],
        process.left_out(changes),
        float(process.variance(own)[0]),
        choice.sentence(len(others)),
    )


def _scores(changes: np.ndarray, control: np.ndarray, n_components: int) -> np.ndarray:
    """Genes' scores (d, n_components) on the principal components of profiles, of shifts (d, n)."""
    profiles = changes + control[:, None]
    left, values, _ = np.linalg.svd(profiles - profiles.mean(0), full_matrices=False)
    return (left * values)[:, :n_components]


def _others(target: str, shifts: Mapping[str, np.ndarray]) -> list[str]:
    """Other perturbations with training cells, two at least."""
    others = [name for name in shifts if name != target]
    if len(others) < 2:
        raise ValueError(
            f"A ridge regression needs training cells of at least two perturbations other than "
            f"{target!r}, found {len(others)}."
        )
    return others


def _nothing_in_common(target: str) -> str:
    return (
        f"No perturbation with training cells has a part or a direction in common with {target!r}; "
        "give vectors by embedding_key."
    )


class ProfileMap(ShiftMap):
    """P maps that move every cell alike, by a shift that was found elsewhere."""

    settings_type = ProfileSettings

    def fit(self, source: Population, target: Population) -> None:
        """Nothing: the shift is given."""
