"""Discrete couplings of batches of cells, and pairs drawn from them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import ot
import torch
from torch import Tensor

from rayot.solvers.energy import distances

Cost = Callable[[Tensor, Tensor], Tensor]

SINKHORN_ITERATIONS = 200
SINKHORN_TOLERANCE = 1e-4
"""Of a batch's marginals, whose norm is about 0.06: pairs are only drawn from the plan."""

LARGEST_EXPONENT = 600
"""exp(−x) of a double is above zero up to here."""


def squared_euclidean(first: Tensor, second: Tensor) -> Tensor:
    """‖x − y‖², (P, n, m)."""
    return distances(first, second).square()


def cosine(first: Tensor, second: Tensor) -> Tensor:
    """One minus the cosine of the angle between x and y, (P, n, m)."""
    normalise = torch.nn.functional.normalize
    return 1 - normalise(first, dim=-1) @ normalise(second, dim=-1).mT


COSTS: dict[str, Cost] = {
    "squared_euclidean": squared_euclidean,
    "euclidean": distances,
    "cosine": cosine,
}
"""Costs by name."""


OWN = "function"
"""How a saved model's cost starts where it was the user's own."""


def _unknown(first: Tensor, second: Tensor) -> Tensor:
    raise ValueError("The model was fitted with a cost of its own, which is not saved with it.")


def cost_of(cost: str | Cost) -> Cost:
    """A cost by its name, or one of the user's own.

    Raises
    ------
    ValueError
        If no cost has this name.
    """
    if callable(cost):
        return cost
    if cost.startswith(f"{OWN} "):
        return _unknown
    if cost not in COSTS:
        raise ValueError(f"cost must be a function or one of {sorted(COSTS)}, found {cost!r}.")
    return COSTS[cost]


def exact_plan(cost: Tensor) -> Tensor:
    """Optimal plans (P, n, m) between uniform masses for costs (P, n, m), by network simplex."""
    plans = [ot.emd([], [], each, numItermax=1_000_000) for each in cost.double().cpu().numpy()]
    return torch.from_numpy(np.stack(plans)).to(cost.device)


def entropic_plan(
    cost: Tensor, epsilon: float, tau_source: float = 1.0, tau_target: float = 1.0
) -> Tensor:
    r"""Entropic plans (P, n, m) between uniform masses for costs (P, n, m).

    Costs are divided by their mean, so ε has no unit. Marginals are bound by a Kullback-Leibler
    penalty of weight λ with τ = λ / (λ + ε); τ = 1 is a hard constraint (Chizat et al. 2018).

    Parameters
    ----------
    cost
        (P, n, m).
    epsilon
        Strength ε of the entropic regularisation.
    tau_source, tau_target
        τ of either marginal, in (0, 1].
    """
    scaled = (cost / cost.mean((-2, -1), keepdim=True).clamp_min(1e-12)).double()
    if tau_source == tau_target == 1:
        return torch.stack([_sinkhorn(each, epsilon) for each in scaled])
    return torch.stack([_unbalanced(each, epsilon, tau_source, tau_target) for each in scaled])


def _sinkhorn(cost: Tensor, epsilon: float) -> Tensor:
    a, b = _uniform(cost)
    # In logarithms only where the kernel would underflow: they cost ten times as much.
    method = "sinkhorn" if float(cost.max()) / epsilon < LARGEST_EXPONENT else "sinkhorn_log"
    return ot.sinkhorn(
        a,
        b,
        cost,
        epsilon,
        method=method,
        numItermax=SINKHORN_ITERATIONS,
        stopThr=SINKHORN_TOLERANCE,
        warn=False,
    )


def _uniform(cost: Tensor) -> tuple[Tensor, Tensor]:
    first, second = (
        torch.full((n,), 1 / n, dtype=cost.dtype, device=cost.device) for n in cost.shape
    )
    return first, second


def _unbalanced(cost: Tensor, epsilon: float, tau_source: float, tau_target: float) -> Tensor:
    a, b = _uniform(cost)
    weights = [
        torch.inf if tau == 1 else epsilon * tau / (1 - tau) for tau in (tau_source, tau_target)
    ]
    with warnings.catch_warnings():
        # Plans of a batch need not have converged to the last digit.
        warnings.simplefilter("ignore")
        return ot.unbalanced.sinkhorn_unbalanced(
            a, b, cost, epsilon, weights, numItermax=SINKHORN_ITERATIONS, stopThr=SINKHORN_TOLERANCE
        )


def draw_pairs(
    plan: Tensor, generators: Sequence[torch.Generator], n_targets: int = 1
) -> tuple[Tensor, Tensor]:
    """Pairs of cells, drawn by their mass in a plan.

    Parameters
    ----------
    plan
        (P, n, m), nonnegative, of any sum.
    generators
        One CPU generator a problem.
    n_targets
        Pairs drawn for each of n source cells, which are drawn by their own mass.

    Returns
    -------
    Positions of source and target cells, each (P, n · n_targets) int64.
    """
    n, m = plan.shape[1:]
    flat = plan.flatten(1).clamp_min(0).cpu()
    ends = flat.cumsum(1)
    drawn = torch.stack(
        [torch.rand(n * n_targets, generator=each, dtype=torch.float64) for each in generators]
    )
    found = torch.searchsorted(ends / ends[:, -1:], drawn, right=True).clamp_max(n * m - 1)
    found = found.to(plan.device)
    return found // m, found % m
