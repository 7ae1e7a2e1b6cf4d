"""How far a fit with other seeds would send cells from where this one does."""

import math
from itertools import combinations

import torch
from torch import Tensor

from rayot.solvers.population import Population
from rayot.solvers.random import generator
from rayot.solvers.stack import Stack

LIMIT = 512
"""Source cells of each stratum looked at."""


@torch.no_grad()
def instability(transport: Stack, members: Tensor, source: Population) -> dict[int, float]:
    r"""Expected distance between moves of two ensembles over their mean move, by problem.

    Members :math:`m_1 \dots m_K` see the same cells and are else independent, so that the means of
    two ensembles lie :math:`E\|m_i - m_j\| / \sqrt K` apart, :math:`i \neq j`. What other training
    cells would change is not in it.

    Parameters
    ----------
    transport
        A fitted map.
    members
        (K, S) int64, its problem of each member and stratum, K ≥ 2.
    source
        Training cells of each problem.

    Returns
    -------
    Of each problem that of its stratum; 0 where no cell moves.
    """
    by_problem: dict[int, float] = {}
    bounds = source.problem_offsets.tolist()
    for problems in members.T.tolist():
        start, end = bounds[problems[0]], bounds[problems[0] + 1]
        draw = generator(transport.seed, transport.names[problems[0]], "instability")
        positions = (start + torch.randperm(end - start, generator=draw)[:LIMIT])[None]
        cells, attributes = source.take(positions), source.attributes_at(positions)
        moves = transport.take(problems)(cells.expand(len(problems), -1, -1), attributes) - cells
        way = moves.mean(0).norm(dim=-1).mean()
        pairs = [(first - second).norm(dim=-1).mean() for first, second in combinations(moves, 2)]
        share = torch.stack(pairs).mean() / (way * math.sqrt(len(moves)))
        by_problem |= dict.fromkeys(problems, float(share) if way > 0 else 0.0)
    return by_problem
