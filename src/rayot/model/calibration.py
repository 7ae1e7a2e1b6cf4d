"""Predicted expression with the distributions of observed expression, gene by gene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from rayot.data import checks
from rayot.data.matrix import dense, row_chunks
from rayot.data.spec import DataSpec
from rayot.model.potential_values import matched_mass
from rayot.model.saved import Arrays, check_array, check_names, grouped
from rayot.representation import Representation
from rayot.solvers import Marginals, Settings, monotone_map

if TYPE_CHECKING:
    from rayot.model.method import Method

SAMPLE_CELLS = 8192
"""Training cells of each side that distributions are taken of, at most."""

SHRINKAGE = 100
"""Cells of a stratum that weigh as much as the pool in its distributions."""

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
    predicted, observed
        Distributions in all training cells, in which strata weigh alike, then in each stratum.
    seed
        Keys the draws that part equal values.
    """

    strata: tuple[str, ...]
    predicted: tuple[Marginals, ...]
    observed: tuple[Marginals, ...]
    seed: int

    @classmethod
    def of(cls, model: Method, sample: TrainingSample) -> Calibration:
        """Calibrate a fitted map by training cells of both sides."""
        n = sample.n_source
        source, target = np.arange(n), np.arange(n, len(sample.weights))
        weights = sample.weights
        mass = matched_mass(model, sample.cells)
        if mass is not None and min((weights * mass)[rows].sum() for rows in (source, target)) > 0:
            weights = weights * mass
        predicted = []
        for rows in row_chunks(source):
            start, moves, decoder = model.move(sample.cells, rows, clip=False)
            assert decoder is not None
            predicted.append(decoder.uncalibrated(start + moves.mean.numpy()))
        observed = dense(model.data.expression(sample.cells, target))
        strata = model.problems.strata
        tables = []
        for genes, rows in ((np.concatenate(predicted), source), (observed, target)):
            pool = torch.from_numpy(weights[rows].astype(np.float64))
            each = [
                _towards_pool(pool, sample.strata[rows] == number) for number in range(len(strata))
            ]
            tables.append(tuple(Marginals.of(torch.from_numpy(genes), [pool, *each])))
        return cls(strata, tables[0], tables[1], model.seed)

    def __call__(
        self, genes: np.ndarray, cells: np.ndarray, names: np.ndarray, strata: np.ndarray | None
    ) -> np.ndarray:
        """Calibrate predictions.

        Parameters
        ----------
        genes
            (n, g) float32 predicted expression.
        cells, names
            Names of the cells (n,) and of the genes (g,), which key the draws.
        strata
            (n,) stratum of each cell; None where it is not known.
        """
        draws = torch.from_numpy(uniform(cells, names, self.seed))
        values = torch.from_numpy(genes)
        table = np.zeros(len(genes), dtype=np.intp)
        for number, name in enumerate(self.strata if strata is not None else ()):
            table[strata == name] = number + 1
        found = torch.empty_like(values)
        for number in np.unique(table):
            rows = torch.from_numpy(np.flatnonzero(table == number))
            sides = self.predicted[number], self.observed[number]
            found[rows] = monotone_map(*sides, values[rows], draws[rows])
        return found.numpy()

    def arrays(self) -> Arrays:
        """What is saved: of each side, tables of all cells and of each stratum as one array."""
        return {
            f"{side}.{field.name}": torch.stack(
                [getattr(each, field.name) for each in getattr(self, side)]
            ).numpy()
            for side in SIDES
            for field in fields(Marginals)
        }

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
        sides = []
        for side, found in grouped(arrays, ".", SIDES).items():
            names = [field.name for field in fields(Marginals)]
            check_names(found, names, f"the {side} distributions")
            quantiles = found["quantiles"]
            n_quantiles = quantiles.shape[-1] if quantiles.ndim == 3 else 0
            shape = (1 + len(strata), n_genes)
            for name in names:
                further = (max(2, n_quantiles),) if name == "quantiles" else ()
                check_array(found[name], f"calibration.{side}.{name}", (*shape, *further))
            if (np.diff(quantiles) < 0).any():
                raise ValueError(f"the array 'calibration.{side}.quantiles' is not ascending.")
            shares = found["negative"], found["zero"], 1 - found["negative"] - found["zero"]
            if min(each.min() for each in shares) < -1e-5:
                raise ValueError(f"the shares of calibration.{side} are not from 0 to 1.")
            columns = zip(*(torch.from_numpy(found[name]) for name in names), strict=True)
            sides.append(tuple(Marginals(*column) for column in columns))
        return cls(tuple(strata), sides[0], sides[1], seed)


def not_calibrated(settings: Settings, why: str) -> None:
    """Raise a ValueError if settings ask for a calibration, which there can be none of."""
    if settings.decode == "calibrated":
        raise ValueError(
            f"{why}, so decode='calibrated' cannot be; choose decode='delta', or fit one "
            "perturbation that has cells, by rayot.tl.w1ot for example."
        )


def _towards_pool(pool: torch.Tensor, member: np.ndarray) -> torch.Tensor:
    """Weights of a stratum's distribution: its own cells, and the pool where they are few."""
    own = pool * torch.from_numpy(member)
    n_own = int((own > 0).sum())
    if not n_own:
        return pool
    share = n_own / (n_own + SHRINKAGE)
    return share * own / own.sum() + (1 - share) * pool / pool.sum()


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
