"""Supplementary figure S3: five genes are doubled; do maps see by how much?"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

import rayot as rt
from rayot._docs import shared
from rayot._public import public
from rayot.data.keys import Key
from rayot.data.matrix import dense
from rayot.reproduce._cases import FEW_STEPS, measured, names_of, seeds_of, write
from rayot.reproduce._table import beside_paper, published, runs
from rayot.train.threads import threads_for

if TYPE_CHECKING:
    from matplotlib.figure import Figure

N_GENES = 1000
N_DOUBLED = 5
METHODS = ("identity", "w1ot", "w2ot", "scgen", "biolord", "cpa")


@public(seeds=seeds_of, methods=partial(names_of, known=METHODS))
@shared
def supplement3(
    folder: str | Path,
    *,
    methods: Sequence[str] = METHODS,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    quick: bool = False,
    show_progress_bar: bool = True,
) -> pd.DataFrame:
    """Supplementary figure S3 of the paper, on other cells: five genes are doubled.

    The control cells of :func:`rayot.datasets.kang18` and 1,000 variable genes stand in for the 48
    features of 4i: one half is the control, the other the treated cells, in which five well
    expressed genes are doubled on the scale of counts. ``error`` is the mean absolute error of the
    log2 fold-change of these genes on held-out cells, where 1 is the truth, and ``others`` that of
    all other genes that are expressed, where 0 is. Methods have their published settings
    (``preset="paper"``), with which W2OT takes hours on 1,000 genes.

    Parameters
    ----------
    methods
        Some of "identity", "w1ot", "w2ot", "scgen", "biolord" and "cpa".
    {reproduced}

    Returns
    -------
    Columns ``experiment``, ``data``, ``method``, ``metric``, ``paper``, ``ours``, ``difference``,
    which is empty as the cells are others, ``seconds`` of the processor for a fit and ``note``.
    Writes ``supplement3.png``.

    Raises
    ------
    BlockingIOError
        If another process works in the folder.
    OSError
        If nothing can be written to it, or the cells cannot be downloaded.
    ValueError
        If it holds other results, or an argument is something else.

    References
    ----------
    Chen Y, Hu Z, Chen W, Huang H. Bioinformatics (2025).

    Examples
    --------
    >>> import rayot as rt
    >>> rt.reproduce.supplement3("supplement3", methods=["w1ot"])  # doctest: +SKIP
    """
    folder = Path(folder)
    options = {"preset": "paper", "max_steps": FEW_STEPS} if quick else {"preset": "paper"}
    found = measured(
        folder,
        {"experiment": "supplement3", "quick": quick},
        [{"method": method, "seed": seed} for seed in seeds for method in methods],
        partial(_measured, options=options),
        show_progress_bar,
    )
    table = _table(found, quick)
    write(folder, table, {"supplement3": _drawn(table)})
    return table


def _measured(method: str, seed: int, options: Mapping[str, Any]) -> dict[str, float]:
    return measure(method, seed, {} if method == "identity" else options)


@lru_cache(maxsize=1)
def doubled_cells(seed: int) -> tuple[AnnData, np.ndarray]:
    """Control cells in two halves, of which the second has some genes doubled; these genes."""
    import scanpy as sc

    adata = rt.datasets.kang18()
    rt.pp.split(adata, stratify=Key.obs.cell_type, seed=seed)
    training = adata[adata.obs[Key.obs.split] == Key.obs.train].copy()
    sc.pp.highly_variable_genes(training, n_top_genes=N_GENES)
    adata = adata[:, training.var[Key.var.highly_variable].to_numpy()]
    adata = adata[adata.obs[Key.obs.perturbation] == Key.obs.control].copy()
    rng = np.random.default_rng(seed)
    values = dense(adata.X)
    expressed = np.flatnonzero((values > 0).mean(0) > 0.3)
    genes = np.sort(rng.choice(expressed, N_DOUBLED, replace=False))
    treated = rng.permutation(adata.n_obs) < adata.n_obs // 2
    doubled = np.ix_(treated, genes)
    values[doubled] = np.log1p(2 * np.expm1(values[doubled]))
    found = AnnData(values, obs=adata.obs.copy(), var=adata.var[[]].copy())
    found.obs[Key.obs.perturbation] = np.where(treated, "doubled", Key.obs.control)
    return found, genes


def measure(method: str, seed: int, options: Mapping[str, Any]) -> dict[str, float]:
    """Fit a method, by its verb and keywords of it, and look at the genes of held-out cells."""
    adata, genes = doubled_cells(seed)
    with threads_for(0):
        start = time.process_time()
        getattr(rt.tl, method)(
            adata,
            Key.obs.control,
            "doubled",
            key_added="map",
            seed=seed,
            show_progress_bar=False,
            **options,
        )
        seconds = time.process_time() - start
    is_control = (adata.obs[Key.obs.perturbation] == Key.obs.control).to_numpy()
    held_out = is_control & (adata.obs[Key.obs.split] == Key.obs.test).to_numpy()
    change = rt.metrics.log_fold_change(adata.layers["map"][held_out], adata.X[held_out])
    error = np.abs(change - np.isin(np.arange(adata.n_vars), genes))
    return {
        "seconds": round(seconds, 1),
        "error": round(float(error[genes].mean()), 4),
        "others": round(float(np.nanmean(np.delete(error, genes))), 4),
    }


def _table(found: pd.DataFrame, quick: bool) -> pd.DataFrame:
    means = found.groupby("method", sort=False)[["error", "others", "seconds"]].mean()
    seconds = means.pop("seconds")
    theirs = published("supplement3").melt("method", var_name="metric", value_name="paper")
    rows = means.melt(var_name="metric", value_name="ours", ignore_index=False).reset_index()
    rows = rows.merge(theirs, "left", ["method", "metric"])
    rows = rows.assign(
        data="kang18, 1,000 genes",
        seconds=rows["method"].map(seconds),
        note=f"{runs(found['seed'].nunique())}; stands in for 4i, 48 features",
        comparable=False,
    )
    return beside_paper("supplement3", rows, quick)


def _drawn(table: pd.DataFrame) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.5), layout="constrained")
    ax = figure.subplots()
    of = table[table["metric"] == "error"].set_index("method")[["ours", "paper"]]
    places = np.arange(len(of))
    ax.bar(places - 0.2, of["ours"], 0.4, label="ours, kang18")
    ax.bar(places + 0.2, of["paper"], 0.4, label="the paper's, 4i")
    ax.set_xticks(places, of.index)
    ax.set_ylabel("error of log fold-change")
    ax.legend()
    return figure
