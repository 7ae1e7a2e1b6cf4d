"""Predicted expression with the distributions of observed expression, gene by gene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy.stats import false_discovery_control, norm

from rayot.data.matrix import chunk_rows, row_chunks
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

TURN = 10**12
"""Between the seeds of several draws, farther apart than those that users choose."""

SIDES = ("predicted", "observed")


@dataclass(frozen=True)
class Calibration:
    """Monotone maps of genes from what is predicted of training cells to what is observed.

    A map that is right on average leaves cells without the zeros, the spread and the tails of
    observed ones. Optimal transport in one dimension gives them back, gene by gene: a cell keeps
    its rank in each gene, and each gene has its observed distribution.

    Attributes
    ----------
    strata
        Names of those with distributions of their own; other cells take those of all.
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
        by n / (n + 100).
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
        change = _changes(model, sample.source.cells, genes)
        scores = _scores(own, change, shape, table)
        predicted = sample.source.marginals_of(scores, weights[0])
        chosen = torch.from_numpy(genes)
        observed = [
            after.take(chosen).mixture(before.take(chosen), torch.from_numpy(of_table[genes]))
            for before, after, of_table in zip(source, target, share, strict=True)
        ]
        return cls(
            sample.source.names,
            genes,
            shape,
            _shrunk(predicted, sizes),
            _shrunk(observed, sizes),
            model.seed,
        )

    def __call__(
        self,
        own: np.ndarray,
        change: np.ndarray,
        cells: np.ndarray,
        names: np.ndarray,
        strata: np.ndarray | None,
        turn: int = 0,
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
        """
        table = np.zeros(len(own), dtype=np.intp)
        for number, name in enumerate(self.strata if strata is not None else ()):
            table[strata == name] = number + 1
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
        return {"genes.": self.genes, "shape.": self.shape, **tables}

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
        groups = grouped(arrays, ".", ("genes", "shape", *SIDES))
        for name in ("genes", "shape"):
            check_names(groups[name], [""], f"calibration.{name}")
        genes, shape = groups["genes"][""], groups["shape"][""]
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
        return cls(tuple(strata), genes, shape, sides[0], sides[1], seed)


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


def _changes(model: Method, cells: AnnData, genes: np.ndarray) -> np.ndarray:
    """Predicted change (n, c) of some genes of cells."""
    found = []
    for rows in row_chunks(np.arange(cells.n_obs), chunk_rows(cells.n_vars)):
        start, moves, decoder = model.move(cells, rows, clip=False)
        assert decoder is not None
        found.append(decoder.change(start + moves.mean.numpy())[:, genes])
    return found[0] if len(found) == 1 else np.concatenate(found)


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
