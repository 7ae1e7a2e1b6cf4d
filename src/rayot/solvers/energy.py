"""Energy distance between batches of cells."""

from typing import Any

import torch
from torch import Tensor


def energy_distance(
    first: Tensor,
    second: Tensor,
    first_weights: Tensor | None = None,
    second_weights: Tensor | None = None,
) -> Tensor:
    r"""Unbiased energy distance of each problem (Székely & Rizzo 2013).

    :math:`2 E\|x - y\| - E\|x - x'\| - E\|y - y'\|` with the Euclidean norm and pairs of different
    cells within a batch, so that its gradient has no bias from the size of the batch.

    Parameters
    ----------
    first, second
        (P, n, d) and (P, m, d) with n, m ≥ 2.
    first_weights, second_weights
        Weights (P, n) and (P, m), of any sum; None weighs all cells alike.

    Returns
    -------
    (P,); may be slightly negative for equal distributions. Without weights it can be differentiated
    by ``first``.

    Examples
    --------
    >>> import torch
    >>> cells = torch.zeros(1, 4, 2)
    >>> energy_distance(cells, cells + torch.tensor([3.0, 4.0]))
    tensor([10.])
    """
    v, w = _shares(first, first_weights), _shares(second, second_weights)
    if first_weights is None and second_weights is None:
        return energy_loss(first, second) - _within(second, w)
    across = (v * (distances(first, second) @ w[..., None]).squeeze(-1)).sum(-1)
    return 2 * across - _within(first, v) - _within(second, w)


def _shares(cells: Tensor, weights: Tensor | None) -> Tensor:
    if weights is None:
        return torch.full(
            cells.shape[:-1], 1 / cells.shape[-2], device=cells.device, dtype=torch.float32
        )
    return weights / weights.sum(-1, keepdim=True)


def _within(cells: Tensor, shares: Tensor) -> Tensor:
    """Mean distance of different cells: pairs of a cell with itself have no weight."""
    mean = (shares * (distances(cells, cells) @ shares[..., None]).squeeze(-1)).sum(-1)
    # A cell that has all the mass is at no distance from itself.
    return mean / (1 - shares.square().sum(-1)).clamp_min(torch.finfo(mean.dtype).eps)


def energy_loss(transported: Tensor, target: Tensor) -> Tensor:
    """The part of :func:`energy_distance` that depends on ``transported``, (P,)."""
    return _EnergyLoss.apply(transported, target)


def distances(first: Tensor, second: Tensor) -> Tensor:
    """Euclidean distances (P, n, m) by one product; exactly zero between a cell and itself."""
    squares = torch.baddbmm(
        first.square().sum(-1)[..., None] + second.square().sum(-1)[..., None, :],
        first,
        second.mT,
        alpha=-2,
    )
    lengths = squares.clamp_min_(0).sqrt_()
    if first is second:
        # Roots of rounding errors stand there.
        lengths.diagonal(dim1=-2, dim2=-1).zero_()
    return lengths


class _EnergyLoss(torch.autograd.Function):
    """The loss with its gradient by products; torch's own gradient of distances takes no BLAS.

    The gradient of Σⱼ‖x − yⱼ‖ is x Σⱼwⱼ − Σⱼwⱼyⱼ with wⱼ = 1/‖x − yⱼ‖, and zero at a distance of
    zero.
    """

    @staticmethod
    def forward(ctx: Any, transported: Tensor, target: Tensor) -> Tensor:  # noqa: ANN401
        n = transported.shape[-2]
        across, within = distances(transported, target), distances(transported, transported)
        ctx.save_for_backward(transported, target, across, within)
        return 2 * across.mean((-2, -1)) - within.sum((-2, -1)) / (n * (n - 1))

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        transported, target, across, within = ctx.saved_tensors
        n, m = across.shape[-2:]
        to_target = _inverse(across).mul_(2 / (n * m))
        apart = _inverse(within).mul_(-2 / (n * (n - 1)))
        weight = (to_target.sum(-1) + apart.sum(-1))[..., None]
        gradient = transported * weight - to_target @ target - apart @ transported
        return gradient * grad_outputs[0][..., None, None], None


def _inverse(distance: Tensor) -> Tensor:
    # Several times faster than torch.where; what is not a number stays so.
    return distance.reciprocal().nan_to_num_(nan=torch.nan, posinf=0.0)
