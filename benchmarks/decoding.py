"""Predicted cells that look like cells: python benchmarks/decoding.py [--seeds 0,1,2].

Each map once, its predictions decoded with negative values as they are, set to zero where training
cells have none, and calibrated (the default where expression has zeros), by all training cells or
within strata as well. ``way``: in energy distance to held-out cells; ``components``: the same in 50
principal components. ``left within``: distances to held-out cells of the same stratum, over all
strata together, as a share of those of untouched cells, both above those of observed cells; 0 is as
good as these. ``zeros`` and ``variance``: share of zeros, and median ratio of the genes' variances
to those of held-out cells. ``correlations``: mean error of the correlations of genes, among the
half of the genes that vary most. ``genes``: those that scanpy's Wilcoxon test finds against
training control cells, as many of each; ``recall``: of those that observed cells find.

Controls: ``identity`` and ``observed``, a second half of the held-out cells, which all rows but
their own are compared with. On training cells split again, so that no test cell of any other table
is looked at.
"""

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"

from functools import lru_cache

import numpy as np
import scanpy as sc
import torch
from anndata import AnnData
from rows import RESULTS, run
from sets import SETS, prepare

import rayot as rt
from rayot.metrics import energy_distance, way

METHODS = {
    "w1ot": "W1OT",
    "mean_shift": "MeanShift",
    "quantile_map": "QuantileMap",
    "discrete_ot": "DiscreteOT",
    "otcfm": "OTCFM",
    "gaussian_ot": "GaussianOT",
    "w2ot": "W2OT",
    "genot": "GENOT",
}
DECODE = ("not clipped", "clipped", "calibrated", "calibrated within strata")
CELLS = 1000
LEAST = 10


class Held:
    """Held-out cells of one split, as arrays, with their strata."""

    def __init__(self, adata: AnnData, target: str, group: str | None, seed: int) -> None:
        names = np.asarray(adata.obs["perturbation"].astype(str))
        is_test = np.asarray(adata.obs["split"] == "test")
        self.adata, self.target, self.seed = adata, target, seed
        self.group = group
        strata = np.asarray(adata.obs[group].astype(str)) if group else np.full(len(names), "")
        rng = np.random.default_rng(seed)
        halves = rng.permutation(np.flatnonzero(is_test & (names == target)))
        self.observed, self.reference = halves[::2], halves[1::2]
        # As many as observed ones, which the figures of all rows are taken of.
        source = rng.permutation(np.flatnonzero(is_test & (names == "control")))
        self.source = np.sort(source[: len(self.observed)])
        self.spare = rng.permutation(np.flatnonzero(~is_test & (names == "control")))
        self.strata = strata

    def genes(self, rows: np.ndarray) -> np.ndarray:
        block = self.adata.X[rows]
        return np.asarray(block.toarray() if hasattr(block, "toarray") else block)

    def distance(self, cells: np.ndarray, rows: np.ndarray, stratum: str | None = None) -> float:
        """Energy distance to the reference, of all cells or of one stratum."""
        mine = np.arange(len(rows)) if stratum is None else self.strata[rows] == stratum
        theirs = self.reference
        if stratum is not None:
            theirs = theirs[self.strata[theirs] == stratum]
        return float(energy_distance(cells[mine][:CELLS], self.genes(theirs)[:CELLS]))

    def within(self, cells: np.ndarray, rows: np.ndarray) -> float:
        """The same, stratum by stratum, added up where all have cells."""
        parts = (self.source, self.observed, self.reference)
        names = [
            name
            for name in sorted(set(self.strata[self.source]))
            if min(np.sum(self.strata[part] == name) for part in parts) >= LEAST
        ]
        return sum(self.distance(cells, rows, name) for name in names)

    def in_components(self, cells: np.ndarray) -> np.ndarray:
        """Coordinates, from a centre that all sides share."""
        return cells @ self.adata.varm["PCs"]

    def found(self, cells: np.ndarray) -> set[str]:
        """Genes that scanpy finds, against as many control cells that were not transported."""
        n = min(len(cells), len(self.spare), CELLS)
        both = AnnData(np.concatenate([cells[:n], self.genes(self.spare[:n])]))
        both.var_names = self.adata.var_names
        both.obs["of"] = np.repeat(["cells", "control"], n)
        both.obs["of"] = both.obs["of"].astype("category")
        sc.tl.rank_genes_groups(
            both, "of", groups=["cells"], reference="control", method="wilcoxon"
        )
        table = sc.get.rank_genes_groups_df(both, "cells")
        return set(table.loc[table["pvals_adj"] < 0.05, "names"])

    def row(self, cells: np.ndarray, rows: np.ndarray) -> dict:
        """All figures of predicted cells, or of observed ones."""
        identity, observed = self.genes(self.source), self.genes(self.observed)
        truth = self.genes(np.concatenate([self.observed, self.reference]))
        left = np.nan
        if self.group:
            ends = self.within(identity, self.source), self.within(observed, self.observed)
            left = 1 - way(ends[0], self.within(cells, rows), ends[1])
        ends = self.distance(identity, self.source), self.distance(observed, self.observed)
        variance = truth.var(0)
        varies = variance > np.median(variance)
        with np.errstate(invalid="ignore", divide="ignore"):
            errors = np.corrcoef(cells[:, varies].T) - np.corrcoef(truth[:, varies].T)
        expected, genes = self.found(observed), self.found(cells)
        theirs = self.in_components(self.genes(self.reference)[:CELLS])
        parts = [
            float(energy_distance(self.in_components(each[:CELLS]), theirs))
            for each in (identity, cells, observed)
        ]
        return {
            "way": round(way(ends[0], self.distance(cells, rows), ends[1]), 4),
            "components": round(way(*parts), 4),
            "left within": round(left, 4),
            "zeros": round(float((cells == 0).mean()), 4),
            "zeros observed": round(float((truth == 0).mean()), 4),
            "variance": round(float(np.median(cells.var(0)[varies] / variance[varies])), 3),
            "correlations": round(float(np.nanmean(np.abs(errors))), 4),
            "genes": len(genes),
            "genes observed": len(expected),
            "recall": round(len(genes & expected) / max(1, len(expected)), 3),
        }


