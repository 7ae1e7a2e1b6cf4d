"""Generative entropic neural optimal transport (Klein et al. 2024), within one space."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from rayot._arguments import Check, number
from rayot._docs import shared
from rayot.nn import StackedMLP
from rayot.solvers.coupling import Cost, cost_of, costs_between, draw_pairs, entropic_plan
from rayot.solvers.flow import FlowMatching, FlowSettings, Velocity, matching_loss
from rayot.solvers.phase import Batch, Phase, Player, by_stratum
from rayot.solvers.random import generator
from rayot.solvers.stack import Stack


@shared
@dataclass(frozen=True)
class GenotSettings(FlowSettings):
    """Settings of a conditional flow from noise to the targets of a cell.

    Attributes
    ----------
    cost
        ``"squared_euclidean"``, ``"euclidean"``, ``"cosine"``, or a function of standardised source
        cells (P, n, d) and target cells (P, m, d) that gives (P, n, m).
    epsilon
        Strength of the entropic regularisation, for costs divided by their mean.
    tau_source, tau_target
        How firmly the marginal of a batch is kept, from above 0 (hardly) to 1 (wholly).
    n_targets
        Targets drawn for each source cell of a batch.
    steps_per_coupling
        Steps for which a batch and its coupling are kept; pairs and noise are drawn at each.
    n_samples
        Samples of p(y | x) that a cell's prediction is the mean of; 1 predicts a single sample,
        whose spread over cells is that of the targets.
    {flow_settings}
    {network_settings}
    {common_settings}
    """

    cost: str | Cost = "squared_euclidean"
    epsilon: float = 0.01
    tau_source: float = 1.0
    tau_target: float = 1.0
    n_targets: int = 1
    steps_per_coupling: int = 1
    n_samples: int = 1

    ranges: ClassVar[dict[str, Check]] = dict.fromkeys(
        ("tau_source", "tau_target"), partial(number, low=0, high=1, open_low=True)
    )
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {"n_steps": 10_000, "lr": 1e-4, "lr_end": 1e-4},
        "fast": {
            "n_components": 50,
            "decode": "auto",
            "shrink": True,
            "n_steps": 2000,
            "width": 128,
            "lr": 3e-3,
            "steps_per_coupling": 10,
        },
    }

    @property
    def unbalanced(self) -> bool:
        """Whether mass may be left unmatched."""
        return self.tau_source < 1 or self.tau_target < 1

    def check(self) -> None:
        """Raise a ValueError that names the first setting out of range."""
        super().check()
        cost_of(self.cost)


@shared
class GenotMap(Stack):
    """P conditional flows from noise to the targets of a cell, p(y | x) of an entropic coupling.

    Where mass may be left unmatched, two networks learn with which mass each source and each target
    cell is matched, 1 on average.

    Parameters
    ----------
    {stack}

    Examples
    --------
    >>> import torch
    >>> GenotMap(3, ["a"], GenotSettings(), seed=0).samples(torch.zeros(1, 5, 3), 2).shape
    torch.Size([2, 1, 5, 3])
    """

    settings_type = GenotSettings
    settings: GenotSettings

    def __init__(
        self, n_features: int, names: Sequence[str], settings: GenotSettings, seed: int
    ) -> None:
        super().__init__(n_features, names, settings, seed)
        draws = [generator(seed, name, "velocity") for name in names]
        d = self.n_features
        self.velocity = Velocity(d, d, draws, width=settings.width, n_layers=settings.n_layers)
        self.source_mass = self.target_mass = None
        if settings.unbalanced:
            self.source_mass, self.target_mass = (
                StackedMLP(d, [generator(seed, name, side) for name in names], n_layers=3)
                for side in ("source mass", "target mass")
            )

    @classmethod
    def counts(cls, settings: GenotSettings) -> dict[str, str]:
        """Layers of the velocity."""
        return {"n_layers": "velocity.network.weight.[!0]*"}

    def noise(self, cells: Tensor, number: int) -> Tensor:
        """Standard normal noise (P, n, d) of the sample of this number, a function of the cell.

        A cell has the same noise in whatever batch it is predicted.
        """
        d = self.n_features
        # Directions so long that cells which differ at all fall anywhere between two integers.
        directions = torch.stack(
            [
                1e3 * torch.randn(d, d, generator=draw, dtype=torch.float64)
                for draw in (generator(self.seed, name, "noise", number) for name in self.names)
            ]
        ).to(cells.device)
        place = cells.double() @ directions
        uniform = (place - place.floor()).clamp(1e-9, 1 - 1e-9)
        return torch.special.ndtri(uniform).to(cells.dtype)

    def move(self, cells: Tensor) -> Tensor:
        """Mean of the samples of p(y | x)."""
        numbers = range(self.settings.n_samples)
        means = [self._sample(cells, number) for number in numbers]
        return torch.stack(means).mean(0)

    def _sample(self, cells: Tensor, number: int) -> Tensor:
        noise = self.noise(cells, number)
        return self.velocity.follow(noise, self.settings.integration_steps, cells)

    @torch.no_grad()
    def samples(self, cells: Tensor, n_samples: int) -> Tensor:
        """Samples (n_samples, P, n, d) of p(y | x), in the units of ``cells`` (P, n, d)."""
        standardised = self.standardise(cells)
        moved = (self._sample(standardised, number) for number in range(n_samples))
        return torch.stack([self.in_space(cells, end - standardised) for end in moved])

    def mass(self, cells: Tensor, side: Literal["source", "target"]) -> Tensor:
        """Mass (P, n) with which cells (P, n, d) of a side are matched, 1 on average."""
        network = self.source_mass if side == "source" else self.target_mass
        if network is None:
            return super().mass(cells, side)
        return torch.nn.functional.softplus(network(self.standardise(cells))).squeeze(-1)

    def phases(self) -> list[Phase]:
        """One phase."""
        return [EntropicMatching(self)]


class EntropicMatching(FlowMatching):
    """The velocity from noise to a target of the cell, drawn from an entropic batch coupling."""

    stack: GenotMap

    def start_block(self) -> None:
        """Start with a new coupling, so that a resumed fit repeats an uninterrupted one."""
        self._steps = 0

    def end(self) -> None:
        """Let go of the last coupling."""
        del self._coupled

    def players(self, n_strata: int) -> list[Player]:
        """The velocity with the networks of the masses."""
        settings = self.stack.settings
        return [Player("loss", self.stack, settings.lr, settings.lr_end, settings.betas)]

    def losses(self, draw: Callable[[], Batch]) -> Iterator[tuple[str, Tensor]]:
        """Loss of the velocity, and squared errors of the masses."""
        settings, batch = self.stack.settings, draw()
        generators, n_strata = batch.draws, batch.n_strata
        if self._steps % settings.steps_per_coupling == 0:
            first, second = (by_stratum(side, n_strata) for side in (batch.source[0], batch.target))
            plan = entropic_plan(
                costs_between(settings.cost, first, second),
                settings.epsilon,
                settings.tau_source,
                settings.tau_target,
            )
            self._coupled = first, second, plan
        self._steps += 1
        first, second, plan = self._coupled
        repeated = [stream for stream in generators for _ in range(n_strata)]
        pairs = draw_pairs(plan, repeated, settings.n_targets)
        cells, ends = (
            side.gather(1, at[..., None].expand(-1, -1, side.shape[-1])).reshape(
                len(generators), -1, side.shape[-1]
            )
            for side, at in zip((first, second), pairs, strict=True)
        )
        noise = torch.stack(
            [
                torch.randn(ends.shape[1:], generator=stream, dtype=torch.float32)
                for stream in generators
            ]
        ).to(ends.device)
        loss = matching_loss(self.stack.velocity, noise, ends, generators, cells)
        if settings.unbalanced:
            loss = loss + self._mass_errors(*self._coupled, len(generators))
        yield "loss", loss

    def _mass_errors(self, source: Tensor, target: Tensor, plan: Tensor, n_problems: int) -> Tensor:
        """Squared errors (P,) of the masses against the plan's marginals, 1 on average."""
        errors = []
        for network, cells, axis in (
            (self.stack.source_mass, source, 2),
            (self.stack.target_mass, target, 1),
        ):
            assert network is not None
            marginal = plan.sum(axis) / plan.sum((1, 2))[:, None] * cells.shape[1]
            of_problem = cells.reshape(n_problems, -1, cells.shape[2])
            learned = torch.nn.functional.softplus(network(of_problem)).squeeze(-1)
            error = learned - marginal.to(learned.dtype).view_as(learned)
            errors.append(error.square().mean(1))
        return torch.stack(errors).sum(0)
