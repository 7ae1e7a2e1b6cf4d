"""The Kantorovich-Rubinstein dual of the Wasserstein-1 distance, balanced and unbalanced."""

import torch
from torch import Tensor


def dual_value(
    source_values: Tensor,
    target_values: Tensor,
    source_weights: Tensor | None = None,
    target_weights: Tensor | None = None,
) -> Tensor:
    r"""Dual objective of each problem (paper, equations 4 and 13).

    :math:`E_{x \sim \mu} f(x) - E_{y \sim \nu} f(y)`, to be maximised. For a 1-Lipschitz f and
    cells it was not fitted on, it is a lower bound of W1, up to sampling.

    Parameters
    ----------
    source_values, target_values
        Potential of source and target cells, each (P, n).
    source_weights, target_weights
        Their weights (P, n), of any sum; None weighs all alike.

    Returns
    -------
    (P,).

    Examples
    --------
    >>> import torch
    >>> dual_value(torch.ones(1, 4), torch.zeros(1, 3))
    tensor([1.])
    """
    return _mean(source_values, source_weights) - _mean(target_values, target_weights)


def unbalanced_dual_value(
    source_values: Tensor,
    target_values: Tensor,
    unmatched_source: float,
    unmatched_target: float,
    source_weights: Tensor | None = None,
    target_weights: Tensor | None = None,
) -> Tensor:
    r"""Dual of transport that may leave a share of either side unmatched, (P,).

    Partial transport chooses weights :math:`w \le 1/(1 - \rho)` of mean one to move least mass, so
    its dual is :math:`\max_f \min_w E\,w(x) f(x) - E\,v(y) f(y)`. For a given f the best weights
    leave out the share ρ of the source where f is highest and that of the target where it is
    lowest, the cells that would travel farthest.

    Parameters
    ----------
    source_values, target_values, source_weights, target_weights
        As in :func:`dual_value`.
    unmatched_source, unmatched_target
        Shares in [0, 1).

    Examples
    --------
    >>> import torch
    >>> values = torch.tensor([[0.0, 1.0, 2.0, 100.0]])
    >>> unbalanced_dual_value(values, torch.zeros(1, 4), 0.25, 0.0)
    tensor([1.])
    """
    lowest = matched(source_values, unmatched_source, source_weights)
    highest = matched(-target_values, unmatched_target, target_weights)
    return dual_value(source_values, target_values, lowest, highest)


@torch.no_grad()
def matched(values: Tensor, unmatched: float, weights: Tensor | None = None) -> Tensor:
    """Mass (P, n) of each cell that is matched, where the highest values go unmatched.

    Parameters
    ----------
    values
        (P, n).
    unmatched
        Share of the mass that is left out; the cell at the edge is left out in part.
    weights
        Mass of each cell, (P, n); None gives all 1/n.
    """
    mass = torch.ones_like(values) if weights is None else weights
    mass = mass / mass.sum(-1, keepdim=True)
    order = values.argsort(dim=-1)
    sorted_mass = mass.gather(-1, order)
    before = sorted_mass.cumsum(-1) - sorted_mass
    kept = (1 - unmatched - before).clamp_min(0).minimum(sorted_mass)
    return torch.empty_like(mass).scatter(-1, order, kept)


def _mean(values: Tensor, weights: Tensor | None) -> Tensor:
    if weights is None:
        return values.mean(-1)
    return (values * weights).sum(-1) / weights.sum(-1)
