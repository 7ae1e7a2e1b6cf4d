"""What a fitted map can say about itself, on cells it was not fitted on."""

from typing import Any

import numpy as np
import ot
import torch
from torch import Tensor

from rayot.solvers.certificate import certificate
from rayot.solvers.dual import dual_value
from rayot.solvers.energy import distances, energy_distance
from rayot.solvers.problem import Population
from rayot.solvers.ray import TransportMap

LIMIT = 512
"""Cells of each side looked at."""

EXACT_LIMIT = 200
"""Cells of each side in an exact Wasserstein-1 distance."""


@torch.no_grad()
def diagnostics(
    transport: TransportMap,
    source: Population,
    target: Population,
    p_values: Tensor,
    labels: Tensor | None = None,
) -> list[dict[str, Any]]:
    """Held-out figures of each problem, in units of the data.

    Parameters
    ----------
    transport
        A fitted map.
    source, target
        Cells apart from training.
    p_values
        (P,), of :func:`rayot.solvers.permutation_test` on training cells.
    labels
        (n,) int64, cell type of each of the populations' cells, −1 where unknown.

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
      halves of the target.
    - ``initial_wasserstein``, ``residual_wasserstein``, ``floor_wasserstein``: exact Wasserstein-1
      distances of the same, each of ``n_cells_wasserstein`` cells a side: a small sample's is far
      above that of the populations, so only their differences mean something.
    - ``share_left``: ``residual_energy_distance`` over ``initial_energy_distance``.
    - ``p_value``: of the energy distance permutation test between source and target.
    - ``strength``: share of its way that each cell goes; below 1 where a fit shrinks its moves.
    - ``smallest_gradient_norm``, ``largest_gradient_norm``: ‖∇f‖ over source cells; 1 on rays.
    - ``changed_type``, ``floor_changed_type``: how often the nearest target cell of a transported
      cell is of another type than the cell it came from, and how often that of a target cell is;
      NaN without cell types.
    - ``n_cells``: the smaller of the two populations looked at.
    - ``certificate``, ``reason``: "good", "check" or "poor", and why.
    """
    report = []
    for p in range(source.n_problems):
        sides = [_cells(population, p) for population in (source, target)]
        (cells, weights, rows), (truth, other_weights, other_rows) = sides
        stack = cells.expand(source.n_problems, -1, -1)
        moved = transport(stack)[p : p + 1]
        _, _, norms = transport.ray(0).direction(transport.standardise(stack))
        steps = (moved - cells).norm(dim=-1)
        values, other_values = (
            transport.potential(each.expand(source.n_problems, -1, -1))[p : p + 1]
            for each in (cells, truth)
        )
        dual = float(dual_value(values, other_values, weights, other_weights))
        mean_step = float(dual_value(steps, torch.zeros(1, 1), weights))
        initial = float(energy_distance(cells, truth, weights, other_weights))
        residual = float(energy_distance(moved, truth, weights, other_weights))
        figures: dict[str, Any] = {
            "held_out_dual": dual,
            "mean_step": mean_step,
            "gap": mean_step - dual,
            "initial_energy_distance": initial,
            "residual_energy_distance": residual,
            "floor_energy_distance": _floor(truth, other_weights),
            **_exact(cells, moved, truth, weights, other_weights),
            "share_left": residual / initial if initial > 0 else float("nan"),
            "p_value": float(p_values[p]),
            "strength": float(transport.strength[p]),
            "smallest_gradient_norm": float(norms[p].min()),
            "largest_gradient_norm": float(norms[p].max()),
            **_types(
                moved,
                truth,
                weights,
                other_weights,
                *(None if labels is None else labels[each] for each in (rows, other_rows)),
            ),
            "n_cells": min(cells.shape[1], truth.shape[1]),
        }
        word, reason = certificate(figures)
        report.append({**figures, "certificate": word, "reason": reason})
    return report


def _cells(population: Population, problem: int) -> tuple[Tensor, Tensor | None, Tensor]:
    """Cells (1, n, d) of one problem, their weights (1, n), and their rows in the store (n,).

    Strata count alike, as they do in training.
    """
    limit = max(2, LIMIT // population.n_strata)
    positions, sizes = population.first_of_groups(limit)
    groups = range(problem * population.n_strata, (problem + 1) * population.n_strata)
    parts = [positions[group, : sizes[group]] for group in groups]
    chosen = torch.cat(parts)[None]
    weights = population.weights_at(chosen)
    if population.n_strata > 1:
        shares = torch.ones(chosen.shape[1]) if weights is None else weights[0]
        each = shares.split([len(part) for part in parts])
        weights = torch.cat([share / share.sum() for share in each])[None]
    return population.take(chosen), weights, population.rows[chosen[0]]


def _floor(cells: Tensor, weights: Tensor | None) -> float:
    half = cells.shape[1] // 2
    if half < 2:
        return float("nan")
    # Alternate cells, so that every stratum is in both halves.
    halves = [torch.arange(start, 2 * half, 2) for start in (0, 1)]
    shares = [None if weights is None else weights[:, each] for each in halves]
    return abs(float(energy_distance(*(cells[:, each] for each in halves), *shares)))


def _exact(
    cells: Tensor,
    moved: Tensor,
    truth: Tensor,
    weights: Tensor | None,
    other_weights: Tensor | None,
) -> dict[str, Any]:
    n = min(EXACT_LIMIT, cells.shape[1], truth.shape[1] // 2)
    names = ("initial_wasserstein", "residual_wasserstein", "floor_wasserstein")
    if n < 2 or not moved.isfinite().all():
        return {**dict.fromkeys(names, float("nan")), "n_cells_wasserstein": n}
    # Equally spaced cells, so that strata keep their shares.
    of_source = torch.linspace(0, cells.shape[1] - 1, n).long()
    of_target = torch.linspace(0, truth.shape[1] - 1, 2 * n).long()
    first, second = of_target[::2], of_target[1::2]
    pairs = (
        (cells, of_source, weights, first),
        (moved, of_source, weights, first),
        (truth, second, other_weights, first),
    )
    found = {
        name: float(
            ot.emd2(
                _masses(shares, chosen),
                _masses(other_weights, against),
                distances(some[:, chosen], truth[:, against])[0].double().numpy(),
            )
        )
        for name, (some, chosen, shares, against) in zip(names, pairs, strict=True)
    }
    return {**found, "n_cells_wasserstein": n}


def _masses(weights: Tensor | None, chosen: Tensor) -> np.ndarray:
    """Masses (n,) of the chosen cells, which add up to one."""
    if weights is None or not weights[0, chosen].any():
        return np.full(len(chosen), 1 / len(chosen))
    masses = weights[0, chosen].double().numpy()
    return masses / masses.sum()


def _types(
    moved: Tensor,
    truth: Tensor,
    weights: Tensor | None,
    other_weights: Tensor | None,
    own: Tensor | None,
    other: Tensor | None,
) -> dict[str, float]:
    if own is None or other is None:
        return {"changed_type": float("nan"), "floor_changed_type": float("nan")}
    among = distances(truth, truth)[0]
    among.fill_diagonal_(torch.inf)
    return {
        "changed_type": _changed(distances(moved, truth)[0], own, other, weights),
        "floor_changed_type": _changed(among, other, other, other_weights),
    }


def _changed(found: Tensor, own: Tensor, other: Tensor, weights: Tensor | None) -> float:
    shares = (own >= 0).float() if weights is None else (own >= 0) * weights[0]
    changed = (other[found.argmin(-1)] != own).float()
    return float((changed * shares).sum() / shares.sum())
