"""Input convex neural networks (Amos et al. 2017), stacked."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from rayot._docs import shared
from rayot.nn.initial import uniform_parameter

SLOPE = 0.2
"""Of the LeakyReLU where its input is negative."""

CONJUGATE_STEPS = 200
"""Iterations of L-BFGS towards a conjugate: a mean over cells in 50 dimensions is then less than
1 % short of its supremum, before training and after (50 leave 1 to 3 %)."""


@shared
class ConvexNetwork(nn.Module):
    r"""P convex functions f of cells.

    :math:`h_1 = \sigma(A_1 x + b_1)^2`, :math:`h_{l+1} = \sigma(W_l h_l + A_{l+1} x + b_{l+1})`

    σ is the LeakyReLU of slope 0.2; the end is linear, without a constant, which moves nothing. f
    is convex where all W are nonnegative, as σ is convex and increasing and its square is convex
    (Makkuva et al. 2020).

    Parameters
    ----------
    {network_size}
    width, n_layers
        Hidden units and layers.
    bound
        Initial weights W are uniform between 0 and ``bound``.
    positive
        Whether initial weights A are, too, or in both directions.

    Examples
    --------
    >>> import torch
    >>> network = ConvexNetwork(3, [torch.Generator().manual_seed(0)], width=8)
    >>> network(torch.zeros(1, 5, 3)).shape
    torch.Size([1, 5])
    """

    def __init__(
        self,
        n_features: int,
        generators: Sequence[torch.Generator],
        *,
        width: int = 64,
        n_layers: int = 4,
        bound: float = 0.1,
        positive: bool = False,
    ) -> None:
        super().__init__()
        sizes = [*[width] * n_layers, 1]

        def weights(n_in: int, n_out: int, positive: bool) -> nn.Parameter:
            drawn = uniform_parameter(generators, (n_in, n_out), bound)
            return nn.Parameter(drawn.detach().abs()) if positive else drawn

        self.direct = nn.ParameterList(weights(n_features, n_out, positive) for n_out in sizes)
        self.convex = nn.ParameterList(weights(*shape, True) for shape in pairwise(sizes))
        self.bias = nn.ParameterList(
            nn.Parameter(torch.zeros(len(generators), 1, n_out, dtype=torch.float32))
            for n_out in sizes[:-1]
        )

    def forward(self, cells: Tensor) -> Tensor:
        """Values (P, n) of cells (P, n, d)."""
        values = torch.baddbmm(self.bias[0], cells, self.direct[0])
        values = nn.functional.leaky_relu(values, SLOPE).square()
        last = len(self.convex) - 1
        for layer, convex in enumerate(self.convex):
            values = values @ convex + cells @ self.direct[layer + 1]
            if layer < last:
                values = nn.functional.leaky_relu(values + self.bias[layer + 1], SLOPE)
        return values.squeeze(-1)

    def gradient(self, cells: Tensor) -> Tensor:
        """∇f (P, n, d), which can be differentiated by the parameters where gradients are on."""
        with_graph = torch.is_grad_enabled()
        with torch.enable_grad():
            cells = cells if cells.requires_grad else cells.detach().requires_grad_(True)
            (slope,) = torch.autograd.grad(self(cells).sum(), cells, create_graph=with_graph)
        return slope

    def conjugate(self, cells: Tensor, start: Tensor) -> Tensor:
        r"""Values (P, n) of :math:`f^*(x) = \sup_y ⟨x, y⟩ - f(y)` at cells (P, n, d).

        By L-BFGS from ``start`` (P, n, d), see Amos (2023), *On amortizing convex conjugates for
        optimal transport*. Never less than the value at ``start``.
        """
        points = start.detach().clone().requires_grad_(True)
        # The defaults stop at changes of 1e-9, which untrained networks, being flat, fall below.
        optimiser = torch.optim.LBFGS(
            [points],
            max_iter=CONJUGATE_STEPS,
            tolerance_grad=0.0,
            tolerance_change=0.0,
            line_search_fn="strong_wolfe",
        )

        @torch.enable_grad()
        def loss() -> float:
            value = (self(points) - (cells * points).sum(-1)).sum()
            (points.grad,) = torch.autograd.grad(value, points)
            return float(value.detach())

        optimiser.step(loss)
        with torch.no_grad():
            return torch.maximum(*((cells * y).sum(-1) - self(y) for y in (start, points)))

    @torch.no_grad()
    def clamp(self) -> None:
        """Set negative weights W to zero."""
        for weight in self.convex:
            weight.clamp_min_(0)

    def penalty(self, *, squared: bool = False) -> Tensor:
        """How far the weights W are from nonnegative, Σ‖max(−W, 0)‖ or of the squares, (P,)."""
        parts = [weight.clamp_max(0).flatten(1).norm(dim=1) for weight in self.convex]
        norms = torch.stack(parts)
        return (norms.square() if squared else norms).sum(0)
