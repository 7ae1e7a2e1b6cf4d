"""Training of the step sizes of all conditions, by energy distance or a discriminator."""

import torch
from torch import Tensor

from rayot.nn import ConditionalMLP
from rayot.solvers import (
    critic_loss,
    dual_value,
    energy_distance,
    energy_loss,
    generator,
    generator_loss,
)
from rayot.solvers.step import start_softplus_at
from rayot.train.block import apply_gradients
from rayot.train.conditional import ConditionalTraining


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
        start_softplus_at(self.module.network, torch.stack(found).mean(0))

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
