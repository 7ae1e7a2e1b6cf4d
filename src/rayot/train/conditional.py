"""Training of conditional Wasserstein-1 maps: few conditions a step, each matched for itself."""

import math
from abc import abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from rayot.nn import ConditionalMLP
from rayot.solvers import (
    ConditionalMap,
    ConditionalRay,
    ConditionalW1Settings,
    Population,
    critic_loss,
    dual_value,
    energy_distance,
    energy_loss,
    generator,
    generator_loss,
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
    source, target, validation, settings, seed, patience
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
        settings: ConditionalW1Settings,
        seed: int,
        patience: int | None = None,
    ) -> None:
        super().__init__(transport, source, target, validation, settings, seed, patience)
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
        order = [torch.rand(n_steps, n_strata, generator=each).argsort(1) for each in draws]
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


class ConditionalStep(ConditionalTraining):
    """Train the step sizes by the energy distance of each condition's moved to its target cells."""

    part = "step"
    monitor = "validation_energy_distance"
    monitor_sign = -1
    distances = frozenset({"step_loss"})

    @property
    def n_steps(self) -> int:
        """Steps of the whole phase."""
        return self.settings.step_steps

    def learning_rates(self) -> tuple[float, float]:
        """First and last learning rate."""
        return self.settings.step_lr, self.settings.step_lr_end

    @property
    def module(self) -> ConditionalMLP:
        """Step size of this ray."""
        return self.ray.step

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Adam on the step size of this ray."""
        return [self.adam(self.module, self.settings.step_betas)]

    def on_fit_start(self) -> None:
        """Start with steps of the mean length that optimal maps have: W1, by the potential."""
        super().on_fit_start()
        with torch.no_grad():
            conditions = self.transport.conditions
            self.held_out_directions = self.ray.direction(self.held_out_cells, conditions)
        if self.block == 0 and self.settings.step == "energy":
            self.start()

    @torch.no_grad()
    def start(self) -> None:
        """Make all steps nearly as long as the mean dual value of the potential."""
        self.draws = self.draw_block(8)
        found = []
        for _ in range(8):
            source, target, conditions = self.draw()
            values = [self.ray.potential(cells, conditions) for cells in (source, target)]
            found.append(self.of_problems(dual_value(*values)))
        length = torch.stack(found).mean(0).clamp_min(1e-3)[:, None, None]
        network = self.module.network
        # The inverse of softplus.
        network.bias[-1].copy_(length + torch.log(-torch.expm1(-length)))
        network.weight[-1].mul_(0.1)

    def moved(self) -> tuple[Tensor, Tensor, Tensor]:
        """Moved and target cells of a step, each (P G, n, d), and their conditions (P, G, k)."""
        cells, target, conditions = self.draw()
        directions = self.ray.direction(cells, conditions)
        lengths = self.ray.length(cells, conditions)
        return torch.addcmul(cells, lengths[..., None], directions), target, conditions

    def optimise(self, step: int) -> dict[str, Tensor]:
        """One step on a batch of each of some conditions."""
        moved, target, _ = self.moved()
        loss = self.of_problems(energy_loss(moved, target))
        apply_gradients(loss.sum(), self.trained, self.adams[0])
        return {"step_loss": loss.detach()}

    @torch.no_grad()
    def validate(self) -> dict[str, Tensor]:
        """Mean energy distance of the conditions' moved to their target cells, set apart."""
        cells = self.held_out_cells
        lengths = self.ray.length(cells, self.transport.conditions)
        moved = cells + lengths[..., None] * self.held_out_directions
        moved = moved.view(self.source.n_problems, -1, moved.shape[-1])
        distance = self.held_out.score(energy_distance, moved, self.held_out.target)
        return {"validation_energy_distance": self.transport.in_data_units(distance)}

    def on_fit_end(self) -> None:
        """Let go of what only this phase needs."""
        super().on_fit_end()
        del self.held_out_directions


class ConditionalAdversarialStep(ConditionalStep):
    """Train them against a discriminator of cells and conditions (paper, equations 15 and 16)."""

    distances = frozenset()

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Adam on the step size and Adam on the discriminator."""
        critic = self.adam(self.critic, self.settings.step_betas)
        return [*super().configure_optimizers(), critic]

    def setup(self, stage: str) -> None:
        """Start the discriminator."""
        settings, names = self.settings, self.transport.names
        self.critic = ConditionalMLP(
            self.transport.n_features,
            self.transport.conditions.shape[-1],
            [generator(self.seed, name, self.name, "critic") for name in names],
            width=settings.step_width,
            n_layers=settings.step_layers,
            condition_width=settings.condition_width,
            condition_layers=settings.condition_layers,
        ).to(self.device)
        self.critic_parameters = list(self.critic.parameters())

    def optimise(self, step: int) -> dict[str, Tensor]:
        """One step of the discriminator, then one of η against it, on the same batch."""
        moved, target, conditions = self.moved()
        both = torch.cat([target, moved.detach()], dim=1)
        logits = self.critic(both, conditions).squeeze(-1)
        loss = self.of_problems(critic_loss(*logits.split(target.shape[1], dim=1)))
        apply_gradients(loss.sum(), self.critic_parameters, self.adams[1])
        logits = self.critic(moved, conditions).squeeze(-1)
        step_loss = self.of_problems(generator_loss(logits))
        apply_gradients(step_loss.sum(), self.trained, self.adams[0])
        return {"step_loss": step_loss.detach(), "critic_loss": loss.detach()}


STEP_TRAINING = {"energy": ConditionalStep, "adversarial": ConditionalAdversarialStep}
