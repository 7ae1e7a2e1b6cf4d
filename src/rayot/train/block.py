"""A Lightning module whose epoch is a block of optimisation steps."""

import logging
import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from rayot.solvers import Population, Stack, generator
from rayot.train.carried import CarriedCells
from rayot.train.distributed import average, process
from rayot.train.held_out import HeldOut
from rayot.train.stopping import Stopping

logger = logging.getLogger(__name__)

BLOCK_STEPS = 100
"""Steps between two visits of Lightning: long enough that its own cost does not show."""


class BlockTraining(pl.LightningModule):
    """One phase of a fit: a part of a stack, trained for a number of steps.

    Draws are keyed by seed, problem, phase and block, so that a run that resumes at a block repeats
    an uninterrupted one. Losses are summed over the P problems, never averaged: a problem does not
    feel its neighbours.

    Parameters
    ----------
    transport
        The maps that are fitted.
    source, target
        Training cells of each problem.
    validation
        Source and target cells set apart.
    patience
        Blocks without improvement after which a problem ends; None trains all steps.
    """

    monitor: str
    monitor_sign: int
    distances: frozenset[str] = frozenset()
    carried: CarriedCells
    targets: CarriedCells
    held_out: HeldOut

    def __init__(
        self,
        transport: Stack,
        source: Population,
        target: Population,
        validation: tuple[Population, Population],
        patience: int | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.transport = transport
        self.source = source
        self.target = target
        self.validation = validation
        self.settings, self.seed = transport.settings, transport.seed
        self.block = 0
        self.finished = False
        self.stopping = Stopping(source.n_problems, patience, self.monitor_sign)
        self.history: dict[str, list[list[float]]] = {}
        # Of problems whose loss was not finite: what happened.
        self.failures: dict[int, str] = {}

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the phase in the history and on the progress bar."""

    @property
    @abstractmethod
    def n_steps(self) -> int:
        """Steps of the whole phase."""

    @property
    def n_blocks(self) -> int:
        """Blocks of the whole phase."""
        return math.ceil(self.n_steps / BLOCK_STEPS)

    @property
    def steps_done(self) -> int:
        """Steps taken so far."""
        return min(self.block * BLOCK_STEPS, self.n_steps)

    @property
    @abstractmethod
    def module(self) -> nn.Module:
        """The part of the maps that the phase trains."""

    @abstractmethod
    def learning_rates(self) -> tuple[float, float]:
        """First and last learning rate."""

    @abstractmethod
    def optimise(self, step: int) -> dict[str, Tensor]:
        """Take one step of the block and return detached values (P,) for the history."""

    @abstractmethod
    def validate(self) -> dict[str, Tensor]:
        """Values (P,) on the cells set apart."""

    def train_dataloader(self) -> DataLoader[int]:
        """One item: the cells are drawn on the device, block by block."""
        # A generator of its own keeps the loader from drawing on the user's random state.
        return DataLoader([0], batch_size=None, generator=torch.Generator())  # type: ignore[arg-type]

    def on_fit_start(self) -> None:
        """Prepare what the whole phase needs, on the device."""
        populations = [self.source, self.target, *self.validation]
        # The four share their cells, which move once.
        moved = {id(each.cells): each.cells.to(self.device) for each in populations}
        self.source, self.target, *validation = (
            each.on(self.device, moved[id(each.cells)]) for each in populations
        )
        self.validation = (validation[0], validation[1])
        self.targets = CarriedCells(self.transport, self.target)
        optimizers = self.optimizers(use_pl_optimizer=False)
        self.adams = optimizers if isinstance(optimizers, list) else [optimizers]
        self.trained = list(self.module.parameters())

    def populations(self) -> dict[str, Population]:
        """Whose cells a batch has, by the name that keys the draw."""
        return {"source": self.source, "target": self.target}

    def draw_block(self, n_steps: int) -> Iterator[tuple[Tensor, ...]]:
        """Positions (P, S n) in each of :meth:`populations` for each step of the block.

        The S strata have n cells each, one stratum after the other. Processes of a distributed
        strategy draw parts of the batch of their own.
        """
        rank, n_processes = process()
        part = (f"part {rank}",) if rank else ()
        drawn = []
        for side, population in self.populations().items():
            n_strata = population.n_strata
            n = max(2, math.ceil(self.settings.batch_size / (n_strata * n_processes)))
            draws = [
                generator(self.seed, name, self.name, self.block, side, *part)
                for name in self.transport.names
            ]
            positions = population.draw(draws, n_steps * n).view(-1, n_strata, n_steps, n)
            drawn.append(positions.permute(2, 0, 1, 3).flatten(2).unbind())
        return iter(list(zip(*drawn, strict=True)))

    def training_step(self, batch: int, batch_index: int) -> None:
        """Take the steps of one block, then validate once."""
        first = self.steps_done
        n_steps = min(BLOCK_STEPS, self.n_steps - first)
        self.draws = self.draw_block(n_steps)
        totals: dict[str, Tensor] = {}
        start, end = self.learning_rates()
        start_of_block = [parameter.detach().clone() for parameter in self.trained]
        for step in range(first, first + n_steps):
            rate = end + (start - end) * (1 + math.cos(math.pi * step / self.n_steps)) / 2
            for optimizer in self.adams:
                optimizer.param_groups[0]["lr"] = rate
            for name, value in self.optimise(step).items():
                totals[name] = totals[name] + value if name in totals else value
        self.block += 1
        together = average([total / n_steps for total in totals.values()])
        means = dict(zip(totals, together, strict=True))
        for name in self.distances & means.keys():
            means[name] = self.transport.in_data_units(means[name])
        self._hold(start_of_block, means)
        self._record({**means, **self.validate()})
        out_of_steps = self.steps_done >= self.n_steps
        self.finished = out_of_steps or not any(self.stopping.active)
        self.trainer.should_stop = self.finished

    def _hold(self, start_of_block: list[Tensor], losses: dict[str, Tensor]) -> None:
        """Put problems that have ended, or whose loss is not finite, back to the block's start."""
        for name, values in losses.items():
            for problem, value in enumerate(values.tolist()):
                if math.isfinite(value) or not self.stopping.active[problem]:
                    continue
                message = (
                    f"The {name.replace('_', ' ')} of {self.transport.names[problem]!r} became "
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
        held_out = self.history[self.monitor][-1]
        self.stopping.update(held_out)
        self.log(self.monitor, sum(held_out), batch_size=1)

    def on_fit_end(self) -> None:
        """Let go of what only this phase needs."""
        del self.carried, self.targets, self.held_out

    def adam(self, module: nn.Module, betas: tuple[float, float]) -> torch.optim.Adam:
        """Adam over one part of the map."""
        parameters = list(module.parameters())
        fused = parameters[0].device.type in ("cpu", "cuda")
        return torch.optim.Adam(parameters, lr=self.learning_rates()[0], betas=betas, fused=fused)

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
