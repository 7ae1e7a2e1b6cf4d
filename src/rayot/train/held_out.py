"""The cells set apart from training, ready to be scored after each block."""

from collections.abc import Callable

import torch
from torch import Tensor

from rayot.solvers import Population
from rayot.solvers.phase import Batch, Phase

LIMIT = 512
"""Cells of each side scored at most: enough to see a trend, few enough not to cost."""

WeightedScore = Callable[[Tensor, Tensor, Tensor | None, Tensor | None], Tensor]


class HeldOut:
    """Source and target cells apart from training, as a phase sees them.

    Parameters
    ----------
    phase
        What carries the source cells.
    source, target
        Cells of each problem, in the data's units.
    """

    def __init__(self, phase: Phase, source: Population, target: Population) -> None:
        limit = max(2, LIMIT // source.n_strata)
        (positions, sizes), (others, other_sizes) = (
            population.first_of_groups(limit) for population in (source, target)
        )
        at = positions.view(source.n_problems, -1)
        stack = phase.stack
        with torch.no_grad():
            cells = phase.carry(stack.standardise(source.take(at)), None)
        of_target = stack.standardise(target.take(others.view(source.n_problems, -1)))
        self.batch = Batch(cells, of_target, source.n_strata, attributes=source.attributes_at(at))
        self.sizes = list(zip(sizes.tolist(), other_sizes.tolist(), strict=True))
        self.weights = source.weights_at(positions), target.weights_at(others)

    def score(self, function: WeightedScore, source: Tensor, target: Tensor) -> Tensor:
        """A function of two populations, group by group without the padding: (P,).

        Strata count alike. ``source`` and ``target`` are values (P, S n) or cells (P, S n, d).
        """
        n_groups = len(self.sizes)
        n_problems = len(source)
        of_source, of_target = (
            values.reshape(n_groups, -1, *values.shape[2:]) for values in (source, target)
        )
        scores = [
            function(
                of_source[g : g + 1, :n],
                of_target[g : g + 1, :m],
                *(
                    None if w is None else w[g : g + 1, :k]
                    for w, k in zip(self.weights, (n, m), strict=True)
                ),
            )
            for g, (n, m) in enumerate(self.sizes)
        ]
        return torch.cat(scores).view(n_problems, -1).mean(-1)
