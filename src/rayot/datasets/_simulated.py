"""Counts of simulated cells whose response to a perturbation is known cell by cell."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from rayot._arguments import number
from rayot._public import public
from rayot.data.keys import Key
from rayot.datasets._expression import (
    DISPERSION,
    DISPERSIONS,
    EFFECT_SIZE,
    EFFECT_SIZES,
    HETEROGENEITY,
    LIBRARY_SIZE,
    MAX_LIBRARY_SIZE,
    SHARE,
    Cells,
    CellTypes,
    Genes,
    describe,
)


@public(
    heterogeneity=SHARE,
    non_responders=SHARE,
    responding=SHARE,
    shared=SHARE,
    effect_size=EFFECT_SIZES,
    dispersion=DISPERSIONS,
    library_size=partial(number, low=0, high=MAX_LIBRARY_SIZE, open_low=True),
)
def simulated(
    n_cells: int = 1000,
    n_genes: int = 1000,
    n_cell_types: int = 3,
    *,
    effect_size: float = EFFECT_SIZE,
    responding: float = 0.5,
    shared: float = 0.5,
    heterogeneity: float = HETEROGENEITY,
    non_responders: float = 0.03,
    dispersion: float = DISPERSION,
    library_size: float = LIBRARY_SIZE,
    seed: int = 0,
    gene_seed: int | None = None,
) -> AnnData:
    r"""Cells of several types that answer a perturbation each in its own way.

    The defaults give cells with the statistics of real ones, the 1,000 most variable genes of
    :func:`kang18`: sparse counts, few strong responses that start from hardly expressed genes, and
    two lineages. Every third type, from ``type_0`` on, is of the lineage that answers in more genes
    and more strongly, as monocytes do beside lymphocytes.

    A cell of type k with state u ~ N(0, 1) and library size L expects μ_g = 0.4 L ρ_g counts of
    gene g, where log ρ = baseline of g in k + 0.3 u · loading of g, up to the constant that makes
    ρ sum to one; the rest of the library falls on genes that are not simulated. The perturbation
    multiplies μ_g by exp(s · Δ_kg). A share `responding` of the genes has log fold changes Δ; of
    these a share `shared` responds in all types, the others in those of one lineage, nine of ten in
    the responsive one. The strength s = 1 + `heterogeneity` · tanh(u) varies within a type. Counts
    are negative binomial with variance μ + `dispersion` · μ². Control and perturbed cells are drawn
    independently.

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
        Number of cell types; each has 0.72 of the cells of the one before, in both populations.
    effect_size
        Root mean square of the log fold changes of a gene that responds in all types (natural
        logarithm), between 0 and 3; those of one lineage alone have two thirds of it.
    responding
        Share of the genes that respond in some type, between 0 and 1; at least one gene does.
    shared
        Share of the responding genes that respond in all types, between 0 and 1.
    heterogeneity
        How much the strength of the response varies within a type, between 0 and 1.
    non_responders
        Share of the cells that do not answer at all, between 0 and 1.
    dispersion
        Overdispersion of the counts, between 0 and 10; 0 gives Poisson counts.
    library_size
        Geometric mean of the library sizes, at most a million. They are log-normal within a type,
        and 2.4 times as large in the responsive lineage. ``X`` is scaled to it.
    seed
        Seed of the generator that is made for this call.
    gene_seed
        Seed of what genes do; None takes ``seed``. Calls that differ in ``seed`` alone and have a
        ``gene_seed`` draw other cells of the same kind.

    Returns
    -------
    AnnData of shape (2 · `n_cells`, `n_genes`) with

    - ``X``: float32 CSR, log1p of counts per `library_size` of the cell's whole library;
      ``layers["counts"]``: float32 CSR;
    - ``layers["counterfactual"]``: float32 CSR on the scale of ``X``, for a control cell its
      perturbed draw, for a perturbed cell its own expression;
      ``layers["second_counterfactual"]``: for a control cell another such draw, which differs from
      the first by chance alone;
    - ``obs``: "perturbation" ("control" or "perturbed"), "cell_type", "state" (u, float32),
      "response_strength" (s, float32; 0 for a cell that does not answer) and "library_size" (L,
      float32);
    - ``var``: "perturbed" (bool: responds in some type) and "true_log_fold_change" (float32, base
      2, of the expected counts at s = 1, averaged over types);
    - ``varm["true_log_fold_change"]``: the same for each type, a DataFrame (genes x types);
    - ``uns["x_description"]``, and ``uns["log1p"]`` as :func:`scanpy.pp.log1p` writes it.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.simulated(n_cells=100, n_genes=50)
    >>> adata.shape, adata.layers["counterfactual"].shape
    ((200, 50), (200, 50))
    """
    # Two streams, so that cells do not change what genes do.
    of_genes, _ = np.random.default_rng(seed if gene_seed is None else gene_seed).spawn(2)
    _, rng = np.random.default_rng(seed).spawn(2)
    types = CellTypes.of(n_cell_types)
    genes = Genes.draw(n_genes, types, of_genes)
    genes = genes.with_response(types, effect_size, responding, shared, of_genes).midway()
    cells = Cells.draw(2 * n_cells, types, library_size, rng)
    answers = rng.random(2 * n_cells) >= non_responders
    strength = (1 + heterogeneity * np.tanh(cells.state)) * answers
    rates = genes.rates(cells, dispersion, rng)
    counts = rng.poisson(rates)
    first, second = (genes.answer(counts, rates, cells, strength, rng) for _ in range(2))
    perturbed = np.arange(2 * n_cells) >= n_cells
    counts[perturbed] = second[perturbed] = first[perturbed]
    adata = _as_anndata(genes, cells, len(types), strength, perturbed)
    adata.X = cells.log_normalised(counts, library_size)
    adata.layers[Key.layers.counts] = sparse.csr_matrix(counts, dtype=np.float32)
    adata.layers[Key.layers.counterfactual] = cells.log_normalised(first, library_size)
    adata.layers[Key.layers.second_counterfactual] = cells.log_normalised(second, library_size)
    describe(adata, library_size)
    return adata


def _as_anndata(
    genes: Genes, cells: Cells, n_types: int, strength: np.ndarray, perturbed: np.ndarray
) -> AnnData:
    """What is known of cells and genes, without expression."""
    types = [f"type_{k}" for k in range(n_types)]
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
            "library_size": cells.library_size.astype(np.float32),
        },
        index=[f"cell_{i}" for i in range(len(perturbed))],
    )
    var = pd.DataFrame(
        {
            Key.var.perturbed: (genes.response != 0).any(axis=0),
            Key.var.log_fold_change: log2_response.mean(axis=0),
        },
        index=[f"gene_{g}" for g in range(genes.response.shape[1])],
    )
    adata = AnnData(obs=obs, var=var)
    adata.varm[Key.var.log_fold_change] = pd.DataFrame(
        log2_response.T, index=adata.var_names, columns=types
    )
    return adata
