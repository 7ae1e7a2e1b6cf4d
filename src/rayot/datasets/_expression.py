"""What simulated cells express without and with a perturbation.

With these constants simulated cells have the statistics of blood cells under interferon
(:func:`rayot.datasets.kang18`); ``benchmarks/simulator.py`` prints both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.special import ndtri
from scipy.stats import qmc

EFFECT_SIZE = 2.5
LIBRARY_SIZE = 870.0
DISPERSION = 0.8
HETEROGENEITY = 0.25
# Beyond these a rate can leave the range of numpy's Poisson generator.
MAX_EFFECT_SIZE = 3.0
MAX_DISPERSION = 10.0
MAX_LIBRARY_SIZE = 1e6

_FREQUENCY_RATIO = 0.72
_RESPONSIVE_STRENGTH, _OTHER_STRENGTH = 1.2, 0.8
_RESPONSIVE_LIBRARY = 2.4
_LIBRARY_SPREAD = 0.36
_PANEL = 0.4
"""Share of a cell's counts that falls on the simulated genes."""
_BASELINE_SCALE = 1.25
_LINEAGE_SPREAD, _TYPE_SPREAD, _STATE_SPREAD = 1.4, 0.5, 0.3
_RESPONSIVE_GENES = 0.9
_UP_SHARED, _UP_OWN = 0.75, 0.4
_OWN_SIZE = 2 / 3
_LARGEST = 2.5
_TYPE_VARIATION = 0.1


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


def draw_quantiles(n_genes: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles of what genes are, and of how they respond: (genes, 3) and (genes, 5).

    They are spread evenly over the unit cube of eight dimensions, in random order. Few genes hold
    most of the counts and of the response, so this keeps one draw of the genes as hard as another,
    which independent numbers would not.
    """
    points = rng.permutation(qmc.Halton(8, seed=rng).random(n_genes)).clip(1e-6, 1 - 1e-6)
    return points[:, :3], points[:, 3:]


def draw_response(
    quantiles: np.ndarray,
    types: CellTypes,
    effect_size: float,
    responding: float,
    shared: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Log fold changes (types, genes), natural logarithm; zero where a gene does not respond."""
    n_genes = len(quantiles)
    first, second, third, fourth, fifth = quantiles.T
    responds = first.argsort().argsort() < max(1, round(responding * n_genes))
    everywhere = second < shared
    of_responsive = (third < _RESPONSIVE_GENES) | types.responsive.all()
    up = fourth < np.where(everywhere, _UP_SHARED, _UP_OWN)
    # Quantiles of |N(0, 1)|.
    size = np.minimum(ndtri((1 + fifth) / 2), _LARGEST)
    change = np.where(up, size, -size) * np.where(everywhere, 1, _OWN_SIZE) * responds
    takes_part = everywhere | (of_responsive == types.responsive[:, None])
    variation = 1 + _TYPE_VARIATION * np.clip(rng.normal(0, 1, (len(types), n_genes)), -2, 2)
    return effect_size * types.strength[:, None] * takes_part * change * variation


@dataclass(frozen=True)
class Genes:
    """What genes do, on the natural logarithm's scale."""

    baseline: np.ndarray  # (types, genes)
    loadings: np.ndarray  # (genes,)
    response: np.ndarray  # (types, genes)

    @classmethod
    def draw(
        cls,
        quantiles: np.ndarray,
        types: CellTypes,
        response: np.ndarray,
        rng: np.random.Generator,
    ) -> Genes:
        """Genes whose expression varies with lineage, type and state.

        Its logarithm is Gumbel, so that the tail of the highly expressed genes is a power law.
        A gene that responds is like the others midway between the two conditions: variable genes
        are selected on cells of both, so that those which go up start low.
        """
        n_genes = response.shape[1]
        baseline = -_BASELINE_SCALE * np.log(-np.log(quantiles[:, 0]))
        baseline = baseline + rng.normal(0, _TYPE_SPREAD, response.shape)
        lineages = _LINEAGE_SPREAD * ndtri(quantiles[:, 1:].T)
        baseline += lineages[types.responsive.astype(int)]
        mean_response = response.sum(0) / np.maximum((response != 0).sum(0), 1)
        return cls(baseline - mean_response / 2, rng.normal(0, 1, n_genes), response)


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


def draw_rates(
    genes: Genes, cells: Cells, dispersion: float, rng: np.random.Generator
) -> np.ndarray:
    """Rates of the Poisson counts of control cells, with the gamma noise of each (cells, genes)."""
    log_share = genes.baseline[cells.cell_type]
    log_share = log_share + _STATE_SPREAD * cells.state[:, None] * genes.loadings
    share = np.exp(log_share - log_share.max(axis=1, keepdims=True))
    rates = cells.library_size[:, None] * _PANEL * share / share.sum(axis=1, keepdims=True)
    return rates * rng.gamma(1 / dispersion, dispersion, rates.shape) if dispersion > 0 else rates


def draw_answer(
    counts: np.ndarray,
    rates: np.ndarray,
    genes: Genes,
    cells: Cells,
    strength: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Counts of the same cells with the perturbation: thinned, or added to (cells, genes)."""
    ratio = np.exp(strength[:, None] * genes.response[cells.cell_type])
    kept = rng.binomial(counts, np.minimum(ratio, 1))
    return kept + rng.poisson(rates * np.maximum(ratio - 1, 0))


def log_normalised(counts: np.ndarray, cells: Cells, library_size: float) -> sparse.csr_matrix:
    """Logarithm of one plus the counts in a library of the given size, float32."""
    scale = library_size / cells.library_size[:, None]
    return sparse.csr_matrix(np.log1p(counts * scale), dtype=np.float32)


def describe(library_size: float) -> str:
    """What ``log_normalised`` gives, for ``uns["x_description"]``."""
    return f"log1p of counts per {library_size:g} of the cell's whole library"
