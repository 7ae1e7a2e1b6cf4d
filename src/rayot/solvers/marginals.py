"""Distributions of genes one by one, and the monotone maps between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

N_QUANTILES = 32
"""Quantiles that are kept of each gene's values other than zero."""

TOLERANCE = 1e-5
"""Difference of equal values, as a share of a gene's largest."""

BLOCK = 2**16
"""Values that are looked at together."""


@dataclass(frozen=True)
class Marginals:
    """The distribution of each of g genes: its share of zeros, and quantiles of all other values.

    Most values of expression are zero, and a quantile between a zero and a value is a value that no
    cell has. So zeros are kept apart, exactly, and of the others values that cells have.

    Attributes
    ----------
    negative, zero
        (g,) float32, shares of values below zero and of zeros.
    quantiles
        (g, Q) float32, ascending: the values other than zero at :func:`levels`; 0 where a gene has
        none.
    """

    negative: Tensor
    zero: Tensor
    quantiles: Tensor

    @classmethod
    def of(cls, values: Tensor, weights: Tensor, n_quantiles: int = N_QUANTILES) -> Marginals:
        """Distributions of cells.

        Parameters
        ----------
        values
            (n, g) float32 expression of n cells.
        weights
            (n,) float64 of the cells, of which one is above zero at least.
        n_quantiles
            Q.
        """
        alike = bool((weights == weights[0]).all())
        shares = None if alike else weights / weights.sum()
        wanted = levels(n_quantiles).to(torch.float64)
        genes = values.T.split(_block_size(values))
        blocks = [cls._of_block(block.contiguous(), shares, wanted) for block in genes]
        return cls(*map(torch.cat, zip(*blocks, strict=True)))

    @staticmethod
    def _of_block(
        values: Tensor, shares: Tensor | None, wanted: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The fields of some genes (b, n), by shares of mass (n,); None weighs all alike."""
        n_cells = values.shape[1]
        if shares is None:
            # Several times as fast as sorting by torch, which finds the order too.
            ordered = torch.from_numpy(np.sort(values.numpy(), axis=1))
            passed = torch.arange(n_cells + 1, dtype=torch.float64) / n_cells
        else:
            ordered, order = values.sort(dim=1)
            passed = torch.nn.functional.pad(shares[order].cumsum(1), (1, 0))
        # Zeros start at the first of these places and end before the last.
        places = [
            torch.searchsorted(ordered, ordered.new_zeros(len(ordered), 1), right=right)
            for right in (False, True)
        ]
        negative, until = (
            passed[place] if shares is None else passed.gather(1, place) for place in places
        )
        zero, total = until - negative, passed[..., -1:]
        # The first value at which so much of the others has passed, but for what sums lose.
        mass = (wanted * (total - zero) - 1e-12).clamp_min(1e-12)
        mass = torch.where(mass > negative, (mass + zero).maximum(until + 1e-12), mass)
        place = torch.searchsorted(passed[..., 1:].contiguous(), mass)
        quantiles = ordered.gather(1, place.clamp_(max=n_cells - 1))
        quantiles.masked_fill_(total - zero <= 1e-12, 0)
        return negative[:, 0].float(), zero[:, 0].float(), quantiles

    def take(self, genes: slice | Tensor) -> Marginals:
        """Distributions of some of the genes."""
        return Marginals(self.negative[genes], self.zero[genes], self.quantiles[genes])

    def coarser(self, n_quantiles: int) -> Marginals:
        """The same with fewer quantiles, each one of those that there are."""
        finer = levels(self.quantiles.shape[1])
        places = (levels(n_quantiles)[:, None] - finer).abs().argmin(1)
        return replace(self, quantiles=self.quantiles[:, places])

    def ranks(self, values: Tensor, draws: Tensor) -> Tensor:
        """Share of mass below each value (g, n), in [0, 1]; equal values are parted at random.

        Parameters
        ----------
        values
            (g, n) float32.
        draws
            (g, n) uniform in [0, 1): where in the mass of its equals a value stands.
        """
        n_levels = self.quantiles.shape[1]
        grid = levels(n_levels)
        # Values that differ by rounding are equal, or cells that all move alike would be parted.
        tolerance = TOLERANCE * self.quantiles.abs().amax(1, keepdim=True)
        first = torch.searchsorted(self.quantiles, values - tolerance)
        last = torch.searchsorted(self.quantiles, values + tolerance, right=True) - 1
        below, above = (first - 1).clamp_(min=0), first.clamp(max=n_levels - 1)
        low, high = self.quantiles.gather(1, below), self.quantiles.gather(1, above)
        part = ((values - low) / (high - low)).nan_to_num_(0).clamp_(0, 1)
        levels_of_values = torch.lerp(grid[below], grid[above], part)
        tied = last > first
        if tied.any():
            levels_of_values[tied] = torch.lerp(grid[first[tied]], grid[last[tied]], draws[tied])
        zero, below_zero = self.zero[:, None], self.negative[:, None]
        levels_of_values = (1 - zero) * levels_of_values + zero * (values > 0)
        levels_of_values = torch.where(
            values < 0,
            levels_of_values.minimum(below_zero),
            levels_of_values.maximum(below_zero + zero),
        )
        return torch.where(values == 0, below_zero + zero * draws, levels_of_values)

    def at(self, ranks: Tensor) -> Tensor:
        """Values (g, n) below which such shares of mass (g, n) lie."""
        n_levels = self.quantiles.shape[1]
        grid = levels(n_levels)
        zero, negative = self.zero[:, None], self.negative[:, None]
        beyond = negative + zero
        # A rank where zeros end is that of the next value, which is known to be above zero only
        # where none is below.
        is_zero = (ranks >= negative) & ((ranks < beyond) | ((ranks == beyond) & (negative > 0)))
        is_zero &= zero > 0
        level = (ranks - zero * (ranks > negative)) / (1 - zero).clamp_min(1e-12)
        below = (torch.bucketize(level, grid) - 1).clamp_(0, n_levels - 2)
        part = ((level - grid[below]) / (grid[below + 1] - grid[below])).clamp_(0, 1)
        low, high = self.quantiles.gather(1, below), self.quantiles.gather(1, below + 1)
        # A value between two on both sides of zero is one that no cell has.
        part = torch.where(low * high < 0, (ranks > negative).float(), part)
        return torch.lerp(low, high, part).masked_fill_(is_zero, 0)

    def mixture(self, other: Marginals, share: Tensor) -> Marginals:
        """Distributions of so large a share (g,) of these cells, and of others for the rest."""
        parts, values = [], []
        shares = (share, 1 - share)
        for marginals, weight in zip((self, other), shares, strict=True):
            parts.append(
                (weight * (1 - marginals.zero))[:, None] * _masses(marginals.quantiles.shape[1])
            )
            values.append(marginals.quantiles)
        ordered, order = torch.cat(values, 1).sort(dim=1)
        passed = torch.cat(parts, 1).gather(1, order).cumsum(1)
        total = passed[:, -1:]
        wanted = levels(self.quantiles.shape[1]) * total
        # The outermost values that have mass; between them what sums lose is none of a value's.
        least = passed.new_tensor(1e-6)
        place = torch.searchsorted(passed, (wanted - least).maximum(least))
        quantiles = ordered.gather(1, place.clamp_(max=ordered.shape[1] - 1))
        quantiles = quantiles.masked_fill(total <= least, 0)
        negative, zero = (
            torch.lerp(getattr(other, name), getattr(self, name), share)
            for name in ("negative", "zero")
        )
        return Marginals(negative, zero, quantiles)


def rank_sum_scores(source: Marginals, target: Marginals, n: float, m: float) -> Tensor:
    """z-scores (g,) of Wilcoxon's rank-sum test, above 0 where values of the target are larger.

    From the distributions alone, whose zeros are ties. Other ties are known to the levels of
    quantiles only, which adds to the variance, so that the test is a little careful there.

    Parameters
    ----------
    source, target
        The distributions.
    n, m
        How many cells they are of.
    """
    half = torch.full_like(target.quantiles, 0.5)
    ranks = source.ranks(target.quantiles, half)
    of_zeros = source.negative + source.zero / 2
    others = ranks @ _masses(ranks.shape[1])
    superior = torch.lerp(others, of_zeros, target.zero)
    ties = ((n * source.zero + m * target.zero) / (n + m)) ** 3
    variance = (n + m) / (12 * n * m) * (1 - ties) + _rounding(source) + _rounding(target)
    return ((superior - 0.5) / variance.sqrt()).nan_to_num_(0, 0, 0)


def _rounding(marginals: Marginals) -> Tensor:
    """Variance (g,) of a mean rank, as equal values begin and end between two levels."""
    quantiles, grid = marginals.quantiles, levels(marginals.quantiles.shape[1])
    first, last = (torch.searchsorted(quantiles, quantiles, right=right) for right in (False, True))
    mass = grid[last - 1] - grid[first]
    steps = (mass[:, 1:] + mass[:, :-1]) / 2
    # Samples may find an end at one level or at the next, which moves mass from value to value.
    ends = (quantiles.diff() != 0) * steps.square() * grid.diff().square() / 4
    return ends.sum(1) * (1 - marginals.zero) ** 4


def _masses(n_quantiles: int) -> Tensor:
    """Mass (Q,) that each quantile stands for; together 1."""
    grid = levels(n_quantiles)
    ends = torch.cat([grid[:1], (grid[1:] + grid[:-1]) / 2, grid[-1:]])
    return ends.diff()


def levels(n_quantiles: int) -> Tensor:
    """Levels (Q,) float32 of quantiles, from 0 to 1, closer together towards both tails."""
    angles = torch.linspace(0, torch.pi, n_quantiles, dtype=torch.float64)
    return ((1 - angles.cos()) / 2).float()


def monotone_map(source: Marginals, target: Marginals, values: Tensor, draws: Tensor) -> Tensor:
    """Optimal transport in one dimension, gene by gene: each value (n, g) keeps its rank.

    Parameters
    ----------
    source, target
        The distributions.
    values
        (n, g) float32.
    draws
        (n, g) uniform in [0, 1), which part equal values.
    """
    return _gene_by_gene(
        source, target, values, draws, lambda own, ranks, before, after: after.at(ranks)
    )


def monotone_shift(source: Marginals, target: Marginals, values: Tensor, draws: Tensor) -> Tensor:
    """Values (n, g), each as much farther as its rank is in the target than in the source.

    They are those of :func:`monotone_map` between the outermost values of the source, and beyond
    them keep how far they are. Where the target has a zero, so have they.

    Parameters
    ----------
    source, target, values, draws
        As in :func:`monotone_map`.
    """
    return _gene_by_gene(source, target, values, draws, _shifted)


def _shifted(own: Tensor, ranks: Tensor, before: Marginals, after: Marginals) -> Tensor:
    """Values (g, n) that are shifted as their ranks are."""
    ends = after.at(ranks)
    found = own + ends - before.at(ranks)
    # What is not below zero does not fall below it.
    found = torch.where((own >= 0) & (ends >= 0), found.clamp_min(0), found)
    return found.masked_fill_(ends == 0, 0)


def _gene_by_gene(
    source: Marginals,
    target: Marginals,
    values: Tensor,
    draws: Tensor,
    of_genes: Callable[[Tensor, Tensor, Marginals, Marginals], Tensor],
) -> Tensor:
    """Values (n, g) by a function of them and their ranks in the source, a block of genes each."""
    size = _block_size(values)
    found = torch.empty_like(values)
    for start in range(0, values.shape[1], size):
        genes = slice(start, start + size)
        before, after = source.take(genes), target.take(genes)
        own = values[:, genes].T.contiguous()
        ranks = before.ranks(own, draws[:, genes].T.contiguous())
        found[:, genes] = of_genes(own, ranks, before, after).T
    return found


def _block_size(values: Tensor) -> int:
    """How many genes of n cells are looked at together, so that the cache holds them."""
    return max(1, BLOCK // len(values))
