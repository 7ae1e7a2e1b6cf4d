"""How far along its map the held-out cells say that a cell should go."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from rayot.solvers.energy import distances
from rayot.solvers.fold import Fold
from rayot.solvers.stack import Stack

SIGNIFICANCE = 0.05
"""p-value above which a perturbation is said to have no detectable effect."""

STRENGTHS = torch.linspace(0, 1, 11, dtype=torch.float32)
LIMIT = 512


@torch.no_grad()
def shrink(transport: Stack, folds: Sequence[Sequence[Fold]], p_values: Tensor) -> None:
    """Set each problem's strength to what held-out cells support.

    Where the permutation test finds no effect, cells stay where they are: moving them would fit
    noise. Elsewhere a cell goes all of its way, unless less of it has a smaller energy distance to
    held-out target cells by more than one standard error of the difference. Folds stand for the
    map, and each goes as far as the cells of all others support: no cells judge a strength that
    they chose. A map with one fold has no others, and is judged by the cells that chose.

    Parameters
    ----------
    transport
        A fitted map, changed in place.
    folds
        Of each problem; their maps are shrunk too.
    p_values
        (P,), of :func:`rayot.solvers.permutation_test`.
    """
    for problem, own in enumerate(folds):
        strength, strengths = 0.0, [0.0] * len(own)
        if p_values[problem] <= SIGNIFICANCE:
            energies = [_energies(fold) for fold in own]
            others = [energies[:k] + energies[k + 1 :] for k in range(len(own))]
            strength = _supported(energies)
            strengths = list(map(_supported, others)) if len(own) > 1 else [strength]
        transport.strength[problem] = strength
        for fold, of_fold in zip(own, strengths, strict=True):
            fold.transport.strength[fold.number] = of_fold


def _supported(folds: Sequence[list[tuple[Tensor, Tensor, Tensor]]]) -> float:
    """Strength that the held-out cells of folds support, whose strata have these energies."""
    every_fold = [judged for fold in folds for judged in fold]
    energies = torch.stack([judged[0] for judged in every_fold]).mean(0)
    best = int(energies.argmin())
    # Strata and folds are sampled apart, so the variances of their means add up.
    variance = sum(_variance(judged[1][-1] - judged[1][best], judged[2]) for judged in every_fold)
    error = math.sqrt(variance) / len(every_fold)
    gain = float(energies[-1] - energies[best])
    return float(STRENGTHS[best] if gain > error else STRENGTHS[-1])


def _energies(fold: Fold) -> list[tuple[Tensor, Tensor, Tensor]]:
    """For each stratum, energy distance (L,) at each strength, but for a constant.

    With it the influence (L, n) of each source cell on it, 2 E‖T(x) − y‖ − 2 E‖T(x) − T(x')‖, and
    the cells' weights (n,).
    """
    n_strata, transport = fold.source.n_strata, fold.map
    # Of all their way: other problems may have shrunk a fold that they share.
    transport.strength.fill_(1)
    groups = range(fold.number * n_strata, (fold.number + 1) * n_strata)
    return [_energies_of(transport, fold, group) for group in groups]


def _energies_of(transport: Stack, fold: Fold, group: int) -> tuple[Tensor, Tensor, Tensor]:
    source, target = fold.source, fold.target
    limit = max(2, LIMIT // source.n_strata)
    (positions, sizes), (others, other_sizes) = (
        population.first_of_groups(limit) for population in (source, target)
    )
    mine, theirs = positions[group, : sizes[group]], others[group, : other_sizes[group]]
    cells, truth = source.take(mine[None]), target.take(theirs[None])
    moves = transport(cells, source.attributes_at(mine[None]))[0] - cells[0]
    moved = cells + STRENGTHS.view(-1, 1, 1) * moves
    weights, other_weights = (
        torch.ones(len(rows), dtype=torch.float32) if of_rows is None else of_rows
        for rows, of_rows in ((mine, source.weights_at(mine)), (theirs, target.weights_at(theirs)))
    )
    weights, other_weights = weights / weights.sum(), other_weights / other_weights.sum()
    across = distances(moved, truth.expand(len(STRENGTHS), -1, -1)) @ other_weights
    within = distances(moved, moved) @ weights / (1 - weights.square().sum())
    return (2 * across - within) @ weights, 2 * (across - within), weights


def _variance(influence: Tensor, weights: Tensor) -> float:
    """Variance of the weighted mean of influences (n,)."""
    mean = influence @ weights
    return float((influence - mean).square() @ weights.square())
