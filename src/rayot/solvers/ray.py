"""Transport along the rays of a potential."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from rayot.nn import Potential
from rayot.solvers.step import StepSize


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
