"""Predicted expression with the distributions of observed expression, gene by gene."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy.stats import false_discovery_control, norm

from rayot.data.matrix import chunk_rows, row_chunks
from rayot.metrics import energy_distance
from rayot.model.potential_values import mass_of
from rayot.model.saved import Arrays, check_array, check_names, grouped
from rayot.model.training_sample import TrainingSample
from rayot.solvers import Marginals, Settings, monotone_map, rank_sum_scores
from rayot.solvers.random import GOLDEN, uniform_of

if TYPE_CHECKING:
    from rayot.model.method import Method

STRATUM_SHRINKAGE = 100
"""Cells of a stratum that weigh as much as all cells in its distributions."""

SHAPE_SHRINKAGE = 200
"""Cells of the smaller side with which half of each cell's predicted change counts."""

LEAST_CERTAINTY = 0.05
"""Below it a gene keeps its values."""

LARGEST = 64_000_000
"""Bytes of the distributions of a model, or of a screen, at most."""

FEWEST_QUANTILES = 8
"""Quantiles of a gene that are kept, at least."""

STRATUM_DRAW = "stratum"
"""Names the draw of a stratum for a cell."""

TURN = 10**12
"""Between the seeds of several draws, farther apart than those that users choose."""

JUDGED = 100
"""Genes, and cells of a side of each stratum, that say which distributions suit others."""

FEWEST_JUDGED = 10
"""Cells of a side of a stratum that can say it."""

FEWEST_STRATA = 3
"""Strata that can say it: without one of two there is one, whose distributions are all."""

MOST_STRATA = 8
"""Strata, those with most cells, that are asked."""

SIDES = ("predicted", "observed")

