"""How far cells are from those that a map was fitted on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rayot.model.saved import check_array, check_names
from rayot.solvers.random import generator

MOST_CELLS = 2048
MOST_NUMBERS = 2**21
"""Bound what a model keeps of its training cells."""

NEIGHBOURS = 10
"""Cells of a stratum, at most, whose mean distance says how near it is."""

BLOCK = 4096
"""Cells whose distances are held at once."""

ITSELF = 1e-5
"""In units of distances: below it a cell is taken for itself, as products of matrices have other
last digits for one cell than for many."""


@dataclass(frozen=True)
class TrainingDistance:
    """A sample of the source cells of a fit, in the space of the map.

    Attributes
    ----------
    cells
        (n, d) float32.
    strata
        (n,) int64, number of each cell's stratum; 0 without strata.
    unit
        Median distance of a cell to the nearest of the others.
    """

    cells: np.ndarray
    strata: np.ndarray
    unit: float

    @classmethod
    def of(
        cls, groups: Sequence[np.ndarray], encode: Callable[[np.ndarray], np.ndarray], seed: int
    ) -> TrainingDistance | None:
        """Draw as many cells of each stratum; None where all cells are alike.

        Parameters
        ----------
        groups
            Rows of the source cells of each stratum.
        encode
            Cells (n, d) of rows in the space of the map.
        seed
            Keys the draw.
        """
        n_features = encode(groups[0][:1]).shape[1]
        most = max(2, min(MOST_CELLS, MOST_NUMBERS // n_features) // len(groups))
        draw = generator(seed, "training distance")
        drawn = [
            group[torch.randperm(len(group), generator=draw)[:most].numpy()] for group in groups
        ]
        rows = np.concatenate(drawn)
        # Cells of a file are read in its order.
        order = rows.argsort(kind="stable")
        strata = np.repeat(np.arange(len(drawn)), list(map(len, drawn)))[order]
        cells = np.ascontiguousarray(encode(rows[order]), dtype=np.float32)
        unit = float(_nearest(torch.from_numpy(cells), torch.from_numpy(cells)).median())
        return cls(cells, strata, unit) if unit > 0 else None

    def __call__(self, cells: np.ndarray) -> np.ndarray:
        """Distance (n,) float32 of cells (n, d) to the nearest of the fit's, but to itself."""
        return self._from(cells, self.cells)

    def nearness(self, cells: np.ndarray) -> np.ndarray:
        """Shares (n, S) of the strata that are near to cells (n, d).

        They fall with the square of the mean distance to the nearest cells of each (Shepard 1968).
        """
        fitted, strata = torch.from_numpy(self.cells), torch.from_numpy(self.strata)
        of_strata = [fitted[strata == number] for number in range(int(strata.max()) + 1)]
        blocks = torch.from_numpy(np.ascontiguousarray(cells)).split(BLOCK)
        distance = torch.cat(
            [torch.stack([_mean_nearest(block, own) for own in of_strata], 1) for block in blocks]
        )
        weights = distance.clamp_min(1e-6 * self.unit) ** -2
        return (weights / weights.sum(1, keepdim=True)).numpy()

    def between(self, stratum: int) -> float:
        """Mean distance of the cells of a stratum to the nearest ones of all others."""
        own = self.strata == stratum
        return float(self._from(self.cells[own], self.cells[~own]).mean())

    def _from(self, cells: np.ndarray, others: np.ndarray) -> np.ndarray:
        """In units of :attr:`unit`."""
        blocks = torch.from_numpy(np.ascontiguousarray(cells)).split(BLOCK)
        fitted = torch.from_numpy(others)
        nearest = torch.cat([_nearest(block, fitted, ITSELF * self.unit) for block in blocks])
        return (nearest / self.unit).numpy()

    def arrays(self) -> dict[str, np.ndarray]:
        """What a saved model keeps."""
        unit = np.array([self.unit], dtype=np.float32)
        return {"cells": self.cells, "strata": self.strata, "unit": unit}

    @classmethod
    def from_arrays(
        cls, arrays: dict[str, np.ndarray], n_strata: int, n_features: int
    ) -> TrainingDistance:
        """What was saved.

        Raises
        ------
        ValueError
            If it does not fit together.
        """
        check_names(arrays, ("cells", "strata", "unit"), "the arrays of the training distance")
        cells, strata, unit = (arrays[name] for name in ("cells", "strata", "unit"))
        check_array(strata, "training_distance.strata", (strata.size,), np.int64)
        check_array(cells, "training_distance.cells", (strata.size, n_features))
        check_array(unit, "training_distance.unit", (1,))
        # Each stratum has a cell: how near it is to others is asked of all.
        whole = np.array_equal(np.unique(strata), np.arange(max(1, n_strata)))
        if not (unit > 0).all() or len(strata) < 2 or not whole:
            raise ValueError("the unit or the strata of the training distance are out of range.")
        return cls(cells, strata, float(unit[0]))


def _mean_nearest(cells: Tensor, others: Tensor) -> Tensor:
    """Mean distance (n,) to the nearest of others."""
    centre = others.mean(0)
    lengths = torch.cdist(cells - centre, others - centre)
    return lengths.topk(min(NEIGHBOURS, len(others)), largest=False).values.mean(1)


def _nearest(cells: Tensor, others: Tensor, itself: float = 0.0) -> Tensor:
    """Distance (n,) to the nearest of at least two others, to the second where it is the same."""
    # Products find the two fast, and differences say exactly how far they are.
    centre = others.mean(0)
    places = torch.cdist(cells - centre, others - centre).topk(2, largest=False).indices
    two = (cells[:, None] - others[places]).norm(dim=-1)
    return torch.where(two.amin(1) <= itself, two.amax(1), two.amin(1))
