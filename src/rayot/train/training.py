"""The Lightning module that trains a phase: its epoch is a block of optimisation steps."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from functools import partial

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from rayot.solvers import Population, generator
from rayot.solvers.attributes import Attributes
from rayot.solvers.carried import CarriedCells
from rayot.solvers.phase import Batch, Phase, Player, Sides
from rayot.train.distributed import average, process
from rayot.train.held_out import HeldOut
from rayot.train.stopping import Stopping

logger = logging.getLogger(__name__)

BLOCK_STEPS = 100
"""Steps between two visits of Lightning: long enough that its own cost does not show."""


class Training(pl.LightningModule):
    """One phase of a fit: a part of a stack, trained for a number of steps.

    Draws are keyed by seed, problem, phase and block, so that a run that resumes at a block repeats
    an uninterrupted one. Losses are summed over the P problems, never averaged: a problem does not
    feel its neighbours.

    Parameters
    ----------
    phase
        What is trained.
    source, target
        Training cells of each problem.
    validation
        Source and target cells set apart.
    patience
        Blocks without improvement after which a problem ends; None trains all steps.
    """

    def __init__(
        self,
        phase: Phase,
        source: Population,
        target: Population,
        validation: Sides,
        patience: int | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.phase, self.stack = phase, phase.stack
        self.source, self.target = source, target
        self.validation = validation
        self.block = 0
        self.finished = False
        self.stopping = Stopping(source.n_problems, patience, phase.monitor_sign)
        self.history: dict[str, list[list[float]]] = {}
        # Of problems whose loss was not finite: what happened.
        self.failures: dict[int, str] = {}

    @property
    def name(self) -> str:
        """Name of the phase in the history and on the progress bar."""
        return self.phase.name

    @property
    def n_steps(self) -> int:
        """Steps of the whole phase."""
        return self.phase.n_steps

    @property
    def n_blocks(self) -> int:
        """Blocks of the whole phase."""
        return math.ceil(self.n_steps / BLOCK_STEPS)

    @property
    def steps_done(self) -> int:
        """Steps taken so far."""
        return min(self.block * BLOCK_STEPS, self.n_steps)

    def setup(self, stage: str) -> None:
        """Ask for the networks, so that new ones move to the device and into checkpoints."""
        self.players = self.phase.players(self.source.n_strata)
        own = {id(parameter) for parameter in self.stack.parameters()}
        self.new_networks = nn.ModuleList(
            player.module
            for player in self.players
            if not own >= {id(parameter) for parameter in player.module.parameters()}
        )

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Adam on each player."""
        return [adam(player) for player in self.players]

    def train_dataloader(self) -> DataLoader[int]:
        """One item: the cells are drawn on the device, block by block."""
        # A generator of its own keeps the loader from drawing on the user's random state.
        return DataLoader([0], batch_size=None, generator=torch.Generator())  # type: ignore[arg-type]

    def on_fit_start(self) -> None:
        """Bring the cells to the device and into the maps' coordinates, once for the phase."""
        sides = [self.source, self.target, *self.validation]
        # The four share their cells, which move once.
        moved = {id(side.cells): side.cells.to(self.device) for side in sides}
        self.source, self.target, *validation = (
            side.on(self.device, moved[id(side.cells)]) for side in sides
        )
        self.validation = (validation[0], validation[1])
        optimizers = self.optimizers(use_pl_optimizer=False)
        self.adams = optimizers if isinstance(optimizers, list) else [optimizers]
        self.parameters_of = [list(player.module.parameters()) for player in self.players]
        self.trained = list(self.phase.module.parameters())
        whole = self.phase.carries and self.phase.strata_per_step is None
        carry = partial(self.phase.carry, strata=None) if whole else None
        self.stores = {
            "source": CarriedCells(self.stack, self.source, carry),
            "target": CarriedCells(self.stack, self.target),
        }
        if (others := self.phase.others(self.source)) is not None:
            others = others.on(self.device, self.source.cells)
            self.stores["others"] = CarriedCells(self.stack, others)
        self.held_out = HeldOut(self.phase, *self.validation)
        if self.block == 0:
            self.phase.start(self.stores["source"], self.stores["target"], self.draw_block)

    def draw_block(self, n_batches: int) -> Iterator[Batch]:
        """So many batches, the first of the block that follows.

        The S strata have n cells each, one stratum after the other. Processes of a distributed
        strategy draw parts of the batch of their own.
        """
        rank, n_processes = process()
        part = (f"part {rank}",) if rank else ()

        def n_cells(n_strata: int) -> int:
            return max(2, math.ceil(self.phase.batch_size / (n_strata * n_processes)))

        n_strata = self.source.n_strata
        strata: Sequence[Tensor | None] = [None] * n_batches
        if self.phase.strata_per_step is None:
            positions = []
            for side, store in self.stores.items():
                # Cells of other conditions have no strata.
                own = store.population.n_strata
                drawn = store.population.draw(
                    self._draws(side, *part), n_batches * n_cells(own)
                ).view(-1, own, n_batches, n_cells(own))
                positions.append(drawn.permute(2, 0, 1, 3).flatten(2))
        else:
            n_strata = min(self.phase.strata_per_step, n_strata)
            draws = self._draws(*part)
            of_steps = self._strata(draws, n_batches, n_strata)
            positions = [
                store.population.draw_from(draws, of_steps, n_cells(n_strata)).transpose(0, 1)
                for store in self.stores.values()
            ]
            strata = of_steps.to(self.device).unbind(1)
        noise = self._draws("noise")
        for numbers, *of_sides in zip(strata, *positions, strict=True):
            yield self._batch(of_sides, numbers, n_strata, noise)

    def _strata(self, draws: Sequence[torch.Generator], n_batches: int, n_strata: int) -> Tensor:
        """Numbers of some strata for each batch, none twice: (P, T, G)."""
        shape = n_batches, self.source.n_strata
        order = [torch.rand(shape, generator=stream, dtype=torch.float32) for stream in draws]
        return torch.stack(order).argsort(2)[..., :n_strata]

    def _draws(self, *what: str) -> list[torch.Generator]:
        """One generator a problem, keyed by its name, the phase, the block and what is drawn."""
        return [
            generator(self.stack.seed, name, self.name, self.block, *what)
            for name in self.stack.names
        ]

    def _batch(
        self,
        positions: Sequence[Tensor],
        strata: Tensor | None,
        n_strata: int,
        draws: Sequence[torch.Generator],
    ) -> Batch:
        stores = list(self.stores.values())
        source, (target,), *others = (
            store.take(at) for store, at in zip(stores, positions, strict=True)
        )
        if strata is not None and self.phase.carries:
            with torch.no_grad():
                source = self.phase.carry(source[0], strata)
        attributes = rows = None
        if self.source.attributes is not None:
            of_sides = [
                s.population.attributes_at(at) for s, at in zip(stores, positions, strict=True)
            ]
            attributes = Attributes.join([known for known in of_sides if known is not None])
            rows = torch.cat(
                [s.population.rows[at] for s, at in zip(stores, positions, strict=True)], 1
            )
        others_cells = others[0][0] if others else None
        return Batch(source, target, n_strata, strata, draws, others_cells, attributes, rows)

    def training_step(self, batch: int, batch_index: int) -> None:
        """Take the steps of one block, then validate once."""
        first = self.steps_done
        n_steps = min(BLOCK_STEPS, self.n_steps - first)
        self.phase.start_block()
        batches = self.draw_block(n_steps * self.phase.batches_per_step)
        totals: dict[str, Tensor] = {}
        start_of_block = [parameter.detach().clone() for parameter in self.trained]
        for step in range(first, first + n_steps):
            for name, value in self._step(step, batches).items():
                totals[name] = totals[name] + value if name in totals else value
        self.block += 1
        means = self._means(totals, n_steps)
        self._hold(start_of_block, means)
        with torch.no_grad():
            held_out = self.phase.validate(self.held_out.batch, self.held_out.score)
        self._record({**means, self.phase.monitor: self.stack.in_data_units(held_out)})
        out_of_steps = self.steps_done >= self.n_steps
        self.finished = out_of_steps or not any(self.stopping.active)
        self.trainer.should_stop = self.finished

    def _step(self, step: int, batches: Iterator[Batch]) -> dict[str, Tensor]:
        """Every player's steps, and the last loss (P,) of each."""
        self.phase.start_step(step / self.n_steps, self.stopping.active)
        share = (1 + math.cos(math.pi * step / self.n_steps)) / 2
        numbers = {}
        for number, player in enumerate(self.players):
            rate = player.lr_end + (player.lr - player.lr_end) * share
            self.adams[number].param_groups[0]["lr"] = rate
            numbers[player.name] = number
        losses = {}
        for name, loss in self.phase.losses(lambda: next(batches)):
            number = numbers[name]
            wanted = -loss if self.players[number].maximises else loss
            apply_gradients(wanted.sum(), self.parameters_of[number], self.adams[number])
            losses[name] = loss.detach()
        return losses

    def _means(self, totals: dict[str, Tensor], n_steps: int) -> dict[str, Tensor]:
        """Mean losses of a block for the history, over all processes, distances in data units."""
        shown = {player.name: player for player in self.players if player.in_history}
        totals = {name: totals[name] for name in shown if name in totals}
        means = average([total / n_steps for total in totals.values()])
        return {
            name: self.stack.in_data_units(mean) if shown[name].is_distance else mean
            for name, mean in zip(totals, means, strict=True)
        }

    def _hold(self, start_of_block: list[Tensor], losses: dict[str, Tensor]) -> None:
        """Put problems that have ended, or whose loss is not finite, back to the block's start."""
        for name, values in losses.items():
            for problem, value in enumerate(values.tolist()):
                if math.isfinite(value) or not self.stopping.active[problem]:
                    continue
                message = (
                    f"The {name.replace('_', ' ')} of {self.stack.names[problem]!r} became "
                    f"{value} in {self.name}, by step {self.steps_done}; a lower learning rate or "
                    "standardised input may help."
                )
                self.stopping.active[problem] = False
                self.failures[problem] = message
                if len(self.failures) == len(values):
                    raise FloatingPointError(message)
                logger.warning("%s It stops; the others go on.", message)
        held = [not active for active in self.stopping.active]
        if any(held):
            with torch.no_grad():
                for parameter, before in zip(self.trained, start_of_block, strict=True):
                    parameter[held] = before[held]

    def _record(self, values: dict[str, Tensor]) -> None:
        self.history.setdefault("step", []).append([self.steps_done] * self.source.n_problems)
        for name, row in values.items():
            self.history.setdefault(name, []).append(row.tolist())
        held_out = self.history[self.phase.monitor][-1]
        self.stopping.update(held_out)
        self.log(self.phase.monitor, sum(held_out), batch_size=1)

    def on_fit_end(self) -> None:
        """Let go of what only this phase needs."""
        del self.stores, self.held_out
        self.phase.end()

    def let_go(self) -> None:
        """Forget the cells on the device: trainer and module hold each other until Python looks."""
        del self.source, self.target, self.validation

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        """Add the block counter and the history, as plain values."""
        checkpoint["rayot"] = {
            "block": self.block,
            "finished": self.finished,
            "stopping": self.stopping.state(),
            "history": self.history,
            "failures": self.failures,
        }

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        """Take the block counter and the history back."""
        state = checkpoint["rayot"]
        self.block = state["block"]
        self.finished = state["finished"]
        self.stopping.load(state["stopping"])
        self.history = state["history"]
        self.failures = state["failures"]


def apply_gradients(
    loss: Tensor, parameters: Sequence[nn.Parameter], optimizer: torch.optim.Optimizer
) -> None:
    """One optimizer step on these parameters alone.

    ``torch.autograd.grad`` does not touch the networks that the loss merely passes through.
    """
    gradients = average(torch.autograd.grad(loss, parameters))
    for parameter, gradient in zip(parameters, gradients, strict=True):
        # Fused Adam pairs both by their place in memory, and gradients may come transposed.
        parameter.grad = gradient.contiguous()
    optimizer.step()


def adam(player: Player) -> torch.optim.Adam:
    """Adam over one network."""
    parameters = list(player.module.parameters())
    fused = parameters[0].device.type in ("cpu", "cuda")
    return torch.optim.Adam(parameters, lr=player.lr, betas=player.betas, fused=fused)
