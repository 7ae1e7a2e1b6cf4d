"""What a fitted map can say about itself, on cells it was not fitted on."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import ot
import torch
from torch import Tensor

from rayot.solvers.attributes import Attributes
from rayot.solvers.certificate import CERTIFICATES, MATCH_TYPES, certificate
from rayot.solvers.dual import dual_value
from rayot.solvers.energy import distances, energy_distance
from rayot.solvers.fold import CombinedFold, Fold, Map
from rayot.solvers.population import Population
from rayot.solvers.report import Report
from rayot.solvers.stack import Stack

LIMIT = 512
"""Cells of each side looked at."""

EXACT_LIMIT = 200
"""Cells of each side in an exact Wasserstein-1 distance."""

RULES: dict[str, Callable[[list[float]], float]] = {
    "smallest_gradient_norm": min,
    "largest_gradient_norm": max,
    "n_cells": sum,
    "n_cells_wasserstein": min,
}
"""What figures of several folds are together, where it is not their mean."""

Distance = Callable[[Tensor, Tensor, Tensor | None, Tensor | None], Tensor]


@torch.no_grad()
def diagnostics(
    folds: Sequence[Sequence[Fold | CombinedFold]],
    p_values: Tensor,
    labels: tuple[Tensor, Tensor] | None = None,
    match_types: str = MATCH_TYPES,
    strengths: Tensor | None = None,
) -> list[Report]:
    """Held-out figures of each problem, in units of the data.

    Cells are compared within their stratum, but for exact distances and cell types; figures are
    means over strata, which count alike. Of a problem with several folds they are means over these,
    each of the fold's own map on cells that this map was not fitted on.

    Parameters
    ----------
    folds
        Of each problem.
    p_values
        (P,), of :func:`rayot.solvers.permutation.permutation_test` on training cells.
    labels
        (n,) and (m,) int64, cell type of each cell of the two stores, −1 where unknown.
    match_types
        As in :func:`rayot.solvers.certificate.certificate`.
    strengths
        Of each problem's own map, (P, 1, 1); None takes those of first folds.

    Returns
    -------
    For each problem:

    - ``held_out_dual``: E f(source) − E f(target) of the first ray's potential; as f is
      1-Lipschitz, a lower bound of the Wasserstein-1 distance, up to sampling.
    - ``mean_step``: E‖T(x) − x‖. It bounds the distance from above only together with what is
      left, W1(T#source, target).
    - ``gap``: ``mean_step`` − ``held_out_dual``.
    - ``initial_energy_distance``, ``residual_energy_distance``: from source, and from transported,
      to target cells, unbiased; ``floor_energy_distance``: absolute value of the same between two
      halves of the target, the mean over folds.
    - ``initial_wasserstein``, ``residual_wasserstein``, ``floor_wasserstein``: exact Wasserstein-1
      distances of the same, of samples of ``n_cells_wasserstein`` cells a side (of the smallest
      fold), in which strata are together and have equal mass. A small sample's is far above that of
      the populations, so only their differences mean something.
    - ``share_left``: ``residual_energy_distance`` over ``initial_energy_distance``.
    - ``p_value``: of the energy distance permutation test between source and target.
    - ``strength``: share of its way that each cell goes; below 1 where a fit shrinks its moves.
      Folds go as far as the cells of the others support. With one fold the same cells choose and
      judge it, so where it is neither 0 nor 1, the residual is a selected figure.
    - ``smallest_gradient_norm``, ``largest_gradient_norm``: ‖∇f‖ over source cells; 1 on rays.
      These, ``held_out_dual`` and ``gap`` are NaN for methods without such a potential.
    - ``changed_type``, ``floor_changed_type``: how often the nearest target cell of a transported
      cell is of another type than the cell it came from, and how often that of a target cell is;
      NaN without cell types, or where both sides have none in common, as where the conditions
      are types themselves.
    - ``n_cells``: the smaller of the two populations looked at; the sum over folds.
    - ``n_folds``: maps that were fitted to judge this one, each without a part of the cells; 1
      where the map itself is judged, by the cells set apart from it.
    - ``certificate``, ``reason``: "good", "check", "poor" or "no effect", and why.

    Members of an ensemble also have an ``instability``, see :func:`rayot.metrics.instability`.
    """
    of_maps = [own[0].strength for own in folds] if strengths is None else strengths.flatten()
    return [
        _report([_figures(fold, labels) for fold in own], float(strength), p_value, match_types)
        for p_value, own, strength in zip(p_values.tolist(), folds, of_maps, strict=True)
    ]


@torch.no_grad()
def diagnostics_left_out(
    folds: Sequence[Fold | CombinedFold],
    p_value: float,
    labels: tuple[Tensor, Tensor] | None = None,
) -> tuple[Report, list[Report]]:
    """Figures of a map on strata that it has not seen.

    Parameters
    ----------
    folds
        Of each stratum that was left out.
    p_value
        Of the fit.
    labels
        As in :func:`diagnostics`.

    Returns
    -------
    The figures that :func:`diagnostics` names: means over strata, which count alike, and those of
    each stratum.
    """
    figures = [_figures(fold, labels) for fold in folds]
    strengths = [fold.strength for fold in folds]
    own = zip(figures, strengths, strict=True)
    return (
        _report(figures, sum(strengths) / len(folds), p_value, MATCH_TYPES),
        [_report([of_problem], strength, p_value, MATCH_TYPES) for of_problem, strength in own],
    )


def _report(
    figures: Sequence[dict[str, float]], strength: float, p_value: float, match_types: str
) -> Report:
    """Figures of one problem, by those of its folds, with the word about them."""
    means = _over_folds(figures)
    initial, residual = means["initial_energy_distance"], means["residual_energy_distance"]
    figures_of_map = {
        **means,
        "gap": means["mean_step"] - means["held_out_dual"],
        "floor_energy_distance": abs(means["floor_energy_distance"]),
        "share_left": residual / initial if initial > 0 else float("nan"),
        "p_value": p_value,
        "strength": strength,
        "n_folds": len(figures),
    }
    word, reason = certificate(figures_of_map, match_types)
    return cast(Report, {**figures_of_map, "certificate": word, "reason": reason})


def ensemble_report(reports: Sequence[Report]) -> Report:
    """Diagnostics of members' mean: means of their figures, and the word that follows from them.

    Each member is judged by other held-out cells, as folds are. The worst of five words would be a
    worse one with each member, though their mean is closer to the target than any of them.

    Parameters
    ----------
    reports
        Of the members of one ensemble, as :func:`diagnostics` returns them. Where the word of one
        does not follow from its figures, as its loss was not finite, the worst is returned.
    """
    if len(reports) == 1 or not all(map(_follows, reports)):
        return worst(reports)
    rules: dict[str, Callable[[list[float]], float]] = {**RULES, "n_cells": min, "n_folds": max}
    means = {
        name: rules.get(name, _mean_of_known)([cast(Any, report)[name] for report in reports])
        for name in reports[0]
        if name not in ("certificate", "reason")
    }
    initial, residual = means["initial_energy_distance"], means["residual_energy_distance"]
    means["share_left"] = residual / initial if initial > 0 else float("nan")
    word, reason = certificate(means)
    return cast(Report, {**means, "certificate": word, "reason": reason})


def worst(reports: Sequence[Report]) -> Report:
    """The diagnostics of the map that is to be trusted least; one without an effect comes last."""
    return min(reports, key=lambda each: CERTIFICATES.index(each["certificate"]))


def _follows(report: Report) -> bool:
    # Members are judged before they are compared with each other.
    figures = {name: value for name, value in report.items() if name != "instability"}
    try:
        return certificate(figures) == (report["certificate"], report["reason"])
    except KeyError:
        return False


def _figures(fold: Fold | CombinedFold, labels: tuple[Tensor, Tensor] | None) -> dict[str, float]:
    """Figures of one fold that can be averaged: no ratios, and the floor with its sign."""
    first, second = _Side.of(fold.source, fold.number), _Side.of(fold.target, fold.number)
    cells, truth = first.cells, second.cells
    own = fold.map
    moved = own(cells, first.attributes)
    steps, still = (moved - cells).norm(dim=-1), torch.zeros(truth.shape[:2], dtype=torch.float32)
    return {
        **_potential(own, first, second),
        "mean_step": _mean(dual_value, (first, steps), (second, still)),
        "initial_energy_distance": _mean(energy_distance, (first, cells), (second, truth)),
        "residual_energy_distance": _mean(energy_distance, (first, moved), (second, truth)),
        "floor_energy_distance": _floor(second),
        **_exact(first, moved, second),
        **_types(first, moved, second, labels),
        "n_cells": min(cells.shape[1], truth.shape[1]),
    }


def _potential(transport: Map, first: "_Side", second: "_Side") -> dict[str, float]:
    """Figures of the first ray's potential; NaN where the method has none."""
    names = ("held_out_dual", "smallest_gradient_norm", "largest_gradient_norm")
    if not isinstance(transport, Stack) or (norms := transport.slope(first.cells)) is None:
        return dict.fromkeys(names, float("nan"))
    values, other_values = (transport.potential(side.cells) for side in (first, second))
    assert values is not None and other_values is not None
    dual = _mean(dual_value, (first, values), (second, other_values))
    return dict(zip(names, (dual, float(norms.min()), float(norms.max())), strict=True))


def _over_folds(of_folds: Sequence[dict[str, float]]) -> dict[str, float]:
    """Means over folds, of those that have the figure; what is no mean by its own rule."""
    return {
        name: RULES.get(name, _mean_of_known)([report[name] for report in of_folds])
        for name in of_folds[0]
    }


def _mean_of_known(values: list[float]) -> float:
    numbers = [value for value in values if not math.isnan(value)]
    return sum(numbers) / len(numbers) if numbers else math.nan


@dataclass(frozen=True)
class _Side:
    """Cells of one problem: (1, n, d), stratum after stratum.

    ``weights`` are (1, n) or None, ``rows`` (n,) in the store, ``sizes`` those of the strata, and
    ``attributes`` those of the cells, (1, n) or None.
    """

    cells: Tensor
    weights: Tensor | None
    rows: Tensor
    sizes: list[int]
    attributes: Attributes | None

    @classmethod
    def of(cls, population: Population, problem: int) -> "_Side":
        n_strata = population.n_strata
        positions, counts = population.first_of_groups(max(2, LIMIT // n_strata))
        groups = slice(problem * n_strata, (problem + 1) * n_strata)
        sizes = counts[groups].tolist()
        chosen = torch.cat([row[:n] for row, n in zip(positions[groups], sizes, strict=True)])[None]
        weights = population.weights_at(chosen)
        rows, attributes = population.rows[chosen[0]], population.attributes_at(chosen)
        return cls(population.take(chosen), weights, rows, sizes, attributes)

    def strata(self, values: Tensor) -> list[tuple[Tensor, Tensor | None]]:
        """Values (1, n, …) of each stratum's cells, and their weights."""
        weights = [None] * len(self.sizes)
        if self.weights is not None:
            weights = self.weights.split(self.sizes, dim=1)
        return list(zip(values.split(self.sizes, dim=1), weights, strict=True))

    def shares(self) -> Tensor:
        """(n,), where strata have equal sums."""
        weights = (
            torch.ones(len(self.rows), dtype=torch.float32)
            if self.weights is None
            else self.weights[0]
        )
        return torch.cat([of_part / of_part.sum() for of_part in weights.split(self.sizes)])


def _mean(distance: Distance, first: tuple[_Side, Tensor], second: tuple[_Side, Tensor]) -> float:
    """Mean over strata of a distance between values of both sides."""
    parts = zip(first[0].strata(first[1]), second[0].strata(second[1]), strict=True)
    return float(torch.cat([distance(x, y, v, w) for (x, v), (y, w) in parts]).mean())


def _floor(side: _Side) -> float:
    """Of strata with at least two cells in each half, with its sign; NaN without any."""
    floors = []
    for cells, weights in side.strata(side.cells):
        half = cells.shape[1] // 2
        if half < 2:
            continue
        parts = (slice(0, half), slice(half, None))
        shares = [None if weights is None else weights[:, part] for part in parts]
        floors.append(energy_distance(*(cells[:, part] for part in parts), *shares))
    return float(torch.cat(floors).mean()) if floors else float("nan")


def _exact(first: _Side, moved: Tensor, second: _Side) -> dict[str, float]:
    """Of the cells of all strata in one sample, in which strata have equal mass.

    Stratum by stratum, the smallest would say how few cells are compared.
    """
    names = ("initial_wasserstein", "residual_wasserstein", "floor_wasserstein")
    limit = max(2, EXACT_LIMIT // len(first.sizes))
    counts = [min(limit, n, m // 2) for n, m in zip(first.sizes, second.sizes, strict=True)]
    if sum(counts) < 2 or not moved.isfinite().all():
        return {**dict.fromkeys(names, float("nan")), "n_cells_wasserstein": 0}
    mine, half = _leading(first.sizes, counts), _leading(second.sizes, counts)
    of_half = torch.tensor(counts, dtype=torch.int64)
    other = half + torch.repeat_interleave(of_half, of_half)
    mass, half_mass = _masses(first, mine, counts), _masses(second, half, counts)
    truth = second.cells[:, half]
    samples = (
        _wasserstein(first.cells[:, mine], truth, mass, half_mass),
        _wasserstein(moved[:, mine], truth, mass, half_mass),
        _wasserstein(second.cells[:, other], truth, _masses(second, other, counts), half_mass),
    )
    return {**dict(zip(names, samples, strict=True)), "n_cells_wasserstein": sum(counts)}


def _leading(sizes: list[int], counts: list[int]) -> Tensor:
    """Where the first cells of each stratum are, so many of each."""
    starts = np.cumsum([0, *sizes[:-1]]).tolist()
    parts = zip(starts, counts, strict=True)
    return torch.cat([torch.arange(start, start + n) for start, n in parts])


def _wasserstein(some: Tensor, others: Tensor, v: np.ndarray, w: np.ndarray) -> float:
    return float(ot.emd2(v, w, distances(some, others)[0].double().numpy()))


def _masses(side: _Side, chosen: Tensor, counts: list[int]) -> np.ndarray:
    """Masses (n,) of the chosen cells, of equal sum in each stratum; equal where none has any."""
    weights = (
        torch.ones(len(chosen), dtype=torch.float32)
        if side.weights is None
        else side.weights[0, chosen]
    )
    parts = [
        of_part if of_part.any() else torch.ones_like(of_part) for of_part in weights.split(counts)
    ]
    masses = torch.cat([of_part.double() / of_part.sum() for of_part in parts])
    return (masses / masses.sum()).numpy()


def _types(
    first: _Side, moved: Tensor, second: _Side, labels: tuple[Tensor, Tensor] | None
) -> dict[str, float]:
    """By nearest cells of any stratum, as a stratum may be a cell type."""
    unknown = {"changed_type": float("nan"), "floor_changed_type": float("nan")}
    if labels is None:
        return unknown
    own, other = labels[0][first.rows], labels[1][second.rows]
    if not torch.isin(own[own >= 0], other).any():
        # Every move between types changes the type.
        return unknown
    among = distances(second.cells, second.cells)[0]
    among.fill_diagonal_(torch.inf)
    return {
        "changed_type": _changed(distances(moved, second.cells)[0], own, other, first.shares()),
        "floor_changed_type": _changed(among, other, other, second.shares()),
    }


def _changed(moved: Tensor, own: Tensor, other: Tensor, shares: Tensor) -> float:
    shares = shares * (own >= 0)
    changed = (other[moved.argmin(-1)] != own).float()
    return float((changed * shares).sum() / shares.sum())
