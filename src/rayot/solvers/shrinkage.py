"""How far along its map the held-out cells say that a cell should go."""

import math

import torch
from torch import Tensor

from rayot.solvers.energy import distances
from rayot.solvers.problem import Population
from rayot.solvers.ray import TransportMap

SIGNIFICANCE = 0.05
"""p-value above which a perturbation is said to have no detectable effect."""

STRENGTHS = torch.linspace(0, 1, 11)
LIMIT = 512


@torch.no_grad()
def shrink(
    transport: TransportMap, source: Population, target: Population, p_values: Tensor
) -> None:
    """Set each problem's strength to what held-out cells support.

    Where the permutation test finds no effect, cells stay where they are: moving them would fit
    noise. Elsewhere a cell goes all of its way, unless less of it has a smaller energy distance to
    held-out target cells by more than one standard error of the difference.

    Parameters
    ----------
    transport
        A fitted map, changed in place.
    source, target
        Cells apart from training.
    p_values
        (P,), of :func:`rayot.solvers.permutation_test`.
    """
    n_strata = source.n_strata
    for problem in range(source.n_problems):
        if p_values[problem] > SIGNIFICANCE:
            transport.strength[problem] = 0.0
            continue
        groups = range(problem * n_strata, (problem + 1) * n_strata)
        own = transport.take([problem])
        found = [_energies(own, source, target, group) for group in groups]
        energies = torch.stack([each[0] for each in found]).mean(0)
        best = int(energies.argmin())
        # Strata are sampled apart, so the variances of their means add up.
        variance = sum(_variance(each[1][-1] - each[1][best], each[2]) for each in found)
        error = math.sqrt(variance) / n_strata
        gain = float(energies[-1] - energies[best])
        transport.strength[problem] = STRENGTHS[best] if gain > error else STRENGTHS[-1]


def _energies(
    transport: TransportMap, source: Population, target: Population, group: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Energy distance (L,) of a group at each strength, but for a constant.

    With it the influence (L, n) of each source cell on it, 2 E‖T(x) − y‖ − 2 E‖T(x) − T(x')‖, and
    the cells' weights (n,).
    """
    limit = max(2, LIMIT // source.n_strata)
    (positions, sizes), (others, other_sizes) = (
        population.first_of_groups(limit) for population in (source, target)
    )
    mine, theirs = positions[group, : sizes[group]], others[group, : other_sizes[group]]
    cells, truth = source.take(mine[None]), target.take(theirs[None])
    moves = transport(cells)[0] - cells[0]
    moved = cells + STRENGTHS.view(-1, 1, 1) * moves
    weights, other_weights = (
        torch.ones(len(rows)) if found is None else found
        for rows, found in ((mine, source.weights_at(mine)), (theirs, target.weights_at(theirs)))
    )
    weights, other_weights = weights / weights.sum(), other_weights / other_weights.sum()
    across = distances(moved, truth.expand(len(STRENGTHS), -1, -1)) @ other_weights
    within = distances(moved, moved) @ weights / (1 - weights.square().sum())
    return (2 * across - within) @ weights, 2 * (across - within), weights


def _variance(influence: Tensor, weights: Tensor) -> float:
    """Variance of the weighted mean of influences (n,)."""
    mean = influence @ weights
    return float((influence - mean).square() @ weights.square())
