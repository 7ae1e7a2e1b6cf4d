"""Interferon-stimulated blood cells."""

from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from rayot.data.keys import Key
from rayot.datasets._download import fetch
from rayot.datasets._registry import registry


def kang18() -> ad.AnnData:
    """Blood cells of lupus patients, stimulated with interferon beta (Kang et al. 2018).

    The validation part of scGen's data, the field's classic for unseen cell types.

    Returns
    -------
    AnnData of 1,975 cells x 6,998 genes with

    - ``X``: float32 CSR, log1p of library-size-normalised counts;
    - ``layers["counts"]``: float32 CSR, recovered from ``X``: a cell's smallest non-zero value is
      taken for one count;
    - ``obs``: "perturbation" ("control" or "IFN-beta"), "cell_type" (7), "n_counts", "n_genes";
    - ``uns["source"]`` and ``uns["x_description"]``.

    Raises
    ------
    OSError
        If the file is not cached and cannot be downloaded.
    ValueError
        If the downloaded file does not have the expected hash.

    References
    ----------
    Kang HM et al. Nat Biotechnol 36:89-94 (2018); file of Lotfollahi M et al., scGen.

    Examples
    --------
    >>> import rayot as rt
    >>> rt.datasets.kang18().shape  # doctest: +SKIP
    (1975, 6998)
    """
    entry = registry()["kang18"]
    (path,) = fetch(entry).values()
    with warnings.catch_warnings(action="ignore"):
        # An early anndata wrote the file; what the warnings are about is not used here.
        parsed = ad.read_h5ad(path)
    obs = parsed.obs.rename(columns={"condition": Key.obs.perturbation})
    obs[Key.obs.perturbation] = obs[Key.obs.perturbation].astype(str)
    obs[Key.obs.perturbation] = obs[Key.obs.perturbation].replace("stimulated", "IFN-beta")
    obs[Key.obs.cell_type] = obs[Key.obs.cell_type].astype(str)
    adata = ad.AnnData(
        parsed.X,
        obs=obs[[Key.obs.perturbation, Key.obs.cell_type, "n_counts", "n_genes"]],
        var=pd.DataFrame(index=parsed.var_names),
        layers={Key.layers.counts: _counts(parsed.X)},
    )
    return entry.sign(adata)


def _counts(x: sparse.csr_matrix) -> sparse.csr_matrix:
    counts = sparse.csr_matrix(x, dtype=np.float64, copy=True)
    np.expm1(counts.data, out=counts.data)
    starts = counts.indptr[:-1]
    smallest = np.minimum.reduceat(counts.data, starts)
    counts.data = np.round(counts.data / np.repeat(smallest, np.diff(counts.indptr)))
    return counts
