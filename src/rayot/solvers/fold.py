"""What a map is judged by: cells that it was not fitted on."""

from __future__ import annotations

from dataclasses import dataclass

from rayot.solvers.problem import Population
from rayot.solvers.stack import Stack


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
