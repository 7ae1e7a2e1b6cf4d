"""Learning a calibration: what is predicted of training cells, and what is observed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from anndata import AnnData
from scipy.stats import false_discovery_control, norm

from rayot.data.matrix import chunk_rows, row_chunks
from rayot.metrics import energy_distance
from rayot.model.calibration import Calibration, Nearness, scores_of
from rayot.model.fitted_map import FittedMap
from rayot.model.training_sample import TrainingSample
from rayot.solvers import Marginals, rank_sum_scores

STRATUM_SHRINKAGE = 100
"""Cells of a stratum that weigh as much as all cells in its distributions."""

SHAPE_SHRINKAGE = 200
"""Cells of the smaller side with which half of each cell's predicted change counts."""

LEAST_CERTAINTY = 0.05
"""Below it a gene keeps its values."""

NOISE = 0.75
"""Share of the squared error that is taken off a squared effect, see :func:`signal`."""

JUDGED = 100
"""Genes, and cells of a side of each stratum, that say which distributions suit others."""

FEWEST_JUDGED = 10
"""Cells of a side of a stratum that can say it."""

FEWEST_STRATA = 3
"""Strata that can say it: without one of two there is one, whose distributions are all."""

MOST_STRATA = 8
"""Strata, those with most cells, that are asked."""


@dataclass(frozen=True)
class Distributions:
    """Distributions of genes in training cells of both sides.

    Attributes
    ----------
    weights
        (n,) of the cells of either side.
    sizes
        (1 + S, 2), how many cells of equal weight they are of, in all cells, then in each stratum.
    source, target
        The same of both sides.
    share
        (1 + S, g) float32, how certain it is that each gene changes.
    """

    weights: tuple[np.ndarray, np.ndarray]
    sizes: np.ndarray
    source: list[Marginals]
    target: list[Marginals]
    share: np.ndarray

    @classmethod
    def of(
        cls, fitted: FittedMap, sample: TrainingSample, *, part_of_others: bool = False
    ) -> Distributions:
        """Those of a sample, as :func:`calibrate` looks at them."""
        sides = sample.source, sample.target
        weights = _matched_weights(fitted, sample)
        sizes = np.stack(
            [side.counts(of_cells) for side, of_cells in zip(sides, weights, strict=True)], axis=1
        )
        source, target = (
            side.marginals if of_cells is side.weights else side.marginals_by(of_cells)
            for side, of_cells in zip(sides, weights, strict=True)
        )
        if part_of_others:
            share = signal(sample, weights, sizes)
        else:
            share = certainty(source, target, sizes)
        return cls(weights, sizes, source, target, share)

    def observed(self, genes: np.ndarray) -> list[Marginals]:
        """Where genes go: from source to target, as far as it is certain that they change."""
        chosen = torch.from_numpy(genes)
        return [
            after.take(chosen).mixture(before.take(chosen), torch.from_numpy(of_table[genes]))
            for before, after, of_table in zip(self.source, self.target, self.share, strict=True)
        ]

    def shrunk(self, tables: Sequence[Marginals]) -> tuple[Marginals, ...]:
        """Distributions of strata, shrunk towards those of all cells where their cells are few."""
        return _shrunk(tables, self.sizes)


def calibrate(
    fitted: FittedMap,
    sample: TrainingSample,
    distributions: Distributions | None = None,
    *,
    part_of_others: bool = False,
) -> Calibration:
    """Calibrate a fitted map by training cells of both sides.

    Few cells say little of a gene, and less of how its change differs from cell to cell. So a
    gene's distribution goes from that of source cells to that of target cells as far as it is
    certain that the gene changes, see :func:`certainty`; and ranks are those of the cells' own
    values with so large a share of their predicted change, times n / (n + 200), where n counts
    the cells of the smaller side. Distributions of strata are shrunk towards those of all cells
    by n / (n + 100). Which ones suit cells of other strata is seen where each stratum in turn
    does without its own.

    Of a perturbation that is part of combinations, small changes count too: they add up with those
    of other parts. There a gene goes as far as its effect stands out of its error, see
    :func:`signal`, and not as far as it is certain that there is one.
    """
    found = distributions or Distributions.of(fitted, sample, part_of_others=part_of_others)
    share, sizes = found.share, found.sizes
    genes = np.flatnonzero((share > 0).any(axis=0))
    shape = _trust(fitted, sizes)[:, None] * share[:, genes]
    table = sample.source.strata + (1 if sample.source.names else 0)
    own = sample.source.expression[:, genes]
    start, change = _changes(fitted, sample.source.cells, genes)
    scores = scores_of(own, change, shape, table)
    predicted = sample.source.marginals_of(scores, found.weights[0])
    calibration = Calibration(
        sample.source.names,
        False,
        genes,
        shape,
        found.shrunk(predicted),
        found.shrunk(found.observed(genes)),
        fitted.seed,
    )
    distance = fitted.training_distance
    nearness = None if distance is None else lambda rows: distance.nearness(start[rows])
    return replace(
        calibration, mixed=_suits_others(calibration, sample, own, change, share, nearness)
    )


