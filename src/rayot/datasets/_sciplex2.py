"""A dose series of dexamethasone."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from rayot.data.keys import Key
from rayot.datasets._download import fetch
from rayot.datasets._rdata import cells_by_features, read_rds, strings
from rayot.datasets._registry import registry


def sciplex2() -> ad.AnnData:
    """A549 cells under seven doses of dexamethasone (sci-Plex 2, Srivatsan et al. 2020).

    A small set with a weak signal: 56 of the cells are controls.

    Returns
    -------
    AnnData of 500 cells x 198 genes with

    - ``X``: float32 CSR, log1p of counts over the cell's size factor; ``layers["counts"]``: float32
      CSR;
    - ``obs``: "perturbation" ("control" or "dexamethasone"), "drug" (the same), "dose" (float32),
      "cell_type", "replicate", and, float32, "n_umi", "size_factor", "proliferation_index",
      "g1s_score", "g2m_score";
    - ``var["ensembl"]``; ``uns["source"]`` and ``uns["x_description"]``.

    Raises
    ------
    OSError
        If a file is not cached and cannot be downloaded.
    ValueError
        If a downloaded file does not have the expected hash.

    References
    ----------
    Srivatsan SR et al. Science 367:45-51 (2020); files of the R package monocle3.

    Examples
    --------
    >>> import rayot as rt
    >>> rt.datasets.sciplex2().shape  # doctest: +SKIP
    (500, 198)
    """
    entry = registry()["sciplex2"]
    # The files are RDS inside, whatever their names say.
    matrix, cells, genes = (read_rds(path) for path in fetch(entry).values())
    counts = cells_by_features(matrix)
    vehicle = cells["vehicle"].to_numpy(dtype=bool)
    drug = np.where(vehicle, Key.obs.control, "dexamethasone")
    factors = sparse.diags(1 / cells["Size_Factor"].to_numpy())
    numbers = {
        "n_umi": "n.umi",
        "size_factor": "Size_Factor",
        "proliferation_index": "proliferation_index",
        "g1s_score": "g1s_score",
        "g2m_score": "g2m_score",
    }
    obs = pd.DataFrame(
        {
            Key.obs.perturbation: drug,
            "drug": drug,
            "dose": cells["dose"].to_numpy(np.float32),
            Key.obs.cell_type: strings(cells["cell_type"]),
            "replicate": strings(cells["replicate"]),
            **{name: cells[column].to_numpy(np.float32) for name, column in numbers.items()},
        },
        index=strings(cells["cell"]),
    )
    var = pd.DataFrame(
        {"ensembl": strings(genes["id"])},
        index=pd.Index(strings(genes["gene_short_name"]), name="gene_short_name"),
    )
    x = (factors @ counts).log1p().tocsr()
    return entry.sign(ad.AnnData(x, obs=obs, var=var, layers={Key.layers.counts: counts}))
