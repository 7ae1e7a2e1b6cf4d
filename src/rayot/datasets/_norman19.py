"""Single and double gene activations in K562 cells."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd

from rayot.data.keys import Key
from rayot.datasets._download import fetch
from rayot.datasets._registry import registry


def norman19() -> ad.AnnData:
    """K562 cells with one or two genes activated by CRISPRa (Norman et al. 2019).

    The development subset of PerturBench: 33 activations, at most 100 cells each.

    Returns
    -------
    AnnData of 3,375 cells x 500 genes with

    - ``X``: float32 CSR, log-normalised;
    - ``obs``: "perturbation" ("control", "KLF1", "KLF1+MAP2K6", ...), "perturbation_type",
      "cell_type", "n_counts" (float32), "n_genes" (int);
    - ``uns["source"]`` and ``uns["x_description"]``.

    Raises
    ------
    OSError
        If the file is not cached and cannot be downloaded.
    ValueError
        If the downloaded file does not have the expected hash.

    References
    ----------
    Norman TM et al. Science 365:786-793 (2019); file of Wu Y et al., PerturBench.

    Examples
    --------
    >>> import rayot as rt
    >>> rt.datasets.norman19().shape  # doctest: +SKIP
    (3375, 500)
    """
    entry = registry()["norman19"]
    (path,) = fetch(entry).values()
    both = ad.read_h5ad(path)
    # The file also holds glioblastoma cells of another study.
    parsed = both[both.obs["dataset"] == "norman19"]
    adata = ad.AnnData(
        parsed.X.copy(),
        obs=pd.DataFrame(
            {
                Key.obs.perturbation: parsed.obs["condition"].astype(str),
                "perturbation_type": parsed.obs["perturbation_type"].astype(str),
                Key.obs.cell_type: parsed.obs["cell_type"].astype(str),
                "n_counts": parsed.obs["ncounts"].astype(np.float32),
                "n_genes": parsed.obs["ngenes"].astype(np.int64),
            }
        ),
        var=pd.DataFrame(index=parsed.var_names),
    )
    return entry.sign(adata)
