"""Energy distance between batches of cells."""

import torch
from torch import Tensor


def energy_distance(first: Tensor, second: Tensor) -> Tensor:
    r"""Unbiased energy distance of each problem (Székely & Rizzo 2013).

    :math:`2 E\|x - y\| - E\|x - x'\| - E\|y - y'\|` with the Euclidean norm and pairs of different
    cells within a batch, so that its gradient has no bias from the size of the batch.

    Parameters
    ----------
    first, second
        (P, n, d) and (P, m, d) with n, m ≥ 2.

    Returns
    -------
    (P,); may be slightly negative for equal distributions.

    Examples
    --------
    >>> import torch
    >>> cells = torch.zeros(1, 4, 2)
    >>> energy_distance(cells, cells + torch.tensor([3.0, 4.0]))
    tensor([10.])
    """
    return energy_loss(first, second) - _within(second)


def energy_loss(transported: Tensor, target: Tensor) -> Tensor:
    """The part of :func:`energy_distance` that depends on ``transported``, (P,)."""
    return 2 * torch.cdist(transported, target).mean((-2, -1)) - _within(transported)


def _within(cells: Tensor) -> Tensor:
    n = cells.shape[-2]
    distances = torch.cdist(cells, cells)
    # The diagonal is not exactly zero: cdist takes roots of rounding errors there.
    total = distances.sum((-2, -1)) - distances.diagonal(dim1=-2, dim2=-1).sum(-1)
    return total / (n * (n - 1))
