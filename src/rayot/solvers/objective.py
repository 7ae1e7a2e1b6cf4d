"""One phase of a method's training, as losses on batches of cells."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rayot.solvers.energy import energy_distance
from rayot.solvers.stack import Stack

Score = Callable[[Callable[..., Tensor], Tensor, Tensor], Tensor]
"""Applies a function of two populations to held-out cells, group by group: (P,)."""


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
    n_inner
        Its steps, each on a new batch, for each step of the phase.
    """

    name: str
    module: nn.Module
    lr: float
    lr_end: float
    betas: tuple[float, float]
    n_inner: int = 1


class Phase(ABC):
    """What one phase trains, whatever batches its losses are taken on.

    Parameters
    ----------
    stack
        The maps that are trained, in place.
    """

    name: str = "map"
    """Name of the phase in the history and on the progress bar."""

    monitor: str = "validation_energy_distance"
    """Held-out value that says whether the phase still gains."""

    monitor_sign: int = -1
    """1 where a larger held-out value is better, else −1."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    @property
    @abstractmethod
    def n_steps(self) -> int:
        """Steps of the phase."""

    @abstractmethod
    def players(self) -> list[Player]:
        """Networks that are trained in turn at each step."""

    def start_block(self) -> None:  # noqa: B027
        """Forget what was kept from step to step; nothing by default."""

    def after_step(self, player: int) -> None:  # noqa: B027
        """Project what a player's step has changed; nothing by default."""


class Objective(Phase):
    """A phase whose losses are taken on a batch of source and one of target cells."""

    @abstractmethod
    def loss(
        self,
        player: int,
        source: Tensor,
        target: Tensor,
        generators: Sequence[torch.Generator],
        n_strata: int,
    ) -> Tensor:
        """Loss (P,) of one player on a batch.

        Parameters
        ----------
        player
            Which of :meth:`players`.
        source, target
            Standardised cells (P, S n, r) of the S strata, one after the other.
        generators
            One CPU generator a problem, for what else is drawn.
        n_strata
            S.
        """

    def validate(self, source: Tensor, target: Tensor, score: Score) -> Tensor:
        """Held-out value (P,), in the maps' units: energy distance of moved to target cells.

        Parameters
        ----------
        source, target
            Standardised cells (P, n, r) and (P, m, r) set apart.
        score
            Compares them.
        """
        return score(energy_distance, self.stack.move(source), target)


def by_stratum(cells: Tensor, n_strata: int) -> Tensor:
    """A batch (P, S n, d) as (P S, n, d)."""
    return cells.unflatten(1, (n_strata, -1)).flatten(0, 1)
