"""A coupling of training cells, extended to new cells by their nearest training cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from rayot._docs import shared
from rayot.solvers.coupling import (
    WHOLE_ITERATIONS,
    entropic_plan,
    exact_plan,
    squared_euclidean,
)
from rayot.solvers.energy import distances
from rayot.solvers.population import CHUNK_ROWS, Population
from rayot.solvers.settings import Settings
from rayot.solvers.stack import Stack


@shared
@dataclass(frozen=True)
class DiscreteSettings(Settings):
    """Settings of a discrete coupling.

    Attributes
    ----------
    coupling
        ``"exact"``: by network simplex. ``"entropic"``: by Sinkhorn's algorithm.
    extension
        Where a new cell goes. ``"displacement"``: as its nearest training source cell moves.
        ``"barycentric"``: to where that cell goes.
    epsilon
        Strength of the entropic regularisation, for costs divided by their mean.
    largest_coupling
        Training cells of each side that are coupled, at most.
    {common_settings}
    """

    coupling: Literal["exact", "entropic"] = "exact"
    extension: Literal["displacement", "barycentric"] = "displacement"
    epsilon: float = 0.01
    largest_coupling: int = 3000

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {},
        "fast": {"decode": "auto", "standardise": True, "n_components": 50},
    }


@shared
class DiscreteMap(Stack):
    """P couplings by squared Euclidean cost: cells move as their nearest training cell does.

    A training cell goes to the mean of the target cells that it is coupled with (barycentric
    projection); cells are coupled within their stratum.

    Parameters
    ----------
    {stack}

    Examples
    --------
    >>> import torch
    >>> DiscreteMap(3, ["a"], DiscreteSettings(), seed=0)(torch.zeros(1, 5, 3)).shape
    torch.Size([1, 5, 3])
    """

    settings_type = DiscreteSettings
    sized_by_data = frozenset({"anchors", "moves"})
    settings: DiscreteSettings
    anchors: Tensor
    moves: Tensor

    def __init__(
        self, n_features: int, names: Sequence[str], settings: DiscreteSettings, seed: int
    ) -> None:
        super().__init__(n_features, names, settings, seed)
        for name in ("anchors", "moves"):
            self.register_buffer(
                name, torch.zeros(len(self.names), 1, self.n_features, dtype=torch.float32)
            )

    def epsilon(self, n_cells: int) -> float:
        """Strength of the entropic regularisation of a coupling of so many cells."""
        return self.settings.epsilon

    def coordinates(self, cells: Tensor) -> Tensor:
        """What standardised cells (P, n, r) are compared by."""
        return cells

    def fit(self, source: Population, target: Population) -> None:
        """Couple training cells, stratum by stratum."""
        limit = self.settings.largest_coupling
        sides = [
            side.sample(self.seed, self.names, "coupling", limit, by_stratum=True)
            for side in (source, target)
        ]
        n_strata = source.n_strata
        of_problems = []
        for problem in range(len(self.names)):
            own = self.take([problem])
            groups = range(problem * n_strata, (problem + 1) * n_strata)
            pairs = [[own.standardise(side[group][0][None]) for side in sides] for group in groups]
            masses = [[side[group][1] for side in sides] for group in groups]
            moves = [own._moves(*pair, *mass) for pair, mass in zip(pairs, masses, strict=True)]
            anchors = torch.cat([pair[0][0] for pair in pairs])
            of_problems.append((anchors, torch.cat(moves)))
        n = max(len(anchors) for anchors, _ in of_problems)
        # Problems with fewer cells repeat their last one, which changes no nearest cell.
        rows = [torch.arange(n).clamp_max(len(anchors) - 1) for anchors, _ in of_problems]
        for name, part in (("anchors", 0), ("moves", 1)):
            stacked = [parts[part][row] for parts, row in zip(of_problems, rows, strict=True)]
            self._buffers[name] = torch.stack(stacked)

    def _moves(self, source: Tensor, target: Tensor, v: Tensor, w: Tensor) -> Tensor:
        """Moves (n, r) of source cells (1, n, r) of masses (n,), to target cells of masses (m,)."""
        cost = squared_euclidean(self.coordinates(source), self.coordinates(target))
        if self.settings.coupling == "exact":
            plan = exact_plan(cost, v[None], w[None])[0]
        else:
            masses = (v[None], w[None])
            epsilon = self.epsilon(source.shape[1] + target.shape[1])
            plan = entropic_plan(cost, epsilon, masses=masses, n_iterations=WHOLE_ITERATIONS)[0]
        shares = (plan / plan.sum(1, keepdim=True)).to(target.dtype)
        return shares @ target[0] - source[0]

    def move(self, cells: Tensor) -> Tensor:
        """Where the nearest training cell says."""
        parts = []
        anchors = self.coordinates(self.anchors)
        for chunk in cells.split(CHUNK_ROWS, dim=1):
            places = distances(self.coordinates(chunk), anchors).argmin(2)
            nearest = places[..., None].expand_as(chunk)
            start = chunk
            if self.settings.extension == "barycentric":
                start = self.anchors.gather(1, nearest)
            parts.append(start + self.moves.gather(1, nearest))
        return torch.cat(parts, dim=1)
