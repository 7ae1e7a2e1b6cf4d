"""Real blood cells with a perturbation of a few genes whose answer is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from scipy import sparse

from rayot._public import public
from rayot.data.keys import Key

_SOURCE = {
    "citation": "Zheng GXY et al. Massively parallel digital transcriptional profiling of single "
    "cells. Nat Commun 8:14049 (2017)",
    "doi": "10.1038/ncomms14049",
    "note": "700 peripheral blood mononuclear cells as bundled with scanpy; the perturbation is "
    "simulated",
    "path": "scanpy.datasets.pbmc68k_reduced",
    "repo": "scverse/scanpy",
    "repo_licence": "BSD-3-Clause",
}


@public()
def pbmc_perturbed(
    seed: int = 0, n_genes: int = 5, fold_change: float = 2.0, min_expressed: float = 0.6
) -> AnnData:
    """Multiply a few genes of real cells by a known factor: does a method find just these?

    Half of scanpy's bundled ``pbmc68k_reduced``, drawn at random, is perturbed: `n_genes` random
    genes among those that at least `min_expressed` of all cells express are multiplied by
    `fold_change` on the linear scale, x becomes log(1 + `fold_change` · (exp(x) − 1)). Nothing is
    downloaded.

    Parameters
    ----------
    seed
        Seed of the generator that draws genes and cells.
    n_genes
        How many genes are perturbed.
    fold_change
        Factor on the linear scale; below 1 the genes go down.
    min_expressed
        Share of cells that must express a gene for it to be drawn.

    Returns
    -------
    AnnData of 700 cells x 765 genes with

    - ``X``: float32 CSR, log-normalised;
    - ``obs["perturbation"]``: "control" or "perturbed"; ``obs["cell_type"]``: 10 types;
    - ``layers["counterfactual"]``: float32 CSR, for a control cell its true perturbed expression,
      for a perturbed cell its own;
    - ``var["perturbed"]`` (bool) and ``var["true_log_fold_change"]`` (float32, base 2);
    - ``uns["source"]``, ``uns["x_description"]``, and ``uns["log1p"]`` as :func:`scanpy.pp.log1p`
      writes it.

    Raises
    ------
    ValueError
        If an argument is out of range or fewer than `n_genes` genes are expressed widely enough.

    References
    ----------
    The W1OT paper, gene sensitivity experiment; the cells are those of Zheng et al. (2017).

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.pbmc_perturbed(n_genes=3)
    >>> adata.shape, int(adata.var["perturbed"].sum())
    ((700, 765), 3)
    """
    rng = np.random.default_rng(seed)
    cells = sc.datasets.pbmc68k_reduced()
    before = sparse.csr_matrix(cells.raw.X, dtype=np.float32)
    genes = _draw_genes(before, n_genes, min_expressed, rng)
    perturbed = np.zeros(before.shape[0], dtype=bool)
    perturbed[rng.permutation(len(perturbed))[: len(perturbed) // 2]] = True
    after = _multiply(before, genes, fold_change)

    labels = np.where(perturbed, Key.obs.perturbed, Key.obs.control)
    adata = AnnData(
        _rows_from(before, after, perturbed),
        obs=pd.DataFrame(
            {
                Key.obs.perturbation: pd.Categorical(labels),
                Key.obs.cell_type: cells.obs["bulk_labels"].astype("category"),
            },
            index=cells.obs_names.rename(None),
        ),
        var=pd.DataFrame(
            {
                Key.var.perturbed: genes,
                Key.var.log_fold_change: np.float32(np.log2(fold_change)) * genes,
            },
            index=cells.raw.var_names.rename(None),
        ),
    )
    adata.layers[Key.layers.counterfactual] = after
    adata.uns[Key.uns.log1p] = {}
    adata.uns[Key.uns.source] = dict(_SOURCE)
    adata.uns[Key.uns.x_description] = "log-normalised, as in source; perturbed on the linear scale"
    return adata


def _draw_genes(
    x: sparse.csr_matrix, n_genes: int, share: float, rng: np.random.Generator
) -> np.ndarray:
    expressed = np.asarray((x > 0).mean(axis=0)).ravel()
    eligible = np.flatnonzero(expressed >= share)
    if len(eligible) < n_genes:
        raise ValueError(
            f"n_genes is {n_genes}, but only {len(eligible)} genes are expressed by at least "
            f"{share:.0%} of the cells; ask for fewer genes or lower min_expressed."
        )
    drawn = np.zeros(x.shape[1], dtype=bool)
    drawn[rng.choice(eligible, n_genes, replace=False)] = True
    return drawn


def _multiply(x: sparse.csr_matrix, genes: np.ndarray, factor: float) -> sparse.csr_matrix:
    result = x.copy()
    chosen = genes[result.indices]
    linear = np.expm1(result.data[chosen].astype(np.float64))
    result.data[chosen] = np.log1p(factor * linear)
    return result


def _rows_from(
    before: sparse.csr_matrix, after: sparse.csr_matrix, perturbed: np.ndarray
) -> sparse.csr_matrix:
    # Zero stays zero under a factor, so both matrices share one sparsity pattern.
    result = before.copy()
    entries = np.repeat(perturbed, np.diff(before.indptr))
    result.data[entries] = after.data[entries]
    return result
