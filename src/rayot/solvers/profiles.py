"""Predictions from the mean profiles of other perturbations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rayot._combinations import COMBINED_BY, parts_of
from rayot._docs import shared
from rayot.solvers.population import Population
from rayot.solvers.shift import ShiftMap, ShiftSettings


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
    n_profiles
        Principal components of the training profiles, for :func:`ridge_shift`.
    penalty
        Of the squared coefficients there.
    {common_settings}
    """

    embedding_key: str | None = None
    n_profiles: int = 10
    penalty: float = 0.1

    presets: ClassVar[dict[str, dict[str, Any]]] = {"paper": {}, "fast": {"decode": "delta"}}


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
) -> np.ndarray:
    r"""Shift (d,) by the bilinear ridge regression of Ahlmann-Eltze, Huber & Anders (2025).

    With the shifts of the training perturbations as columns of Y, centred by their mean b, the
    genes' scores A on the leading principal components of the perturbations' mean profiles, and the
    perturbations' vectors B: :math:`K = (A^T A + λ)^{-1} A^T Y B^T (B B^T + λ)^{-1}`, and the
    prediction is A K B_new + b.

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
    others = [name for name in shifts if name != target]
    if len(others) < 2:
        raise ValueError(
            f"A ridge regression needs training cells of at least two perturbations other than "
            f"{target!r}, found {len(others)}."
        )
    of_others = np.stack([vectors[name] for name in others], axis=1)
    if not np.any(vectors[target] @ of_others):
        raise ValueError(_nothing_in_common(target))
    changes = np.stack([shifts[name] for name in others], axis=1)
    mean = changes.mean(1, keepdims=True)
    profiles = changes + control[:, None]
    left, values, _ = np.linalg.svd(profiles - profiles.mean(0), full_matrices=False)
    scores = (left * values)[:, :n_components]
    inner = scores.T @ scores + penalty * np.eye(scores.shape[1])
    outer = of_others @ of_others.T + penalty * np.eye(len(of_others))
    core = np.linalg.solve(inner, scores.T @ (changes - mean) @ of_others.T) @ np.linalg.inv(outer)
    return scores @ core @ vectors[target] + mean[:, 0]


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