Nearness = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Calibration:
    """Monotone maps of genes from what is predicted of training cells to what is observed.

    A map that is right on average leaves cells without the zeros, the spread and the tails of
    observed ones. Optimal transport in one dimension gives them back, gene by gene: a cell keeps
    its rank in each gene, and each gene has its observed distribution.

    Attributes
    ----------
    strata
        Names of those with distributions of their own.
    mixed
        Whether cells of other strata take the distributions of one of these, drawn for each cell
        and more often of near strata, rather than those of all cells.
    genes
        (c,) int64, ascending: those that change somewhere. All others keep their values.
    shape
        (1 + S, c) float32, share of a cell's predicted change that ranks are taken with, in all
        cells, then in each stratum; 0 where a gene does not change.
    predicted, observed
        Distributions of the c genes in all training cells, in which strata weigh alike, then in
        each stratum.
    seed
        Keys the draws that part equal values.
    """

    strata: tuple[str, ...]
    mixed: bool
    genes: np.ndarray
    shape: np.ndarray
    predicted: tuple[Marginals, ...]
    observed: tuple[Marginals, ...]
    seed: int

    @classmethod
    def of(cls, model: Method, sample: TrainingSample) -> Calibration:
        """Calibrate a fitted map by training cells of both sides.

        Few cells say little of a gene, and less of how its change differs from cell to cell. So a
        gene's distribution goes from that of source cells to that of target cells as far as it is
        certain that the gene changes, see :func:`certainty`; and ranks are those of the cells' own
        values with so large a share of their predicted change, times n / (n + 200), where n counts
        the cells of the smaller side. Distributions of strata are shrunk towards those of all cells
        by n / (n + 100). Which ones suit cells of other strata is seen where each stratum in turn
        does without its own.
        """
        sides = sample.source, sample.target
        weights = _matched_weights(model, sample)
        sizes = np.stack(
            [side.counts(each) for side, each in zip(sides, weights, strict=True)], axis=1
        )
        source, target = (
            side.marginals if each is side.weights else side.marginals_by(each)
            for side, each in zip(sides, weights, strict=True)
        )
        share = certainty(source, target, sizes)
        genes = np.flatnonzero((share > 0).any(axis=0))
        shape = _trust(model, sizes)[:, None] * share[:, genes]
        table = sample.source.strata + (1 if sample.source.names else 0)
        own = sample.source.expression[:, genes]
        start, change = _changes(model, sample.source.cells, genes)
        scores = _scores(own, change, shape, table)
        predicted = sample.source.marginals_of(scores, weights[0])
        chosen = torch.from_numpy(genes)
        observed = [
            after.take(chosen).mixture(before.take(chosen), torch.from_numpy(of_table[genes]))
            for before, after, of_table in zip(source, target, share, strict=True)
        ]
        found = cls(
            sample.source.names,
            False,
            genes,
            shape,
            _shrunk(predicted, sizes),
            _shrunk(observed, sizes),
            model.seed,
        )
        distance = model.training_distance
        nearness = None if distance is None else lambda rows: distance.nearness(start[rows])
        return replace(found, mixed=found._suits_others(sample, own, change, share, nearness))

    def __call__(
        self,
        own: np.ndarray,
        change: np.ndarray,
        cells: np.ndarray,
        names: np.ndarray,
        strata: np.ndarray | None,
        turn: int = 0,
        nearness: Nearness | None = None,
    ) -> np.ndarray:
        """Calibrated expression of cells (n, g) float32.

        Parameters
        ----------
        own, change
            (n, g) float32, expression before the cells move, and how it is predicted to change.
        cells, names
            Names of the cells (n,) and of the genes (g,), which key the draws.
        strata
            (n,) stratum of each cell; None where it is not known.
        turn
            Number of the calibration, of several whose changes are added up. Each draws anew, or
            they would all change the same zeros.
        nearness
            Shares (k, S) of the strata that are near to some of the cells, by their numbers (k,);
            None where they are all as near.
        """
        table = self._tables(cells, strata, nearness)
        found = own.copy()
        genes = self.genes
        scores = torch.from_numpy(_scores(own[:, genes], change[:, genes], self.shape, table))
        draws = torch.from_numpy(uniform(cells, names[genes], self.seed + turn * TURN))
        for number in np.unique(table):
            rows = np.flatnonzero(table == number)
            of_table = np.flatnonzero(self.shape[number])
            mine, chosen = torch.from_numpy(rows), torch.from_numpy(of_table)
            before, after = (
                tables[number].take(chosen) for tables in (self.predicted, self.observed)
            )
            found[np.ix_(rows, genes[of_table])] = monotone_map(
                before, after, scores[mine][:, chosen], draws[mine][:, chosen]
            )
        return found

    def _tables(
        self, cells: np.ndarray, strata: np.ndarray | None, nearness: Nearness | None
    ) -> np.ndarray:
        """Number (n,) of the distributions that each cell takes; 0 are those of all cells."""
        table = np.zeros(len(cells), dtype=np.intp)
        if strata is None:
            return table
        for number, name in enumerate(self.strata):
            table[strata == name] = number + 1
        others = np.flatnonzero(table == 0)
        if self.mixed and len(others):
            alike = np.ones((len(others), len(self.strata)), dtype=np.float32)
            shares = alike if nearness is None else nearness(others)
            draws = uniform(cells[others], np.array([STRATUM_DRAW]), self.seed)
            passed = shares.cumsum(axis=1)
            table[others] = 1 + (draws * passed[:, -1:] >= passed[:, :-1]).sum(axis=1)
        return table

    def _suits_others(
        self,
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
        if not len(self.genes):
            return False
        order = np.argsort(-share[0, self.genes], kind="stable")
        places = np.sort(order[:JUDGED])
        chosen = self._of_genes(places)
        names = np.array(sample.source.cells.var_names)[self.genes[places]]
        before, after = own[:, places], change[:, places]
        observed = sample.target.expression[:, self.genes[places]]
        sides = sample.source.strata, sample.target.strata
        n_cells = np.min([np.bincount(side, minlength=len(self.strata)) for side in sides], axis=0)
        judges = [n for n in np.argsort(-n_cells)[:MOST_STRATA] if n_cells[n] >= FEWEST_JUDGED]
        if len(judges) < FEWEST_STRATA:
            return False
        gains = []
        for number in judges:
            rows = [_spread_out(np.flatnonzero(side == number)) for side in sides]
            others, truth = chosen._without(number), observed[rows[1]]
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

    def _without(self, stratum: int) -> Calibration:
        """Distributions of all other strata, in genes from the first on, and of all their cells."""
        kept = [number for number in range(len(self.strata)) if number != stratum]
        sides = []
        for side in (self.predicted, self.observed):
            of_strata = [side[number + 1] for number in kept]
            pool = of_strata[0]
            for n, each in enumerate(of_strata[1:], 2):
                pool = each.mixture(pool, torch.full_like(pool.zero, 1 / n))
            sides.append((pool, *of_strata))
        return replace(
            self,
            strata=tuple(self.strata[number] for number in kept),
            genes=np.arange(len(self.genes)),
            shape=self.shape[[0, *(number + 1 for number in kept)]],
            predicted=sides[0],
            observed=sides[1],
        )

    @property
    def n_quantiles(self) -> int:
        """Of each distribution."""
        return self.predicted[0].quantiles.shape[1]

    @property
    def n_bytes(self) -> int:
        """What :meth:`arrays` take."""
        return sum(each.nbytes for each in self.arrays().values())

    def within(self, n_bytes: int) -> Calibration:
        """The same in so many bytes, by giving up strata, then quantiles, then uncertain genes."""
        found = self
        if found.n_bytes > n_bytes:
            found = replace(
                found,
                strata=(),
                mixed=False,
                shape=found.shape[:1],
                predicted=found.predicted[:1],
                observed=found.observed[:1],
            )
        if found.n_bytes > n_bytes:
            share = n_bytes / found.n_bytes
            found = found._coarser(max(FEWEST_QUANTILES, int(share * found.n_quantiles) - 2))
        if found.n_bytes > n_bytes:
            n_genes = n_bytes * len(found.genes) // found.n_bytes
            order = np.argsort(-found.shape[0], kind="stable")
            found = found._of_genes(np.sort(order[:n_genes]))
        return found

    def _coarser(self, n_quantiles: int) -> Calibration:
        predicted, observed = (
            tuple(each.coarser(n_quantiles) for each in side)
            for side in (self.predicted, self.observed)
        )
        return replace(self, predicted=predicted, observed=observed)

    def _of_genes(self, places: np.ndarray) -> Calibration:
        chosen = torch.from_numpy(places)
        predicted, observed = (
            tuple(each.take(chosen) for each in side) for side in (self.predicted, self.observed)
        )
        return replace(
            self,
            genes=self.genes[places],
            shape=self.shape[:, places],
            predicted=predicted,
            observed=observed,
        )

    def arrays(self) -> Arrays:
        """What is saved: of each side, tables of all cells and of each stratum as one array."""
        tables = {
            f"{side}.{field.name}": torch.stack(
                [getattr(each, field.name) for each in getattr(self, side)]
            ).numpy()
            for side in SIDES
            for field in fields(Marginals)
        }
        mixed = np.array([self.mixed])
        return {"genes.": self.genes, "shape.": self.shape, "mixed.": mixed, **tables}

    @classmethod
    def from_arrays(
        cls, arrays: Arrays, strata: Sequence[str], n_genes: int, seed: int
    ) -> Calibration:
        """Inverse of :meth:`arrays`; no strata where they are of all cells alone.

        Raises
        ------
        ValueError
            If they are not the distributions of so many genes and strata.
        """
        alone = ("genes", "shape", "mixed")
        groups = grouped(arrays, ".", (*alone, *SIDES))
        for name in alone:
            check_names(groups[name], [""], f"calibration.{name}")
        genes, shape, mixed = (groups[name][""] for name in alone)
        check_array(mixed, "calibration.mixed", (1,), np.bool_)
        if len(shape) == 1:
            strata = ()
        check_array(genes, "calibration.genes", (genes.size,), np.int64)
        if genes.size and (genes[0] < 0 or genes[-1] >= n_genes or (np.diff(genes) <= 0).any()):
            raise ValueError(f"the array 'calibration.genes' must ascend from 0 to {n_genes - 1}.")
        check_array(shape, "calibration.shape", (1 + len(strata), genes.size))
        if ((shape < 0) | (shape > 1)).any():
            raise ValueError("the array 'calibration.shape' has shares that are not from 0 to 1.")
        sides = [
            _checked_tables(groups[side], side, (1 + len(strata), genes.size)) for side in SIDES
        ]
        if mixed[0] and not strata:
            raise ValueError("the array 'calibration.mixed' asks for strata, and there are none.")
        return cls(tuple(strata), bool(mixed[0]), genes, shape, sides[0], sides[1], seed)


def _spread_out(rows: np.ndarray) -> np.ndarray:
    """Some of the rows, from the first to the last: neighbours in a file may be of one batch."""
    n_rows = min(JUDGED, len(rows))
    return rows[np.linspace(0, len(rows), n_rows, endpoint=False).astype(np.intp)]


def _checked_tables(found: Arrays, side: str, shape: tuple[int, int]) -> tuple[Marginals, ...]:
    """Distributions of so many tables and genes, from saved arrays."""
    names = [field.name for field in fields(Marginals)]
    check_names(found, names, f"the {side} distributions")
    quantiles = found["quantiles"]
    n_quantiles = quantiles.shape[-1] if quantiles.ndim == 3 else 0
    for name in names:
        further = (max(2, n_quantiles),) if name == "quantiles" else ()
        check_array(found[name], f"calibration.{side}.{name}", (*shape, *further))
    if (np.diff(quantiles) < 0).any():
        raise ValueError(f"the array 'calibration.{side}.quantiles' is not ascending.")
    negative, zero = found["negative"], found["zero"]
    if ((negative < -1e-5) | (zero < -1e-5) | (negative + zero > 1 + 1e-5)).any():
        raise ValueError(f"the shares of calibration.{side} are not from 0 to 1.")
    columns = zip(*(torch.from_numpy(found[name]) for name in names), strict=True)
    return tuple(Marginals(*column) for column in columns)


def not_calibrated(settings: Settings, why: str) -> None:
    """Raise a ValueError if settings ask for a calibration, which there can be none of."""
    if settings.decode == "calibrated":
        raise ValueError(
            f"{why}, so decode='calibrated' cannot be; choose decode='delta', or fit one "
            "perturbation that has cells, by rayot.tl.w1ot for example."
        )


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
    found = np.stack([1 - _q_values(2 * norm.sf(np.abs(score))) for score in scores])
    own = _own_shares(sizes)[:, None]
    found = own * found + (1 - own) * found[0]
    return np.where(found < LEAST_CERTAINTY, 0, found).astype(np.float32)


def _q_values(p_values: np.ndarray) -> np.ndarray:
    """Those of genes that can be tested: constant ones do not count."""
    found = np.ones_like(p_values)
    tested = p_values < 1
    if tested.any():
        large = 1 + np.count_nonzero(p_values[tested] > 0.5)
        unchanged = min(1.0, 2 * large / np.count_nonzero(tested))
        found[tested] = unchanged * false_discovery_control(p_values[tested])
    return found


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
        each.mixture(pool, torch.full((n_genes,), share, dtype=torch.float32))
        for each, share in zip(of_strata, shares, strict=True)
    )
    return pool, *mixed


