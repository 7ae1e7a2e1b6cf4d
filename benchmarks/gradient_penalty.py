"""A penalty that holds a potential of free weights near the 1-Lipschitz functions."""

from collections.abc import Callable

import torch
from torch import Tensor


def gradient_penalty(
    potential: Callable[[Tensor], Tensor], source: Tensor, target: Tensor, share: Tensor
) -> Tensor:
    r"""Mean square of what ‖∇f‖ has above 1 between source and target cells (Petzka et al. 2018).

    :math:`E \max(0, \|\nabla f(s x + (1 - s) y)\| - 1)^2`. It leaves shorter gradients alone, as
    an optimal potential may have them off its rays.

    Parameters
    ----------
    potential
        f, from (P, n, d) to (P, n).
    source, target
        Cells x and y, (P, n, d).
    share
        s, (P, n), uniform in (0, 1).

    Returns
    -------
    (P,), differentiable in the weights of the potential.

    Examples
    --------
    >>> import torch
    >>> cells = torch.ones(1, 4, 2)
    >>> gradient_penalty(lambda x: 3 * x[..., 0], cells, -cells, torch.rand(1, 4))
    tensor([4.])
    """
    between = torch.lerp(target, source, share[..., None]).detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(potential(between).sum(), between, create_graph=True)
    return (gradient.norm(dim=-1) - 1).clamp_min(0).square().mean(-1)
