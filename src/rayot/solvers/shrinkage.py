"""How far along its map the held-out cells say that a cell should go."""

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
    limit = max(2, LIMIT // n_strata)
    for problem in range(source.n_problems):
        if p_values[problem] > SIGNIFICANCE:
            transport.strength[problem] = 0.0
            continue
        groups = range(problem * n_strata, (problem + 1) * n_strata)
        influence, weights = zip(
            *(_influence(transport, source, target, group, limit) for group in groups), strict=True
        )
        transport.strength[problem] = _supported(torch.cat(influence, dim=1), torch.cat(weights))


def _influence(
    transport: TransportMap, source: Population, target: Population, group: int, limit: int
) -> tuple[Tensor, Tensor]:
    """Each cell's part (L, n) in the energy distance at each strength, and its weight (n,).

    A part is 2 E‖T(x) − y‖ − E‖T(x) − T(x')‖, whose mean over x is the energy distance but for what
    does not depend on the strength.
    """
    (positions, sizes), (others, other_sizes) = (
        population.first_of_groups(limit) for population in (source, target)
    )
    mine, theirs = positions[group, : sizes[group]], others[group, : other_sizes[group]]
    cells, truth = source.take(mine[None]), target.take(theirs[None])
    problem = group // source.n_strata
    stack = cells.expand(source.n_problems, -1, -1)
    moves = transport(stack)[problem] - cells[0]
    moved = cells + STRENGTHS.view(-1, 1, 1) * moves
    weights, other_weights = (
        torch.ones(len(rows)) if found is None else found
        for rows, found in ((mine, source.weights_at(mine)), (theirs, target.weights_at(theirs)))
    )
    weights, other_weights = weights / weights.sum(), other_weights / other_weights.sum()
    across = distances(moved, truth.expand(len(STRENGTHS), -1, -1)) @ other_weights
    within = distances(moved, moved) @ weights / (1 - weights.square().sum())
    # Strata count alike.
    return 2 * across - within, weights / source.n_strata


def _supported(influence: Tensor, weights: Tensor) -> Tensor:
    best = (influence @ weights).argmin()
    gain = influence[-1] - influence[best]
    mean = gain @ weights
    error = ((gain - mean).square() @ weights.square()).sqrt()
    return STRENGTHS[best] if mean > error else STRENGTHS[-1]
