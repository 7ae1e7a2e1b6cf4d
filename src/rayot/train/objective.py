"""Training of one phase of any method, by the losses that its solver names."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from rayot.solvers import Population, Stack, generator
from rayot.solvers.objective import Objective, Phase
from rayot.train.block import BlockTraining, apply_gradients
from rayot.train.carried import CarriedCells
from rayot.train.held_out import HeldOut


class PhaseTraining(BlockTraining):
    """Each player takes its steps in turn.

    Parameters
    ----------
    objective
        What the phase trains.
    stack, source, target, validation, patience
        As in :class:`BlockTraining`.
    """

    def __init__(
        self,
        objective: Phase,
        stack: Stack,
        source: Population,
        target: Population,
        validation: tuple[Population, Population],
        patience: int | None = None,
    ) -> None:
        self.monitor, self.monitor_sign = objective.monitor, objective.monitor_sign
        self.objective, self.players = objective, objective.players()
        super().__init__(stack, source, target, validation, patience)

    @property
    def name(self) -> str:
        """Name of the phase."""
        return self.objective.name

    @property
    def n_steps(self) -> int:
        """Steps of the whole phase."""
        return self.objective.n_steps

    @property
    def module(self) -> nn.Module:
        """The maps."""
        return self.transport

    def learning_rates(self) -> tuple[float, float]:
        """Those of the first player."""
        return self.players[0].lr, self.players[0].lr_end

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Adam on each player."""
        return [self.adam(player.module, player.betas) for player in self.players]

    def on_fit_start(self) -> None:
        """Bring the cells into the maps' coordinates, once for the whole phase."""
        super().on_fit_start()
        self.parameters_of = [list(player.module.parameters()) for player in self.players]
        self.carried = CarriedCells(self.transport, self.source)
        self.held_out = HeldOut(self.transport, *self.validation, 0, False)

    def draw_block(self, n_steps: int) -> Iterator[tuple[Tensor, ...]]:
        """Positions of the batches of every player's steps in the block."""
        self.objective.start_block()
        names = self.transport.names
        self.generators = [
            generator(self.seed, name, self.name, self.block, "noise") for name in names
        ]
        return super().draw_block(n_steps * sum(player.n_inner for player in self.players))

    @abstractmethod
    def loss(self, player: int, *positions: Tensor) -> Tensor:
        """Loss (P,) of one player on the cells at these positions in each population."""

    def optimise(self, step: int) -> dict[str, Tensor]:
        """The steps of every player."""
        losses = {}
        for number, player in enumerate(self.players):
            share = (1 + math.cos(math.pi * step / self.n_steps)) / 2
            rate = player.lr_end + (player.lr - player.lr_end) * share
            self.adams[number].param_groups[0]["lr"] = rate
            for _ in range(player.n_inner):
                loss = self.loss(number, *next(self.draws))
                apply_gradients(loss.sum(), self.parameters_of[number], self.adams[number])
                self.objective.after_step(number)
            losses[player.name] = loss.detach()
        return losses


class ObjectiveTraining(PhaseTraining):
    """A phase whose losses are taken on a batch of source and one of target cells."""

    objective: Objective

    def loss(self, player: int, *positions: Tensor) -> Tensor:
        """Loss (P,) of one player on the cells at these positions in each population."""
        source, target = positions
        return self.objective.loss(
            player,
            self.carried.take(source)[0],
            self.targets.take(target)[0],
            self.generators,
            self.source.n_strata,
        )

    @torch.no_grad()
    def validate(self) -> dict[str, Tensor]:
        """The objective's held-out value."""
        (source,), target = self.held_out.source, self.held_out.target
        found = self.objective.validate(source, target, self.held_out.score)
        return {self.monitor: self.transport.in_data_units(found)}
