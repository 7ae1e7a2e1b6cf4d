"""Counts of simulated cells whose response to a perturbation is known cell by cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from rayot.data.keys import Key
from rayot.datasets._checks import number, seed_of, whole_number

_TARGET_SUM = 1e4
_MARKER_SHARE = 0.2
_RESPONDING_SHARE = 0.2
# Beyond these a rate can leave the range of numpy's Poisson generator.
MAX_EFFECT_SIZE = 3.0
MAX_DISPERSION = 10.0
MAX_LIBRARY_SIZE = 1e6


def simulated(
    n_cells: int = 1000,
    n_genes: int = 200,
    n_cell_types: int = 3,
    *,
    effect_size: float = 1.0,
    heterogeneity: float = 0.5,
    dispersion: float = 0.2,
    library_size: float = 2000.0,
    seed: int = 0,
    gene_seed: int | None = None,
) -> AnnData:
    r"""Cells of several types that answer a perturbation each in its own way.

    A cell of type k with state u ~ N(0, 1) and library size L expects μ_g = L ρ_g counts of gene g,
    where log ρ = baseline + markers of k + 0.3 u · loadings up to the constant that makes ρ sum
    to one. The perturbation multiplies μ_g by exp(s · Δ_kg): the log fold-changes Δ are non-zero
    in a fifth of the genes, half shared by all types and half of the type's own, and the strength
    s = 1 + `heterogeneity` · tanh(u) varies within a type. Counts are negative binomial with
    variance μ + `dispersion` · μ². Control and perturbed cells are drawn independently.

    The counterfactual of a control cell is a draw, not an expectation, so that it is distributed
    as the perturbed cells are. Both draws of a cell share their gamma noise, and the counts that
    a gene gains or loses are added to or thinned from the ones that are seen: a gene that does not
    respond keeps its counts, and no count goes against the sign of its response.

    Parameters
    ----------
    n_cells
        Cells in each of the two populations.
    n_genes
        Number of genes.
    n_cell_types
        Number of cell types, equally likely in both populations.
    effect_size
        Standard deviation of the non-zero log fold-changes (natural logarithm), between 0 and 3.
    heterogeneity
        How much the strength of the response varies within a type, between 0 and 1.
    dispersion
        Overdispersion of the counts, between 0 and 10; 0 gives Poisson counts.
    library_size
        Median of the log-normal library sizes of control cells, at most a million.
    seed
        Seed of the generator that is made for this call.
    gene_seed
        Seed of what genes do. Calls that differ in ``seed`` alone then draw other cells of the same
        kind; None draws genes by ``seed`` too.

    Returns
    -------
    AnnData of shape (2 · `n_cells`, `n_genes`) with

    - ``X``: float32 CSR, log1p of counts per 10,000; ``layers["counts"]``: float32 CSR;
    - ``layers["counterfactual"]``: float32 CSR on the scale of ``X``, for a control cell its
      perturbed draw, for a perturbed cell its own expression;
    - ``obs``: "perturbation" ("control" or "perturbed"), "cell_type", "state" (u, float32) and
      "response_strength" (s, float32);
    - ``var``: "perturbed" (bool: responds in some type) and "true_log_fold_change" (float32, base
      2, of the expected counts at s = 1, averaged over types);
    - ``varm["true_log_fold_change"]``: the same for each type, a DataFrame (genes x types);
    - ``uns["x_description"]``.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.simulated(n_cells=100, n_genes=50)
    >>> adata.shape, sorted(adata.layers)
    ((200, 50), ['counterfactual', 'counts'])
    """
    n_cells = whole_number("n_cells", n_cells, 1)
    rng = np.random.default_rng(seed_of("seed", seed))
    heterogeneity = number("heterogeneity", heterogeneity, 0.0, 1.0)
    dispersion = number("dispersion", dispersion, 0.0, MAX_DISPERSION)
    genes = Genes.draw(
        whole_number("n_genes", n_genes, 1),
        whole_number("n_cell_types", n_cell_types, 1),
        number("effect_size", effect_size, 0.0, MAX_EFFECT_SIZE),
        rng if gene_seed is None else np.random.default_rng(seed_of("gene_seed", gene_seed)),
    )
    library_size = number("library_size", library_size, 0.0, MAX_LIBRARY_SIZE, open_low=True)
    cells = Cells.draw(2 * n_cells, n_cell_types, library_size, rng)
    strength = 1 + heterogeneity * np.tanh(cells.state)
    counts, answer = counts_of(genes, cells, strength, dispersion, rng)
    perturbed = np.arange(2 * n_cells) >= n_cells
    counts[perturbed] = answer[perturbed]
    return _as_anndata(counts, answer, genes, cells, strength, perturbed)


@dataclass(frozen=True)
class Genes:
    """What a gene does: all arrays are on the natural logarithm's scale."""

    baseline: np.ndarray  # (genes,)
    markers: np.ndarray  # (types, genes)
    loadings: np.ndarray  # (genes,)
    response: np.ndarray  # (types, genes)

    @classmethod
    def draw(
        cls, n_genes: int, n_types: int, effect_size: float, rng: np.random.Generator
    ) -> Genes:
        """Genes of which a fifth responds."""

        def sparsely(shape: tuple[int, ...], share: float) -> np.ndarray:
            return rng.normal(0, 1, shape) * (rng.random(shape) < share)

        baseline = rng.normal(0, 1, n_genes)
        markers = sparsely((n_types, n_genes), _MARKER_SHARE)
        loadings = rng.normal(0, 1, n_genes)
        # A gene responds everywhere or, with the same chance, in single types.
        responds = rng.permutation(n_genes) < max(1, round(_RESPONDING_SHARE * n_genes))
        shared = rng.random(n_genes) < 0.5
        everywhere = np.broadcast_to(rng.normal(0, 1, n_genes), (n_types, n_genes))
        response = np.where(shared, everywhere, sparsely((n_types, n_genes), 0.5))
        return cls(baseline, markers, loadings, effect_size * response * responds)


