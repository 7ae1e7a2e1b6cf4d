"""Predicted against observed log fold changes, gene by gene."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from rayot import metrics
from rayot.data.keys import Key
from rayot.data.modality import modality_of
from rayot.tl._held_out import read_held_out, read_maps

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


def log_fold_change(
    adata: AnnData | MuData,
    key: str = "w1ot",
    genes: Sequence[str] | None = None,
    *,
    n_top_genes: int = 50,
    log1p: bool = True,
    pseudocount: float = 0.01,
    modality: str | None = None,
) -> pd.DataFrame:
    """Log2 fold change of each gene against the source test cells, predicted and observed.

    All test cells are used. Means are taken on the linear scale.

    Parameters
    ----------
    adata
        Cells with the fitted map; in memory, a view, or backed. It is not changed.
    key
        Name of the fitted map.
    genes
        Names of ``adata.var_names``. By default those marked in ``adata.var["perturbed"]``, as
        simulated data have it, or else the ``n_top_genes`` genes with the largest absolute t
        statistic between source and target training cells.
    n_top_genes
        How many genes to take by default.
    log1p
        Expression is log(1 + x); False for expression on the linear scale.
    pseudocount
        Added to the means on the linear scale; see :func:`rayot.metrics.log_fold_change`.
    modality
        Modality of a MuData.

    Returns
    -------
    One row a gene. Columns ``observed``, ``predicted``, ``identity`` (zero) and ``mean shift``; and
    for each of the last three ``<column> error``, the column minus observed.

    Raises
    ------
    KeyError
        If the map was not fitted, has not written predicted expression, or a gene is unknown.
    ValueError
        If fewer than two cells of a kind are there.

    Examples
    --------
    >>> import anndata as ad, numpy as np, rayot as rt
    >>> counts = np.random.default_rng(0).poisson(20, size=(80, 3)).astype(float)
    >>> counts[40:, 0] *= 4
    >>> adata = ad.AnnData(np.log1p(counts))
    >>> adata.obs["perturbation"] = np.repeat(["control", "drug"], 40)
    >>> adata.obs["split"] = np.tile(["train", "test"], 40)
    >>> adata.layers["w1ot"] = np.log1p(counts * np.array([2, 1, 1]))
    >>> adata.uns["w1ot"] = dict(
    ...     source="control", target="drug", groupby="perturbation", split_key="split"
    ... )
    >>> rt.tl.log_fold_change(adata, "w1ot").loc["0", ["observed", "predicted"]].round().tolist()
    [2.0, 1.0]
    """
    adata = modality_of(adata, modality)
    if genes is None and Key.var.perturbed in adata.var:
        genes = adata.var_names[adata.var[Key.var.perturbed].astype(bool)].tolist() or None
    cells = read_held_out(adata, read_maps(adata, key), features=genes, n_top_genes=n_top_genes)
    populations = {
        Key.table.observed: cells.truth,
        Key.table.predicted: cells.predicted[key],
        Key.table.identity: cells.control,
        Key.table.mean_shift: cells.control + cells.shift,
    }
    table = pd.DataFrame(
        {
            name: metrics.log_fold_change(
                population, cells.control, log1p=log1p, pseudocount=pseudocount
            )
            for name, population in populations.items()
        },
        index=cells.features,
    )
    for name in (Key.table.predicted, Key.table.identity, Key.table.mean_shift):
        table[Key.table.error(name)] = table[name] - table[Key.table.observed]
    return table
