"""Cells that unbalanced transport leaves unmatched."""

import torch
from torch import Tensor

from rayot.solvers import Population, W1Map, matched
from rayot.train.carried import CHUNK_ROWS


@torch.no_grad()
def set_limits(transport: W1Map, source: Population, target: Population) -> None:
    """Set the potential above which source cells, and below which target cells, go unmatched."""
    settings = transport.settings
    for limits, population, sign, share in (
        (transport.highest_source, source, 1, settings.unmatched_source),
        (transport.lowest_target, target, -1, settings.unmatched_target),
    ):
        if not share:
            continue
        values = sign * _potential(transport, population)
        for problem, size in enumerate(population.sizes.tolist()):
            weights = population.weights_at(population.positions()[problem, :size])
            mass = matched(values[problem, :size], share, weights)
            limits[problem] = sign * values[problem, :size][mass > 0].max()


@torch.no_grad()
def matched_only(
    transport: W1Map, source: Population, target: Population
) -> tuple[Population, Population]:
    """The same populations, where cells that go unmatched are never drawn."""
    return (
        _where(source, _potential(transport, source) <= transport.highest_source),
        _where(target, _potential(transport, target) >= transport.lowest_target),
    )


def _where(population: Population, kept: Tensor) -> Population:
    sizes = population.sizes.tolist()
    flat = torch.cat([kept[problem, :size] for problem, size in enumerate(sizes)]).float()
    groups = flat.split(population.group_sizes.tolist())
    # A stratum that is left out whole keeps its cells: it has nothing else to draw.
    flat = torch.cat([group if group.any() else torch.ones_like(group) for group in groups])
    return population.with_weights(
        flat if population.weights is None else flat * population.weights
    )


def _potential(transport: W1Map, population: Population) -> Tensor:
    """Potential (P, n) of all cells of each problem, padded like their positions."""
    chunks = population.positions().split(CHUNK_ROWS, dim=1)
    return torch.cat([transport.potential(population.take(chunk)) for chunk in chunks], dim=1)
