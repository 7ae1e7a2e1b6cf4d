"""Each feature mapped by its own quantiles, without any transport between cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import torch
from torch import Tensor

from rayot._docs import shared
from rayot.solvers.marginals import N_QUANTILES, Marginals, monotone_map
from rayot.solvers.population import Population
from rayot.solvers.random import GOLDEN, uniform_of
from rayot.solvers.settings import Settings
from rayot.solvers.stack import Stack

LARGEST_SAMPLE = 8192
"""Cells of each side that distributions are taken from."""

SIDES = ("source", "target")


@shared
@dataclass(frozen=True)
class QuantileSettings(Settings):
    """Settings of maps by quantiles.

    Attributes
    ----------
    {common_settings}
    """

    presets: ClassVar[dict[str, dict[str, Any]]] = {"paper": {}, "fast": {"decode": "delta"}}


@shared
class MarginalMap(Stack):
    r"""P maps :math:`T(x)_j = F_{t,j}^{-1}(F_{s,j}(x_j))`.

    Optimal transport in one dimension, feature by feature, for every convex cost (Villani 2003,
    theorem 2.18). Equal values are parted at random, by a draw that follows from the cell alone.

    Parameters
    ----------
    {stack}

    Examples
    --------
    >>> import torch
    >>> MarginalMap(3, ["a"], QuantileSettings(), seed=0)(torch.zeros(1, 5, 3)).shape
    torch.Size([1, 5, 3])
    """

    settings_type = QuantileSettings

    def __init__(
        self, n_features: int, names: Sequence[str], settings: QuantileSettings, seed: int
    ) -> None:
        super().__init__(n_features, names, settings, seed)
        size = len(self.names), self.n_features
        grid = torch.linspace(-1, 1, N_QUANTILES, dtype=torch.float32).expand(*size, -1)
        for side in SIDES:
            self.register_buffer(f"{side}_negative", torch.full(size, 0.5, dtype=torch.float32))
            self.register_buffer(f"{side}_zero", torch.zeros(size, dtype=torch.float32))
            self.register_buffer(f"{side}_quantiles", grid.clone())

    def fit(self, source: Population, target: Population) -> None:
        """Distributions of both sides; strata weigh alike."""
        for side, population in zip(SIDES, (source, target), strict=True):
            samples = population.sample(self.seed, self.names, "quantiles", LARGEST_SAMPLE)
            for problem, (cells, masses) in enumerate(samples):
                own = self.take([problem]).standardise(cells[None])[0]
                marginals = Marginals.of(own, masses.double())
                for field in fields(Marginals):
                    buffer = self.get_buffer(f"{side}_{field.name}")
                    buffer[problem] = getattr(marginals, field.name)

    def move(self, cells: Tensor) -> Tensor:
        """T(x)."""
        draws = _draws(cells)
        return torch.stack(
            [
                monotone_map(self._side("source", p), self._side("target", p), cells[p], draws[p])
                for p in range(len(cells))
            ]
        )

    def _side(self, side: str, problem: int) -> Marginals:
        return Marginals(
            *(self.get_buffer(f"{side}_{field.name}")[problem] for field in fields(Marginals))
        )


def _draws(cells: Tensor) -> Tensor:
    """Uniform numbers in [0, 1), one a value of cells (P, n, d), which follow from the cell alone.

    So the same cell goes to the same place, whatever the cells beside it.
    """
    features = torch.arange(1, cells.shape[-1] + 1, device=cells.device) * GOLDEN
    values = cells.contiguous().view(torch.int32).long()
    return uniform_of((values * features).sum(-1, keepdim=True) ^ features)
