"""Wasserstein-1 maps of many conditions, learned by one network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from rayot._docs import shared
from rayot.nn import ConditionalLipschitzNetwork, ConditionalMLP
from rayot.solvers.conditional_settings import ConditionalW1Settings
from rayot.solvers.objective import by_stratum
from rayot.solvers.random import generator
from rayot.solvers.ray import W1Map, descent
from rayot.solvers.stack import Stack


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
    >>> maps.given(torch.ones(1, 4) / 2, ["new"])(torch.zeros(1, 5, 3)).shape
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

    @torch.no_grad()
    def given(
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
            for part, found in (
                ("potential", ray.potential.parameters_in(own)),
                ("step.network", ray.step.parameters_in(own)),
            ):
                values |= {f"rays.{number}.{part}.{name}": each for name, each in found.items()}
        maps.restore(values)
        return maps.train(self.training)
