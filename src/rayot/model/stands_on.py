"""What the prediction of a condition stands on that was not in training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

SHOWN = 3
"""Conditions of training that are named."""


@dataclass(frozen=True)
class StandsOn:
    """Conditions of training that are like one that was not.

    Attributes
    ----------
    names
        Parts of a combination, or the nearest conditions, the nearest one first.
    distance
        How far their vectors are, in units of the median distance between nearest neighbours of
        training; 0 of parts.
    outside
        Share of the vector's distance from the mean of training in directions in which training
        does not vary: 0 of a combination, and always 0 where training varies in all of them.
    is_combination
        Whether the names are parts.
    """

    names: tuple[str, ...]
    distance: tuple[float, ...]
    outside: float
    is_combination: bool = False

    @classmethod
    def parts(cls, names: Sequence[str]) -> StandsOn:
        """Parts of a combination whose moves are added."""
        return cls(tuple(names), (0.0,) * len(names), 0.0, True)

    @classmethod
    def nearest(cls, vector: np.ndarray, names: Sequence[str], known: np.ndarray) -> StandsOn:
        """The nearest of conditions of training.

        Parameters
        ----------
        vector
            (k,) of the condition.
        names, known
            Of conditions of training, and their vectors (n, k).
        """
        distance = np.linalg.norm(known - vector, axis=1)
        apart = cdist(known, known)
        np.fill_diagonal(apart, np.inf)
        unit = float(np.median(apart.min(1))) if len(known) > 1 else 0.0
        order = np.argsort(distance, kind="stable")[:SHOWN]
        if unit > 0:
            distance = distance / unit
        away, directions = vector - known.mean(0), known - known.mean(0)
        coefficients = np.linalg.lstsq(directions.T, away, rcond=None)[0]
        left = np.linalg.norm(away - coefficients @ directions)
        length = np.linalg.norm(away)
        return cls(
            tuple(names[number] for number in order),
            tuple(float(distance[number]) for number in order),
            float(left / length) if length > 0 else 0.0,
        )

    @property
    def sentence(self) -> str:
        """All of it, for a reader."""
        if self.is_combination:
            return f"It is made of {' and '.join(map(repr, self.names))}, which were."
        near = ", ".join(
            f"{name!r} ({distance:.2g})"
            for name, distance in zip(self.names, self.distance, strict=True)
        )
        said = f"Nearest to it are {near}, where 1 is the distance of neighbours in training."
        if self.outside < 0.5:
            return said
        return f"{said} {self.outside:.0%} of what sets it apart is nothing that training varied."

    def columns(self) -> dict[str, np.ndarray | float]:
        """As plain values for ``uns``."""
        return {
            "names": np.asarray(self.names, dtype=str),
            "distance": np.asarray(self.distance, dtype=np.float32),
            "outside": self.outside,
        }
