"""Predictions of cells of strata that the fit has not seen, by several experts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from rayot.model.adaptation import GENES
from rayot.model.calibration import TURN, checked_tables, saved_tables, uniform
from rayot.model.saved import Arrays, check_array, check_names, check_places, grouped
from rayot.model.times import displaced
from rayot.solvers import Marginals, monotone_shift

EXPERTS = ("map", "part", "near", "shift")
"""The map; a part of its moves; distributions of near strata; the mean shift of all strata."""

PART = 0.7
"""Share of the map's moves that cells go where a stratum may respond less than those of the fit."""

POWER = 6
"""With which power of their distance strata are less near (Shepard 1968). Both are the best of few
values on cell types of Bodenmiller et al. (2012), which no table of new strata shows."""

SIDES = ("source", "target")
ALONE = ("features", "shifts", "nonnegative")

EXPERT_DRAW, STRATUM_DRAW = "expert", "near stratum"
"""Names of the draws of a cell."""

TURN_OF_EXPERTS = 2000
"""Number of their draws, beyond those of calibrations and adaptations."""


@dataclass(frozen=True)
class OfSpace:
    """What the experts know of the features of one space.

    Attributes
    ----------
    features
        (c,) int64, ascending: those that distributions are kept of. All others do not change in
        near strata.
    source, target
        Distributions of these in each stratum.
    shifts
        (S, d) float32, mean shift of each stratum.
    nonnegative
        Whether cells have no values below zero.
    """

    features: np.ndarray
    source: tuple[Marginals, ...]
    target: tuple[Marginals, ...]
    shifts: np.ndarray
    nonnegative: bool

    def take(self, features: np.ndarray) -> OfSpace:
        """The same of some of the features, ascending, which are then counted from 0."""
        _, places, among = np.intersect1d(
            self.features, features, assume_unique=True, return_indices=True
        )
        chosen = torch.from_numpy(places)
        source, target = (
            tuple(table.take(chosen) for table in side) for side in (self.source, self.target)
        )
        return OfSpace(among, source, target, self.shifts[:, features], self.nonnegative)

    def only(self, strata: Sequence[int]) -> OfSpace:
        """Distributions of some of the strata."""
        source, target = (
            tuple(side[number] for number in strata) for side in (self.source, self.target)
        )
        return replace(self, source=source, target=target, shifts=self.shifts[list(strata)])


@dataclass(frozen=True)
class Experts:
    """Several ways to predict cells of new strata, and how much each counts.

    A new stratum may respond as all others do on average, less than these, or as those whose
    untreated cells are most like its own. Each of its cells is predicted by one of the experts,
    drawn with their weights. Energy distance is a proper score of distributions (Gneiting & Raftery
    2007), and of such a mixture a convex function of the weights, so these are found exactly: those
    that are best where each stratum of the fit in turn is left out ("stacking", Wolpert 1992).

    Attributes
    ----------
    strata
        Names of the strata.
    centres
        (S, d) float32, mean of the source cells of each, in the space of the map.
    weights
        (4,) float64 of :data:`EXPERTS`, together 1.
    spaces
        What they know, by space; of a map that works on genes there is one.
    """

    strata: tuple[str, ...]
    centres: np.ndarray
    weights: np.ndarray
    spaces: Mapping[str, OfSpace]

    def __str__(self) -> str:
        """Names and weights of those that count."""
        counting = zip(EXPERTS, self.weights, strict=True)
        return ", ".join(f"{name} {weight:.0%}" for name, weight in counting if weight > 0.005)

    def nearness(self, centre: np.ndarray) -> np.ndarray:
        """Shares (S,) of the strata that are near to one with this mean source cell (d,)."""
        squares = np.square(self.centres - centre).sum(1).astype(np.float64)
        # Relative to the nearest, so that no power is out of range.
        nearest = max(squares.min(), 1e-12)
        weights = (squares.clip(nearest) / nearest) ** (-POWER / 2)
        return weights / weights.sum()

    def choose(
        self,
        strata: np.ndarray,
        cells: np.ndarray,
        shares: Mapping[str, np.ndarray],
        seed: int,
    ) -> Chosen:
        """The expert of each cell.

        Parameters
        ----------
        strata, cells
            (n,) stratum and name of each cell.
        shares
            By name of each new stratum, :meth:`nearness` of its cells. All others are predicted by
            the map.
        seed
            Keys the draws, with the names.
        """
        names = np.array([EXPERT_DRAW, STRATUM_DRAW])
        draws = uniform(cells, names, seed + TURN_OF_EXPERTS * TURN).astype(np.float64)
        expert, near = np.zeros((2, len(cells)), dtype=np.intp)
        for stratum, of_stratum in shares.items():
            own = np.flatnonzero(strata == stratum)
            expert[own] = drawn(self.weights, draws[own, 0])
            near[own] = drawn(of_stratum, draws[own, 1])
        return Chosen(self, expert, near, cells, seed)

    def only(self, strata: Sequence[int]) -> Experts:
        """The same of some of the strata."""
        return replace(
            self,
            strata=tuple(self.strata[number] for number in strata),
            centres=self.centres[list(strata)],
            spaces={name: of_space.only(strata) for name, of_space in self.spaces.items()},
        )

    def columns(self) -> dict[str, np.ndarray]:
        """Names and weights, as plain values for ``uns``."""
        return {"names": np.asarray(EXPERTS, dtype=str), "weight": self.weights}

    def arrays(self) -> Arrays:
        """What is saved."""
        of_spaces = {
            f"{space}.{name}": np.atleast_1d(getattr(of_space, name))
            for space, of_space in self.spaces.items()
            for name in ALONE
        }
        tables = saved_tables(
            {
                f"{space}.{side}": getattr(of_space, side)
                for space, of_space in self.spaces.items()
                for side in SIDES
            }
        )
        own = {"centres.": self.centres, "weights.": self.weights}
        return {**own, **of_spaces, **tables}

    @classmethod
    def from_arrays(
        cls, arrays: Arrays, strata: Sequence[str], n_features: int, sizes: Mapping[str, int]
    ) -> Experts:
        """Inverse of :meth:`arrays`.

        Parameters
        ----------
        arrays
            What was saved.
        strata
            Of the fit.
        n_features
            Of the space of the map.
        sizes
            Features of each space that is saved.

        Raises
        ------
        ValueError
            If they do not fit together.
        """
        groups = grouped(arrays, ".", ("centres", "weights", *sizes))
        for name in ("centres", "weights"):
            check_names(groups[name], [""], f"the arrays of experts.{name}")
        centres, weights = groups["centres"][""], groups["weights"][""]
        check_array(centres, "experts.centres", (len(strata), n_features))
        check_array(weights, "experts.weights", (len(EXPERTS),), np.float64)
        if (weights < 0).any() or not np.isclose(weights.sum(), 1):
            raise ValueError("the array 'experts.weights' has no shares of a whole.")
        spaces = {
            space: _space_from(groups[space], space, len(strata), size)
            for space, size in sizes.items()
        }
        return cls(tuple(strata), centres, weights, spaces)


