"""Cells that stay, or all move alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from rayot._docs import shared
from rayot.solvers.population import Population
from rayot.solvers.settings import Settings
from rayot.solvers.stack import Stack


@shared
@dataclass(frozen=True)
class ShiftSettings(Settings):
    """Settings of maps that move all cells alike.

    Attributes
    ----------
    {common_settings}
    """

    presets: ClassVar[dict[str, dict[str, Any]]] = {"paper": {}, "fast": {"decode": "auto"}}


@shared
class IdentityMap(Stack):
    """P maps that leave cells where they are.

    Parameters
    ----------
    {stack}

    Examples
    --------
    >>> import torch
    >>> cells = torch.ones(1, 5, 3)
    >>> bool((IdentityMap(3, ["a"], ShiftSettings(), seed=0)(cells) == cells).all())
    True
    """

    settings_type = ShiftSettings

    def move(self, cells: Tensor) -> Tensor:
        """The cells."""
        return cells


@shared
class ShiftMap(Stack):
    """P maps that move every cell by the difference of the mean target and the mean source cell.

    Parameters
    ----------
    {stack}

    Examples
    --------
    >>> import torch
    >>> ShiftMap(3, ["a"], ShiftSettings(), seed=0)(torch.zeros(1, 5, 3)).shape
    torch.Size([1, 5, 3])
    """

    settings_type = ShiftSettings
    shift: Tensor

    def __init__(
        self, n_features: int, names: Sequence[str], settings: ShiftSettings, seed: int
    ) -> None:
        super().__init__(n_features, names, settings, seed)
        self.register_buffer(
            "shift", torch.zeros(len(self.names), 1, self.n_features, dtype=torch.float32)
        )

    def fit(self, source: Population, target: Population) -> None:
        """Mean over strata, which count alike, of the difference within each."""
        means = (target.group_means() - source.group_means()).mean(1, keepdim=True)
        # The centre falls out of the difference.
        self.shift = self.standardise(self.centre + means) - self.standardise(self.centre)

    def move(self, cells: Tensor) -> Tensor:
        """Cells with the shift added."""
        return cells + self.shift