def _matched_weights(model: Method, sample: TrainingSample) -> tuple[np.ndarray, np.ndarray]:
    """Weights of the cells of both sides, of which unmatched mass is none."""
    weights = sample.source.weights, sample.target.weights
    if not model.settings.unbalanced:
        return weights
    rows = [np.arange(len(each)) for each in weights]
    mass = (
        mass_of(model, sample.source.cells, rows[0], "source"),
        mass_of(model, sample.target.cells, rows[1], "target"),
    )
    matched = weights[0] * mass[0], weights[1] * mass[1]
    return matched if min(each.sum() for each in matched) > 0 else weights


def _trust(model: Method, sizes: np.ndarray) -> np.ndarray:
    """How much the map's differences between cells count, by the cells that it has, (1 + S,)."""
    n_cells = sizes.min(axis=1)
    if not model.problems.separate:
        n_cells[:] = n_cells[0]
    return (n_cells / (n_cells + SHAPE_SHRINKAGE)).astype(np.float32)


def _changes(model: Method, cells: AnnData, genes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cells (n, d) in the space of the map, and predicted change (n, c) of some of their genes."""
    starts, found = [], []
    for rows in row_chunks(np.arange(cells.n_obs), chunk_rows(cells.n_vars)):
        start, moves, decoder = model.move(cells, rows, clip=False)
        assert decoder is not None
        starts.append(start)
        found.append(decoder.change(start + moves.mean.numpy())[:, genes])
    return np.concatenate(starts), found[0] if len(found) == 1 else np.concatenate(found)


def _scores(
    own: np.ndarray, change: np.ndarray, shape: np.ndarray, table: np.ndarray
) -> np.ndarray:
    """What ranks are taken of, (n, c) float32: values with the share of their change in a table."""
    found = change * (shape[table] if len(shape) > 1 else shape[0])
    found += own
    return found


def uniform(cells: np.ndarray, genes: np.ndarray, seed: int) -> np.ndarray:
    """Numbers (n, g) float32 in [0, 1) that follow from a seed and names of cells and genes alone.

    So neither blocks nor the order of cells and genes matter.
    """
    key = f"{seed % 10**16:016d}"
    of_cells, of_genes = (
        pd.util.hash_array(np.asarray(names, dtype=object), hash_key=key)
        for names in (cells, genes)
    )
    keys = of_cells.view(np.int64)[:, None] ^ (of_genes.view(np.int64) * GOLDEN)
    return uniform_of(torch.from_numpy(keys)).numpy()
