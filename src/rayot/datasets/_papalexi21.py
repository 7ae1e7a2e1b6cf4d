"""A CRISPR knock-out screen in THP-1 cells."""

from __future__ import annotations

from types import SimpleNamespace

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from rayot.data.keys import Key
from rayot.datasets._download import fetch
from rayot.datasets._rdata import cells_by_features, read_rda, strings
from rayot.datasets._registry import registry

_MIN_SHARE = 0.8
_TARGET_SUM = 200


def papalexi21() -> ad.AnnData:
    """THP-1 monocytes with one of 25 genes knocked out by CRISPR (Papalexi et al. 2021).

    A cell's knock-out is the guide that holds at least 80 % of its guide UMIs; cells without such a
    guide are left out.

    Returns
    -------
    AnnData of 16,192 cells x 299 genes with

    - ``X``: float32 CSR, log1p of counts per 200 over these genes; ``layers["counts"]``: float32
      CSR;
    - ``obs``: "perturbation" ("control" for non-targeting guides, else the gene), "grna",
      "cell_type", "replicate", "grna_share" (float32);
    - ``uns["source"]`` and ``uns["x_description"]``.

    Raises
    ------
    OSError
        If the file is not cached and cannot be downloaded.
    ValueError
        If the downloaded file does not have the expected hash.

    References
    ----------
    Papalexi E et al. Nat Genet 53:322-331 (2021); file of the R package sceptredata.

    Examples
    --------
    >>> import rayot as rt
    >>> rt.datasets.papalexi21().shape  # doctest: +SKIP
    (16192, 299)
    """
    entry = registry()["papalexi21"]
    (path,) = fetch(entry).values()
    screen = read_rda(path)
    grna, share = _called_guides(screen["grna_matrix"])
    kept = share >= _MIN_SHARE
    counts = cells_by_features(screen["response_matrix"])[kept]
    target = screen["grna_target_data_frame"].astype(str).set_index("grna_id")["grna_target"]
    adata = ad.AnnData(
        _log_normalised(counts),
        obs=pd.DataFrame(
            {
                Key.obs.perturbation: target[grna].replace("non-targeting", Key.obs.control),
                "grna": grna,
                Key.obs.cell_type: "THP-1",
                "replicate": strings(screen["extra_covariates"]["bio_rep"]),
                "grna_share": share.astype(np.float32),
            }
        )
        .set_axis([f"cell{i + 1}" for i in range(len(grna))])
        .loc[kept],
        var=pd.DataFrame(index=strings(screen["response_matrix"].Dimnames[0])),
        layers={Key.layers.counts: counts},
    )
    return entry.sign(adata)


def _called_guides(matrix: SimpleNamespace) -> tuple[np.ndarray, np.ndarray]:
    """The most frequent guide of each cell and its share of the cell's guide UMIs."""
    guides = cells_by_features(matrix)
    totals = np.asarray(guides.sum(axis=1)).ravel()
    most = guides.max(axis=1).toarray().ravel()
    best = np.asarray(guides.argmax(axis=1)).ravel()
    return strings(matrix.Dimnames[0])[best], most / np.maximum(totals, 1)


def _log_normalised(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    counts = counts.astype(np.float32)
    totals = np.maximum(np.asarray(counts.sum(axis=1)).ravel(), 1)
    return (sparse.diags(np.float32(_TARGET_SUM) / totals) @ counts).log1p().tocsr()
