"""From the maps of a stack to one move of each cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rayot.model.problems import Problems
from rayot.solvers import Attributes, Combination, Stack


@dataclass(frozen=True)
class Moves:
    """Moves of n cells.

    Attributes
    ----------
    mean
        (n, d), the predicted move.
    members
        (K, n, d), the moves that each member of an ensemble predicts.
    maps
        (M, n, d), the moves of the single maps whose spread is the prediction's uncertainty: the
        members of an ensemble, or all maps where strata have their own.
    potential
        (n,), mean over the maps that were used; None where the method has no potential.
    combined
        (n,) bool, cells of a stratum that has no map of its own.
    spread
        (n,), spread of the samples that a cell's move is the mean of; None where there are none.
    terms
        Moves that were added up; none where a move is one of its own.
    """

    mean: Tensor
    members: Tensor
    maps: Tensor
    potential: Tensor | None
    combined: np.ndarray
    spread: Tensor | None = None
    terms: tuple[Moves, ...] = ()

    def shortened(self, share: float) -> Moves:
        """The moves of cells that have gone a share of their way; themselves of all of it."""
        if share == 1:
            return self
        return Moves(
            share * self.mean,
            share * self.members,
            share * self.maps,
            self.potential,
            self.combined,
            None if self.spread is None else share * self.spread,
        )

    def in_terms(self, what: str, number: int | None = None) -> np.ndarray:
        """Terms (T, n, d) of ``"mean"``, or of one of the ``"members"`` or ``"maps"``."""
        terms = [getattr(term, what) for term in self.terms or (self,)]
        return torch.stack(terms if number is None else [term[number] for term in terms]).numpy()


@torch.no_grad()
def moves_of(
    transport: Stack,
    problems: Problems,
    combination: Combination | None,
    cells: Tensor,
    strata: np.ndarray | None,
    attributes: Attributes | None = None,
) -> Moves:
    """Move cells by the stack.

    Parameters
    ----------
    transport
        The fitted stack.
    problems
        What its problems are.
    combination
        For separate strata: how their maps are combined.
    cells
        (n, d).
    strata
        (n,) stratum of each cell; None where it is not known.
    attributes
        What else is known of the cells, (1, n), for maps that depend on it.
    """
    stack = cells[None].expand(len(problems), -1, -1)
    moves = (transport(stack, attributes) - stack)[problems.members]
    potential = transport.potential(stack)
    if potential is not None:
        potential = of_own_stratum(potential, problems, strata)
    if combination is None:
        # One map; or maps of strata that could not be fitted, none of which moves a cell.
        moves = moves[:, 0]
        return Moves(moves.mean(0), moves, moves, potential, np.zeros(len(cells), dtype=bool))
    own = _own_stratum(problems, strata, len(cells))
    seen, which = (torch.from_numpy(places) for places in (np.flatnonzero(own >= 0), own[own >= 0]))
    predicted = []
    for of_stratum in (moves.mean(0), *moves):
        move = combination.apply(of_stratum, cells)
        move[seen] = of_stratum[which, seen]
        predicted.append(move)
    return Moves(predicted[0], torch.stack(predicted[1:]), moves.flatten(0, 1), potential, own < 0)


def of_own_stratum(values: Tensor, problems: Problems, strata: np.ndarray | None) -> Tensor:
    """Values (n,) of cells by the maps of their own stratum, or by all maps where it has none.

    Parameters
    ----------
    values
        (M, n), of each problem; members of an ensemble are averaged.
    problems
        What the problems are.
    strata
        (n,) stratum of each cell; None where it is not known.
    """
    of_stratum = values[problems.members].mean(0)
    of_cells = of_stratum.mean(0)
    if problems.separate:
        own = _own_stratum(problems, strata, values.shape[1])
        seen = torch.from_numpy(np.flatnonzero(own >= 0))
        of_cells[seen] = of_stratum[torch.from_numpy(own[own >= 0]), seen]
    return of_cells


def _own_stratum(problems: Problems, strata: np.ndarray | None, n: int) -> np.ndarray:
    """Number of each cell's stratum, −1 where it has no map: (n,) int."""
    if strata is None:
        return np.full(n, -1)
    position = {stratum: number for number, stratum in enumerate(problems.strata)}
    return np.array([position.get(stratum, -1) for stratum in strata])
