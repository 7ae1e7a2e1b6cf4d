"""Transport along the rays of a potential, and maps composed of several rays."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from rayot.nn import FunnelPotential, LipschitzNetwork, Potential
from rayot.solvers.random import generator
from rayot.solvers.settings import W1Settings
from rayot.solvers.step import StepSize


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
        cells = cells.detach().requires_grad_(True)
        with torch.enable_grad():
            weights = [weight.detach() for weight in self.potential.weights()]
            values = self.potential(cells, weights)
            (gradient,) = torch.autograd.grad(values.sum(), cells)
        norm = gradient.norm(dim=-1)
        direction = -gradient / norm.clamp_min(torch.finfo(norm.dtype).tiny)[..., None]
        return direction, values.detach(), norm

    def forward(self, cells: Tensor) -> Tensor:
        """T(x), (P, n, d)."""
        return cells + self.step(cells)[..., None] * self.direction(cells)[0]


class TransportMap(nn.Module):
    """P maps, each a composition of rays fitted one after the other, in units of the data.

    The maps work on standardised cells, (x − centre) / scale with one scale for all features:
    straight rays, their order and the Lipschitz constant are the same in both units. Where there
    are more features than ``settings.n_components``, they work on the coordinates in an orthonormal
    basis of so many vectors, and what lies outside of it stays.

    Parameters
    ----------
    n_features
        Dimension d of a cell.
    names
        Name of each of the P problems; keys the initial values.
    settings
        Architecture of the rays.
    seed
        Keys the initial values.

    Examples
    --------
    >>> import torch
    >>> from rayot.solvers import W1Settings
    >>> transport = TransportMap(3, ["a", "b"], W1Settings(n_rays=2), seed=0)
    >>> transport(torch.zeros(2, 5, 3)).shape
    torch.Size([2, 5, 3])
    """

    centre: Tensor
    scale: Tensor
    strength: Tensor
    highest_source: Tensor
    lowest_target: Tensor
    basis: Tensor | None

    def __init__(
        self, n_features: int, names: Sequence[str], settings: W1Settings, seed: int
    ) -> None:
        super().__init__()
        self.names = list(names)
        self.settings = settings
        self.seed = seed
        self.standardised = settings.standardise
        n_problems = len(self.names)
        self.register_buffer("centre", torch.zeros(n_problems, 1, n_features))
        self.register_buffer("scale", torch.ones(n_problems, 1, 1))
        # Share of the way along its rays that a cell goes: 1 unless the fit shrinks it.
        self.register_buffer("strength", torch.ones(n_problems, 1, 1))
        # Potential beyond which a source cell (above) or a target cell (below) has no match.
        self.register_buffer("highest_source", torch.full((n_problems, 1), torch.inf))
        self.register_buffer("lowest_target", torch.full((n_problems, 1), -torch.inf))
        basis = None
        if settings.n_components is not None and settings.n_components < n_features:
            basis = torch.eye(n_features, settings.n_components).repeat(n_problems, 1, 1)
            n_features = settings.n_components
        self.register_buffer("basis", basis)
        self.n_features = n_features
        self.rays = nn.ModuleList()
        for number in range(settings.n_rays):
            draws = [
                [generator(seed, name, part, number) for name in names]
                for part in ("potential", "step")
            ]
            potential = _new_potential(n_features, draws[0], settings)
            step = StepSize(
                n_features, draws[1], width=settings.step_width, n_layers=settings.step_layers
            )
            self.rays.append(Ray(potential, step))

    def take(self, problems: Sequence[int]) -> "TransportMap":
        """A stack of its own with some of the problems, detached."""
        names = [self.names[problem] for problem in problems]
        part = TransportMap(self.centre.shape[-1], names, self.settings, self.seed)
        chosen = {name: values[list(problems)] for name, values in self.state_dict().items()}
        part.load_state_dict(chosen)
        return part.to(self.centre.device).train(self.training)

    def ray(self, number: int) -> Ray:
        """One of the composed rays, from 0."""
        return cast(Ray, self.rays[number])

    def standardise(self, cells: Tensor) -> Tensor:
        """Cells (P, n, d) or (1, n, d) in the rays' coordinates and units, (P, n, r)."""
        if self.basis is not None:
            return (cells - self.centre) @ self.basis / self.scale
        if not self.standardised:
            return cells
        return (cells - self.centre) / self.scale

    def forward(self, cells: Tensor) -> Tensor:
        """T(x), (P, n, d), in the units of ``cells``."""
        standardised = self.standardise(cells)
        moved = standardised
        for ray in self.rays:
            moved = ray(moved)
        moves = (moved - standardised) * (self.scale * self.strength)
        return cells + (moves if self.basis is None else moves @ self.basis.mT)

    def in_data_units(self, distances: Tensor) -> Tensor:
        """Distances (P,) or (P, n) in the rays' units, in those of the data."""
        return distances * self.scale.view(-1, *[1] * (distances.ndim - 1))

    def potential(self, cells: Tensor) -> Tensor:
        """Potential of the first ray, (P, n), in the units of ``cells``."""
        return self.ray(0).potential(self.standardise(cells)) * self.scale[..., 0]


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
