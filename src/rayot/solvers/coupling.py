"""Discrete couplings of batches of cells, and pairs drawn from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import ot
import torch
from torch import Tensor

from rayot.solvers.energy import distances
from rayot.solvers.settings import OWN

Cost = Callable[[Tensor, Tensor], Tensor]

BATCH_ITERATIONS = 200
"""Sinkhorn iterations for a batch, at most: pairs are only drawn from its plan."""

WHOLE_ITERATIONS = 5000
"""For a plan that is itself the result."""

SINKHORN_TOLERANCE = 1e-4
"""Of a plan's marginals; a uniform one of 256 cells has norm 0.06."""

FIRST_ITERATIONS = 10
"""Of these in logarithms, where the kernel would underflow."""

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


def costs_between(cost: str | Cost, first: Tensor, second: Tensor) -> Tensor:
    """Costs (P, n, m) of cells (P, n, d) and (P, m, d), those of the user's own checked.

    Raises
    ------
    ValueError
        If a function of the user's own gives something else.
    """
    found = cost_of(cost)(first, second)
    if callable(cost):
        shape = (*first.shape[:2], second.shape[1])
        if not isinstance(found, Tensor) or found.shape != shape:
            what = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise ValueError(f"cost must give a tensor of shape {shape}, found {what}.")
        if not found.isfinite().all():
            raise ValueError("cost gives values that are NaN or infinite.")
    return found


def exact_plan(
    cost: Tensor, source_masses: Tensor | None = None, target_masses: Tensor | None = None
) -> Tensor:
    """Optimal plans (P, n, m) for costs (P, n, m), by network simplex.

    Masses (P, n) and (P, m) sum to 1; None is uniform.
    """
    sides: list[Any] = [
        [[]] * len(cost) if each is None else each.double().cpu().numpy()
        for each in (source_masses, target_masses)
    ]
    costs = cost.double().cpu().numpy()
    plans = [ot.emd(a, b, c, numItermax=1_000_000) for a, b, c in zip(*sides, costs, strict=True)]
    return torch.from_numpy(np.stack(plans)).to(cost.device)


def entropic_plan(
    cost: Tensor,
    epsilon: float,
    tau_source: float = 1.0,
    tau_target: float = 1.0,
    masses: tuple[Tensor, Tensor] | None = None,
    n_iterations: int = BATCH_ITERATIONS,
) -> Tensor:
    r"""Entropic plans (P, n, m) for costs (P, n, m).

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
    masses
        (P, n) and (P, m), of sum 1; None is uniform.
    n_iterations
        At most; fewer where the marginals are met before.
    """
    scaled = (cost / cost.mean((-2, -1), keepdim=True).clamp_min(1e-12)).double()
    n_problems, n, m = cost.shape
    if masses is None:
        masses = scaled.new_full((n_problems, n), 1 / n), scaled.new_full((n_problems, m), 1 / m)
    first, second = (each.double() for each in masses)
    if tau_source == tau_target == 1:
        found = zip(scaled, first, second, strict=True)
        return torch.stack([_sinkhorn(each, a, b, epsilon, n_iterations) for each, a, b in found])
    taus = (tau_source, tau_target)
    return _unbalanced(scaled, first.log(), second.log(), epsilon, taus, n_iterations)


def _sinkhorn(cost: Tensor, a: Tensor, b: Tensor, epsilon: float, n_iterations: int) -> Tensor:
    options = {"numItermax": n_iterations, "stopThr": SINKHORN_TOLERANCE, "warn": False}
    if float(cost.max()) / epsilon < LARGEST_EXPONENT:
        return ot.sinkhorn(a, b, cost, epsilon, method="sinkhorn", **options)
    # The kernel would underflow. Iterations in logarithms cost ten times as much, so only the first
    # are. From their potentials on the stabilised kernel (Schmitzer 2019) is in range: its rows sum
    # to a, and its columns did to b one update before.
    first = {**options, "numItermax": FIRST_ITERATIONS}
    _, log = ot.sinkhorn(a, b, cost, epsilon, method="sinkhorn_log", log=True, **first)
    start = epsilon * log["log_u"], epsilon * log["log_v"]
    method = "sinkhorn_stabilized"
    return ot.sinkhorn(a, b, cost, epsilon, method=method, warmstart=start, **options)


def _unbalanced(
    cost: Tensor,
    log_a: Tensor,
    log_b: Tensor,
    epsilon: float,
    taus: tuple[float, float],
    n_iterations: int,
) -> Tensor:
    """Iterations of Chizat et al. (2018) in logarithms: one far cell would else empty the kernel.

    POT has none in logarithms for two different penalties.
    """
    f, g = torch.zeros_like(log_a), torch.zeros_like(log_b)
    scaled = -cost / epsilon
    for _ in range(n_iterations):
        last = f
        f = -taus[0] * torch.logsumexp(scaled + (g + log_b)[:, None, :], dim=2)
        g = -taus[1] * torch.logsumexp(scaled + (f + log_a)[:, :, None], dim=1)
        if float((f - last).abs().max()) < SINKHORN_TOLERANCE:
            break
    return (scaled + (f + log_a)[:, :, None] + (g + log_b)[:, None, :]).exp()


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
