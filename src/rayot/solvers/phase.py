"""One phase of a method's training, as losses on batches of cells."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rayot.solvers.attributes import Attributes
from rayot.solvers.carried import CarriedCells
from rayot.solvers.energy import energy_distance
from rayot.solvers.maps import Maps
from rayot.solvers.population import Population

Score = Callable[[Callable[..., Tensor], Tensor, Tensor], Tensor]
"""Applies a function of two populations to held-out cells, group by group: (P,)."""

Sides = tuple[Population, Population]
"""Source and target of each map of a stack."""


@dataclass(frozen=True)
class Player:
    """A network that a loss of its own trains.

    Attributes
    ----------
    name
        Of the loss, in the history.
    module
        What is trained.
    lr, lr_end
        First and last learning rate, joined by a cosine.
    betas
        Adam's exponential decay rates.
    maximises
        Whether the loss is to be large.
    is_distance
        Whether the loss is a distance in the maps' units, which the history has in the data's.
    in_history
        Whether the history has it; not where the loss of another player says the same.
    """

    name: str
    module: nn.Module
    lr: float
    lr_end: float
    betas: tuple[float, float]
    maximises: bool = False
    is_distance: bool = False
    in_history: bool = True


@dataclass(frozen=True)
class Batch:
    """Cells of one step, or all that are held out, in the maps' coordinates and units.

    Strata stand one after the other, with as many cells of each.

    Attributes
    ----------
    source
        What :meth:`Phase.carry` makes of source cells, first the cells (P, S n, r) themselves.
    target
        (P, S n, r).
    n_strata
        S.
    strata
        (P, S) int64, their numbers, where a step has some strata only; None for all in order.
    draws
        One CPU generator a problem, for what else is drawn.
    others
        (P, m, r), cells of all further conditions, for methods that learn from these; else None.
    attributes
        Of source, target and other cells, side by side; None where nothing is known of cells.
    rows
        (P, S n + S n + m) int64, where these are in the store; None where nothing is known of them.
    """

    source: tuple[Tensor, ...]
    target: Tensor
    n_strata: int
    strata: Tensor | None = None
    draws: Sequence[torch.Generator] = ()
    others: Tensor | None = None
    attributes: Attributes | None = None
    rows: Tensor | None = None


class Phase(ABC):
    """What one phase trains.

    Parameters
    ----------
    stack
        The maps that are trained, in place.
    """

    name: str = "map"
    """Name of the phase in the history and on the progress bar; draws are keyed by it."""

    monitor: str = "validation_energy_distance"
    """Held-out value that says whether the phase still gains."""

    monitor_sign: int = -1
    """1 where a larger held-out value is better, else −1."""

    def __init__(self, stack: Maps) -> None:
        self.stack = stack

    @property
    def batches_per_step(self) -> int:
        """How often :meth:`losses` draws."""
        return 1

    @property
    def strata_per_step(self) -> int | None:
        """Strata of a batch, drawn alike; None takes all."""
        return None

    @property
    def carries(self) -> bool:
        """Whether :meth:`carry` changes anything."""
        return False

    @property
    @abstractmethod
    def n_steps(self) -> int:
        """Steps of the phase."""

    @property
    def batch_size(self) -> int:
        """Cells of each side of a batch."""
        return self.stack.settings.batch_size

    @property
    def module(self) -> nn.Module:
        """Networks whose parameters have one row for each problem; they can end one by one."""
        return self.stack

    @abstractmethod
    def players(self, n_strata: int) -> list[Player]:
        """Networks that are trained, where cells have so many strata.

        Those that are not the stack's own are new.
        """

    @abstractmethod
    def losses(self, draw: Callable[[], Batch]) -> Iterator[tuple[str, Tensor]]:
        """One step: names of players and their losses (P,), in turn.

        A player has taken its step by the time the next loss is asked for.

        Parameters
        ----------
        draw
            Gives a batch that was not seen before.
        """

    def carry(self, cells: Tensor, strata: Tensor | None) -> tuple[Tensor, ...]:
        """What phases that are done make of standardised source cells (P, n, r), once for all.

        Parameters
        ----------
        cells
            (P, n, r); with a number of strata a step, these one after the other.
        strata
            As in :class:`Batch`.
        """
        return (cells,)

    def others(self, source: Population) -> Population | None:
        """Further cells that a batch has, as many of each stratum; none by default."""
        return None

    def start(  # noqa: B027
        self,
        source: CarriedCells,
        target: CarriedCells,
        draw: Callable[[int], Iterator[Batch]],
    ) -> None:
        """Set the first weights by training cells; nothing by default.

        Parameters
        ----------
        source, target
            Training cells.
        draw
            Gives so many batches.
        """

    def start_block(self) -> None:  # noqa: B027
        """Forget what was kept from step to step; nothing by default."""

    def end(self) -> None:  # noqa: B027
        """Let go of what was kept from step to step; nothing by default."""

    def start_step(self, share: float, active: Sequence[bool]) -> None:  # noqa: B027
        """Take note of the share of steps done, and of problems that still train."""

    def validate(self, held_out: Batch, score: Score) -> Tensor:
        """Held-out value (P,), in the maps' units: energy distance of moved to target cells.

        Parameters
        ----------
        held_out
            Cells set apart, those of smaller strata padded.
        score
            Compares them.
        """
        return score(energy_distance, self.stack.move(held_out.source[0]), held_out.target)

    def finish(self, training: Sides, validation: Sides) -> tuple[Sides, Sides]:
        """Cells that later phases are trained and validated on; the same by default."""
        return training, validation


def by_stratum(cells: Tensor, n_strata: int) -> Tensor:
    """A batch (P, S n, d) as (P S, n, d)."""
    return cells.unflatten(1, (n_strata, -1)).flatten(0, 1)
