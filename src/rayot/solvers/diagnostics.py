"""What a fitted map can say about itself, on cells it was not fitted on."""

import torch
from torch import Tensor

from rayot.solvers.dual import dual_value
from rayot.solvers.energy import energy_distance
from rayot.solvers.problem import Population
from rayot.solvers.ray import TransportMap

LIMIT = 1024
"""Cells of each side looked at."""


@torch.no_grad()
def diagnostics(
    transport: TransportMap, source: Population, target: Population
) -> list[dict[str, float]]:
    """Held-out figures of each problem, in units of the data.

    Parameters
    ----------
    transport
        A fitted map.
    source, target
        Cells apart from training.

    Returns
    -------
    For each problem:

    - ``held_out_dual``: E f(source) − E f(target) of the first ray's potential; as f is
      1-Lipschitz, a lower bound of the Wasserstein-1 distance, up to sampling.
    - ``mean_step``: E‖T(x) − x‖. It bounds the distance from above only together with what is
      left, W1(T#source, target).
    - ``gap``: ``mean_step`` − ``held_out_dual``.
    - ``residual_energy_distance``: from transported to target cells, unbiased.
    - ``floor_energy_distance``: absolute value of the same between two halves of the target.
    - ``smallest_gradient_norm``, ``largest_gradient_norm``: ‖∇f‖ over source cells; 1 on rays.
    - ``n_cells``: the smaller of the two populations looked at.
    """
    cells = source.take(source.positions(LIMIT))
    moved = transport(cells)
    _, _, norms = transport.ray(0).direction(transport.standardise(cells))
    values = transport.potential(cells)
    others = target.take(target.positions(LIMIT))
    other_values = transport.potential(others)
    report = []
    for p, name_sizes in enumerate(zip(source.sizes.tolist(), target.sizes.tolist(), strict=True)):
        n, m = (min(size, LIMIT) for size in name_sizes)
        truth = others[p : p + 1, :m]
        steps = (moved[p, :n] - cells[p, :n]).norm(dim=-1)
        dual = dual_value(values[p : p + 1, :n], other_values[p : p + 1, :m])
        report.append(
            {
                "held_out_dual": float(dual),
                "mean_step": float(steps.mean()),
                "gap": float(steps.mean() - dual),
                "residual_energy_distance": float(energy_distance(moved[p : p + 1, :n], truth)),
                "floor_energy_distance": float(_floor(truth)),
                "smallest_gradient_norm": float(norms[p, :n].min()),
                "largest_gradient_norm": float(norms[p, :n].max()),
                "n_cells": min(n, m),
            }
        )
    return report


def _floor(cells: Tensor) -> Tensor:
    half = cells.shape[1] // 2
    if half < 2:
        return torch.tensor(torch.nan)
    return energy_distance(cells[:, :half], cells[:, half : 2 * half]).abs()
