"""Maps from free matrices to orthonormal ones, over any number of leading dimensions."""

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
        return cayley(weight.mT).mT
    top, rest = weight[..., :columns, :], weight[..., columns:, :]
    identity = torch.eye(columns, dtype=weight.dtype, device=weight.device)
    skew = top - top.mT + rest.mT @ rest
    # (I − A)(I + A)⁻¹ = 2(I + A)⁻¹ − I: one inverse, whose gradient is two products. inv_ex does
    # not check for errors, which would make a GPU wait; I + A is never singular.
    inverse = torch.linalg.inv_ex(identity + skew)[0]
    square = 2 * inverse - identity
    return square if rows == columns else torch.cat([square, -2 * rest @ inverse], dim=-2)


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
