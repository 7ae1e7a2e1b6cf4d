"""Mass cytometry of stimulated blood cells."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from rayot.data.keys import Key
from rayot.datasets._download import fetch
from rayot.datasets._rdata import read_rda, strings
from rayot.datasets._registry import registry

_COARSE = {
    "cd14+hladr-": "Monocyte (CD14+)",
    "cd14+hladrhigh": "Monocyte (CD14+)",
    "cd14+hladrmid": "Monocyte (CD14+)",
    "cd14+surf-": "CD14+ surface-",
    "cd14-hladr-": "CD14- myeloid",
    "cd14-hladrhigh": "CD14- myeloid",
    "cd14-hladrmid": "CD14- myeloid",
    "cd14-surf-": "Surface-negative",
    "cd4+": "CD4 T",
    "cd8+": "CD8 T",
    "dendritic": "Dendritic",
    "igm+": "B IgM+",
    "igm-": "B IgM-",
    "nk": "NK",
}


def bodenmiller12() -> ad.AnnData:
    """Mass cytometry of blood cells under three stimuli (Bodenmiller et al. 2012).

    The responses differ by cell type: crosslinking of the B cell receptor moves pS6 in B cells and
    hardly in T cells.

    Returns
    -------
    AnnData of 51,936 cells x 23 proteins with

    - ``X``: dense float32, arcsinh(intensity / 5);
    - ``obs``: "perturbation" ("control", "BCR/FcR-XL", "PMA/Ionomycin", "vanadate"),
      "cell_type_fine" (14 gates), "cell_type" (10), "well";
    - ``var["marker_class"]``: "type" for 9 surface markers, "state" for 14 phosphorylation sites;
    - ``uns["source"]`` and ``uns["x_description"]``.

    Raises
    ------
    OSError
        If a file is not cached and cannot be downloaded.
    ValueError
        If a downloaded file does not have the expected hash.

    References
    ----------
    Bodenmiller B et al. Nat Biotechnol 30:858-867 (2012); files of the R package bodenmiller.

    Examples
    --------
    >>> import rayot as rt
    >>> rt.datasets.bodenmiller12().shape  # doctest: +SKIP
    (51936, 23)
    """
    entry = registry()["bodenmiller12"]
    paths = fetch(entry)
    parts = [_part(paths, "ref"), _part(paths, "untreated")]
    # The first part has no column Treatment: none of its cells was stimulated.
    condition = [
        strings(about.get("Treatment", np.repeat(Key.obs.control, len(about))))
        for about, _, _ in parts
    ]
    about = pd.concat([part[0][["Source", "Cells"]].astype(str) for part in parts])
    surface, phospho = (pd.concat([part[i] for part in parts]) for i in (1, 2))
    # R turned the hyphen of HLA-DR into a point.
    markers = [name.replace(".", "-") for name in (*surface.columns, *phospho.columns)]
    adata = ad.AnnData(
        np.hstack([surface.to_numpy(), phospho.to_numpy()]),
        obs=pd.DataFrame(
            {
                Key.obs.perturbation: np.concatenate(condition),
                "cell_type_fine": about["Cells"].to_numpy(),
                Key.obs.cell_type: about["Cells"].map(_COARSE).to_numpy(),
                "well": about["Source"].str.extract(r"_([A-H]\d\d)\.fcs$")[0].to_numpy(),
            },
            index=[f"cell{i}" for i in range(len(about))],
        ),
        var=pd.DataFrame(
            {
                "marker_class": pd.Categorical(
                    np.repeat(["type", "state"], [surface.shape[1], phospho.shape[1]])
                )
            },
            index=markers,
        ),
    )
    return entry.sign(adata)


def _part(paths: dict[str, Path], prefix: str) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Annotations, surface markers and phosphorylation sites of one set of wells."""
    annotations = read_rda(paths[f"bodenmiller_{prefix}Annots.rda"])
    matrices = [read_rda(paths[f"bodenmiller_{prefix}{kind}Mat.rda"]) for kind in ("Pheno", "Func")]
    surface, phospho = (
        pd.DataFrame(matrix.to_numpy(), columns=strings(matrix["dim_1"])) for matrix in matrices
    )
    return annotations, surface, phospho
