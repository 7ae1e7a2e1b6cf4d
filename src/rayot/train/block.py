"""A Lightning module whose epoch is a block of optimisation steps."""

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from rayot.solvers import Population, TransportMap, W1Settings, generator

BLOCK_STEPS = 100
"""Steps between two visits of Lightning: long enough that its own cost does not show."""


class BlockTraining(pl.LightningModule):
    """One phase of a fit: a part of one ray, trained for a number of steps.

    Draws are keyed by seed, problem, phase and block, so that a run that resumes at a block repeats
    an uninterrupted one. Losses are summed over the P problems, never averaged: a problem does not
    feel its neighbours.

    Parameters
    ----------
    transport
        The map whose ray is fitted.
    ray
        Number of the ray, from 0.
    source, target
        Training cells of each problem.
    validation
        Source and target cells set apart.
    settings, seed
        As in :class:`~rayot.solvers.TransportMap`.
    """

    part: str
    monitor: str
    monitor_mode: str

    def __init__(
        self,
        transport: TransportMap,
        ray: int,
        source: Population,
        target: Population,
        validation: tuple[Population, Population],
        settings: W1Settings,
        seed: int,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.transport = transport
        self.ray = ray
        self.source = source
        self.target = target
        self.validation = validation
        self.settings = settings
        self.seed = seed
        self.block = 0
        self.finished = False
        self.history: dict[str, list[list[float]]] = {}

    @property
    def name(self) -> str:
        """Name of the phase in the history and on the progress bar."""
        return f"ray {self.ray + 1} {self.part}"

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
        """The part of the ray that the phase trains."""

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

    def to_device(self) -> None:
        """Bring the cells to where the module was put."""
        self.source, self.target = self.source.to(self.device), self.target.to(self.device)
        self.validation = (
            self.validation[0].to(self.device),
            self.validation[1].to(self.device),
        )

    def on_fit_start(self) -> None:
        """Prepare what the whole phase needs, on the device."""
        self.to_device()
        optimizers = self.optimizers(use_pl_optimizer=False)
        self.adams = optimizers if isinstance(optimizers, list) else [optimizers]
        self.trained = list(self.module.parameters())

    def draw_block(self, n_steps: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Positions of source and target cells for each step of the block."""
        n = n_steps * self.settings.batch_size
        drawn = [
            population.draw(
                [
                    generator(self.seed, name, self.name, self.block, side)
                    for name in self.transport.names
                ],
                n,
            ).split(self.settings.batch_size, dim=1)
            for side, population in (("source", self.source), ("target", self.target))
        ]
        return iter(list(zip(*drawn, strict=True)))

    def training_step(self, batch: int, batch_index: int) -> None:
        """Take the steps of one block, then validate once."""
        first = self.steps_done
        n_steps = min(BLOCK_STEPS, self.n_steps - first)
        self.draws = self.draw_block(n_steps)
        totals: dict[str, Tensor] = {}
        start, end = self.learning_rates()
        for step in range(first, first + n_steps):
            rate = end + (start - end) * (1 + math.cos(math.pi * step / self.n_steps)) / 2
            for optimizer in self.adams:
                optimizer.param_groups[0]["lr"] = rate
            for name, value in self.optimise(step).items():
                totals[name] = totals[name] + value if name in totals else value
        self.block += 1
        means = {name: total / n_steps for name, total in totals.items()}
        self._record({**means, **self.validate()})

    def _record(self, values: dict[str, Tensor]) -> None:
        stacked = torch.stack(list(values.values())).tolist()
        step = self.steps_done
        for (name, each), problem in (
            (pair, problem)
            for pair in zip(values, stacked, strict=True)
            for problem in range(len(pair[1]))
        ):
            if not math.isfinite(each[problem]):
                raise FloatingPointError(
                    f"The {name.replace('_', ' ')} of {self.transport.names[problem]!r} became "
                    f"{each[problem]} in {self.name}, between steps {step - BLOCK_STEPS} and {step}"
                    "; a lower learning rate or standardised input may help."
                )
        self.history.setdefault("step", []).append([step] * self.source.n_problems)
        for name, row in zip(values, stacked, strict=True):
            self.history.setdefault(name, []).append(row)
        self.log(self.monitor, sum(self.history[self.monitor][-1]), batch_size=1)
        self.finished = self.steps_done >= self.n_steps

    def in_data_units(self, values: Tensor) -> Tensor:
        """Distances (P,) in the rays' units, in those of the data."""
        return values * self.transport.scale.view(-1)

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
            "history": self.history,
        }

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        """Take the block counter and the history back."""
        state = checkpoint["rayot"]
        self.block = state["block"]
        self.finished = state["finished"]
        self.history = state["history"]


def apply_gradients(
    loss: Tensor, parameters: Sequence[nn.Parameter], optimizer: torch.optim.Optimizer
) -> None:
    """One optimizer step on these parameters alone.

    ``torch.autograd.grad`` does not touch the networks that the loss merely passes through.
    """
    gradients = torch.autograd.grad(loss, parameters)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    optimizer.step()
