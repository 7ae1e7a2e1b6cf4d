"""Discrete couplings of batches of cells, and pairs drawn from them."""

from __future__ import annotations

import math
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

WHOLE_ITERATIONS = 1000
"""For a plan that is itself the result. Real cells need some 100 of them."""

SINKHORN_TOLERANCE = 1e-4
"""Of a plan's marginals; a uniform one of 256 cells has norm 0.06."""

FIRST_ITERATIONS = 10
"""Of these in logarithms, where the kernel would underflow."""

LARGEST_EXPONENT = 600
"""exp(−x) of a double is above zero up to here."""

OVERRELAXATION = 1.8
"""Length of a step, in those of Sinkhorn's algorithm."""

STEPS_BETWEEN_CHECKS = 10

LARGEST_SCALING = 50
"""Logarithm of the scalings above which they move into the kernel, far from overflow."""

SMALLEST_MASS = 1e-30
"""Stands in for none, which has no logarithm."""


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
    costs = cost_of(cost)(first, second)
    if callable(cost):
        shape = (*first.shape[:2], second.shape[1])
        if not isinstance(costs, Tensor) or costs.shape != shape:
            what = tuple(costs.shape) if isinstance(costs, Tensor) else type(costs).__name__
            raise ValueError(f"cost must give a tensor of shape {shape}, found {what}.")
        if not costs.isfinite().all():
            raise ValueError("cost gives values that are NaN or infinite.")
    return costs


def exact_plan(
    cost: Tensor, source_masses: Tensor | None = None, target_masses: Tensor | None = None
) -> Tensor:
    """Optimal plans (P, n, m) for costs (P, n, m), by network simplex.

    Masses (P, n) and (P, m) sum to 1; None is uniform.
    """
    sides: list[Any] = [
        [[]] * len(cost) if of_side is None else of_side.double().cpu().numpy()
        for of_side in (source_masses, target_masses)
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
    first, second = (of_side.double() for of_side in masses)
    if tau_source == tau_target == 1:
        plans = zip(scaled, first, second, strict=True)
        return torch.stack(
            [_sinkhorn(cost_matrix, a, b, epsilon, n_iterations) for cost_matrix, a, b in plans]
        )
    taus = (tau_source, tau_target)
    return _unbalanced(scaled, first.log(), second.log(), epsilon, taus, n_iterations)


def _sinkhorn(cost: Tensor, a: Tensor, b: Tensor, epsilon: float, n_iterations: int) -> Tensor:
    """The plan (n, m) of masses (n,) and (m,): a kernel, and scalings exp(u) and exp(v) of it.

    Steps are longer than Sinkhorn's, which takes an eighth of them where outliers make it slow
    (Thibault et al. 2021), and as long as his after the error grew. POT's stabilised kernel is no
    way around it: for more than 1000 cells it starts anew at each iteration, up to the last one.
    """
    log_a, log_b = (of_side.clamp_min(SMALLEST_MASS).log() for of_side in (a, b))
    f, g = _first_potentials(-cost / epsilon, log_a, log_b)
    kernel = (f[:, None] + g - cost / epsilon).exp()
    u, v = torch.zeros_like(f), torch.zeros_like(g)
    length, last = 1.0, math.inf
    for _ in range(n_iterations // STEPS_BETWEEN_CHECKS):
        for _ in range(STEPS_BETWEEN_CHECKS):
            u = u + length * (log_a - (kernel @ v.exp()).log() - u)
            step = log_b - (kernel.mT @ u.exp()).log() - v
            v = v + length * step
        error = float((b * torch.expm1(-step)).norm())
        if error < SINKHORN_TOLERANCE:
            break
        length = OVERRELAXATION if error < last else 1.0
        last = error
        if max(float(u.abs().max()), float(v.abs().max())) > LARGEST_SCALING:
            f, g = f + u, g + v
            kernel = (f[:, None] + g - cost / epsilon).exp()
            u, v = torch.zeros_like(f), torch.zeros_like(g)
    u = log_a - (kernel @ v.exp()).log()
    v = log_b - (kernel.mT @ u.exp()).log()
    return kernel.mul_(u.exp()[:, None]).mul_(v.exp())


def _first_potentials(scaled: Tensor, log_a: Tensor, log_b: Tensor) -> tuple[Tensor, Tensor]:
    """Potentials (n,) and (m,) from which no row or column of the kernel is zero.

    Zero where the kernel does not underflow. Else they are found in logarithms, which costs ten
    times as much an iteration.
    """
    f, g = torch.zeros_like(log_a), torch.zeros_like(log_b)
    if float(-scaled.min()) < LARGEST_EXPONENT:
        return f, g
    for _ in range(FIRST_ITERATIONS):
        f = log_a - torch.logsumexp(scaled + g, dim=1)
        g = log_b - torch.logsumexp(scaled + f[:, None], dim=0)
    return f, g


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
        [
            torch.rand(n * n_targets, generator=generator, dtype=torch.float64)
            for generator in generators
        ]
    )
    pairs = torch.searchsorted(ends / ends[:, -1:], drawn, right=True).clamp_max(n * m - 1)
    pairs = pairs.to(plan.device)
    return pairs // m, pairs % m
