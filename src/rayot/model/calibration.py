"""Predicted expression with the distributions of observed expression, gene by gene."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import pandas as pd
import torch

from rayot.model.saved import Arrays, check_array, check_names, check_places, grouped
from rayot.solvers import Marginals, Settings, monotone_map
from rayot.solvers.random import GOLDEN, uniform_of

LARGEST = 64_000_000
"""Bytes of the distributions of a model, or of a screen, at most."""

FEWEST_QUANTILES = 8
"""Quantiles of a gene that are kept, at least."""

STRATUM_DRAW = "stratum"
"""Names the draw of a stratum for a cell."""

TURN = 10**12
"""Between the seeds of several draws, farther apart than those that users choose."""

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
        expression = own.copy()
        genes = self.genes
        scores = torch.from_numpy(scores_of(own[:, genes], change[:, genes], self.shape, table))
        draws = torch.from_numpy(uniform(cells, names[genes], self.seed + turn * TURN))
        for number in np.unique(table):
            rows = np.flatnonzero(table == number)
            of_table = np.flatnonzero(self.shape[number])
            mine, chosen = torch.from_numpy(rows), torch.from_numpy(of_table)
            before, after = (
                tables[number].take(chosen) for tables in (self.predicted, self.observed)
            )
            expression[np.ix_(rows, genes[of_table])] = monotone_map(
                before, after, scores[mine][:, chosen], draws[mine][:, chosen]
            )
        return expression

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

    def without(self, stratum: int) -> Calibration:
        """Distributions of all other strata, in genes from the first on, and of all their cells."""
        kept = [number for number in range(len(self.strata)) if number != stratum]
        sides = []
        for side in (self.predicted, self.observed):
            of_strata = [side[number + 1] for number in kept]
            pool = of_strata[0]
            for n, marginals in enumerate(of_strata[1:], 2):
                pool = marginals.mixture(pool, torch.full_like(pool.zero, 1 / n))
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
        return sum(array.nbytes for array in self.arrays().values())

    def within(self, n_bytes: int) -> Calibration:
        """The same in so many bytes, by giving up strata, then quantiles, then uncertain genes."""
        smaller = self
        if smaller.n_bytes > n_bytes:
            smaller = replace(
                smaller,
                strata=(),
                mixed=False,
                shape=smaller.shape[:1],
                predicted=smaller.predicted[:1],
                observed=smaller.observed[:1],
            )
        if smaller.n_bytes > n_bytes:
            share = n_bytes / smaller.n_bytes
            smaller = smaller._coarser(max(FEWEST_QUANTILES, int(share * smaller.n_quantiles) - 2))
        if smaller.n_bytes > n_bytes:
            n_genes = n_bytes * len(smaller.genes) // smaller.n_bytes
            order = np.argsort(-smaller.shape[0], kind="stable")
            smaller = smaller.of_genes(np.sort(order[:n_genes]))
        return smaller

    def _coarser(self, n_quantiles: int) -> Calibration:
        predicted, observed = (
            tuple(marginals.coarser(n_quantiles) for marginals in side)
            for side in (self.predicted, self.observed)
        )
        return replace(self, predicted=predicted, observed=observed)

    def of_genes(self, places: np.ndarray) -> Calibration:
        """The same of some of the genes, by their places among them."""
        chosen = torch.from_numpy(places)
        predicted, observed = (
            tuple(marginals.take(chosen) for marginals in side)
            for side in (self.predicted, self.observed)
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
        tables = saved_tables({side: getattr(self, side) for side in SIDES})
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
        check_places(genes, "calibration.genes", n_genes)
        check_array(shape, "calibration.shape", (1 + len(strata), genes.size))
        if ((shape < 0) | (shape > 1)).any():
            raise ValueError("the array 'calibration.shape' has shares that are not from 0 to 1.")
        n_tables = 1 + len(strata)
        sides = [
            checked_tables(groups[side], f"calibration.{side}", (n_tables, genes.size))
            for side in SIDES
        ]
        if mixed[0] and not strata:
            raise ValueError("the array 'calibration.mixed' asks for strata, and there are none.")
        return cls(tuple(strata), bool(mixed[0]), genes, shape, sides[0], sides[1], seed)


def saved_tables(sides: Mapping[str, Sequence[Marginals]]) -> Arrays:
    """What is saved of distributions: by name, those of all tables as one array for each field."""
    return {
        f"{name}.{field.name}": torch.stack([getattr(of, field.name) for of in tables]).numpy()
        for name, tables in sides.items()
        for field in fields(Marginals)
    }


def checked_tables(arrays: Arrays, where: str, shape: tuple[int, int]) -> tuple[Marginals, ...]:
    """Distributions of so many tables and features, from saved arrays.

    Raises
    ------
    ValueError
        If they are not whole, or no distributions.
    """
    names = [field.name for field in fields(Marginals)]
    check_names(arrays, names, f"the arrays of {where}")
    quantiles = arrays["quantiles"]
    n_quantiles = quantiles.shape[-1] if quantiles.ndim == 3 else 0
    for name in names:
        further = (max(2, n_quantiles),) if name == "quantiles" else ()
        check_array(arrays[name], f"{where}.{name}", (*shape, *further))
    if (np.diff(quantiles) < 0).any():
        raise ValueError(f"the array '{where}.quantiles' is not ascending.")
    negative, zero = arrays["negative"], arrays["zero"]
    if ((negative < -1e-5) | (zero < -1e-5) | (negative + zero > 1 + 1e-5)).any():
        raise ValueError(f"the shares of {where} are not from 0 to 1.")
    columns = zip(*(torch.from_numpy(arrays[name]) for name in names), strict=True)
    return tuple(Marginals(*column) for column in columns)


def not_calibrated(settings: Settings, why: str) -> None:
    """Raise a ValueError if settings ask for a calibration, which there can be none of."""
    if settings.decode == "calibrated":
        raise ValueError(
            f"{why}, so decode='calibrated' cannot be; choose decode='delta', or fit one "
            "perturbation that has cells, by rayot.tl.w1ot for example."
        )


def scores_of(
    own: np.ndarray, change: np.ndarray, shape: np.ndarray, table: np.ndarray
) -> np.ndarray:
    """What ranks are taken of, (n, c) float32: values with the share of their change in a table."""
    scores = change * (shape[table] if len(shape) > 1 else shape[0])
    scores += own
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
    keys = of_cells.view(np.int64)[:, None] ^ (of_genes.view(np.int64) * GOLDEN)
    return uniform_of(torch.from_numpy(keys)).numpy()
