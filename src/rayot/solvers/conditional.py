"""Wasserstein-1 maps of many conditions, learned by one network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from rayot._docs import shared
from rayot.nn import ConditionalLipschitzNetwork, ConditionalMLP
from rayot.solvers.carried import CarriedCells
from rayot.solvers.conditional_settings import ConditionalW1Settings
from rayot.solvers.dual import dual_value
from rayot.solvers.phase import Batch, Phase, Score, by_stratum
from rayot.solvers.random import generator
from rayot.solvers.ray import descent
from rayot.solvers.stack import Stack
from rayot.solvers.w1 import AdversarialStep, EnergyStep, PotentialPhase, RayPhase, StepPhase, W1Map


class ConditionalRay(nn.Module):
    """P maps T(x, c) = x − η(x, c) ∇f(x, c) / ‖∇f(x, c)‖ of cells and conditions.

    Parameters
    ----------
    potential
        f, 1-Lipschitz in x for every c.
    step
        What η ≥ 0 is the softplus of.
    """

    def __init__(self, potential: ConditionalLipschitzNetwork, step: ConditionalMLP) -> None:
        super().__init__()
        self.potential = potential
        self.step = step

    def direction(self, cells: Tensor, conditions: Tensor) -> Tensor:
        """Unit vectors −∇f/‖∇f‖ (P G, n, d) of cells (P G, n, d) in conditions (P, G, k)."""
        with torch.no_grad():
            values = self.potential.parameters_in(conditions)
        return descent(lambda x: self.potential.with_parameters(x, values), cells)[0]

    def length(self, cells: Tensor, conditions: Tensor) -> Tensor:
        """Step sizes η (P G, n)."""
        return nn.functional.softplus(self.step(cells, conditions)).squeeze(-1)

    def forward(self, cells: Tensor, conditions: Tensor) -> Tensor:
        """T(x, c), (P G, n, d)."""
        direction = self.direction(cells, conditions)
        return cells + self.length(cells, conditions)[..., None] * direction


@shared
class ConditionalMap(Stack):
    """P networks, each of which holds the maps of all conditions.

    Problems are members of an ensemble. In one condition, seen in training or not, a network is a
    :class:`W1Map` (:meth:`given`).

    Parameters
    ----------
    {stack}
    conditions
        (S, k), vectors of the conditions to train on, of about unit norm.

    Examples
    --------
    >>> import torch
    >>> from rayot.solvers import ConditionalW1Settings
    >>> maps = ConditionalMap(3, ["a"], ConditionalW1Settings(), 0, torch.eye(4))
    >>> maps.of_conditions(torch.ones(1, 4) / 2, ["new"])(torch.zeros(1, 5, 3)).shape
    torch.Size([1, 5, 3])
    """

    settings_type = ConditionalW1Settings

    settings: ConditionalW1Settings
    conditions: Tensor
    strengths: Tensor

    def __init__(
        self,
        n_features: int,
        names: Sequence[str],
        settings: ConditionalW1Settings,
        seed: int,
        conditions: Tensor,
    ) -> None:
        super().__init__(n_features, names, settings, seed)
        self.register_buffer("conditions", conditions.float().repeat(len(self.names), 1, 1))
        # Shares of their way that cells go in the conditions of training.
        self.register_buffer(
            "strengths", torch.ones(len(self.names), len(conditions), dtype=torch.float32)
        )
        sizes = self.n_features, conditions.shape[1]
        of_conditions = {
            "condition_width": settings.condition_width,
            "condition_layers": settings.condition_layers,
        }
        self.rays = nn.ModuleList()
        for number in range(settings.n_rays):
            of_potential, of_step = (
                [generator(seed, name, part, number) for name in names]
                for part in ("potential", "step")
            )
            potential = ConditionalLipschitzNetwork(
                *sizes,
                of_potential,
                rank=settings.rank,
                width=settings.width,
                n_layers=settings.n_layers,
                n_groups=settings.n_groups,
                orthogonal=settings.orthogonal,
                **of_conditions,
            )
            step = ConditionalMLP(
                *sizes,
                of_step,
                width=settings.step_width,
                n_layers=settings.step_layers,
                **of_conditions,
            )
            self.rays.append(ConditionalRay(potential, step))

    @classmethod
    def counts(cls, settings: ConditionalW1Settings) -> dict[str, str]:
        """Rays, and layers of each of their networks."""
        return {
            "n_rays": "rays.*.step.network.weight.0",
            "n_layers": "rays.0.potential.left.[!0]*",
            "step_layers": "rays.0.step.network.weight.[!0]*",
            "condition_layers": "rays.0.step.conditions.perceptron.weight.[!0]*",
        }

    def ray(self, number: int) -> ConditionalRay:
        """One of the composed rays, from 0."""
        return cast(ConditionalRay, self.rays[number])

    def move(self, cells: Tensor) -> Tensor:
        """Where standardised cells (P, S n, r) go: n of each condition of training, in turn."""
        moved = by_stratum(cells, self.conditions.shape[1])
        for ray in self.rays:
            moved = ray(moved, self.conditions)
        return moved.reshape(cells.shape)

    def phases(self) -> list[Phase]:
        """The potential, then the step size, of each ray, for all conditions."""
        kinds: list[type[RayPhase]] = [ConditionalPotential, STEP_PHASES[self.settings.step]]
        return [kind(self, ray) for ray in range(self.settings.n_rays) for kind in kinds]

    @torch.no_grad()
    def of_conditions(
        self, conditions: Tensor, names: Sequence[str], strengths: Tensor | None = None
    ) -> W1Map:
        """The maps in given conditions: P G problems, those of the first network first.

        Parameters
        ----------
        conditions
            (G, k).
        names
            Of the G conditions.
        strengths
            (P, G), shares of its way that each cell goes; None for all of it.
        """
        own, n = conditions.to(self.centre).repeat(len(self.names), 1, 1), len(names)
        members = ("", *(f" / {k}" for k in range(2, len(self.names) + 1)))
        every = [f"{name}{member}" for member in members for name in names]
        plain = self.settings.plain
        maps = W1Map(self.centre.shape[-1], every, plain, self.seed).to(self.centre.device)
        values = maps.state_dict()
        for name in ("centre", "scale", "strength", "basis"):
            if (buffer := getattr(self, name)) is not None:
                values[name] = buffer.repeat_interleave(n, 0)
        if strengths is not None:
            values["strength"] = strengths.reshape(-1, 1, 1)
        for number in range(plain.n_rays):
            ray = self.ray(number)
            for part, parameters in (
                ("potential", ray.potential.parameters_in(own)),
                ("step.network", ray.step.parameters_in(own)),
            ):
                values |= {
                    f"rays.{number}.{part}.{name}": parameter
                    for name, parameter in parameters.items()
                }
        maps.restore(values)
        return maps.train(self.training)


class ConditionalPhase(RayPhase):
    """A part of one ray of all conditions, which are the strata of the cells: some a step."""

    stack: ConditionalMap  # type: ignore[assignment]

    @property
    def ray(self) -> ConditionalRay:  # type: ignore[override]
        """The ray that is fitted."""
        return self.stack.ray(self.number)

    @property
    def strata_per_step(self) -> int:
        """Conditions of a step."""
        return self.stack.settings.n_conditions

    def conditions(self, strata: Tensor | None) -> Tensor:
        """Vectors (P, G, k) of the conditions of these numbers (P, G)."""
        conditions = self.stack.conditions
        if strata is None:
            return conditions
        return conditions.gather(1, strata[..., None].expand(-1, -1, conditions.shape[-1]))

    def carry(self, cells: Tensor, strata: Tensor | None) -> tuple[Tensor, ...]:
        """Cells as the rays that are done leave them in their conditions."""
        conditions = self.conditions(strata)
        moved = by_stratum(cells, conditions.shape[1])
        for number in range(self.number):
            moved = self.stack.ray(number)(moved, conditions)
        return (moved.reshape(cells.shape),)


class ConditionalPotential(ConditionalPhase, PotentialPhase):
    """Maximise the mean over conditions of the Kantorovich-Rubinstein dual of each."""

    # Networks of conditions neither start at cells nor anneal.
    start = Phase.start
    start_step = Phase.start_step

    def losses(self, draw: Callable[[], Batch]) -> Iterator[tuple[str, Tensor]]:
        """The dual, on a batch of each of some conditions."""
        batch = draw()
        source, target = (
            by_stratum(cells, batch.n_strata) for cells in (batch.source[0], batch.target)
        )
        values = self.ray.potential(torch.cat([source, target], 1), self.conditions(batch.strata))
        yield "dual", self.mean_of_strata(dual_value(*values.split(source.shape[1], dim=1)))

    def validate(self, held_out: Batch, score: Score) -> Tensor:
        """Mean dual of the conditions on the cells set apart."""
        conditions, n_problems = self.stack.conditions, len(self.stack.names)
        source, target = (
            self.ray.potential(by_stratum(cells, held_out.n_strata), conditions)
            for cells in (held_out.source[0], held_out.target)
        )
        return score(dual_value, source.view(n_problems, -1), target.view(n_problems, -1))


class ConditionalStepPhase(ConditionalPhase, StepPhase):
    """What both ways of training the step sizes of all conditions share."""

    def carry(self, cells: Tensor, strata: Tensor | None) -> tuple[Tensor, ...]:
        """Cells as the rays that are done leave them, and their directions."""
        (cells,) = super().carry(cells, strata)
        conditions = self.conditions(strata)
        directions = self.ray.direction(by_stratum(cells, conditions.shape[1]), conditions)
        return cells, directions.reshape(cells.shape)

    @torch.no_grad()
    def distance(
        self, source: CarriedCells, target: CarriedCells, draw: Callable[[int], Iterator[Batch]]
    ) -> Tensor:
        """Mean dual value (P,) of the potential over the conditions of eight batches."""
        duals = []
        for batch in draw(8):
            values = [
                self.ray.potential(by_stratum(cells, batch.n_strata), self.conditions(batch.strata))
                for cells in (batch.source[0], batch.target)
            ]
            duals.append(self.mean_of_strata(dual_value(*values)))
        return torch.stack(duals).mean(0)

    def move(self, source: tuple[Tensor, ...], strata: Tensor | None) -> Tensor:
        """T(x, c), (P, G n, r), of cells with their directions."""
        cells, directions = source
        conditions = self.conditions(strata)
        lengths = self.ray.length(by_stratum(cells, conditions.shape[1]), conditions)
        return torch.addcmul(cells, lengths.reshape(len(cells), -1, 1), directions)


class ConditionalEnergyStep(ConditionalStepPhase, EnergyStep):
    """Train them by the energy distance of each condition's moved to its target cells."""


class ConditionalAdversarialStep(ConditionalStepPhase, AdversarialStep):
    """Train them against a discriminator of cells and conditions (paper, equations 15 and 16)."""

    def new_critic(self, n_strata: int) -> nn.Module:
        """A discriminator that is not trained."""
        settings = self.stack.settings
        return ConditionalMLP(
            self.stack.n_features,
            self.stack.conditions.shape[-1],
            self.draws_of("critic"),
            width=settings.step_width,
            n_layers=settings.step_layers,
            condition_width=settings.condition_width,
            condition_layers=settings.condition_layers,
        )

    def logits(self, cells: Tensor, strata: Tensor | None) -> Tensor:
        """What the discriminator says of cells (P G, n, r) in their conditions, (P G, n)."""
        return self.critic(cells, self.conditions(strata)).squeeze(-1)


STEP_PHASES: dict[str, type[ConditionalStepPhase]] = {
    "energy": ConditionalEnergyStep,
    "adversarial": ConditionalAdversarialStep,
}
"""By ``settings.step``."""