def _suits_others(
    calibration: Calibration,
    sample: TrainingSample,
    own: np.ndarray,
    change: np.ndarray,
    share: np.ndarray,
    nearness: Nearness | None,
) -> bool:
    """Whether a stratum without its own distributions is better with those of other strata.

    By the energy distance, in the genes that change most certainly, between its calibrated
    source cells and its target cells. A new stratum is one more of its kind, and takes the
    distributions of one, unless those of all cells are nearer by more than a standard error
    over strata.
    """
    if not len(calibration.genes):
        return False
    order = np.argsort(-share[0, calibration.genes], kind="stable")
    places = np.sort(order[:JUDGED])
    chosen = calibration.of_genes(places)
    names = np.array(sample.source.cells.var_names)[calibration.genes[places]]
    before, after = own[:, places], change[:, places]
    observed = sample.target.expression[:, calibration.genes[places]]
    sides = sample.source.strata, sample.target.strata
    n_cells = np.min(
        [np.bincount(side, minlength=len(calibration.strata)) for side in sides], axis=0
    )
    judges = [n for n in np.argsort(-n_cells)[:MOST_STRATA] if n_cells[n] >= FEWEST_JUDGED]
    if len(judges) < FEWEST_STRATA:
        return False
    gains = []
    for number in judges:
        rows = [spread_out(np.flatnonzero(side == number), JUDGED) for side in sides]
        others, truth = chosen.without(number), observed[rows[1]]
        cells = sample.source.cells.obs_names.to_numpy()[rows[0]]
        mine = before[rows[0]], after[rows[0]], cells, names, np.full(len(rows[0]), "")
        near = None
        if nearness is not None:
            near = np.delete(nearness(rows[0]), number, axis=1).__getitem__
        of_all, of_near = (
            energy_distance(replace(others, mixed=mixed)(*mine, nearness=near), truth)
            for mixed in (False, True)
        )
        gains.append(of_all - of_near)
    return bool(np.mean(gains) > -np.std(gains, ddof=1) / np.sqrt(len(gains)))


def spread_out(rows: np.ndarray, most: int) -> np.ndarray:
    """Some of the rows, from the first to the last: neighbours in a file may be of one batch."""
    n_rows = min(most, len(rows))
    return rows[np.linspace(0, len(rows), n_rows, endpoint=False).astype(np.intp)]


def certainty(
    source: Sequence[Marginals], target: Sequence[Marginals], sizes: np.ndarray
) -> np.ndarray:
    """How certain it is that each gene changes, (1 + S, g) float32: in all cells, in each stratum.

    One less the q-value of Wilcoxon's rank-sum test: Benjamini and Hochberg's (1995), times the
    share of genes that do not change (Storey 2002). All cells are tested within strata, and their
    scores added up (Stouffer 1949). A stratum of n cells trusts its own test by n / (n + 100), and
    that of all cells for the rest. What is below .05 is 0.

    Parameters
    ----------
    source, target
        Distributions in all cells, then in each stratum.
    sizes
        (1 + S, 2), how many cells of source and target they are of.
    """
    scores = [
        rank_sum_scores(before, after, *size).numpy()
        for before, after, size in zip(source, target, sizes.clip(1).tolist(), strict=True)
    ]
    if len(scores) > 1:
        tested = [score for score, size in zip(scores[1:], sizes[1:], strict=True) if min(size) > 1]
        if tested:
            scores[0] = np.sum(tested, axis=0) / np.sqrt(len(tested))
    certain = np.stack([1 - _q_values(2 * norm.sf(np.abs(score))) for score in scores])
    return _with_pool(certain, sizes)


