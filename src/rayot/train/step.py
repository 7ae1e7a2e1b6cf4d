"""Training of a ray's step size, by energy distance or against an adversary."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rayot.nn import LipschitzNetwork, StackedMLP
from rayot.solvers import (
    StepSize,
    critic_loss,
    dual_value,
    energy_distance,
    energy_loss,
    generator,
    generator_loss,
)
from rayot.solvers.objective import by_stratum
from rayot.train.block import apply_gradients
from rayot.train.carried import CarriedCells
from rayot.train.held_out import HeldOut
from rayot.train.ray import RayTraining

SAMPLE = 1024
"""Cells of each side that the first length of the steps is taken from."""


class StepTraining(RayTraining):
    """What all ways of training a step size share: a done potential, whose directions stay.

    They start with steps of the mean length that an optimal map has, W1 by the potential, unless
    ``starts_at_distance`` is False.
    """

    starts_at_distance = True
    part = "step"
    monitor = "validation_energy_distance"
    monitor_sign = -1

    @property
    def n_steps(self) -> int:
        """Steps of the whole phase."""
        return self.settings.step_steps

    def learning_rates(self) -> tuple[float, float]:
        """First and last learning rate."""
        return self.settings.step_lr, self.settings.step_lr_end

    @property
    def module(self) -> StepSize:
        """Step size of this ray."""
        return self.transport.ray(self.ray).step

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Adam on the step size of this ray."""
        return [self.adam(self.module, self.settings.step_betas)]

    def on_fit_start(self) -> None:
        """Carry the source cells and find their directions, once for the whole phase."""
        super().on_fit_start()
        self.carried = CarriedCells(self.transport, self.source, self.ray, True)
        self.held_out = HeldOut(self.transport, *self.validation, self.ray, True)
        if self.block == 0 and self.starts_at_distance:
            self.module.start_at(self._distance())

    @torch.no_grad()
    def _distance(self) -> Tensor:
        """Dual value of this ray's potential on a sample of training cells, (P,)."""
        potential = self.transport.ray(self.ray).potential
        values = []
        for side, population, carried in (
            ("source", self.source, self.carried),
            ("target", self.target, self.targets),
        ):
            draws = [generator(self.seed, name, self.name, side) for name in self.transport.names]
            positions = population.draw(draws, SAMPLE // population.n_strata + 1)
            values.append(potential(carried.take(positions)[0]))
        return dual_value(*values)

    def move(self, cells: Tensor, directions: Tensor) -> Tensor:
        """T(x), (P, n, d)."""
        return torch.addcmul(cells, self.module(cells)[..., None], directions)

    def draw(self) -> tuple[Tensor, Tensor]:
        """A batch of transported and one of target cells, each (P S, n, d).

        Cells are matched within their stratum.
        """
        source_positions, target_positions = next(self.draws)
        cells, directions = self.carried.take(source_positions)
        (target,) = self.targets.take(target_positions)
        moved = self.move(cells, directions)
        return by_stratum(moved, self.source.n_strata), by_stratum(target, self.source.n_strata)

    def mean_of_strata(self, losses: Tensor) -> Tensor:
        """Losses (P,), from those of each stratum (P S,)."""
        return losses.view(-1, self.source.n_strata).mean(-1)

    def validate(self) -> dict[str, Tensor]:
        """Energy distance from transported to target cells, both set apart."""
        with torch.no_grad():
            moved = self.move(*self.held_out.source)
            distance = self.held_out.score(energy_distance, moved, self.held_out.target)
        return {"validation_energy_distance": self.transport.in_data_units(distance)}


class EnergyStepTraining(StepTraining):
    """Minimise the unbiased energy distance between transported and target batches."""

    distances = frozenset({"step_loss"})

    def optimise(self, step: int) -> dict[str, Tensor]:
        """One step on a batch."""
        transported, target = self.draw()
        loss = self.mean_of_strata(energy_loss(transported, target))
        apply_gradients(loss.sum(), self.trained, self.adams[0])
        return {"step_loss": loss.detach()}


class FixedStep(EnergyStepTraining):
    """All cells go equally far, by the dual value of the potential (Milne et al. 2022)."""

    distances = frozenset()

    @property
    def n_steps(self) -> int:
        """One, in which nothing is trained."""
        return 1

    def on_fit_start(self) -> None:
        """Fix the step size."""
        super().on_fit_start()
        if self.block == 0:
            self.module.fix()

    def optimise(self, step: int) -> dict[str, Tensor]:
        """Nothing to train."""
        return {}


class AdversarialStepTraining(StepTraining):
    """Alternate a step of η and a step of its discriminator (paper, equations 15 and 16).

    Each stratum has a discriminator of its own, so that its cells are matched within it; the losses
    are means over strata.
    """

    starts_at_distance = False

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Adam on the step size and Adam on the discriminator."""
        return [
            *super().configure_optimizers(),
            self.adam(self.critic, self.settings.step_betas),
        ]

    def setup(self, stage: str) -> None:
        """Start the discriminators, one for each stratum of each problem."""
        generators = [
            generator(self.seed, name, self.name, "critic", *([s] if s else []))
            for name in self.transport.names
            for s in range(self.source.n_strata)
        ]
        self.critic = self.new_critic(generators).to(self.device)
        self.critic_parameters = list(self.critic.parameters())

    def new_critic(self, generators: Sequence[torch.Generator]) -> nn.Module:
        """Discriminators that are not trained."""
        width, n_layers = self.settings.step_width, self.settings.step_layers
        n_features = self.transport.n_features
        return StackedMLP(n_features, generators, width=width, n_layers=n_layers)

    def optimise(self, step: int) -> dict[str, Tensor]:
        """One step of the discriminators, then one of η against them, on the same batch."""
        transported, target = self.draw()
        logits = self.critic(torch.cat([target, transported.detach()], dim=1)).squeeze(-1)
        loss = self.mean_of_strata(critic_loss(*logits.split(target.shape[1], dim=1)))
        apply_gradients(loss.sum(), self.critic_parameters, self.adams[1])
        step_loss = self.mean_of_strata(generator_loss(self.critic(transported).squeeze(-1)))
        apply_gradients(step_loss.sum(), self.trained, self.adams[0])
        return {"step_loss": step_loss.detach(), "critic_loss": loss.detach()}


class WassersteinStepTraining(AdversarialStepTraining):
    """The same game for the Wasserstein-1 distance (Arjovsky et al. 2017).

    The critic is a potential f between transported and target cells, 1-Lipschitz by construction
    (Anil et al. 2019): it maximises the dual E f(T(x)) − E f(y), which η makes small. Its gradient
    does not vanish where the critic tells both sides apart, as that of a discriminator does.
    """

    starts_at_distance = True
    distances = frozenset({"step_loss"})
    critic: LipschitzNetwork

    def new_critic(self, generators: Sequence[torch.Generator]) -> LipschitzNetwork:
        """Critics that are not trained."""
        return LipschitzNetwork(
            self.transport.n_features,
            generators,
            width=self.settings.step_width,
            n_layers=self.settings.step_layers,
            n_groups=None,
            orthogonal=self.settings.orthogonal,
        )

    def on_fit_start(self) -> None:
        """Prepare the orthonormal matrices of the critics."""
        super().on_fit_start()
        self.weights = self.critic.weights()

    def optimise(self, step: int) -> dict[str, Tensor]:
        """One step of the critics, then one of η against them, on the same batch."""
        transported, target = self.draw()
        values = self.critic(torch.cat([transported.detach(), target], dim=1), self.weights)
        dual = self.mean_of_strata(dual_value(*values.split(target.shape[1], dim=1)))
        apply_gradients(-dual.sum(), self.critic_parameters, self.adams[1])
        # For this step of η, and for the critics' next.
        self.weights = self.critic.weights()
        fixed = [weight.detach() for weight in self.weights]
        # What the target adds to the dual does not depend on η.
        height = self.mean_of_strata(self.critic(transported, fixed).mean(-1))
        apply_gradients(height.sum(), self.trained, self.adams[0])
        return {"step_loss": dual.detach()}

    def on_fit_end(self) -> None:
        """Let go of what only this phase needs."""
        super().on_fit_end()
        del self.weights
