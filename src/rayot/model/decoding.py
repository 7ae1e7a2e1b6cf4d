"""From moved cells to their expression."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from anndata import AnnData
from scipy import sparse

from rayot.data.matrix import dense
from rayot.model.adaptation import GENES, Adaptation, adapted
from rayot.model.calibration import Calibration, uniform
from rayot.model.experts import Chosen
from rayot.model.moves import Moves
from rayot.model.times import SEED, displaced
from rayot.representation import Representation


@dataclass(frozen=True)
class Decoder:
    """Expression of n cells that move, by the representation they move in.

    Attributes
    ----------
    representation
        Space of the map, with a decoder.
    decode
        How cells become genes, see :class:`rayot.solvers.W1Settings`.
    adata, rows
        Where the cells are.
    var_names
        (genes,) names of the genes.
    start
        (n, d), the cells before they move.
    expression
        (n, genes), theirs then.
    at_zero
        Whether negative predictions are set to zero.
    calibrations
        What gives genes their observed distributions, one for each term of a move; none where they
        are not calibrated.
    strata
        (n,) stratum of each cell, for calibrations and adaptations; None where it is not known.
    nearness
        Shares (n, S) of the strata of the fit that are near to cells (n, d); None weighs alike.
    chosen
        Experts that predict cells of strata that the fit has not seen; None leaves them to the map.
    adaptations
        What treated cells of further strata say, by stratum.
    seed
        Keys the draws of these.
    share
        How much of their way cells have gone.
    """

    representation: Representation
    decode: str
    adata: AnnData
    rows: np.ndarray
    var_names: tuple[str, ...]
    start: np.ndarray
    expression: np.ndarray | sparse.csr_matrix
    at_zero: bool
    calibrations: tuple[Calibration, ...] = ()
    strata: np.ndarray | None = None
    nearness: Callable[[np.ndarray], np.ndarray] | None = None
    chosen: Chosen | None = None
    adaptations: Mapping[str, Adaptation] = field(default_factory=dict)
    seed: int = 0
    share: float = 1.0

    @cached_property
    def _decoded_start(self) -> np.ndarray:
        return self.representation.decode(self.start, self.adata, self.rows)

    @property
    def is_sparse(self) -> bool:
        """Whether predicted genes have the zeros of cells, which are held sparse."""
        return bool(self.calibrations) and sparse.issparse(self.expression)

    def genes(self, terms: np.ndarray) -> tuple[np.ndarray, int]:
        """Expression (n, genes) float32 of cells that move, and how many values were clipped.

        Parameters
        ----------
        terms
            (T, n, d), by whose sum they move, once they have gone all of their way.
        """
        moved = self.start + self.share * terms.sum(axis=0)
        if self.calibrations:
            genes = self._calibrated(terms)
            if self.share < 1:
                draws = uniform(*self._names, self.seed + SEED)
                genes = displaced(dense(self.expression), genes, self.share, draws)
        elif self.decode == "direct" or self.representation.name is None:
            decoded = self.representation.decode(moved, self.adata, self.rows)
            genes = np.array(decoded, dtype=np.float32)
        else:
            # The cell's own genes plus the decoded change keep what the representation lost.
            genes = self.change(moved) + dense(self.expression)
        n_clipped = 0
        if self.at_zero:
            n_clipped = int((genes < 0).sum())
            genes = np.maximum(genes, 0, out=genes)
        if self.chosen is not None:
            genes = self.chosen(GENES, dense(self.expression), genes, self._names[1])
        genes = adapted(self.adaptations, GENES, genes, self.strata, *self._names, self.seed)
        return genes, n_clipped

    @property
    def _names(self) -> tuple[np.ndarray, np.ndarray]:
        """Of the cells (n,) and of the genes, which key draws."""
        return self.adata.obs_names.to_numpy()[self.rows], np.array(self.var_names, dtype=object)

    def change(self, moved: np.ndarray) -> np.ndarray:
        """Change (n, genes) float32 of the expression of cells that move to (n, d)."""
        change = self.representation.change(moved - self.start)
        if change is None:
            decoded = self.representation.decode(moved, self.adata, self.rows)
            change = np.asarray(decoded - self._decoded_start, dtype=np.float32)
        return change

    def _calibrated(self, terms: np.ndarray) -> np.ndarray:
        """Expression with the distributions that each term gives it, or all of their changes."""
        own = dense(self.expression)
        shares = self.nearness
        nearness = None if shares is None else lambda rows: shares(self.start[rows])
        changes = []
        for turn, (calibration, move) in enumerate(zip(self.calibrations, terms, strict=True)):
            moved = self.start + move
            genes = calibration(own, self.change(moved), *self._names, self.strata, turn, nearness)
            if len(terms) == 1:
                # What does not move keeps its expression: no effect is no change. Parts of a
                # combination may change too little to be told alone.
                still = (moved == self.start).all(axis=1)
                genes[still] = own[still]
                return genes
            changes.append(genes - own)
        # What two terms both take away may leave less than nothing, which is clipped as ever.
        return own + np.sum(changes, axis=0)

    def spread(self, moves: Moves) -> np.ndarray:
        """Standard deviation (n, genes) float32 between the maps of moves, one at a time."""
        mean = squares = np.zeros(())
        n_maps = len(moves.maps)
        for number in range(n_maps):
            genes = self.genes(moves.in_terms("maps", number))[0].astype(np.float64)
            # Welford's update does not lose the digits that a mean of squares loses.
            change = genes - mean
            mean = mean + change / (number + 1)
            squares = squares + change * (genes - mean)
        return np.sqrt(squares / (n_maps - 1)).astype(np.float32)
