"""The cells set apart from training, ready to be scored after each block."""

from collections.abc import Callable

import torch
from torch import Tensor

from rayot.solvers import Population, Stack
from rayot.train.carried import CarriedCells

LIMIT = 512
"""Cells of each side scored at most: enough to see a trend, few enough not to cost."""

WeightedScore = Callable[[Tensor, Tensor, Tensor | None, Tensor | None], Tensor]


class HeldOut:
    """Source and target cells apart from training, in the rays' units.

    Parameters
    ----------
    transport, n_rays, with_direction
        As in :class:`~rayot.train.carried.CarriedCells`.
    source, target
        Cells of each problem, in the data's units.
    """

    def __init__(
        self,
        transport: Stack,
        source: Population,
        target: Population,
        n_rays: int,
        with_direction: bool,
    ) -> None:
        carried = CarriedCells(transport, source, n_rays, with_direction)
        limit = max(2, LIMIT // source.n_strata)
        (positions, sizes), (others, other_sizes) = (
            population.first_of_groups(limit) for population in (source, target)
        )
        n_problems = source.n_problems
        self.source = carried.take(positions.view(n_problems, -1))
        (self.target,) = CarriedCells(transport, target).take(others.view(n_problems, -1))
        self.known = source.known_at(positions.view(n_problems, -1))
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