@dataclass(frozen=True)
class Chosen:
    """The expert that each of n cells is predicted by.

    Attributes
    ----------
    experts
        All of them.
    expert, near
        (n,) their number, and that of the near stratum that the third takes.
    cells, seed
        Names of the cells and a seed, which key draws.
    """

    experts: Experts
    expert: np.ndarray
    near: np.ndarray
    cells: np.ndarray
    seed: int

    def __call__(
        self, space: str, own: np.ndarray, moved: np.ndarray, names: np.ndarray
    ) -> np.ndarray:
        """Predicted features (n, d) float32.

        Parameters
        ----------
        space
            Of the features.
        own, moved
            (n, d), before the cells move and as the map predicts them.
        names
            (d,) of the features, which key draws.
        """
        if not self.expert.any():
            return moved
        spaces, predicted = self.experts.spaces, moved.copy()
        of_space = spaces.get(space, spaces[GENES])
        part, near, shift = (
            np.flatnonzero(self.expert == EXPERTS.index(name)) for name in EXPERTS[1:]
        )
        predicted[part] = displaced(own[part], moved[part], PART, self._draws(part, names))
        predicted[near] = own[near]
        for stratum in np.unique(self.near[near]):
            rows = near[self.near[near] == stratum]
            predicted[np.ix_(rows, of_space.features)] = self._as_in(
                of_space, int(stratum), own, rows, names
            )
        if len(shift):
            predicted[shift] = own[shift] + shrunk_shift(of_space.shifts)
        if of_space.nonnegative:
            predicted[shift] = predicted[shift].clip(0)
        return predicted

    def _as_in(
        self, of_space: OfSpace, stratum: int, own: np.ndarray, rows: np.ndarray, names: np.ndarray
    ) -> np.ndarray:
        """Some features of some cells, as much farther as their ranks are in a near stratum."""
        chosen = of_space.features
        values = np.ascontiguousarray(own[np.ix_(rows, chosen)], dtype=np.float32)
        draws = torch.from_numpy(self._draws(rows, names[chosen]))
        before, after = of_space.source[stratum], of_space.target[stratum]
        return monotone_shift(before, after, torch.from_numpy(values), draws).numpy()

    def _draws(self, rows: np.ndarray, names: np.ndarray) -> np.ndarray:
        return uniform(self.cells[rows], names, self.seed + TURN_OF_EXPERTS * TURN)


def shrunk_shift(shifts: np.ndarray) -> np.ndarray:
    """Mean (d,) of the shifts (S, d) of strata, as far as it stands out of what parts these.

    1 − s² / (S m²), or 0, with their mean m and variance s²: James & Stein's (1961) factor.
    """
    mean = shifts.mean(0)
    error = shifts.var(0, ddof=1) / len(shifts)
    share = 1 - np.divide(error, np.square(mean), out=np.ones_like(mean), where=mean != 0)
    return (mean * share.clip(0)).astype(np.float32)


def drawn(shares: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Numbers (n,) of what is drawn with such shares (k,), by draws (n,) uniform in [0, 1)."""
    passed = np.cumsum(shares)[:-1] / np.sum(shares)
    return np.searchsorted(passed, draws, side="right")


def _space_from(arrays: Arrays, space: str, n_strata: int, size: int) -> OfSpace:
    """What was saved of one space, checked."""
    where = f"experts.{space}"
    alone = {name: arrays[name] for name in arrays if "." not in name}
    check_names(alone, ALONE, f"the arrays of {where}")
    features, shifts, nonnegative = (alone[name] for name in ALONE)
    check_places(features, f"{where}.features", size)
    check_array(shifts, f"{where}.shifts", (n_strata, size))
    check_array(nonnegative, f"{where}.nonnegative", (1,), np.bool_)
    tables = {name: value for name, value in arrays.items() if "." in name}
    sides = grouped(tables, ".", SIDES)
    source, target = (
        checked_tables(sides[side], f"{where}.{side}", (n_strata, features.size)) for side in SIDES
    )
    return OfSpace(features, source, target, shifts, bool(nonnegative[0]))
