"""Maps of several strata, combined for cells of a stratum that training never saw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rayot.solvers.energy import energy_distance
from rayot.solvers.population import Population
from rayot.solvers.stack import Stack

RULES = ("mean", "median", "nearest")
SHARES = (1.0, 0.85, 0.7)
"""Shares of the combined move that are tried."""

LIMIT = 400
"""Cells of each side of a stratum that rules are compared on."""


@dataclass(frozen=True)
class Combination:
    """How the moves of S strata's maps become one.

    Attributes
    ----------
    rule
        ``"mean"`` and ``"median"`` of the moves, coordinate by coordinate; ``"nearest"``: their
        mean weighted by how near the cell is to the mean control cell of each stratum.
    share
        Share of the combined move that is made: maps of other strata overshoot where strata differ.
    centres
        (S, d), mean source cell of each stratum.
    scale
        Mean squared distance of a source cell to the mean of its own stratum, over d; strata count
        alike.
    """

    rule: str
    share: float
    centres: Tensor
    scale: float

    def __post_init__(self) -> None:
        if self.rule not in RULES or self.share not in SHARES or not self.scale >= 0:
            raise ValueError(
                f"A combination has a rule of {RULES}, a share of {SHARES} and a scale that is not "
                f"negative, found {self.rule!r}, {self.share} and {self.scale}."
            )

    def apply(self, moves: Tensor, cells: Tensor) -> Tensor:
        """Combined move (n, d) of cells (n, d), from the moves (S, n, d) of each stratum's map."""
        if self.rule == "median":
            combined = moves.quantile(0.5, dim=0)
        elif self.rule == "mean":
            combined = moves.mean(0)
        else:
            squares = torch.cdist(cells[None], self.centres[None])[0].square()
            weights = torch.softmax(-squares / (2 * self.scale), dim=1)
            combined = torch.einsum("ns,snd->nd", weights, moves)
        return self.share * combined

    def to_json(self) -> dict[str, Any]:
        """All but the centres, as plain values."""
        return {"rule": self.rule, "share": self.share, "scale": self.scale}

    def without(self, stratum: int) -> Combination:
        """The same rule for the other strata."""
        kept = [s for s in range(len(self.centres)) if s != stratum]
        return Combination(self.rule, self.share, self.centres[kept], self.scale)


@torch.no_grad()
def choose_combination(
    transport: Stack, members: Tensor, source: Population, target: Population
) -> Combination:
    """The rule that predicts each stratum best from the maps of the others.

    Each stratum in turn is predicted by the other strata's maps, which have not seen its cells, and
    compared with its own target cells by energy distance, relative to how far its source cells are
    from them. Two strata leave nothing to choose by: their mean is taken.

    Parameters
    ----------
    transport
        A fitted map whose problems are strata, of one or more ensemble members.
    members
        (K, S) int64, problem of each member and stratum; others of the stack are not used.
    source, target
        Training cells of each problem; their weights count.
    """
    n_strata = members.shape[1]
    sides = [
        [_cells(side, problem) for problem in members[0].tolist()] for side in (source, target)
    ]
    centres = torch.stack([shares @ cells for cells, shares in sides[0]])
    squares = [
        shares @ (cells - centre).square().mean(1)
        for (cells, shares), centre in zip(sides[0], centres, strict=True)
    ]
    scale = float(torch.stack(squares).mean())
    candidates = [Combination(rule, share, centres, scale) for rule in RULES for share in SHARES]
    if n_strata < 3:
        return candidates[0]
    scores = torch.zeros(len(candidates), dtype=torch.float32)
    maps = transport.take(members.flatten().tolist())
    for stratum in range(n_strata):
        (cells, v), (truth, w) = (_thinned(*side[stratum]) for side in sides)
        moves = maps(cells[None].expand(members.numel(), -1, -1)) - cells
        moves = moves.unflatten(0, members.shape).mean(0)
        others = torch.cat([moves[:stratum], moves[stratum + 1 :]])
        start = energy_distance(cells[None], truth[None], v, w).clamp_min(1e-6)
        for number, candidate in enumerate(candidates):
            moved = cells + candidate.without(stratum).apply(others, cells)
            scores[number] += float(energy_distance(moved[None], truth[None], v, w) / start)
    return candidates[int(scores.argmin())]


def _cells(population: Population, problem: int) -> tuple[Tensor, Tensor]:
    """Cells (n, d) of a problem that have weight, and their shares (n,) of it."""
    positions = population.positions()[problem, : int(population.sizes[problem])]
    weights = population.weights_at(positions)
    if weights is None:
        weights = torch.ones(len(positions), dtype=torch.float32)
    positions, weights = positions[weights > 0], weights[weights > 0]
    return population.take(positions[None])[0], weights / weights.sum()


def _thinned(cells: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    """Up to :data:`LIMIT` cells from first to last, as neighbours may be of one batch."""
    chosen = torch.linspace(0, len(cells) - 1, min(LIMIT, len(cells)), dtype=torch.float32).long()
    return cells[chosen], shares[chosen][None]
