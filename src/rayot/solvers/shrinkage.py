"""How far along its map the held-out cells say that a cell should go."""

import torch
from torch import Tensor

from rayot.solvers.energy import energy_distance
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
    """Set each problem's strength to that with the least energy distance on held-out cells.

    Where the permutation test finds no effect, cells stay where they are: moving them would fit
    noise.

    Parameters
    ----------
    transport
        A fitted map, changed in place.
    source, target
        Cells apart from training.
    p_values
        (P,), of :func:`rayot.solvers.permutation_test`.
    """
    n_strata, n_problems = source.n_strata, source.n_problems
    limit = max(2, LIMIT // n_strata)
    (positions, sizes), (others, other_sizes) = (
        population.first_of_groups(limit) for population in (source, target)
    )
    cells = source.take(positions.view(n_problems, -1))
    moves = (transport(cells) - cells).view(*positions.shape, -1)
    cells = cells.view(*positions.shape, -1)
    truth = target.take(others)
    weights = [side.weights_at(where) for side, where in ((source, positions), (target, others))]
    scores = torch.zeros(n_problems, len(STRENGTHS))
    for group, (n, m) in enumerate(zip(sizes.tolist(), other_sizes.tolist(), strict=True)):
        mine, theirs = (
            None if each is None else each[group : group + 1, :k]
            for each, k in zip(weights, (n, m), strict=True)
        )
        moved = cells[group, :n] + STRENGTHS.view(-1, 1, 1) * moves[group, :n]
        scores[group // n_strata] += energy_distance(
            moved,
            truth[group : group + 1, :m].expand(len(STRENGTHS), -1, -1),
            mine if mine is None else mine.expand(len(STRENGTHS), -1),
            theirs if theirs is None else theirs.expand(len(STRENGTHS), -1),
        )
    best = STRENGTHS[scores.argmin(-1)]
    best[p_values > SIGNIFICANCE] = 0
    transport.strength.copy_(best.view(-1, 1, 1))
