"""Cells at a time between those of source and target."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rayot._arguments import number, refused

SEED = 10**15
"""Added to a model's seed, it keys the draws of when genes are switched."""

REASON = (
    "The fit was judged at its two times and not between them. Where cells of a time between were "
    "measured, name them, model.at(time=…, name=…): rayot.tl.evaluate scores the model by them."
)
"""What is said of a time between."""


def two_times(name: str, value: object) -> tuple[float, float]:
    """The times of source and target, the earlier first.

    Raises
    ------
    ValueError
        If it is something else.
    """
    pair: tuple[object, ...] = ()
    if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str):
        pair = tuple(value)
    if len(pair) != 2:
        raise refused(name, "a pair of numbers, the times of source and target", value)
    first, last = (number(name, each) for each in pair)
    if not first < last:
        raise refused(name, "the times of source and target, the earlier first", value)
    return first, last


def checked_time(time: float, times: tuple[float, float], source: str, target: str) -> None:
    """Raise a ValueError if nothing can be said of a time."""
    first, last = times
    if not first <= time <= last:
        raise ValueError(
            f"time must be from {first:g} ({source!r}) to {last:g} ({target!r}), found {time:g}: "
            "the map says nothing of what comes before or after."
        )


def displaced(own: np.ndarray, moved: np.ndarray, share: float, draws: np.ndarray) -> np.ndarray:
    """Expression (n, g) float32 of cells that have gone a share of their way.

    Values go straight from where they start to where they end (displacement interpolation, McCann
    1997). Zeros of single cells are mostly genes that were not counted, and a value a little above
    zero is one that no cell has: a gene that is zero at one end alone is switched at a time of its
    own, so that the zeros of a population pass evenly from those of one end to those of the other.

    Parameters
    ----------
    own, moved
        (n, g), at both ends.
    share
        From 0 to 1.
    draws
        (n, g), uniform in [0, 1).
    """
    between = own + np.float32(share) * (moved - own)
    switched = (own == 0) != (moved == 0)
    return np.where(switched, np.where(draws < share, moved, own), between)
