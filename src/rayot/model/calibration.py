"""Predicted expression with the distributions of observed expression, gene by gene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy.stats import false_discovery_control, norm

from rayot.data import checks
from rayot.data.matrix import dense, row_chunks
from rayot.data.spec import DataSpec
from rayot.model.potential_values import matched_mass
from rayot.model.saved import Arrays, check_array, check_names, grouped
from rayot.representation import Representation
from rayot.solvers import Marginals, Settings, monotone_map, rank_sum_scores

if TYPE_CHECKING:
    from rayot.model.method import Method

SAMPLE_CELLS = 4096
"""Training cells of each side that distributions are taken of, at most."""

STRATUM_SHRINKAGE = 100
"""Cells of a stratum that weigh as much as all cells in its distributions."""

SHAPE_SHRINKAGE = 200
"""Cells of the smaller side with which half of each cell's predicted change counts."""

LEAST_CERTAINTY = 0.05
"""Below it a gene keeps its values."""

SIDES = ("predicted", "observed")


@dataclass(frozen=True)
class TrainingSample:
    """Training cells of both sides, by which each fit of a model is calibrated.

    Attributes
    ----------
    cells
        The source's, then the target's, with all that a representation may ask of them.
    n_source
        How many are the source's.
    strata
        (n,) number of each cell's stratum.
    weights
        (n,) weight of each cell; strata weigh alike on either side.
    """

    cells: AnnData
    n_source: int
    strata: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(
        cls,
        adata: AnnData,
        data: DataSpec,
        groups: Sequence[Sequence[np.ndarray]],
        representation: Representation,
        seed: int,
    ) -> TrainingSample:
        """Draw training cells, as many of each stratum.

        Parameters
        ----------
        adata, data
            The user's object, of which a part is copied.
        groups
            Rows of source and target of each stratum.
        representation
            What will be asked of them.
        seed
            Keys the draw.
        """
        rng = np.random.default_rng([seed, SAMPLE_CELLS])
        most = max(1, SAMPLE_CELLS // len(groups))
        parts = [
            np.sort(rng.permutation(group[side])[:most]) for side in (0, 1) for group in groups
        ]
        weights = [data.weights(adata, rows) for rows in parts]
        cells = _copied(adata, data, np.concatenate(parts), representation)
        sizes = [len(each) for each in parts]
        return cls(
            cells,
            sum(sizes[: len(groups)]),
            np.repeat(np.tile(np.arange(len(groups)), 2), sizes),
            np.concatenate([each / each.sum() for each in weights]),
        )


def _copied(
    adata: AnnData, data: DataSpec, rows: np.ndarray, representation: Representation
) -> AnnData:
    """These cells with what a representation reads of them, which mostly is their expression."""
    if representation.reads_cells:
        ascending, places = np.unique(rows, return_inverse=True)
        return data.in_gene_order(adata)[ascending].to_memory()[places].copy()
    obs = checks.table_of(adata).iloc[rows]
    obs.index = pd.Index(map(str, range(len(rows))))
    expression = data.expression(adata, rows)
    slots = {"X": expression} if data.layer is None else {"layers": {data.layer: expression}}
    return AnnData(obs=obs, var=pd.DataFrame(index=pd.Index(data.var_names)), **slots)


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
    changed
        (1 + S, c) bool, which of them change in all cells, then in each stratum.
    shape
        (1 + S,) float32, share of a cell's predicted change that ranks are taken with.
    predicted, observed
        Distributions of the c genes in all training cells, in which strata weigh alike, then in
        each stratum.
    seed
        Keys the draws that part equal values.
    """

    strata: tuple[str, ...]
    genes: np.ndarray
    changed: np.ndarray
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
        values with n / (n + 200) of their predicted change, where n counts the cells of the smaller
        side. Distributions of strata are shrunk towards those of all cells by n / (n + 100).
        """
        n = sample.n_source
        sides = np.arange(n), np.arange(n, len(sample.weights))
        groups, sizes = _weights_of_strata(model, sample, sides)
        expression = [dense(model.data.expression(sample.cells, rows)) for rows in sides]
        source, target = (
            _marginals(genes, [group[rows] for group in groups])
            for genes, rows in zip(expression, sides, strict=True)
        )
        share = certainty(source, target, sizes)
        genes = np.flatnonzero((share > 0).any(axis=0))
        n_cells = sizes.min(axis=1)
        if not model.problems.separate:
            n_cells = np.full(len(groups), n_cells[0])
        shape = (n_cells / (n_cells + SHAPE_SHRINKAGE)).astype(np.float32)
        own = expression[0][:, genes]
        change = _changes(model, sample.cells, sides[0])[:, genes]
        table = sample.strata[:n] + 1 if len(groups) > 1 else np.zeros(n, dtype=np.intp)
        predicted = _marginals(_scores(own, change, shape[table]), [each[:n] for each in groups])
        chosen = torch.from_numpy(genes)
        observed = [
            after.take(chosen).mixture(before.take(chosen), torch.from_numpy(of_table[genes]))
            for before, after, of_table in zip(source, target, share, strict=True)
        ]
        return cls(
            model.problems.strata,
            genes,
            share[:, genes] > 0,
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
        """
        table = np.zeros(len(own), dtype=np.intp)
        for number, name in enumerate(self.strata if strata is not None else ()):
            table[strata == name] = number + 1
        found = own.copy()
        genes = self.genes
        scores = torch.from_numpy(_scores(own[:, genes], change[:, genes], self.shape[table]))
        draws = torch.from_numpy(uniform(cells, names[genes], self.seed))
        for number in np.unique(table):
            rows = np.flatnonzero(table == number)
            of_table = np.flatnonzero(self.changed[number])
            mine, chosen = torch.from_numpy(rows), torch.from_numpy(of_table)
            before, after = (
                tables[number].take(chosen) for tables in (self.predicted, self.observed)
            )
            found[np.ix_(rows, genes[of_table])] = monotone_map(
                before, after, scores[mine][:, chosen], draws[mine][:, chosen]
            )
        return found

    def arrays(self) -> Arrays:
        """What is saved: of each side, tables of all cells and of each stratum as one array."""
        tables = {
            f"{side}.{field.name}": torch.stack(
                [getattr(each, field.name) for each in getattr(self, side)]
            ).numpy()
            for side in SIDES
            for field in fields(Marginals)
        }
        return {"genes.": self.genes, "changed.": self.changed, "shape.": self.shape, **tables}

    @classmethod
    def from_arrays(
        cls, arrays: Arrays, strata: Sequence[str], n_genes: int, seed: int
    ) -> Calibration:
        """Inverse of :meth:`arrays`.

        Raises
        ------
        ValueError
            If they are not the distributions of so many genes and strata.
        """
        groups = grouped(arrays, ".", ("genes", "changed", "shape", *SIDES))
        for name in ("genes", "changed", "shape"):
            check_names(groups[name], [""], f"calibration.{name}")
        genes, changed, shape = (groups[name][""] for name in ("genes", "changed", "shape"))
        check_array(genes, "calibration.genes", (genes.size,), np.int64)
        if genes.size and (genes[0] < 0 or genes[-1] >= n_genes or (np.diff(genes) <= 0).any()):
            raise ValueError(f"the array 'calibration.genes' must ascend from 0 to {n_genes - 1}.")
        check_array(changed, "calibration.changed", (1 + len(strata), genes.size), bool)
        check_array(shape, "calibration.shape", (1 + len(strata),))
        if ((shape < 0) | (shape > 1)).any():
            raise ValueError("the array 'calibration.shape' has shares that are not from 0 to 1.")
        sides = [
            _checked_tables(groups[side], side, (1 + len(strata), genes.size)) for side in SIDES
        ]
        return cls(tuple(strata), genes, changed, shape, sides[0], sides[1], seed)


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
        rank_sum_scores(*sides, *size).numpy()
        for *sides, size in zip(source, target, sizes, strict=True)
    ]
    if len(scores) > 1:
        tested = [score for score, size in zip(scores, sizes, strict=True) if min(size) > 1][1:]
        scores[0] = np.sum(tested, axis=0) / np.sqrt(max(1, len(tested)))
    found = np.stack([1 - _q_values(2 * norm.sf(np.abs(score))) for score in scores])
    own = _own_shares(sizes)[:, None]
    found = own * found + (1 - own) * found[0]
    return np.where(found < LEAST_CERTAINTY, 0, found).astype(np.float32)


def _q_values(p_values: np.ndarray) -> np.ndarray:
    large = (1 + np.sum(p_values[p_values < 1] > 0.5)) / max(1, np.sum(p_values < 1))
    return min(1, 2 * large) * false_discovery_control(p_values)


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


def _weights_of_strata(
    model: Method, sample: TrainingSample, sides: tuple[np.ndarray, np.ndarray]
) -> tuple[list[np.ndarray], np.ndarray]:
    """Weights of all cells (n,) and of those of each stratum, and their numbers (1 + S, 2).

    Matched mass counts; a stratum without any has the weights of all cells, and none of them.
    """
    weights = sample.weights.astype(np.float64)
    mass = matched_mass(model, sample.cells)
    if mass is not None and min((weights * mass)[rows].sum() for rows in sides) > 0:
        weights = weights * mass
    groups, sizes = [weights], [[_count(weights[rows]) for rows in sides]]
    for number in range(len(model.problems.strata)):
        of_stratum = weights * (sample.strata == number)
        counts = [_count(of_stratum[rows]) for rows in sides]
        groups.append(of_stratum if min(counts) > 0 else weights)
        sizes.append(counts if min(counts) > 0 else [0.0, 0.0])
    return groups, np.array(sizes)


def _count(weights: np.ndarray) -> float:
    """How many cells of equal weight say as much (Kish 1965)."""
    total = weights.sum()
    return float(total**2 / np.square(weights).sum()) if total > 0 else 0.0


def _marginals(values: np.ndarray, weights: Sequence[np.ndarray]) -> list[Marginals]:
    return Marginals.of(
        torch.from_numpy(np.ascontiguousarray(values)), [torch.from_numpy(each) for each in weights]
    )


def _changes(model: Method, cells: AnnData, rows: np.ndarray) -> np.ndarray:
    """Predicted change (n, g) of the expression of cells."""
    found = []
    for block in row_chunks(rows):
        start, moves, decoder = model.move(cells, block, clip=False)
        assert decoder is not None
        found.append(decoder.change(start + moves.mean.numpy()))
    return np.concatenate(found)


def _scores(own: np.ndarray, change: np.ndarray, share: np.ndarray) -> np.ndarray:
    """What ranks are taken of: values with a share (n,) of their change, to four digits.

    More digits would part values that differ by rounding alone, which blocks of cells do.
    """
    scores = np.asarray(own + share[:, None] * change, dtype=np.float32)
    bits = scores.view(np.int32)
    bits += 0x400
    bits &= ~0x7FF
    return scores


def uniform(cells: np.ndarray, genes: np.ndarray, seed: int) -> np.ndarray:
    """Numbers (n, g) float32 in [0, 1) that follow from a seed and names of cells and genes alone.

    So neither blocks nor the order of cells and genes matter.
    """
    key = f"{seed % 10**16:016d}"
    of_cells, of_genes = (
        pd.util.hash_array(np.asarray(names, dtype=object), hash_key=key)
        for names in (cells, genes)
    )
    mixed = of_cells[:, None] ^ (of_genes * np.uint64(0x9E3779B97F4A7C15))
    # The last steps of SplitMix64 (Steele, Lea and Flood 2014), by which neighbours are unlike.
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed ^= mixed >> np.uint64(shift)
        mixed *= np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)