@dataclass(frozen=True)
class Cells:
    """What a cell is before anything is measured; one entry a cell."""

    cell_type: np.ndarray
    state: np.ndarray
    library_size: np.ndarray
    n_types: int

    @classmethod
    def draw(cls, n: int, n_types: int, library_size: float, rng: np.random.Generator) -> Cells:
        """N cells of equally likely types."""
        return cls(
            rng.integers(n_types, size=n),
            rng.normal(0, 1, n),
            rng.lognormal(np.log(library_size), 0.3, n),
            n_types,
        )


def counts_of(
    genes: Genes,
    cells: Cells,
    strength: np.ndarray,
    dispersion: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Coupled counts of every cell without and with the perturbation, each (cells, genes)."""
    log_rho = genes.baseline + genes.markers[cells.cell_type]
    log_rho = log_rho + 0.3 * cells.state[:, None] * genes.loadings
    rho = np.exp(log_rho - log_rho.max(axis=1, keepdims=True))
    rate = cells.library_size[:, None] * rho / rho.sum(axis=1, keepdims=True)
    if dispersion > 0:
        rate = rate * rng.gamma(1 / dispersion, dispersion, rate.shape)
    ratio = np.exp(strength[:, None] * genes.response[cells.cell_type])
    without = rng.poisson(rate)
    kept = rng.binomial(without, np.minimum(ratio, 1))
    gained = rng.poisson(rate * np.maximum(ratio - 1, 0))
    return without, kept + gained


def _as_anndata(
    counts: np.ndarray,
    answer: np.ndarray,
    genes: Genes,
    cells: Cells,
    strength: np.ndarray,
    perturbed: np.ndarray,
) -> AnnData:
    types = [f"type_{k}" for k in range(cells.n_types)]
    labels = np.where(perturbed, Key.obs.perturbed, Key.obs.control)
    log2_response = (genes.response / np.log(2)).astype(np.float32)
    obs = pd.DataFrame(
        {
            Key.obs.perturbation: pd.Categorical(
                labels, categories=[Key.obs.control, Key.obs.perturbed]
            ),
            Key.obs.cell_type: pd.Categorical(
                np.asarray(types, dtype=object)[cells.cell_type], categories=types
            ),
            "state": cells.state.astype(np.float32),
            "response_strength": strength.astype(np.float32),
        },
        index=[f"cell_{i}" for i in range(len(counts))],
    )
    var = pd.DataFrame(
        {
            Key.var.perturbed: (genes.response != 0).any(axis=0),
            Key.var.log_fold_change: log2_response.mean(axis=0),
        },
        index=[f"gene_{g}" for g in range(counts.shape[1])],
    )
    adata = AnnData(log_normalised(counts), obs=obs, var=var)
    adata.layers[Key.layers.counts] = sparse.csr_matrix(counts, dtype=np.float32)
    adata.layers[Key.layers.counterfactual] = log_normalised(answer)
    adata.varm[Key.var.log_fold_change] = pd.DataFrame(
        log2_response.T, index=adata.var_names, columns=types
    )
    adata.uns[Key.uns.x_description] = "log1p of counts per 10,000"
    return adata


def log_normalised(counts: np.ndarray) -> sparse.csr_matrix:
    """Logarithm of one plus counts per 10,000, float32."""
    totals = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return sparse.csr_matrix(np.log1p(_TARGET_SUM * counts / totals), dtype=np.float32)