def signal(
    sample: TrainingSample, weights: tuple[np.ndarray, np.ndarray], sizes: np.ndarray
) -> np.ndarray:
    """How far each gene's mean difference stands out of its error, (1 + S, g) float32.

    1 − .75 (error / effect)², or 0, in all cells and in each stratum: Breiman's (1995) garrote,
    whose .75 did best on held-out cells of single perturbations. The error of all cells is that
    within strata.
    """
    (before, error_before), (after, error_after) = (
        side.means_with_errors(of_cells, sizes[:, number])
        for number, (side, of_cells) in enumerate(
            zip((sample.source, sample.target), weights, strict=True)
        )
    )
    effect, error = np.square(after - before), error_before + error_after
    share = 1 - NOISE * error / np.where(effect > 0, effect, 1)
    return _with_pool(np.where(effect > 0, share, 0).clip(0, 1), sizes)


def _with_pool(share: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Shares of strata and, as far as these are small, of all cells; small ones are none."""
    own = _own_shares(sizes)[:, None]
    share = own * share + (1 - own) * share[0]
    return np.where(share < LEAST_CERTAINTY, 0, share).astype(np.float32)


def _q_values(p_values: np.ndarray) -> np.ndarray:
    """Those of genes that can be tested: constant ones do not count."""
    q_values = np.ones_like(p_values)
    tested = p_values < 1
    if tested.any():
        large = 1 + np.count_nonzero(p_values[tested] > 0.5)
        unchanged = min(1.0, 2 * large / np.count_nonzero(tested))
        q_values[tested] = unchanged * false_discovery_control(p_values[tested])
    return q_values


def _own_shares(sizes: np.ndarray) -> np.ndarray:
    """How much a stratum's own cells count in its distributions, (1 + S,); the pool's count all."""
    n_cells = sizes.min(axis=1)
    shares = n_cells / (n_cells + STRATUM_SHRINKAGE)
    shares[0] = 1
    return shares


def _shrunk(tables: Sequence[Marginals], sizes: np.ndarray) -> tuple[Marginals, ...]:
    """Distributions of strata, shrunk towards those of all cells where their cells are few."""
    pool, *of_strata = tables
    n_genes = len(pool.zero)
    shares = _own_shares(sizes)[1:].tolist()
    mixed = (
        marginals.mixture(pool, torch.full((n_genes,), share, dtype=torch.float32))
        for marginals, share in zip(of_strata, shares, strict=True)
    )
    return pool, *mixed


def _matched_weights(fitted: FittedMap, sample: TrainingSample) -> tuple[np.ndarray, np.ndarray]:
    """Weights of the cells of both sides, of which unmatched mass is none."""
    weights = sample.source.weights, sample.target.weights
    if not fitted.settings.unbalanced:
        return weights
    rows = [np.arange(len(of_cells)) for of_cells in weights]
    mass = (
        fitted._mass_of(sample.source.cells, rows[0], "source"),
        fitted._mass_of(sample.target.cells, rows[1], "target"),
    )
    matched = weights[0] * mass[0], weights[1] * mass[1]
    return matched if min(of_cells.sum() for of_cells in matched) > 0 else weights


def _trust(fitted: FittedMap, sizes: np.ndarray) -> np.ndarray:
    """How much the map's differences between cells count, by the cells that it has, (1 + S,)."""
    n_cells = sizes.min(axis=1)
    if not fitted.problems.separate:
        n_cells[:] = n_cells[0]
    return (n_cells / (n_cells + SHAPE_SHRINKAGE)).astype(np.float32)


def _changes(fitted: FittedMap, cells: AnnData, genes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cells (n, d) in the space of the map, and predicted change (n, c) of some of their genes."""
    starts, changes = [], []
    for rows in row_chunks(np.arange(cells.n_obs), chunk_rows(cells.n_vars)):
        start, moves, decoder = fitted.move(cells, rows, clip=False)
        assert decoder is not None
        starts.append(start)
        changes.append(decoder.change(start + moves.mean.numpy())[:, genes])
    return np.concatenate(starts), changes[0] if len(changes) == 1 else np.concatenate(changes)
