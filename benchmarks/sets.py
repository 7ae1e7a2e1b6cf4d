"""The real data sets of the benchmarks, split and embedded without a look at test cells."""

from dataclasses import dataclass

import numpy as np
import scanpy as sc
from anndata import AnnData

import rayot as rt

SPACES = ("genes", "pca")

DELTA = {"plan_kwargs": {"decode": "delta"}, "n_seeds": 1}
"""Predictions as one map makes them: tables of maps are not of calibrated genes or ensembles."""


@dataclass(frozen=True)
class Set:
    """A control and a treated population: where they come from, and groups to hold out."""

    loader: str
    target: str
    group: str | None = None
    n_genes: int | None = None


SETS = {
    "kang18": Set("kang18", "IFN-beta", "cell_type", 1000),
    "gbm": Set("gbm_panobinostat", "panobinostat", "patient"),
    "papalexi": Set("papalexi21", "IFNGR1"),
    "bcr": Set("bodenmiller12", "BCR/FcR-XL", "cell_type"),
    "pma": Set("bodenmiller12", "PMA/Ionomycin", "cell_type"),
}


def prepare(
    name: str,
    space: str,
    seed: int,
    unseen: str = "",
    inner: bool = False,
    with_controls: bool = False,
) -> AnnData:
    """Cells of one set: ``obs["split"]``, and ``obsm["X_pca"]`` where the space is ``"pca"``.

    ``unseen`` holds a group out, control cells too but for ``with_controls``.
    ``inner`` splits the training cells again and drops the test cells: what settings are chosen on.
    """
    of = SETS[name]
    adata = getattr(rt.datasets, of.loader)()
    adata = adata[adata.obs["perturbation"].isin(["control", of.target])].copy()
    split(adata, of, seed, unseen, with_controls)
    if inner:
        adata = adata[adata.obs["split"] == "train"].copy()
        split(adata, of, seed + 100, "")
    if of.n_genes:
        training = adata[adata.obs["split"] == "train"].copy()
        sc.pp.highly_variable_genes(training, n_top_genes=of.n_genes)
        adata = adata[:, training.var["highly_variable"].to_numpy()].copy()
    if space == "pca":
        embed(adata)
    return adata


def embed(adata: AnnData) -> None:
    """Principal components of training cells alone, in ``obsm["X_pca"]`` and ``varm["PCs"]``."""
    training = adata[adata.obs["split"] == "train"].copy()
    sc.pp.pca(training, n_comps=min(50, adata.n_vars - 1), mask_var=None)
    loadings = adata.varm["PCs"] = training.varm["PCs"]
    mean = np.asarray(training.X.mean(0)).ravel()
    adata.obsm["X_pca"] = np.asarray(adata.X @ loadings - mean @ loadings, dtype=np.float32)


def split(adata: AnnData, of: Set, seed: int, unseen: str, with_controls: bool = False) -> None:
    if unseen:
        control = "control" if with_controls else None
        rt.pp.split(adata, holdout={of.group: [unseen]}, control=control)
    else:
        rt.pp.split(adata, stratify=of.group, seed=seed)


def write_map_alone(adata: AnnData, model: rt.model.W1OT, clip: object = "auto") -> None:
    """What the map says of new groups, in the place of what experts do, as a verb wrote it."""
    if model.experts is not None:
        rows = np.flatnonzero(adata.obs["perturbation"] == "control")
        genes = model.transport(adata, rows, clip=clip, unseen="map").genes
        written = np.full(adata.shape, np.nan, dtype=np.float32)
        written[rows] = genes.toarray() if hasattr(genes, "toarray") else genes
        adata.layers["map"] = written
