"""Potentials made of funnels: a soft minimum of distances to learned centres, stacked."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rayot._docs import shared
from rayot.nn.initial import uniform_parameter
from rayot.nn.potential import Potential

SHARPEST = 0.01
"""Temperature at the end of training, in units of the one it starts with."""

ANNEALED = 0.8
"""Share of training after which the temperature stays: the centres settle under what is used."""

NEAREST = 1e-5
"""Distance to a centre, over ‖x‖, below which the gradient shrinks to zero."""


@shared
class FunnelPotential(Potential):
    r"""P potentials f(x) = softmin_j (‖x − c_j‖ − g_j), each 1-Lipschitz.

    The soft minimum :math:`-\tau \log \sum_j \exp(-v_j / \tau)` is a weighted mean of unit
    vectors in its gradient, so f is 1-Lipschitz at every temperature; with τ → 0 it becomes the
    minimum, and functions of this form approach every 1-Lipschitz function (McShane). Mass that
    follows −∇f moves towards the centres, so they start at target cells. While the temperature is
    high, every funnel feels every cell; it falls as training goes.

    Parameters
    ----------
    {network_size}
    n_funnels
        Number of centres.

    Examples
    --------
    >>> import torch
    >>> potential = FunnelPotential(3, [torch.Generator().manual_seed(0)], n_funnels=16)
    >>> potential.start_at(torch.randn(1, 16, 3))
    >>> potential(torch.zeros(1, 5, 3)).shape
    torch.Size([1, 5])
    """

    start_temperature: Tensor
    temperature: Tensor

    def __init__(
        self, n_features: int, generators: Sequence[torch.Generator], *, n_funnels: int = 64
    ) -> None:
        super().__init__()
        self.centre = uniform_parameter(generators, (n_funnels, n_features), 1.0)
        self.height = nn.Parameter(torch.zeros(len(generators), 1, n_funnels, dtype=torch.float32))
        self.register_buffer(
            "start_temperature", torch.ones(len(generators), 1, 1, dtype=torch.float32)
        )
        self.register_buffer("temperature", torch.ones(len(generators), 1, 1, dtype=torch.float32))

    @property
    def n_start_cells(self) -> int:
        """One target cell for each centre."""
        return self.centre.shape[1]

    @torch.no_grad()
    def start_at(self, cells: Tensor) -> None:
        """Put the centres on target cells (P, n_funnels, d), and measure how far apart they are."""
        self.centre.copy_(cells)
        self.height.zero_()
        # A fifth of the typical distance to the mean: warm enough that many funnels are felt.
        spread = (cells - cells.mean(1, keepdim=True)).norm(dim=-1).mean(1)
        self.start_temperature.copy_((spread / 5).clamp_min(1e-6)[:, None, None])
        self.temperature.copy_(self.start_temperature)

    @torch.no_grad()
    def anneal(self, progress: float, active: Sequence[bool]) -> None:
        """Sharpen the minimum geometrically."""
        sharper = self.start_temperature * SHARPEST ** min(1.0, progress / ANNEALED)
        held = ~torch.tensor(active, device=sharper.device, dtype=torch.bool)[:, None, None]
        self.temperature.copy_(torch.where(held, self.temperature, sharper))

    def weights(self) -> list[Tensor]:
        """Centres (P, n_funnels, d) and heights (P, 1, n_funnels)."""
        return [self.centre, self.height]

    def forward(self, cells: Tensor, weights: list[Tensor] | None = None) -> Tensor:
        """Values f(x), (P, n), of cells (P, n, d) or (1, n, d)."""
        centre, height = self.weights() if weights is None else weights
        if cells.shape[0] != centre.shape[0]:
            cells = cells.expand(centre.shape[0], -1, -1)
        values = (_Distances.apply(cells, centre) - height) / self.temperature
        return -(self.temperature[..., 0] * torch.logsumexp(-values, dim=-1))


class _Distances(torch.autograd.Function):
    """‖x − c_j‖, exact also near a centre, with a gradient of matrix products."""

    @staticmethod
    def forward(ctx: Any, cells: Tensor, centres: Tensor) -> Tensor:  # noqa: ANN401
        distances = torch.cdist(cells, centres, compute_mode="donot_use_mm_for_euclid_dist")
        ctx.save_for_backward(cells, centres, distances)
        return distances

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        cells, centres, distances = ctx.saved_tensors
        # Nearer to a centre the products below would cancel to noise longer than a unit vector.
        nearest = NEAREST * torch.linalg.vector_norm(cells, dim=-1, keepdim=True)
        tiny = torch.finfo(distances.dtype).tiny
        pull = grad_outputs[0] / distances.clamp_min(tiny).maximum(nearest)
        of_cells = pull.sum(2, keepdim=True) * cells - pull @ centres
        of_centres = pull.sum(1)[..., None] * centres - pull.mT @ cells
        return of_cells, of_centres
