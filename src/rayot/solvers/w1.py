"""Wasserstein-1 maps: a 1-Lipschitz potential gives the direction, a second network the length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn

from rayot._docs import shared
from rayot.nn import FunnelPotential, LipschitzNetwork, Potential, StackedMLP
from rayot.solvers.carried import CarriedCells
from rayot.solvers.dual import dual_value, matched, unbalanced_dual_value
from rayot.solvers.energy import energy_distance, energy_loss
from rayot.solvers.phase import Batch, Phase, Player, Score, Sides, by_stratum
from rayot.solvers.population import CHUNK_ROWS, Population
from rayot.solvers.random import generator
from rayot.solvers.ray import Ray
from rayot.solvers.stack import Stack
from rayot.solvers.step import (
    StepSize,
    critic_loss,
    generator_loss,
    start_softplus_at,
)
from rayot.solvers.w1_settings import W1Settings

SAMPLE = 1024
"""Cells of each side that the first length of the steps is taken from."""


@shared
class W1Map(Stack):
    """P maps, each a composition of rays fitted one after the other, in units of the data.

    Parameters
    ----------
    {stack}

    Examples
    --------
    >>> import torch
    >>> from rayot.solvers import W1Settings
    >>> transport = W1Map(3, ["a", "b"], W1Settings(n_rays=2), seed=0)
    >>> transport(torch.zeros(2, 5, 3)).shape
    torch.Size([2, 5, 3])
    """

    settings_type = W1Settings
    maybe_infinite = frozenset({"highest_source", "lowest_target"})

    settings: W1Settings
    highest_source: Tensor
    lowest_target: Tensor

    def __init__(
        self, n_features: int, names: Sequence[str], settings: W1Settings, seed: int
    ) -> None:
        super().__init__(n_features, names, settings, seed)
        # Potential beyond which a source cell (above) or a target cell (below) has no match.
        n_problems = len(self.names)
        self.register_buffer(
            "highest_source", torch.full((n_problems, 1), torch.inf, dtype=torch.float32)
        )
        self.register_buffer(
            "lowest_target", torch.full((n_problems, 1), -torch.inf, dtype=torch.float32)
        )
        self.rays = nn.ModuleList()
        for number in range(settings.n_rays):
            draws = [
                [generator(seed, name, part, number) for name in names]
                for part in ("potential", "step")
            ]
            potential = _new_potential(self.n_features, draws[0], settings)
            step = StepSize(
                self.n_features, draws[1], width=settings.step_width, n_layers=settings.step_layers
            )
            self.rays.append(Ray(potential, step))

    @classmethod
    def counts(cls, settings: W1Settings) -> dict[str, str]:
        """Rays, and layers of the step sizes; those of potentials are an axis of their arrays."""
        return {
            "n_rays": "rays.*.step.network.weight.0",
            "step_layers": "rays.0.step.network.weight.[!0]*",
        }

    def ray(self, number: int) -> Ray:
        """One of the composed rays, from 0."""
        return cast(Ray, self.rays[number])

    def move(self, cells: Tensor) -> Tensor:
        """Where standardised cells (P, n, r) go, ray after ray."""
        for ray in self.rays:
            cells = ray(cells)
        return cells

    def phases(self) -> list[Phase]:
        """The potential, then the step size, of each ray."""
        kinds: list[type[RayPhase]] = [PotentialPhase, STEP_PHASES[self.settings.step]]
        return [kind(self, ray) for ray in range(self.settings.n_rays) for kind in kinds]

    def potential(self, cells: Tensor) -> Tensor:
        """Potential of the first ray, (P, n), in the units of ``cells``."""
        return self.ray(0).potential(self.standardise(cells)) * self.scale[..., 0]

    def slope(self, cells: Tensor) -> Tensor:
        """Norm (P, n) of the gradient of the first ray's potential: 1 at an optimum."""
        return self.ray(0).direction(self.standardise(cells))[2]

    def mass(self, cells: Tensor, side: Literal["source", "target"]) -> Tensor:
        """Mass (P, n) with which cells (P, n, d) of a side are matched, 1 on average."""
        values = self.potential(cells)
        if side == "source":
            return (values <= self.highest_source).float() / (1 - self.settings.unmatched_source)
        return (values >= self.lowest_target).float() / (1 - self.settings.unmatched_target)


def _new_potential(
    n_features: int, generators: Sequence[torch.Generator], settings: W1Settings
) -> Potential:
    if settings.potential == "funnel":
        return FunnelPotential(n_features, generators, n_funnels=settings.width)
    return LipschitzNetwork(
        n_features,
        generators,
        width=settings.width,
        n_layers=settings.n_layers,
        n_groups=settings.n_groups,
        orthogonal=settings.orthogonal,
    )


