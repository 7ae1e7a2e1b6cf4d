"""One cell of a grid."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any


@dataclass(frozen=True)
class Task:
    """What a method is to predict, and from which cells it may learn.

    Attributes
    ----------
    method
        Name of the method.
    perturbation
        Condition to predict.
    split
        Column of ``obs`` with "train" and "test".
    space
        Name of the space.
    seed
        Seed of the fit.
    control
        Condition that cells start from.
    groupby
        Column of ``obs`` with the conditions.
    layer
        Layer with expression; None is ``X``.
    use_rep
        Entry of ``obsm`` to work on; None is the expression itself.

    Examples
    --------
    >>> from rayot.benchmark import Task
    >>> Task("ridge", "IFNG", "split", "genes", 0).control
    'control'
    """

    method: str
    perturbation: str
    split: str
    space: str
    seed: int
    control: str = "control"
    groupby: str = "perturbation"
    layer: str | None = None
    use_rep: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def digest(self, split_hash: str) -> str:
        """Name of its file: of what it is, and of which cells its split sets apart."""
        place = {
            name: getattr(self, name)
            for name in ("method", "perturbation", "split", "space", "seed")
        }
        written = json.dumps({**place, "split_hash": split_hash}, sort_keys=True)
        return sha256(written.encode()).hexdigest()[:16]
