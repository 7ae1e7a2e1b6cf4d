"""What a map is judged by: cells that it was not fitted on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

from rayot.solvers.attributes import Attributes
from rayot.solvers.combination import Combination
from rayot.solvers.population import Population
from rayot.solvers.stack import Stack

Map: TypeAlias = Callable[[Tensor, Attributes | None], Tensor]
"""Where cells (1, n, d) go, by what is known of them."""


@dataclass(frozen=True)
class Fold:
    """A map of a stack, and cells of its problem that it was not fitted on.

    A problem with many cells has one fold: its own map and the cells set apart. A problem with few
    has several, each with a map of its own that stands for the problem's (cross-fitting).

    Attributes
    ----------
    transport
        The stack that has the map.
    source, target
        For each map of the stack, cells that it was not fitted on.
    number
        Of the map in the stack.
    """

    transport: Stack
    source: Population
    target: Population
    number: int

    @classmethod
    def stack(cls, transport: Stack, source: Population, target: Population) -> list[Fold]:
        """The fold of each map of a stack."""
        return [cls(transport, source, target, number) for number in range(source.n_problems)]

    @property
    def map(self) -> Stack:
        """A copy of the map alone."""
        return self.transport.take([self.number])

    @property
    def strength(self) -> float:
        """Share of its way that a cell goes."""
        return float(self.transport.strength[self.number])


@dataclass(frozen=True)
class CombinedFold:
    """Cells of a stratum, and the maps of other strata that stand for its own.

    Attributes
    ----------
    transport
        The stack that has the maps.
    source, target
        Cells of each problem of the stack.
    number
        Of the stratum's own problem, whose map is not used.
    others
        (K, S) int64, problem of each member of an ensemble and other stratum.
    combination
        How the moves of their maps become one.
    """

    transport: Stack
    source: Population
    target: Population
    number: int
    others: Tensor
    combination: Combination

    @property
    def map(self) -> Map:
        """The combination of the others."""
        return self._moved

    def _moved(self, cells: Tensor, attributes: Attributes | None) -> Tensor:
        stack = cells.expand(len(self.transport.names), -1, -1)
        moves = (self.transport(stack, attributes) - stack)[self.others].mean(0)
        return cells + self.combination.apply(moves, cells[0])

    @property
    def strength(self) -> float:
        """Share of their way that cells go by the maps of the others, on average."""
        return float(self.transport.strength[self.others].mean())
