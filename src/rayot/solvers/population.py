"""Cells of P problems as one flat store with offsets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from rayot.solvers.attributes import Attributes
from rayot.solvers.cells import SparseCells
from rayot.solvers.random import generator
from rayot.solvers.stored_cells import StoredCells

Cells: TypeAlias = Tensor | SparseCells | StoredCells
"""Rows by number: dense, or made dense batch by batch."""


CHUNK_ROWS = 8192


@dataclass(frozen=True)
class Population:
    """One side (source or target) of P problems.

    Groups of unequal size need no padding: ``rows`` lists the cells of problem 0, then those of
    problem 1, and so on, and cells that problems share are stored once. A problem may have S
    strata, one group each, which lie one after the other and are drawn equally.

    Attributes
    ----------
    cells
        (n, d) float32, every cell once; dense, or sparse or on disk and made dense batch by batch.
    rows
        (Σ n_g,) int64, rows of ``cells``.
    offsets
        (P S + 1,) int64; group g owns ``rows[offsets[g]:offsets[g + 1]]``.
    n_strata
        S; group p S + s is stratum s of problem p.
    weights
        (Σ n_g,) float32 or None: chances of the cells of ``rows`` to be drawn, relative to those of
        their group. None draws all alike.
    attributes
        What is known of every cell of ``cells``; None where no method asks for it.
    """

    cells: Cells
    rows: Tensor
    offsets: Tensor
    n_strata: int = 1
    weights: Tensor | None = None
    attributes: Attributes | None = None

    @classmethod
    def from_groups(
        cls,
        cells: Cells,
        groups: Sequence[Tensor],
        *,
        n_strata: int = 1,
        weights: Sequence[Tensor] | None = None,
    ) -> "Population":
        """Build a population from the rows of each group, and the weight of each row."""
        sizes = torch.tensor([0, *(len(group) for group in groups)], dtype=torch.int64)
        joined = None if weights is None else torch.cat(list(weights)).float()
        return cls(cells, torch.cat(list(groups)), sizes.cumsum(0), n_strata, joined)

    @classmethod
    def join(cls, populations: Sequence["Population"]) -> "Population":
        """Populations of the same cells and as many strata, one after the other.

        Either all have weights or none has.
        """
        first = populations[0]
        sizes = torch.cat([population.group_sizes for population in populations])
        weights = [
            population.weights for population in populations if population.weights is not None
        ]
        return cls(
            first.cells,
            torch.cat([population.rows for population in populations]),
            torch.cat([sizes.new_zeros(1), sizes.cumsum(0)]),
            first.n_strata,
            torch.cat(weights) if weights else None,
            first.attributes,
        )

    @property
    def n_problems(self) -> int:
        """P."""
        return (len(self.offsets) - 1) // self.n_strata

    @property
    def group_sizes(self) -> Tensor:
        """(P S,) int64, cells of each stratum of each problem."""
        return self.offsets.diff()

    @property
    def problem_offsets(self) -> Tensor:
        """(P + 1,) int64, where the cells of each problem start in ``rows``."""
        return self.offsets[:: self.n_strata]

    @property
    def sizes(self) -> Tensor:
        """(P,) int64, cells of each problem."""
        return self.problem_offsets.diff()

    def with_weights(self, weights: Tensor | None) -> "Population":
        """The same cells with other chances to be drawn."""
        return replace(self, weights=weights)

    def with_attributes(self, attributes: Attributes | None) -> "Population":
        """The same cells with what is known of every cell of the store."""
        return replace(self, attributes=attributes)

    def on(self, device: torch.device | str, cells: Cells | None = None) -> "Population":
        """The same population on another device, where its cells may be already."""
        weights = None if self.weights is None else self.weights.to(device)
        return replace(
            self,
            cells=self.cells.to(device) if cells is None else cells,
            rows=self.rows.to(device),
            offsets=self.offsets.to(device),
            weights=weights,
            attributes=None if self.attributes is None else self.attributes.to(device),
        )

    def draw(self, generators: Sequence[torch.Generator], n: int) -> Tensor:
        """Positions in ``rows`` of n cells of each stratum, with replacement: (P, S n) int64.

        Problem p uses ``generators[p]`` alone.
        """
        uniform = torch.stack(
            [
                torch.rand(self.n_strata, n, generator=stream, dtype=torch.float64)
                for stream in generators
            ]
        ).flatten(0, 1)
        offsets, sizes = self.offsets.to("cpu"), self.group_sizes.to("cpu")
        if self.weights is None:
            within = (uniform * sizes[:, None]).long()
        else:
            within = self._inverse_distribution(uniform)
        drawn = offsets[:-1, None] + torch.minimum(within, sizes[:, None] - 1)
        return drawn.view(self.n_problems, -1).to(self.cells.device)

    def draw_from(self, generators: Sequence[torch.Generator], strata: Tensor, n: int) -> Tensor:
        """Positions in ``rows`` of n cells of some strata, with replacement: (P, T, G n) int64.

        Problem p uses ``generators[p]`` alone.

        Parameters
        ----------
        generators
            One for each problem.
        strata
            (P, T, G) int64, their numbers at each of T steps.
        n
            Cells of each of them.
        """
        assert self.weights is None, "Cells of some strata are drawn alike."
        shape = (*strata.shape[1:], n)
        uniform = torch.stack(
            [torch.rand(shape, generator=stream, dtype=torch.float64) for stream in generators]
        )
        offsets, sizes = self.offsets.to("cpu"), self.group_sizes.to("cpu")
        groups = (strata + torch.arange(len(strata))[:, None, None] * self.n_strata)[..., None]
        within = torch.minimum((uniform * sizes[groups]).long(), sizes[groups] - 1)
        return (offsets[groups] + within).flatten(2).to(self.cells.device)

    def _inverse_distribution(self, uniform: Tensor) -> Tensor:
        assert self.weights is not None
        groups = self.weights.cpu().double().split(self.group_sizes.tolist())
        return torch.stack(
            [
                torch.searchsorted(weights.cumsum(0) / weights.sum(), row, right=True)
                for weights, row in zip(groups, uniform, strict=True)
            ]
        )

    def positions(self) -> Tensor:
        """Positions (P, n) of every cell of each problem.

        Problems with fewer cells repeat their last one; ``sizes`` says how many are real.
        """
        within = torch.arange(int(self.sizes.max()), device=self.offsets.device)[None]
        first = self.problem_offsets[:-1, None]
        return first + torch.minimum(within, self.sizes[:, None] - 1)

    def first_of_groups(self, limit: int) -> tuple[Tensor, Tensor]:
        """Positions (P S, n) of up to ``limit`` cells of each group, and how many are real (P S,).

        Smaller groups repeat their last cell.
        """
        sizes = self.group_sizes.clamp(max=limit)
        within = torch.arange(int(sizes.max()), device=sizes.device)[None]
        return self.offsets[:-1, None] + torch.minimum(within, sizes[:, None] - 1), sizes

    def weights_at(self, positions: Tensor) -> Tensor | None:
        """Weights at positions in ``rows``, in the same shape; None where all are alike."""
        return None if self.weights is None else self.weights[positions]

    def attributes_at(self, positions: Tensor) -> Attributes | None:
        """Attributes at positions in ``rows``, in the same shape; None where there are none."""
        return None if self.attributes is None else self.attributes.at(self.rows[positions])

    def take(self, positions: Tensor) -> Tensor:
        """Cells (P, n, d) at positions (P, n) in ``rows``."""
        rows = self.rows.index_select(0, positions.reshape(-1))
        if isinstance(self.cells, Tensor):
            return self.cells.index_select(0, rows).view(*positions.shape, -1)
        return self.cells[rows].view(*positions.shape, -1)

    def group_means(self, of: Callable[[Tensor, int], Tensor] | None = None) -> Tensor:
        """Weighted mean cell of each stratum of each problem, (P, S, d).

        Parameters
        ----------
        of
            Takes cells (n, d) and the number of their problem, and returns what is averaged, (n, r)
            in place of the cells.
        """
        bounds = zip(self.offsets[:-1].tolist(), self.offsets[1:].tolist(), strict=True)
        means = [
            self._mean(*bound, group // self.n_strata, of) for group, bound in enumerate(bounds)
        ]
        return torch.stack(means).view(self.n_problems, self.n_strata, -1)

    def _mean(
        self, start: int, end: int, problem: int, of: Callable[[Tensor, int], Tensor] | None
    ) -> Tensor:
        total, mass = torch.zeros((), dtype=torch.float64), 0.0
        for positions in torch.arange(start, end).split(CHUNK_ROWS):
            weights = self.weights_at(positions)
            shares = torch.ones(len(positions), dtype=torch.float32) if weights is None else weights
            cells = self.take(positions)
            values = cells if of is None else of(cells, problem)
            total = total + (shares[:, None] * values).sum(0, dtype=torch.float64)
            mass += float(shares.sum())
        return (total / mass).float()

    def sample(
        self,
        seed: int,
        names: Sequence[str],
        what: str,
        limit: int,
        *,
        by_stratum: bool = False,
    ) -> list[tuple[Tensor, Tensor]]:
        """Different cells (n, d) of each problem, or of each of its strata, with masses (n,).

        All of them where there are up to ``limit``, else so many. Masses are by weights, of equal
        sum in each stratum, and sum to 1.
        """
        drawn: list[tuple[Tensor, Tensor]] = []
        n = max(2, limit // self.n_strata)
        bounds = self.offsets.tolist()
        for problem, name in enumerate(names):
            draw = generator(seed, name, what)
            parts = []
            for group in range(problem * self.n_strata, (problem + 1) * self.n_strata):
                start, end = bounds[group : group + 2]
                chosen = start + torch.randperm(end - start, generator=draw)[:n]
                weights = self.weights_at(chosen)
                masses = (
                    torch.ones(len(chosen), dtype=torch.float32) if weights is None else weights
                )
                chosen, masses = chosen[masses > 0], masses[masses > 0]
                parts.append((self.take(chosen), masses / masses.sum()))
            if by_stratum:
                drawn += parts
                continue
            cells, masses = (torch.cat(blocks) for blocks in zip(*parts, strict=True))
            drawn.append((cells, masses / masses.sum()))
        return drawn

    def split(self, generators: Sequence[torch.Generator], share: float) -> list["Population"]:
        """Shuffle each group's cells and set a share apart: [rest, share].

        The share has at least two cells of each group, which an energy distance needs.
        """
        parts: tuple[list[Tensor], list[Tensor]] = ([], [])
        bounds = list(zip(self.offsets[:-1].tolist(), self.offsets[1:].tolist(), strict=True))
        for group, (start, end) in enumerate(bounds):
            order = torch.randperm(end - start, generator=generators[group // self.n_strata])
            n_apart = max(2, round(share * (end - start)))
            parts[0].append(start + order[n_apart:])
            parts[1].append(start + order[:n_apart])
        return [self.select(part) for part in parts]

    def select(self, groups: Sequence[Tensor]) -> "Population":
        """Cells at positions in ``rows``, given for each group of the new population."""
        weights = None
        if self.weights is not None:
            weights = [self.weights[positions] for positions in groups]
        rows = [self.rows[positions] for positions in groups]
        selected = Population.from_groups(self.cells, rows, n_strata=self.n_strata, weights=weights)
        return replace(selected, attributes=self.attributes)
