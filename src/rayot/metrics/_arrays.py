"""Small calculations on profiles that several metrics share."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rayot.metrics._cells import Cells, as_cells


def pearson(first: Cells, second: Cells) -> float:
    """Pearson correlation of two profiles (d,); NaN where one is constant."""
    first, second = first - first.mean(), second - second.mean()
    scale = np.linalg.norm(first) * np.linalg.norm(second)
    return float(np.clip(first @ second / scale, -1.0, 1.0)) if scale > 0 else float("nan")


def coefficient_of_determination_of(
    truth: Cells, predicted: Cells, weights: Cells | None = None
) -> float:
    """1 − Σ w (t − x)² / Σ w (t − t̄)² of two profiles (d,); NaN where the truth is constant."""
    weights = np.ones_like(truth) if weights is None else weights
    total = weights.sum()
    if total == 0:
        return float("nan")
    centre = weights @ truth / total
    spread = weights @ (truth - centre) ** 2
    return float(1.0 - weights @ (truth - predicted) ** 2 / spread) if spread > 0 else float("nan")


def as_weights(weights: ArrayLike, n_features: int) -> NDArray[np.float64]:
    """Weights of features as a float64 array, or one sentence why not."""
    values = as_cells(np.atleast_2d(np.asarray(weights)), "weights")
    if values.shape != (1, n_features):
        raise ValueError(
            f"weights have shape {np.shape(weights)}; there are {n_features} features, each of "
            "which needs one."
        )
    if values.min() < 0:
        raise ValueError(f"weights must be at least 0, found {values.min():.3g}.")
    return values[0]
