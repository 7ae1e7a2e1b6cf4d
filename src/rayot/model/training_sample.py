"""Training cells that genes are calibrated by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy import sparse

from rayot.data import checks
from rayot.data.matrix import dense
from rayot.data.spec import DataSpec
from rayot.representation import Representation
from rayot.solvers import Marginals

SAMPLE_CELLS = 4096
"""Training cells of each side that distributions are taken of, at most."""

LEAST_ZEROS = 0.05
"""Share of zeros from which expression counts as sparse."""


@dataclass(frozen=True)
class SampledCells:
    """Training cells of one side, with what distributions are made of.

    Attributes
    ----------
    cells
        The cells, with all that a representation may ask of them.
    data
        Where their expression is.
    strata
        (n,) number of each cell's stratum.
    names
        Names of the strata; none without strata.
    weights
        (n,) float64 weight of each cell; strata weigh alike.
    """

    cells: AnnData
    data: DataSpec
    strata: np.ndarray
    names: tuple[str, ...]
    weights: np.ndarray

    @classmethod
    def of(
        cls,
        adata: AnnData,
        data: DataSpec,
        rows: Sequence[np.ndarray],
        representation: Representation,
        names: tuple[str, ...],
    ) -> SampledCells:
        """Copy rows of each stratum of the user's object, and what will be asked of them."""
        weights = [data.weights(adata, rows_of_side).astype(np.float64) for rows_of_side in rows]
        return cls(
            sampled_cells(adata, data, np.concatenate(rows), representation),
            data,
            np.repeat(np.arange(len(rows)), list(map(len, rows))),
            names,
            np.concatenate([of_group / of_group.sum() for of_group in weights]),
        )

    @cached_property
    def expression(self) -> np.ndarray:
        """(n, g) float32."""
        return dense(self.data.expression(self.cells, np.arange(len(self.weights))))

    @cached_property
    def marginals(self) -> list[Marginals]:
        """Distributions in all cells, then in each stratum, by :attr:`weights`."""
        return self.marginals_by(self.weights)

    def marginals_by(self, weights: np.ndarray) -> list[Marginals]:
        """The same by other weights."""
        return self.marginals_of(self.expression, weights)

    def marginals_of(self, values: np.ndarray, weights: np.ndarray) -> list[Marginals]:
        """Distributions of values (n, g) of the cells, in all of them, then in each stratum.

        A stratum without weight has the distributions of all cells.
        """
        pool = _marginals(values, weights)
        members = [self.strata == number for number in range(len(self.names))]
        return [
            pool,
            *(
                _marginals(values[own], weights[own]) if weights[own].sum() > 0 else pool
                for own in members
            ),
        ]

    def means_with_errors(
        self, weights: np.ndarray, sizes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Means (1 + S, g) of expression and their squared errors, in all cells, then in strata.

        A stratum without weight has those of all cells. Cells of all strata are as many as were
        drawn of each, so that their mean's error is that within strata.

        Parameters
        ----------
        weights
            (n,) of the cells.
        sizes
            (1 + S,), how many cells of equal weight say as much.
        """
        values = self.expression.astype(np.float64)
        groups = [weights, *(weights * (self.strata == n) for n in range(len(self.names)))]
        shares = np.stack([of_group if of_group.sum() > 0 else weights for of_group in groups])
        shares = shares / shares.sum(1, keepdims=True)
        means = shares @ values
        variance = (shares @ np.square(values) - np.square(means)).clip(0)
        errors = variance / (sizes[:, None] - 1).clip(1)
        if len(self.names):
            mass = np.array([of_group.sum() for of_group in groups[1:]]) / weights.sum()
            errors[0] = np.square(mass) @ errors[1:]
        return means, errors

    def counts(self, weights: np.ndarray) -> np.ndarray:
        """How many cells of equal weight say as much (Kish 1965), in all and in each stratum."""
        groups = [weights, *(weights * (self.strata == n) for n in range(len(self.names)))]
        squares = np.array([max(np.square(of_group).sum(), 1e-300) for of_group in groups])
        return np.array([of_group.sum() for of_group in groups]) ** 2 / squares


@dataclass(frozen=True)
class TrainingSample:
    """Training cells of both sides."""

    source: SampledCells
    target: SampledCells

    @classmethod
    def of(
        cls,
        adata: AnnData,
        data: DataSpec,
        groups: Sequence[Sequence[np.ndarray]],
        representation: Representation,
        names: tuple[str, ...],
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
        names
            Of the strata; none without strata.
        seed
            Keys the draw.
        """
        source, target = sampled_rows(groups, seed)
        return cls(
            SampledCells.of(adata, data, source, representation, names),
            SampledCells.of(adata, data, target, representation, names),
        )

    @property
    def sparse(self) -> bool:
        """Whether the target's expression has zeros, more than a twentieth of its values."""
        rows = np.arange(len(self.target.weights))
        return has_zeros(self.target.data.expression(self.target.cells, rows))

    def calibrates(self, decode: str) -> bool:
        """Whether genes are calibrated by these cells, where :func:`may_calibrate` asked for them.

        ``"auto"`` does so for sparse expression.
        """
        return decode == "calibrated" or self.sparse

    def copy(self) -> TrainingSample:
        """The same cells, without what was made of them."""
        return TrainingSample(replace(self.source), replace(self.target))


def may_calibrate(decode: str, nonnegative: bool, representation: Representation) -> bool:
    """Whether training cells have to be drawn, to calibrate genes or to see if they are sparse.

    Parameters
    ----------
    decode
        As in :class:`rayot.solvers.Settings`.
    nonnegative
        Whether training cells have no expression below zero.
    representation
        Of the map.
    """
    asked = decode == "calibrated" or (decode == "auto" and nonnegative)
    return asked and representation.has_decoder


def has_zeros(expression: np.ndarray | sparse.csr_matrix) -> bool:
    """Whether more than a twentieth of the values are zero."""
    n_others = (expression != 0).sum()
    return bool(n_others < (1 - LEAST_ZEROS) * np.prod(expression.shape, dtype=np.int64))


def sampled_rows(
    groups: Sequence[Sequence[np.ndarray]], seed: int, most: int = SAMPLE_CELLS
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Rows of source and of target, of each stratum, drawn by the seed alone.

    Of source cells about eight times as many as target cells say all that can be said of these.
    Their number is a power of two, so that perturbations of a screen share them. Of a side there
    are ``most`` in all.
    """
    most = max(2, most // len(groups))
    sides = []
    for side in (0, 1):
        rng = np.random.default_rng([seed, SAMPLE_CELLS, side])
        rows = []
        for group in groups:
            enough = 8 * 2 ** round(np.log2(max(1, len(group[1])))) if side == 0 else most
            rows.append(np.sort(rng.permutation(group[side])[: min(most, enough)]))
        sides.append(rows)
    return sides[0], sides[1]


def _marginals(values: np.ndarray, weights: np.ndarray) -> Marginals:
    return Marginals.of(torch.from_numpy(values), torch.from_numpy(weights))


def sampled_cells(
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
