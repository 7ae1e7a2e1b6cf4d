"""Transport along the rays of a potential, and maps composed of several rays."""

from collections.abc import Callable, Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn

from rayot._docs import shared
from rayot.nn import FunnelPotential, LipschitzNetwork, Potential
from rayot.solvers.random import generator
from rayot.solvers.stack import Stack
from rayot.solvers.step import StepSize
from rayot.solvers.w1_settings import W1Settings


def descent(potential: Callable[[Tensor], Tensor], cells: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where potentials fall fastest at cells (P, n, d), see :meth:`Ray.direction`."""
    cells = cells.detach().requires_grad_(True)
    with torch.enable_grad():
        values = potential(cells)
        (gradient,) = torch.autograd.grad(values.sum(), cells)
    norm = gradient.norm(dim=-1)
    direction = -gradient / norm.clamp_min(torch.finfo(norm.dtype).tiny)[..., None]
    return direction, values.detach(), norm


class Ray(nn.Module):
    """P maps T(x) = x − η(x) ∇f(x) / ‖∇f(x)‖ (paper, equations 5 and 14).

    Training and prediction use the same normalised direction.

    Parameters
    ----------
    potential
        f, 1-Lipschitz.
    step
        η ≥ 0.
    """

    def __init__(self, potential: Potential, step: StepSize) -> None:
        super().__init__()
        self.potential = potential
        self.step = step

    def direction(self, cells: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Where each cell goes, with the potential there and the norm of its gradient.

        Parameters
        ----------
        cells
            (P, n, d).

        Returns
        -------
        −∇f/‖∇f‖ (P, n, d), f (P, n) and ‖∇f‖ (P, n), all detached. Where the gradient vanishes the
        direction is zero: the cell stays.
        """
        weights = [weight.detach() for weight in self.potential.weights()]
        return descent(lambda x: self.potential(x, weights), cells)

    def forward(self, cells: Tensor) -> Tensor:
        """T(x), (P, n, d)."""
        return cells + self.step(cells)[..., None] * self.direction(cells)[0]


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

    def potential(self, cells: Tensor) -> Tensor:
        """Potential of the first ray, (P, n), in the units of ``cells``."""
        return self.ray(0).potential(self.standardise(cells)) * self.scale[..., 0]

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
