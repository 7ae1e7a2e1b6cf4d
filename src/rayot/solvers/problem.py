"""Cells of P problems as one flat store with offsets."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rayot.solvers.cells import SparseCells


@dataclass(frozen=True)
class Population:
    """One side (source or target) of P problems.

    Groups of unequal size need no padding: ``rows`` lists the cells of problem 0, then those of
    problem 1, and so on, and cells that problems share are stored once.

    Attributes
    ----------
    cells
        (n, d) float32, every cell once; dense, or sparse and made dense batch by batch.
    rows
        (Σ n_p,) int64, rows of ``cells``.
    offsets
        (P + 1,) int64; problem p owns ``rows[offsets[p]:offsets[p + 1]]``.
    """

    cells: Tensor | SparseCells
    rows: Tensor
    offsets: Tensor

    @classmethod
    def from_groups(cls, cells: Tensor | SparseCells, groups: Sequence[Tensor]) -> "Population":
        """Build a population from the rows of each problem."""
        sizes = torch.tensor([0, *(len(group) for group in groups)])
        return cls(cells, torch.cat(list(groups)), sizes.cumsum(0))

    @property
    def n_problems(self) -> int:
        """P."""
        return len(self.offsets) - 1

    @property
    def sizes(self) -> Tensor:
        """(P,) int64, cells of each problem."""
        return self.offsets.diff()

    def to(self, device: torch.device) -> "Population":
        """The same population on another device."""
        return Population(self.cells.to(device), self.rows.to(device), self.offsets.to(device))

    def draw(self, generators: Sequence[torch.Generator], n: int) -> Tensor:
        """Positions in ``rows`` of n cells a problem, with replacement: (P, n) int64.

        Problem p uses ``generators[p]`` alone.
        """
        uniform = torch.stack([torch.rand(n, generator=each) for each in generators])
        offsets, sizes = self.offsets.to("cpu"), self.sizes.to("cpu")
        within = (uniform.double() * sizes[:, None]).long()
        return (offsets[:-1, None] + within).to(self.cells.device)

    def positions(self, limit: int | None = None) -> Tensor:
        """Positions (P, n) of every cell, or of the first ``limit``.

        Shorter groups repeat their last cell; ``sizes`` says how many are real.
        """
        sizes = self.sizes if limit is None else self.sizes.clamp(max=limit)
        within = torch.arange(int(sizes.max()), device=sizes.device)[None]
        return self.offsets[:-1, None] + torch.minimum(within, sizes[:, None] - 1)

    def take(self, positions: Tensor) -> Tensor:
        """Cells (P, n, d) at positions (P, n) in ``rows``."""
        rows = self.rows.index_select(0, positions.reshape(-1))
        if isinstance(self.cells, Tensor):
            return self.cells.index_select(0, rows).view(*positions.shape, -1)
        return self.cells[rows].view(*positions.shape, -1)

    def split(self, generators: Sequence[torch.Generator], share: float) -> list["Population"]:
        """Shuffle each problem's cells and set a share apart: [rest, share].

        The share has at least two cells of each problem, which an energy distance needs.
        """
        parts: tuple[list[Tensor], list[Tensor]] = ([], [])
        for group, each in zip(self.rows.split(self.sizes.tolist()), generators, strict=True):
            shuffled = group[torch.randperm(len(group), generator=each)]
            n_apart = max(2, round(share * len(group)))
            parts[0].append(shuffled[n_apart:])
            parts[1].append(shuffled[:n_apart])
        return [Population.from_groups(self.cells, part) for part in parts]
