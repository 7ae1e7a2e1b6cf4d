"""Training cells as a phase sees them, computed once where they are few."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from rayot.solvers.maps import Maps
from rayot.solvers.population import CHUNK_ROWS, Population

CACHE_ELEMENTS = 2**26
"""Numbers kept at most in each table below; above, cells are carried again for each batch."""


class CarriedCells:
    """Cells in the maps' coordinates and units, and what earlier phases make of them.

    Phases that are done do not change, so both are computed once where their table is small enough,
    whatever memory happens to be free.

    Parameters
    ----------
    stack
        The maps that are being fitted.
    population
        Cells of each problem, in the data's units.
    carry
        What earlier phases make of cells (P, n, r); None leaves them as they are.
    """

    def __init__(
        self,
        stack: Maps,
        population: Population,
        carry: Callable[[Tensor], tuple[Tensor, ...]] | None = None,
    ) -> None:
        self.stack = stack
        self.population = population
        self.carry = carry
        self.first = population.problem_offsets[:-1, None]
        self.problem = torch.arange(population.n_problems, device=population.cells.device)[:, None]
        self.table: list[Tensor] | None = None
        elements = population.n_problems * int(population.sizes.max()) * stack.n_features
        as_it_is = carry is None and not stack.standardised and stack.basis is None
        if not as_it_is and elements <= CACHE_ELEMENTS:
            chunks = population.positions().split(CHUNK_ROWS, dim=1)
            parts = [self._follow(chunk) for chunk in chunks]
            self.table = [torch.cat(of_parts, dim=1) for of_parts in zip(*parts, strict=True)]

    def take(self, positions: Tensor) -> tuple[Tensor, ...]:
        """Cells, and what else they carry, each (P, n, r), at positions (P, n)."""
        if self.table is None:
            return self._follow(positions)
        within = positions - self.first
        # One flat selection is several times faster than indexing by problem and cell.
        flat = (within + self.problem * self.table[0].shape[1]).reshape(-1)
        return tuple(
            column.flatten(0, 1).index_select(0, flat).view(*positions.shape, -1)
            for column in self.table
        )

    @torch.no_grad()
    def _follow(self, positions: Tensor) -> tuple[Tensor, ...]:
        cells = self.stack.standardise(self.population.take(positions))
        return (cells,) if self.carry is None else self.carry(cells)
