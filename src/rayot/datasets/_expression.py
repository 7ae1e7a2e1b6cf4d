"""What simulated cells express without and with a perturbation.

With these constants simulated cells have statistics near those of blood cells under interferon
(:func:`rayot.datasets.kang18`), and differ somewhat more between types and from cell to cell;
``benchmarks/simulator.py`` prints both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from anndata import AnnData
from scipy import sparse

from rayot._arguments import number
from rayot.data.keys import Key

EFFECT_SIZE = 2.5
LIBRARY_SIZE = 870.0
DISPERSION = 0.8
HETEROGENEITY = 0.35
# Beyond these a rate can leave the range of numpy's Poisson generator.
EFFECT_SIZES = partial(number, low=0, high=3)
DISPERSIONS = partial(number, low=0, high=10)
MAX_LIBRARY_SIZE = 1e6
SHARE = partial(number, low=0, high=1)

_FREQUENCY_RATIO = 0.72
_RESPONSIVE_STRENGTH, _OTHER_STRENGTH = 1.3, 0.7
_RESPONSIVE_LIBRARY = 2.4
_LIBRARY_SPREAD = 0.36
_PANEL = 0.4
"""Share of a cell's counts that falls on the simulated genes."""
_BASELINE_SPREAD, _LINEAGE_SPREAD, _TYPE_SPREAD, _STATE_SPREAD = 1.6, 1.4, 0.5, 0.3
_RESPONSIVE_GENES = 0.9
_UP_SHARED, _UP_OWN = 0.75, 0.4
_OWN_SIZE = 2 / 3
_LARGEST = 2.0
_TYPE_VARIATION = 0.25


@dataclass(frozen=True)
class CellTypes:
    """Cell types of two lineages, as myeloid and lymphoid cells are; one entry a type.

    Attributes
    ----------
    frequency
        Share of the cells.
    responsive
        Whether a type is of the lineage that answers in more genes and more strongly, as every
        third type is.
    strength
        Factor on the log fold changes; 1 for the mean cell.
    library
        Factor on the library size; its geometric mean over cells is 1.
    """

    frequency: np.ndarray
    responsive: np.ndarray
    strength: np.ndarray
    library: np.ndarray

    @classmethod
    def of(cls, n_types: int) -> CellTypes:
        """So many types, each rarer than the one before."""
        frequency = _FREQUENCY_RATIO ** np.arange(n_types)
        frequency /= frequency.sum()
        responsive = np.arange(n_types) % 3 == 0
        strength = np.where(responsive, _RESPONSIVE_STRENGTH, _OTHER_STRENGTH)
        library = np.where(responsive, _RESPONSIVE_LIBRARY, 1.0)
        return cls(
            frequency,
            responsive,
            strength / (frequency @ strength),
            library / np.exp(frequency @ np.log(library)),
        )

    def __len__(self) -> int:
        return len(self.frequency)


@dataclass(frozen=True)
class Cells:
    """What cells are before anything is measured; one entry a cell."""

    cell_type: np.ndarray
    state: np.ndarray
    library_size: np.ndarray

    @classmethod
    def draw(cls, n: int, types: CellTypes, library_size: float, rng: np.random.Generator) -> Cells:
        """N cells, independent of each other."""
        cell_type = rng.choice(len(types), n, p=types.frequency)
        size = library_size * types.library[cell_type] * rng.lognormal(0, _LIBRARY_SPREAD, n)
        return cls(cell_type, rng.normal(0, 1, n), size)

    def log_normalised(self, counts: np.ndarray, library_size: float) -> sparse.csr_matrix:
        """Logarithm of one plus their counts in a library of the given size, float32."""
        scale = library_size / self.library_size[:, None]
        return sparse.csr_matrix(np.log1p(counts * scale), dtype=np.float32)


@dataclass(frozen=True)
class Genes:
    """What genes do, on the natural logarithm's scale."""

    baseline: np.ndarray  # (types, genes)
    loadings: np.ndarray  # (genes,)
    response: np.ndarray  # (types, genes)

    @classmethod
    def draw(cls, n_genes: int, types: CellTypes, rng: np.random.Generator) -> Genes:
        """Genes whose expression varies with lineage, type and state, and that do not respond."""
        lineages = rng.normal(0, _LINEAGE_SPREAD, (2, n_genes))[types.responsive.astype(int)]
        baseline = lineages + rng.normal(0, _BASELINE_SPREAD, n_genes)
        baseline += rng.normal(0, _TYPE_SPREAD, baseline.shape)
        return cls(baseline, rng.normal(0, 1, baseline.shape[1:]), np.zeros_like(baseline))

    def with_response(
        self,
        types: CellTypes,
        effect_size: float,
        responding: float,
        shared: float,
        rng: np.random.Generator,
    ) -> Genes:
        """The same genes, of which some respond: with log fold changes that are not zero."""
        n_genes = len(self.loadings)
        responds = rng.permutation(n_genes) < max(1, round(responding * n_genes))
        everywhere = rng.random(n_genes) < shared
        of_responsive = (rng.random(n_genes) < _RESPONSIVE_GENES) | types.responsive.all()
        takes_part = everywhere | (of_responsive == types.responsive[:, None])
        up = rng.random(n_genes) < np.where(everywhere, _UP_SHARED, _UP_OWN)
        size = np.minimum(np.abs(rng.normal(0, 1, n_genes)), _LARGEST)
        change = np.where(up, size, -size) * np.where(everywhere, 1, _OWN_SIZE) * responds
        noise = np.clip(rng.normal(0, 1, self.baseline.shape), -2, 2)
        strength = effect_size * types.strength[:, None] * (1 + _TYPE_VARIATION * noise)
        return replace(self, response=strength * takes_part * change)

    def midway(self) -> Genes:
        """Genes that have their expression midway between the two conditions.

        Variable genes are selected on cells of both, so that those which go up start low.
        """
        mean_response = self.response.sum(0) / np.maximum((self.response != 0).sum(0), 1)
        return replace(self, baseline=self.baseline - mean_response / 2)

    def rates(self, cells: Cells, dispersion: float, rng: np.random.Generator) -> np.ndarray:
        """Rates of the Poisson counts of control cells, with gamma noise of each (cells, genes)."""
        log_share = self.baseline[cells.cell_type]
        log_share = log_share + _STATE_SPREAD * cells.state[:, None] * self.loadings
        share = np.exp(log_share - log_share.max(axis=1, keepdims=True))
        rates = cells.library_size[:, None] * _PANEL * share / share.sum(axis=1, keepdims=True)
        if dispersion == 0:
            return rates
        return rates * rng.gamma(1 / dispersion, dispersion, rates.shape)

    def answer(
        self,
        counts: np.ndarray,
        rates: np.ndarray,
        cells: Cells,
        strength: np.ndarray,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Counts of the same cells with the perturbation: thinned, or added to (cells, genes)."""
        ratio = np.exp(strength[:, None] * self.response[cells.cell_type])
        kept = rng.binomial(counts, np.minimum(ratio, 1))
        return kept + rng.poisson(rates * np.maximum(ratio - 1, 0))


def describe(adata: AnnData, library_size: float) -> None:
    """Say in ``uns`` what ``Cells.log_normalised`` makes of counts, as scanpy and users read it."""
    adata.uns[Key.uns.log1p] = {}
    adata.uns[Key.uns.x_description] = (
        f"log1p of counts per {library_size:g} of the cell's whole library"
    )