class RayPhase(Phase):
    """A part of one ray, its potential or its step size.

    Parameters
    ----------
    stack
        The map whose ray is fitted.
    number
        Of the ray, from 0.
    """

    part: str
    stack: W1Map

    def __init__(self, stack: Stack, number: int) -> None:
        super().__init__(stack)
        self.number = number
        self.name = f"ray {number + 1} {self.part}"

    @property
    def ray(self) -> Ray:
        """The ray that is fitted."""
        return self.stack.ray(self.number)

    @property
    def carries(self) -> bool:
        """Whether there are rays that are done."""
        return self.number > 0

    def carry(self, cells: Tensor, strata: Tensor | None) -> tuple[Tensor, ...]:
        """Cells as the rays that are done leave them."""
        for number in range(self.number):
            cells = self.stack.ray(number)(cells)
        return (cells,)

    def draws_of(self, *what: str | int) -> list[torch.Generator]:
        """One generator a problem, keyed by its name, the phase's and what is drawn."""
        stack = self.stack
        return [generator(stack.seed, name, self.name, *what) for name in stack.names]

    def mean_of_strata(self, losses: Tensor) -> Tensor:
        """Losses (P,), from that of each stratum of a batch (P S,)."""
        return losses.view(len(self.stack.names), -1).mean(-1)


class PotentialPhase(RayPhase):
    """Maximise E f(source) − E f(target) over 1-Lipschitz f (paper, equation 13)."""

    part = "potential"
    monitor = "validation_dual"
    monitor_sign = 1

    @property
    def n_steps(self) -> int:
        """Steps of the phase."""
        return self.stack.settings.potential_steps

    @property
    def module(self) -> Potential:
        """Potential of this ray."""
        return self.ray.potential

    def players(self, n_strata: int) -> list[Player]:
        """The potential alone."""
        settings = self.stack.settings
        rates = settings.potential_lr, settings.potential_lr_end, settings.potential_betas
        return [Player("dual", self.module, *rates, maximises=True, is_distance=True)]

    def start(
        self, source: CarriedCells, target: CarriedCells, draw: Callable[[int], Iterator[Batch]]
    ) -> None:
        """Give the target cells that the potential starts at, none twice while there are others."""
        n = self.module.n_start_cells
        if not n:
            return
        cells = target.population
        firsts, sizes = cells.problem_offsets[:-1].tolist(), cells.sizes.tolist()
        positions = []
        for first, size, shuffle in zip(firsts, sizes, self.draws_of("start"), strict=True):
            order = torch.randperm(size, generator=shuffle)
            positions.append(first + order[torch.arange(n) % size])
        self.module.start_at(target.take(torch.stack(positions).to(cells.rows.device))[0])

    def start_step(self, share: float, active: Sequence[bool]) -> None:
        """Anneal what the potential anneals."""
        self.module.anneal(share, active)

    def losses(self, draw: Callable[[], Batch]) -> Iterator[tuple[str, Tensor]]:
        """The dual, on a batch of all strata together."""
        batch = draw()
        (source,) = batch.source
        values = self.module(torch.cat([source, batch.target], dim=1))
        yield "dual", self._dual(*values.split(source.shape[1], dim=1))

    def _dual(
        self,
        source: Tensor,
        target: Tensor,
        source_weights: Tensor | None = None,
        target_weights: Tensor | None = None,
    ) -> Tensor:
        settings = self.stack.settings
        if not settings.unbalanced:
            return dual_value(source, target, source_weights, target_weights)
        unmatched = settings.unmatched_source, settings.unmatched_target
        return unbalanced_dual_value(source, target, *unmatched, source_weights, target_weights)

    def validate(self, held_out: Batch, score: Score) -> Tensor:
        """Dual on the cells set apart: a lower bound of W1, up to sampling."""
        weights = self.module.weights()
        values = [self.module(cells, weights) for cells in (held_out.source[0], held_out.target)]
        return score(self._dual, *values)

    def finish(self, training: Sides, validation: Sides) -> tuple[Sides, Sides]:
        """The first potential says which cells no later phase draws: those that go unmatched."""
        if self.number or not self.stack.settings.unbalanced:
            return training, validation
        set_limits(self.stack, *training)
        return matched_only(self.stack, *training), matched_only(self.stack, *validation)


