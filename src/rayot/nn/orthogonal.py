"""Maps from free matrices to orthonormal ones, over any number of leading dimensions."""

from typing import Any

import numpy as np
import torch
from torch import Tensor


def cayley(weight: Tensor) -> Tensor:
    r"""Orthonormal matrix by the Cayley transform, square or rectangular.

    A tall matrix is split into its square top U and the rest V. With
    :math:`A = U - U^\top + V^\top V`, the columns of
    :math:`[(I - A); -2V](I + A)^{-1}` are orthonormal (Trockman & Kolter 2021, appendix). A wide
    matrix is transposed before and after, so its rows are orthonormal.

    Parameters
    ----------
    weight
        (..., m, n), any float dtype.

    Returns
    -------
    (..., m, n) with :math:`Q^\top Q = I` for m ≥ n and :math:`Q Q^\top = I` otherwise.

    Examples
    --------
    >>> import torch
    >>> q = cayley(torch.randn(2, 5, 3))
    >>> torch.allclose(q.mT @ q, torch.eye(3), atol=1e-5)
    True
    """
    rows, columns = weight.shape[-2:]
    if rows < columns:
        return _Cayley.apply(weight.mT).mT
    return _Cayley.apply(weight)


class _Cayley(torch.autograd.Function):
    """The transform of tall matrices, with a gradient of few products instead of many small steps.

    With M = (I + A)⁻¹ the result is [2M − I; −2VM], as (I − A)(I + A)⁻¹ = 2M − I, and a gradient
    G_M of M is −Mᵀ G_M Mᵀ of A.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor) -> Tensor:  # noqa: ANN401
        columns = weight.shape[-1]
        top, rest = weight[..., :columns, :], weight[..., columns:, :]
        identity = torch.eye(columns, dtype=weight.dtype, device=weight.device)
        matrix = identity + top - top.mT
        if rest.shape[-2]:
            matrix = matrix + rest.mT @ rest
        inverse = _inverse(matrix)
        ctx.save_for_backward(inverse, rest)
        square = 2 * inverse - identity
        return torch.cat([square, -2 * rest @ inverse], dim=-2) if rest.shape[-2] else square

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:  # noqa: ANN401
        inverse, rest = ctx.saved_tensors
        columns = inverse.shape[-1]
        square, below = grad_outputs[0][..., :columns, :], grad_outputs[0][..., columns:, :]
        of_inverse = square - rest.mT @ below if rest.shape[-2] else square
        of_matrix = -2 * inverse.mT @ of_inverse @ inverse.mT
        top = of_matrix - of_matrix.mT
        if not rest.shape[-2]:
            return top
        return torch.cat([top, rest @ (of_matrix + of_matrix.mT) - 2 * below @ inverse.mT], dim=-2)


def _inverse(matrix: Tensor) -> Tensor:
    """Inverse of I + A, which is never singular."""
    if matrix.device.type == "cpu":
        # NumPy's LAPACK inverts small matrices in little more than half of torch's time.
        return torch.from_numpy(np.linalg.inv(matrix.numpy()))
    # Without a check for errors, which would make the device wait.
    return torch.linalg.inv_ex(matrix)[0]


def bjorck(weight: Tensor, n_iterations: int = 40) -> Tensor:
    r"""Nearest orthonormal matrix by the iteration of Björck & Bowie (1971), of first order.

    :math:`W \leftarrow W (3I - W^\top W) / 2`, after division by an upper bound of the spectral
    norm, which puts every singular value where the iteration converges (Anil et al. 2019).

    Parameters
    ----------
    weight
        (..., m, n) of full rank, any float dtype.
    n_iterations
        Iterations. The smallest singular value grows by half in each until it nears one: 40 lift
        what a random square matrix of 64 units has.

    Returns
    -------
    (..., m, n), orthonormal along its shorter side.

    Examples
    --------
    >>> import torch
    >>> q = bjorck(torch.eye(3) + 0.1 * torch.ones(3, 3))
    >>> torch.allclose(q @ q.mT, torch.eye(3), atol=1e-5)
    True
    """
    rows, columns = weight.shape[-2:]
    if rows < columns:
        return bjorck(weight.mT, n_iterations).mT
    # The largest singular value is at most √(‖W‖₁ ‖W‖∞).
    bound = (
        weight.abs().sum(-2, keepdim=True).amax(-1, keepdim=True)
        * weight.abs().sum(-1, keepdim=True).amax(-2, keepdim=True)
    ).sqrt()
    weight = weight / bound
    for _ in range(n_iterations):
        weight = 1.5 * weight - 0.5 * weight @ (weight.mT @ weight)
    return weight
