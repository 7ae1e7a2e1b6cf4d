"""Flow matching: cells follow a learned velocity field (Lipman et al. 2023)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torchdiffeq import odeint

from rayot._docs import shared
from rayot.nn import StackedMLP
from rayot.solvers.coupling import exact_plan, squared_euclidean
from rayot.solvers.phase import Batch, Phase, Player, by_stratum
from rayot.solvers.random import generator
from rayot.solvers.settings import NetworkSettings
from rayot.solvers.stack import Stack


class Velocity(nn.Module):
    """P velocity fields v(t, x, c): a perceptron of place, time and condition.

    Parameters
    ----------
    n_features
        Dimension of the space.
    n_conditions
        Dimension of the condition c; 0 for none.
    generators
        One CPU generator a problem; their number is P.
    width, n_layers
        Hidden units and layers.
    """

    FREQUENCIES = 4

    def __init__(
        self,
        n_features: int,
        n_conditions: int,
        generators: Sequence[torch.Generator],
        *,
        width: int,
        n_layers: int,
    ) -> None:
        super().__init__()
        self.network = StackedMLP(
            n_features + n_conditions + 1 + 2 * self.FREQUENCIES,
            generators,
            n_outputs=n_features,
            width=width,
            n_layers=n_layers,
        )

    def forward(self, time: Tensor, cells: Tensor, conditions: Tensor | None = None) -> Tensor:
        """Velocities (P, n, d) at time (), or (P, n, 1), and cells (P, n, d)."""
        time = time.expand(*cells.shape[:-1], 1)
        waves = time * torch.pi * torch.arange(1, self.FREQUENCIES + 1, device=time.device)
        parts = [cells, time, waves.sin(), waves.cos()]
        if conditions is not None:
            parts.append(conditions)
        return self.network(torch.cat(parts, dim=-1))

    def follow(self, cells: Tensor, n_steps: int, conditions: Tensor | None = None) -> Tensor:
        """Where cells (P, n, d) are at time 1, by the midpoint rule."""
        times = torch.linspace(0, 1, n_steps + 1, device=cells.device, dtype=torch.float32)
        options = {"grid_constructor": lambda *_: times}
        ends = times[[0, -1]]
        field = lambda time, place: self(time, place, conditions)  # noqa: E731
        return odeint(field, cells, ends, method="midpoint", options=options)[-1]


def matching_loss(
    velocity: Velocity,
    start: Tensor,
    end: Tensor,
    generators: Sequence[torch.Generator],
    conditions: Tensor | None = None,
) -> Tensor:
    """Mean squared error (P,) of the velocity at a random time of straight lines, per feature."""
    time = torch.stack(
        [
            torch.rand(start.shape[1], 1, generator=stream, dtype=torch.float32)
            for stream in generators
        ]
    )
    time = time.to(start.device)
    predicted = velocity(time, torch.lerp(start, end, time), conditions)
    return (predicted - (end - start)).square().mean((1, 2))


@shared
@dataclass(frozen=True)
class FlowSettings(NetworkSettings):
    """Settings of a velocity field.

    Attributes
    ----------
    {flow_settings}
    {network_settings}
    {common_settings}
    """

    standardise: bool = True
    width: int = 256
    n_layers: int = 3
    n_steps: int = 5000
    lr_end: float = 1e-6
    integration_steps: int = 20

    at_most: ClassVar[dict[str, int]] = {"integration_steps": 1_000_000, "n_samples": 1_000_000}

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {},
        "fast": {
            "n_components": 50,
            "decode": "auto",
            "shrink": True,
            "n_steps": 1500,
            "width": 128,
            "lr": 3e-3,
        },
    }


@shared
class FlowMap(Stack):
    """P maps that follow a velocity field from source to target cells.

    Mini-batch optimal transport flow matching (Tong et al. 2024): the field is learned on straight
    lines between the pairs of an exact coupling of each batch.

    Parameters
    ----------
    {stack}

    Examples
    --------
    >>> import torch
    >>> FlowMap(3, ["a"], FlowSettings(), seed=0)(torch.zeros(1, 5, 3)).shape
    torch.Size([1, 5, 3])
    """

    settings_type = FlowSettings
    settings: FlowSettings

    def __init__(
        self, n_features: int, names: Sequence[str], settings: FlowSettings, seed: int
    ) -> None:
        super().__init__(n_features, names, settings, seed)
        draws = [generator(seed, name, "velocity") for name in names]
        self.velocity = Velocity(
            self.n_features, 0, draws, width=settings.width, n_layers=settings.n_layers
        )

    @classmethod
    def counts(cls, settings: FlowSettings) -> dict[str, str]:
        """Layers of the velocity."""
        return {"n_layers": "velocity.network.weight.[!0]*"}

    def move(self, cells: Tensor) -> Tensor:
        """Where the flow carries cells from time 0 to time 1."""
        return self.velocity.follow(cells, self.settings.integration_steps)

    def phases(self) -> list[Phase]:
        """One phase."""
        return [FlowMatching(self)]


class FlowMatching(Phase):
    """The velocity of straight lines between the pairs of an exact batch coupling."""

    name = "velocity"
    stack: Any

    @property
    def n_steps(self) -> int:
        """Steps of the phase."""
        return self.stack.settings.n_steps

    def players(self, n_strata: int) -> list[Player]:
        """The velocity alone."""
        settings = self.stack.settings
        rates = settings.lr, settings.lr_end, settings.betas
        return [Player("loss", self.stack.velocity, *rates)]

    def losses(self, draw: Callable[[], Batch]) -> Iterator[tuple[str, Tensor]]:
        """Loss of the velocity; cells are coupled within their stratum."""
        batch = draw()
        (source,) = batch.source
        first, second = (by_stratum(side, batch.n_strata) for side in (source, batch.target))
        plan = exact_plan(squared_euclidean(first, second))
        # Exact plans between batches of equal size are permutations.
        paired = second.gather(1, plan.argmax(2)[..., None].expand_as(first))
        paired = paired.view_as(source)
        yield "loss", matching_loss(self.stack.velocity, source, paired, batch.draws)
