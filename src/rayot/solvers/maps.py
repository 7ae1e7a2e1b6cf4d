"""P maps of one method, in the units of the data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from rayot._docs import shared
from rayot.solvers.attributes import Attributes
from rayot.solvers.settings import Settings


@shared
class Maps(nn.Module, ABC):
    """P maps of cells, with everything learned in them, whatever they were learned by.

    Maps work on standardised cells, (x − centre) / scale with one scale for all features: straight
    lines, their order and Lipschitz constants are the same in both units. Where there are more
    features than ``settings.n_components``, they work on the coordinates in an orthonormal basis of
    so many vectors, and what lies outside of it stays.

    Parameters
    ----------
    {stack}
    """

    settings_type: ClassVar[type[Settings]] = Settings
    """Settings of the method."""

    sized_by_data: ClassVar[frozenset[str]] = frozenset()
    """Buffers whose second axis is as long as the training cells make it, all alike."""

    maybe_infinite: ClassVar[frozenset[str]] = frozenset()
    """Buffers that may be infinite; all else that is learned is finite."""

    centre: Tensor
    scale: Tensor
    strength: Tensor
    basis: Tensor | None

    def __init__(self, n_features: int, names: Sequence[str], settings: Any, seed: int) -> None:  # noqa: ANN401
        super().__init__()
        self.names = list(names)
        self.settings = settings
        self.seed = seed
        self.standardised = settings.standardise
        n_problems = len(self.names)
        self.register_buffer("centre", torch.zeros(n_problems, 1, n_features, dtype=torch.float32))
        self.register_buffer("scale", torch.ones(n_problems, 1, 1, dtype=torch.float32))
        # Share of the way that a cell goes: 1 unless the fit shrinks it.
        self.register_buffer("strength", torch.ones(n_problems, 1, 1, dtype=torch.float32))
        basis = None
        if settings.n_components is not None and settings.n_components < n_features:
            basis = torch.eye(n_features, settings.n_components, dtype=torch.float32).repeat(
                n_problems, 1, 1
            )
            n_features = settings.n_components
        self.register_buffer("basis", basis)
        self.n_features = n_features

    @classmethod
    def counts(cls, settings: Any) -> dict[str, str]:  # noqa: ANN401
        """Settings that count networks or layers, each of which has an array of its own.

        The pattern of these arrays' names says of a state dictionary how many it holds, before
        networks are built for it.
        """
        return {}

    @abstractmethod
    def move(self, cells: Tensor) -> Tensor:
        """Where standardised cells (P, n, r) go, (P, n, r)."""

    def potential(self, cells: Tensor) -> Tensor | None:
        """1-Lipschitz potential (P, n) of cells (P, n, d), in their units; None without one."""
        return None

    def slope(self, cells: Tensor) -> Tensor | None:
        """Norm (P, n) of the potential's gradient at cells (P, n, d); None without one."""
        return None

    def mass(self, cells: Tensor, side: Literal["source", "target"]) -> Tensor:
        """Mass (P, n) with which cells (P, n, d) of a side are matched, 1 on average."""
        return torch.ones(len(self.names), cells.shape[1], dtype=torch.float32)

    def take(self, problems: Sequence[int]) -> Self:
        """A stack of its own with some of the problems, detached."""
        rows = list(problems)
        # What a deep copy has a copy of already: of these problems alone, and of nothing new.
        taken: dict[int, Any] = {
            id(parameter): nn.Parameter(
                parameter.detach()[rows], requires_grad=parameter.requires_grad
            )
            for parameter in self.parameters()
        }
        taken |= {id(buffer): buffer.detach()[rows] for buffer in self.buffers()}
        taken[id(self.settings)] = self.settings
        part = deepcopy(self, taken)
        part.names = [self.names[row] for row in rows]
        return part

    def restore(self, values: dict[str, Tensor]) -> None:
        """Take everything learned from a state dictionary.

        Raises
        ------
        RuntimeError
            If names or sizes of parameters do not fit.
        """
        for name, value in values.items():
            if name in self.sized_by_data:
                self._buffers[name] = value.to(self.centre.device)
        self.load_state_dict(values)

    def standardise(self, cells: Tensor) -> Tensor:
        """Cells (P, n, d) or (1, n, d) in the maps' coordinates and units, (P, n, r)."""
        if self.basis is not None:
            return (cells - self.centre) @ self.basis / self.scale
        if not self.standardised:
            return cells
        return (cells - self.centre) / self.scale

    def forward(self, cells: Tensor, attributes: Attributes | None = None) -> Tensor:
        """T(x), (P, n, d), in the units of ``cells``.

        Parameters
        ----------
        cells
            (P, n, d) or (1, n, d).
        attributes
            What is known of them, (1, n), for methods whose maps depend on it.
        """
        standardised = self.standardise(cells)
        return self.in_space(cells, self.move(standardised) - standardised)

    def in_space(self, cells: Tensor, moves: Tensor) -> Tensor:
        """Where cells (P, n, d) go by moves (P, n, r) in the maps' coordinates, shrunk."""
        moves = moves * (self.scale * self.strength)
        return cells + (moves if self.basis is None else moves @ self.basis.mT)

    def in_data_units(self, distances: Tensor) -> Tensor:
        """Distances (P,) or (P, n) in the maps' units, in those of the data."""
        return distances * self.scale.view(-1, *[1] * (distances.ndim - 1))
