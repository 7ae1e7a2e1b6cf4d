"""Cells of a phase: where earlier rays left them and where the next ray points."""

import torch
from torch import Tensor

from rayot.solvers import Population, Stack, W1Map
from rayot.solvers.population import CHUNK_ROWS

CACHE_ELEMENTS = 2**26
"""Numbers kept at most in each table below; above, rays are followed again for each batch."""


class CarriedCells:
    """Cells carried through the first ``n_rays`` rays, in the rays' coordinates and units.

    Rays that are done do not change, so cells and directions are computed once where their table
    is small enough, whatever memory happens to be free.

    Parameters
    ----------
    transport
        The map that is being fitted.
    population
        Cells of each problem, in the data's units.
    n_rays
        Rays that are done.
    with_direction
        Whether the next ray's potential is done too and its directions are wanted.
    """

    def __init__(
        self,
        transport: Stack,
        population: Population,
        n_rays: int = 0,
        with_direction: bool = False,
    ) -> None:
        self.transport = transport
        self.population = population
        self.n_rays = n_rays
        self.with_direction = with_direction
        self.first = population.problem_offsets[:-1, None]
        self.problem = torch.arange(population.n_problems, device=population.cells.device)[:, None]
        self.table: list[Tensor] | None = None
        largest = int(population.sizes.max())
        elements = population.n_problems * largest * transport.n_features
        in_space = transport.standardised or transport.basis is not None
        as_it_is = not (n_rays or with_direction or in_space)
        if not as_it_is and elements <= CACHE_ELEMENTS:
            chunks = population.positions().split(CHUNK_ROWS, dim=1)
            parts = [self._follow(chunk) for chunk in chunks]
            self.table = [torch.cat(each, dim=1) for each in zip(*parts, strict=True)]

    def take(self, positions: Tensor) -> list[Tensor]:
        """Cells (P, n, d), and directions (P, n, d) if wanted, at positions (P, n)."""
        if self.table is None:
            return self._follow(positions)
        within = positions - self.first
        # One flat selection is several times faster than indexing by problem and cell.
        flat = (within + self.problem * self.table[0].shape[1]).reshape(-1)
        return [
            each.flatten(0, 1).index_select(0, flat).view(*positions.shape, -1)
            for each in self.table
        ]

    def _follow(self, positions: Tensor) -> list[Tensor]:
        cells = self.transport.standardise(self.population.take(positions))
        with torch.no_grad():
            for number in range(self.n_rays):
                assert isinstance(self.transport, W1Map)
                cells = self.transport.ray(number)(cells)
        if not self.with_direction:
            return [cells]
        assert isinstance(self.transport, W1Map)
        return [cells, self.transport.ray(self.n_rays).direction(cells)[0]]
