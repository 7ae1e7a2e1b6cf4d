"""Training of conditional Wasserstein-1 maps: few conditions a step, each matched for itself."""

import math
from abc import abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from rayot.solvers import (
    ConditionalMap,
    ConditionalRay,
    ConditionalW1Settings,
    Population,
    dual_value,
    generator,
)
from rayot.solvers.objective import by_stratum
from rayot.train.block import BlockTraining, apply_gradients
from rayot.train.carried import CarriedCells
from rayot.train.distributed import process
from rayot.train.held_out import HeldOut


class ConditionalTraining(BlockTraining):
    """A part of one ray of all conditions. The strata of the populations are the conditions.

    Parameters
    ----------
    transport
        The maps whose ray is fitted.
    ray
        Number of the ray, from 0.
    source, target, validation, patience
        As in :class:`BlockTraining`.
    """

    part: str
    transport: ConditionalMap
    settings: ConditionalW1Settings

    def __init__(
        self,
        transport: ConditionalMap,
        ray: int,
        source: Population,
        target: Population,
        validation: tuple[Population, Population],
        patience: int | None = None,
    ) -> None:
        super().__init__(transport, source, target, validation, patience)
        self.number = ray

    @property
    def name(self) -> str:
        """Name of the phase."""
        return f"ray {self.number + 1} {self.part}"

    @property
    def ray(self) -> ConditionalRay:
        """The ray that is fitted."""
        return self.transport.ray(self.number)

    @property
    @abstractmethod
    def module(self) -> nn.Module:
        """Network of the ray that the phase trains."""

    @property
    def n_groups(self) -> int:
        """Conditions of a step."""
        return min(self.settings.n_conditions, self.source.n_strata)

    def on_fit_start(self) -> None:
        """Bring cells into the maps' coordinates, once for the whole phase where they are few."""
        super().on_fit_start()
        self.carried = CarriedCells(self.transport, self.source)
        self.held_out = HeldOut(self.transport, *self.validation, 0, False)
        with torch.no_grad():
            cells = by_stratum(self.held_out.source[0], self.source.n_strata)
            self.held_out_cells = self.carry(cells, self.transport.conditions)

    def carry(self, cells: Tensor, conditions: Tensor) -> Tensor:
        """Where the rays that are done leave cells (P G, n, d) in conditions (P, G, k)."""
        with torch.no_grad():
            for number in range(self.number):
                cells = self.transport.ray(number)(cells, conditions)
        return cells

    def draw_block(self, n_steps: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Positions (P, 2, G n) of source and target cells of each step, and conditions (P, G).

        Conditions are drawn alike, none twice in a step.
        """
        rank, n_processes = process()
        part = (f"part {rank}",) if rank else ()
        n_strata, n_groups = self.source.n_strata, self.n_groups
        n = max(2, math.ceil(self.settings.batch_size / (n_groups * n_processes)))
        draws = [
            generator(self.seed, name, self.name, self.block, *part)
            for name in self.transport.names
        ]
        order = [
            torch.rand(n_steps, n_strata, generator=each, dtype=torch.float32).argsort(1)
            for each in draws
        ]
        groups = torch.stack(order)[..., :n_groups]
        positions = []
        for population in (self.source, self.target):
            shape = n_steps, n_groups, n
            uniform = torch.stack(
                [torch.rand(shape, generator=each, dtype=torch.float64) for each in draws]
            )
            first = torch.arange(len(draws))[:, None, None] * n_strata
            sizes = population.group_sizes.cpu()[groups + first][..., None]
            within = torch.minimum((uniform * sizes).long(), sizes - 1)
            starts = population.offsets.cpu()[groups + first][..., None]
            positions.append((starts + within).flatten(2))
        drawn = torch.stack(positions, 2).to(self.device)
        return iter(list(zip(drawn.unbind(1), groups.to(self.device).unbind(1), strict=True)))

    def draw(self) -> tuple[Tensor, Tensor, Tensor]:
        """Source and target cells of a step, each (P G, n, d), and their conditions (P, G, k)."""
        positions, groups = next(self.draws)
        source, target = (
            by_stratum(cells.take(positions[:, side])[0], self.n_groups)
            for side, cells in enumerate((self.carried, self.targets))
        )
        conditions = self.transport.conditions
        chosen = conditions.gather(1, groups[..., None].expand(-1, -1, conditions.shape[-1]))
        return self.carry(source, chosen), target, chosen

    def of_problems(self, losses: Tensor) -> Tensor:
        """Mean loss (P,) over conditions, from that of each (P G,)."""
        return losses.view(self.source.n_problems, -1).mean(1)

    def on_fit_end(self) -> None:
        """Let go of what only this phase needs."""
        super().on_fit_end()
        del self.held_out_cells


class ConditionalPotential(ConditionalTraining):
    """Maximise the mean over conditions of the Kantorovich-Rubinstein dual of each."""

    part = "potential"
    monitor = "validation_dual"
    monitor_sign = 1
    distances = frozenset({"dual"})

    @property
    def n_steps(self) -> int:
        """Steps of the whole phase."""
        return self.settings.potential_steps

    def learning_rates(self) -> tuple[float, float]:
        """First and last learning rate."""
        return self.settings.potential_lr, self.settings.potential_lr_end

    @property
    def module(self) -> nn.Module:
        """Potential of this ray."""
        return self.ray.potential

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Adam on the potential of this ray."""
        return [self.adam(self.module, self.settings.potential_betas)]

    def optimise(self, step: int) -> dict[str, Tensor]:
        """One step on a batch of each of some conditions."""
        source, target, conditions = self.draw()
        values = self.ray.potential(torch.cat([source, target], dim=1), conditions)
        dual = self.of_problems(dual_value(*values.split(source.shape[1], dim=1)))
        apply_gradients(-dual.sum(), self.trained, self.adams[0])
        return {"dual": dual.detach()}

    @torch.no_grad()
    def validate(self) -> dict[str, Tensor]:
        """Mean dual of the conditions on the cells set apart."""
        n_strata, conditions = self.source.n_strata, self.transport.conditions
        values = (
            self.ray.potential(cells, conditions).view(self.source.n_problems, -1)
            for cells in (self.held_out_cells, by_stratum(self.held_out.target, n_strata))
        )
        dual = self.held_out.score(dual_value, *values)
        return {"validation_dual": self.transport.in_data_units(dual)}