@lru_cache(maxsize=1)
def held(data: str, seed: int) -> Held:
    adata = prepare(data, "pca", seed, inner=True)
    return Held(adata, SETS[data].target, SETS[data].group, seed)


@lru_cache(maxsize=2)
def fitted(data: str, seed: int, method: str, decode: str, strata_key: str | None):  # noqa: ANN201
    adata = held(data, seed).adata
    model = getattr(rt.model, METHODS[method])
    use_rep = None if method == "quantile_map" else "X_pca"
    spec = model.setup_anndata(adata, use_rep=use_rep, strata_key=strata_key)
    options = {"preset": "fast", "seed": seed, "n_seeds": 1, "decode": decode}
    fit = model(adata, spec, "control", SETS[data].target, **options)
    fit.train(show_progress_bar=False)
    return fit


def measure(data: str, seed: int, method: str, decode: str) -> dict:
    torch.set_num_threads(1)
    cells = held(data, seed)
    if method in ("identity", "observed"):
        rows = cells.source if method == "identity" else cells.observed
        return cells.row(cells.genes(rows), rows)
    within = cells.group if decode.endswith("strata") else None
    word = "calibrated" if decode.startswith("calibrated") else "delta"
    model = fitted(data, seed, method, word, within)
    predicted = model.predict(
        cells.adata[cells.source], clip="auto" if decode == "clipped" else False
    )
    return cells.row(predicted.to_df().to_numpy(), cells.source)


def summary() -> None:
    """Means over seeds, written beside the rows."""
    import pandas as pd

    table = pd.read_csv(RESULTS / "decoding.csv", keep_default_na=False, na_values=["nan"])
    groups = table.groupby(["data", "method", "decode"], sort=False)
    means = groups.mean(numeric_only=True).drop(columns="seed").round(3)
    means["seeds"] = groups["seed"].nunique()
    means.to_csv(RESULTS / "decoding_summary.csv")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--methods", default=",".join(METHODS))
    options = parser.parse_args()
    cases = [
        {"data": data, "seed": seed, "method": method, "decode": decode}
        for seed in map(int, options.seeds.split(","))
        for data in ("kang18", "gbm", "papalexi", "bcr")
        for method, decodes in (
            ("identity", ("",)),
            *((method, DECODE) for method in options.methods.split(",")),
            ("observed", ("",)),
        )
        for decode in decodes
        if SETS[data].group or not decode.endswith("strata")
    ]
    run("decoding", cases, measure)
    summary()
