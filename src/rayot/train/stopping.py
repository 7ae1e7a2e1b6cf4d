"""When each problem of a stack ends: out of patience, or with a loss that is not finite."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


class Stopping:
    """Which problems still train; no problem waits for, or feels, its neighbours.

    Parameters
    ----------
    n_problems
        P.
    patience
        Blocks without improvement after which a problem ends; None never ends one.
    sign
        1 if the held-out value should rise, −1 if it should fall.

    Examples
    --------
    >>> stopping = Stopping(2, patience=1, sign=1)
    >>> stopping.update([1.0, 1.0]), stopping.update([2.0, 0.5]), stopping.active
    (None, None, [True, False])
    """

    def __init__(self, n_problems: int, patience: int | None, sign: int) -> None:
        self.patience = patience
        self.sign = sign
        self.best = [-math.inf] * n_problems
        self.waited = [0] * n_problems
        self.active = [True] * n_problems

    def update(self, held_out: Sequence[float]) -> None:
        """Take note of the held-out values after a block."""
        for problem, value in enumerate(held_out):
            if self.sign * value > self.best[problem]:
                self.best[problem] = self.sign * value
                self.waited[problem] = 0
            else:
                self.waited[problem] += 1
            if self.patience is not None and self.waited[problem] >= self.patience:
                self.active[problem] = False

    def state(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return {"best": self.best, "waited": self.waited, "active": self.active}

    def load(self, state: dict[str, Any]) -> None:
        """Inverse of :meth:`state`."""
        self.best, self.waited, self.active = state["best"], state["waited"], state["active"]
