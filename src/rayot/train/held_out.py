"""The cells set apart from training, ready to be scored after each block."""

from collections.abc import Callable

import torch
from torch import Tensor

from rayot.solvers import Population, TransportMap
from rayot.train.source import CarriedSource

LIMIT = 512
"""Cells of each side scored at most: enough to see a trend, few enough not to cost."""


class HeldOut:
    """Source and target cells apart from training, in the rays' units.

    Parameters
    ----------
    transport, n_rays, with_direction
        As in :class:`~rayot.train.source.CarriedSource`.
    source, target
        Cells of each problem, in the data's units.
    """

    def __init__(
        self,
        transport: TransportMap,
        source: Population,
        target: Population,
        n_rays: int,
        with_direction: bool,
    ) -> None:
        carried = CarriedSource(transport, source, n_rays, with_direction)
        self.source = carried.take(source.positions(LIMIT))
        self.target = transport.standardise(target.take(target.positions(LIMIT)))
        self.sizes = [population.sizes.clamp(max=LIMIT).tolist() for population in (source, target)]

    def score(
        self, function: Callable[[Tensor, Tensor], Tensor], source: Tensor, target: Tensor
    ) -> Tensor:
        """A function of two populations, problem by problem without the padding: (P,)."""
        sizes = zip(*self.sizes, strict=True)
        return torch.cat(
            [
                function(source[p : p + 1, :n], target[p : p + 1, :m])
                for p, (n, m) in enumerate(sizes)
            ]
        )