class StepPhase(RayPhase):
    """What all ways of training a step size share: a done potential, whose directions stay.

    They start with steps of the mean length that an optimal map has, W1 by the potential, unless
    ``starts_at_distance`` is False. Cells are matched within their stratum, and losses are means
    over strata.
    """

    part = "step"
    carries = True
    starts_at_distance = True

    @property
    def n_steps(self) -> int:
        """Steps of the phase."""
        return self.stack.settings.step_steps

    @property
    def module(self) -> nn.Module:
        """Step size of this ray."""
        return self.ray.step

    def player(self, name: str, module: nn.Module, **options: bool) -> Player:
        """A player with the rates of the step size, which its adversary has too."""
        settings = self.stack.settings
        lr, lr_end, betas = settings.step_lr, settings.step_lr_end, settings.step_betas
        return Player(name, module, lr, lr_end, betas, **options)

    def carry(self, cells: Tensor, strata: Tensor | None) -> tuple[Tensor, ...]:
        """Cells as the rays that are done leave them, and their directions."""
        (cells,) = super().carry(cells, strata)
        return cells, self.ray.direction(cells)[0]

    def start(
        self, source: CarriedCells, target: CarriedCells, draw: Callable[[int], Iterator[Batch]]
    ) -> None:
        """Make all steps as long as the dual value of the potential."""
        if self.starts_at_distance:
            start_softplus_at(self.ray.step.network, self.distance(source, target, draw))

    @torch.no_grad()
    def distance(
        self, source: CarriedCells, target: CarriedCells, draw: Callable[[int], Iterator[Batch]]
    ) -> Tensor:
        """Dual value of this ray's potential on a sample of training cells, (P,)."""
        values = []
        for side, cells in (("source", source), ("target", target)):
            n = SAMPLE // cells.population.n_strata + 1
            positions = cells.population.draw(self.draws_of(side), n)
            values.append(self.ray.potential(cells.take(positions)[0]))
        return dual_value(*values)

    def move(self, source: tuple[Tensor, ...], strata: Tensor | None) -> Tensor:
        """T(x), (P, n, r), of cells with their directions."""
        cells, directions = source
        return torch.addcmul(cells, self.ray.step(cells)[..., None], directions)

    def moved(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Transported and target cells of a batch, each (P S, n, r)."""
        moved = self.move(batch.source, batch.strata)
        return by_stratum(moved, batch.n_strata), by_stratum(batch.target, batch.n_strata)

    def validate(self, held_out: Batch, score: Score) -> Tensor:
        """Energy distance from transported to target cells, both set apart."""
        moved = self.move(held_out.source, held_out.strata)
        return score(energy_distance, moved, held_out.target)


class EnergyStep(StepPhase):
    """Minimise the unbiased energy distance between transported and target batches."""

    def players(self, n_strata: int) -> list[Player]:
        """The step size alone."""
        return [self.player("step_loss", self.module, is_distance=True)]

    def losses(self, draw: Callable[[], Batch]) -> Iterator[tuple[str, Tensor]]:
        """The energy distance."""
        yield "step_loss", self.mean_of_strata(energy_loss(*self.moved(draw())))


class FixedStep(EnergyStep):
    """All cells go equally far, by the dual value of the potential (Milne et al. 2022)."""

    @property
    def n_steps(self) -> int:
        """One, in which nothing is trained."""
        return 1

    def start(
        self, source: CarriedCells, target: CarriedCells, draw: Callable[[int], Iterator[Batch]]
    ) -> None:
        """Fix the step size."""
        super().start(source, target, draw)
        self.ray.step.fix()

    def losses(self, draw: Callable[[], Batch]) -> Iterator[tuple[str, Tensor]]:
        """Nothing to train."""
        return iter(())


class AdversarialStep(StepPhase):
    """Alternate a step of η and a step of its discriminator (paper, equations 15 and 16).

    Both see the same batch. Each stratum has a discriminator of its own, so that its cells are
    matched within it.
    """

    starts_at_distance = False

    def players(self, n_strata: int) -> list[Player]:
        """The step size and new discriminators."""
        self.critic = self.new_critic(n_strata)
        return [self.player("step_loss", self.module), self.player("critic_loss", self.critic)]

    def critic_draws(self, n_strata: int) -> list[torch.Generator]:
        """One generator for each stratum of each problem."""
        stack = self.stack
        return [
            generator(stack.seed, name, self.name, "critic", *([s] if s else []))
            for name in stack.names
            for s in range(n_strata)
        ]

    def new_critic(self, n_strata: int) -> nn.Module:
        """Discriminators that are not trained."""
        settings = self.stack.settings
        size = {"width": settings.step_width, "n_layers": settings.step_layers}
        return StackedMLP(self.stack.n_features, self.critic_draws(n_strata), **size)

    def logits(self, cells: Tensor, strata: Tensor | None) -> Tensor:
        """What discriminators say of cells (P S, n, r), (P S, n)."""
        return self.critic(cells).squeeze(-1)

    def losses(self, draw: Callable[[], Batch]) -> Iterator[tuple[str, Tensor]]:
        """Of the discriminators, then of η against them."""
        batch = draw()
        moved, target = self.moved(batch)
        logits = self.logits(torch.cat([target, moved.detach()], dim=1), batch.strata)
        loss = critic_loss(*logits.split(target.shape[1], dim=1))
        yield "critic_loss", self.mean_of_strata(loss)
        loss = generator_loss(self.logits(moved, batch.strata))
        yield "step_loss", self.mean_of_strata(loss)


class WassersteinStep(AdversarialStep):
    """The same game for the Wasserstein-1 distance (Arjovsky et al. 2017).

    The critic is a potential f between transported and target cells, 1-Lipschitz by construction
    (Anil et al. 2019): it maximises the dual E f(T(x)) − E f(y), which η makes small. Its gradient
    does not vanish where the critic tells both sides apart, as that of a discriminator does.
    """

    starts_at_distance = True
    critic: LipschitzNetwork

    def players(self, n_strata: int) -> list[Player]:
        """The step size and new critics, whose dual is the loss of both."""
        self.critic = self.new_critic(n_strata)
        return [
            self.player("height", self.module, in_history=False),
            self.player("step_loss", self.critic, maximises=True, is_distance=True),
        ]

    def new_critic(self, n_strata: int) -> LipschitzNetwork:
        """Critics that are not trained."""
        settings = self.stack.settings
        return LipschitzNetwork(
            self.stack.n_features,
            self.critic_draws(n_strata),
            width=settings.step_width,
            n_layers=settings.step_layers,
            n_groups=None,
            orthogonal=settings.orthogonal,
        )

    def start_block(self) -> None:
        """Prepare the orthonormal matrices of the critics."""
        self.weights = self.critic.weights()

    def end(self) -> None:
        """Let go of these matrices, which hold a graph."""
        del self.weights

    def losses(self, draw: Callable[[], Batch]) -> Iterator[tuple[str, Tensor]]:
        """Of the critics, then of η against them."""
        moved, target = self.moved(draw())
        values = self.critic(torch.cat([moved.detach(), target], dim=1), self.weights)
        yield "step_loss", self.mean_of_strata(dual_value(*values.split(target.shape[1], dim=1)))
        # For this step of η, and for the critics' next.
        self.weights = self.critic.weights()
        fixed = [weight.detach() for weight in self.weights]
        # What the target adds to the dual does not depend on η.
        yield "height", self.mean_of_strata(self.critic(moved, fixed).mean(-1))


STEP_PHASES: dict[str, type[StepPhase]] = {
    "adversarial": AdversarialStep,
    "wasserstein": WassersteinStep,
    "energy": EnergyStep,
    "fixed": FixedStep,
}
"""By ``settings.step``."""


@torch.no_grad()
def set_limits(stack: W1Map, source: Population, target: Population) -> None:
    """Set the potential above which source cells, and below which target cells, go unmatched."""
    settings = stack.settings
    for limits, population, sign, share in (
        (stack.highest_source, source, 1, settings.unmatched_source),
        (stack.lowest_target, target, -1, settings.unmatched_target),
    ):
        if not share:
            continue
        values = sign * _potential(stack, population)
        for problem, size in enumerate(population.sizes.tolist()):
            weights = population.weights_at(population.positions()[problem, :size])
            mass = matched(values[problem, :size], share, weights)
            limits[problem] = sign * values[problem, :size][mass > 0].max()


@torch.no_grad()
def matched_only(stack: W1Map, source: Population, target: Population) -> Sides:
    """The same populations, where cells that go unmatched are never drawn."""
    return (
        _where(source, _potential(stack, source) <= stack.highest_source),
        _where(target, _potential(stack, target) >= stack.lowest_target),
    )


def _where(population: Population, kept: Tensor) -> Population:
    sizes = population.sizes.tolist()
    flat = torch.cat([kept[problem, :size] for problem, size in enumerate(sizes)]).float()
    groups = flat.split(population.group_sizes.tolist())
    # A stratum that is left out whole keeps its cells: it has nothing else to draw.
    flat = torch.cat([group if group.any() else torch.ones_like(group) for group in groups])
    return population.with_weights(
        flat if population.weights is None else flat * population.weights
    )


def _potential(stack: W1Map, population: Population) -> Tensor:
    """Potential (P, n) of all cells of each problem, padded like their positions."""
    chunks = population.positions().split(CHUNK_ROWS, dim=1)
    return torch.cat([stack.potential(population.take(chunk)) for chunk in chunks], dim=1)
