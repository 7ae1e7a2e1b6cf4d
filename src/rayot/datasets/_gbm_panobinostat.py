"""Glioblastoma slices under panobinostat."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd

from rayot.data.keys import Key
from rayot.datasets._download import fetch
from rayot.datasets._rdata import cells_by_features, read_rda, strings
from rayot.datasets._registry import registry


def gbm_panobinostat() -> ad.AnnData:
    """Glioblastoma slices of five patients under panobinostat (Zhao et al. 2021).

    Panobinostat inhibits histone deacetylases; patients differ in their response.

    Returns
    -------
    AnnData of 5,000 cells x 300 genes, 500 cells a patient and condition, with

    - ``X``: float32 CSR, log-normalised; ``layers["counts"]``: float32 CSR;
    - ``obs``: "perturbation" ("control" or "panobinostat"), "patient", "sample", "age" (int),
      "gender", "location";
    - ``var["ensembl"]``; ``uns["source"]`` and ``uns["x_description"]``.

    Raises
    ------
    OSError
        If the file is not cached and cannot be downloaded.
    ValueError
        If the downloaded file does not have the expected hash.

    References
    ----------
    Zhao W et al. Genome Med 13:82 (2021); subset of Ahlmann-Eltze C, Huber W, R package lemur.

    Examples
    --------
    >>> import rayot as rt
    >>> rt.datasets.gbm_panobinostat().shape  # doctest: +SKIP
    (5000, 300)
    """
    entry = registry()["gbm_panobinostat"]
    (path,) = fetch(entry).values()
    experiment = read_rda(path)
    cells, genes = experiment.colData, experiment.rowRanges.elementMetadata.listData
    assays = experiment.assays.data.listData
    about = cells.listData
    condition = strings(about["condition"])
    condition[condition == "ctrl"] = Key.obs.control
    adata = ad.AnnData(
        cells_by_features(assays["logcounts"]),
        obs=pd.DataFrame(
            {
                Key.obs.perturbation: condition,
                "patient": strings(about["patient_id"]),
                "sample": strings(about["sample_id"]),
                "age": np.asarray(about["age"], dtype=np.int64),
                "gender": strings(about["gender"]),
                "location": strings(about["location"]),
            },
            index=strings(cells.rownames),
        ),
        var=pd.DataFrame(
            {"ensembl": strings(genes["gene_id"])},
            index=pd.Index(strings(genes["symbol"]), name="symbol"),
        ),
        layers={Key.layers.counts: cells_by_features(assays["counts"])},
    )
    return entry.sign(adata)
