"""Simulated cells beside the real ones that they are modelled on: python benchmarks/simulator.py.

``simulator.csv``: statistics of ``kang18``, on its 1,000 most variable genes, and of ``simulated``
with as many types and genes; the constants of the simulator were chosen on these.
``simulator_scores.csv``: the ways that the mean shift and a preset come on simulated cells.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from rows import RESULTS, run
from scipy import stats
from sets import DELTA, embed

import rayot as rt

SEEDS = range(5)
N_GENES, N_TOP = 1000, 50
RESPONSIVE = ("CD14+Mono", "FCGR3A+Mono", "Dendritic", "type_0", "type_3", "type_6")
FDR = 0.01
SIZES = ((1000, 1000), (500, 1000), (2000, 500), (1000, 200))


def load(data: str, seed: int) -> AnnData:
    if data == "simulated":
        return rt.datasets.simulated(1000, N_GENES, 7, seed=seed)
    adata = rt.datasets.kang18()
    adata.obs["library_size"] = np.asarray(adata.layers["counts"].sum(1)).ravel()
    sc.pp.highly_variable_genes(adata, flavor="seurat_v3", layer="counts", n_top_genes=N_GENES)
    return adata[:, adata.var["highly_variable"]].copy()


class Sample:
    """Cells as arrays, with a random half for estimates without the noise of sampling."""

    def __init__(self, adata: AnnData, seed: int) -> None:
        self.x = adata.X.toarray().astype(float)
        self.counts = adata.layers["counts"].toarray().astype(float)
        self.library = adata.obs["library_size"].to_numpy(float)
        self.control = (adata.obs["perturbation"] == "control").to_numpy()
        self.cell_type = adata.obs["cell_type"].to_numpy(str)
        self.types = sorted(set(self.cell_type))
        self.responsive = np.isin(self.cell_type, RESPONSIVE)
        self.half = np.random.default_rng(seed).random(len(self.x)) < 0.5

    def log_rate(self, cells: np.ndarray) -> np.ndarray:
        return np.log((self.counts[cells].sum(0) + 0.5) / self.library[cells].sum())

    def log_fold_change(self, cells: np.ndarray) -> np.ndarray:
        return self.log_rate(cells & ~self.control) - self.log_rate(cells & self.control)

    def displacement(self, cells: np.ndarray) -> np.ndarray:
        return self.x[cells & ~self.control].mean(0) - self.x[cells & self.control].mean(0)

    def t_statistic(self, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """T statistic of each gene, and whether it responds at the false discovery rate."""
        t, p = stats.ttest_ind(
            self.x[cells & ~self.control], self.x[cells & self.control], equal_var=False
        )
        return np.nan_to_num(t), stats.false_discovery_control(np.nan_to_num(p, nan=1)) < FDR

    def is_type(self, name: str) -> np.ndarray:
        return self.cell_type == name


def expression(of: Sample) -> dict[str, float]:
    """What control cells are like."""
    control, counts = of.control, of.counts[of.control]
    share = pd.Series(of.cell_type[control]).value_counts(normalize=True)
    medians = [np.median(of.library[control & (of.responsive == side)]) for side in (True, False)]
    log_mean = np.log(of.counts.mean(0)[of.counts.sum(0) >= 3])
    within = [np.log(of.library[control & of.is_type(name)]).std() for name in of.types]
    return {
        "effective number of cell types": 1 / (share**2).sum(),
        "cells of the responsive lineage": of.responsive.mean(),
        "library size, median": np.median(of.library[control]),
        "library size, sd of the logarithm within types": np.mean(within),
        "library size, responsive lineage over the other": medians[0] / medians[1],
        "counts on these genes": counts.sum(1).mean() / of.library[control].mean(),
        "zeros": (counts == 0).mean(),
        "log mean expression of genes, sd": log_mean.std(),
        "log mean expression of genes, skewness": stats.skew(log_mean),
        "overdispersion within types, median": overdispersion(of),
        "variance between types": between(of.x[control], of.cell_type[control]),
        "variance between lineages": between(of.x[control], of.responsive[control]),
    }


def overdispersion(of: Sample) -> float:
    """Excess variance over the squared mean, by moments, of genes with half a count a cell."""
    found = []
    for name in of.types:
        cells = of.control & of.is_type(name)
        counts = of.counts[cells]
        rate = counts.sum(0) / of.library[cells].sum()
        expected = np.outer(of.library[cells], rate)
        excess = ((counts - expected) ** 2 - expected).sum(0)
        often = counts.mean(0) >= 0.5
        found.append(excess[often] / (expected[:, often] ** 2).sum(0))
    return float(np.median(np.concatenate(found)))


def between(x: np.ndarray, groups: np.ndarray) -> float:
    """Share of the variance that is between groups."""
    total = ((x - x.mean(0)) ** 2).sum()
    apart = [
        (groups == g).sum() * ((x[groups == g].mean(0) - x.mean(0)) ** 2).sum()
        for g in np.unique(groups)
    ]
    return sum(apart) / total


def response_of_genes(of: Sample) -> dict[str, float]:
    """How many genes respond, where, and how much."""
    changes = [of.log_fold_change(of.responsive), of.log_fold_change(~of.responsive)]
    first, second = (of.t_statistic(side)[1] for side in (of.responsive, ~of.responsive))
    both, alone = first & second, first & ~second
    n_responding = (first | second).sum()
    measured = of.counts.sum(0) >= 50
    slope = (changes[0] * changes[1])[both & measured].sum() / (
        changes[0][both & measured] ** 2
    ).sum()
    before = of.log_rate(of.control)
    return {
        "genes that respond": n_responding / len(both),
        "of these, in both lineages": both.sum() / n_responding,
        "of these, in the responsive lineage alone": alone.sum() / n_responding,
        "up, in both lineages": (changes[0][both] > 0).mean(),
        "up, in the responsive lineage alone": (changes[0][alone] > 0).mean(),
        "log fold change in both lineages, rms": rms(changes, both & measured),
        "log fold change in the responsive alone, rms": rms(changes[:1], alone & measured),
        "log fold change, other lineage over the responsive": slope,
        "correlation of log fold change and expression before": np.corrcoef(
            changes[0][first], before[first]
        )[0, 1],
    }


def rms(changes: Sequence[np.ndarray], genes: np.ndarray) -> float:
    return float(np.mean([np.sqrt((change[genes] ** 2).mean()) for change in changes]))


def response_of_types(of: Sample) -> dict[str, float]:
    """How mean displacements differ between types; products of two halves have no sampling bias."""
    first, second = (
        np.array([of.displacement(of.is_type(name) & half) for name in of.types])
        for half in (of.half, ~of.half)
    )
    products = (first @ second.T + second @ first.T) / 2
    norms = np.sqrt(np.maximum(np.diag(products), 1e-6))
    cosines = products / np.outer(norms, norms)
    responsive = np.isin(of.types, RESPONSIVE)
    same = responsive[:, None] == responsive
    upper = np.triu(np.ones_like(same), 1)
    weights = np.array([of.is_type(name).mean() for name in of.types])
    deviations = [each - weights @ each for each in (first, second)]
    mean = (weights @ first) @ (weights @ second)
    spreads = [np.sqrt(of.x[of.control & of.is_type(name)].var(0).sum()) for name in of.types]
    axes = np.linalg.svd(
        np.sqrt(weights)[:, None] * (deviations[0] + deviations[1]) / 2, compute_uv=False
    )
    return {
        "cosine of types of one lineage": np.median(cosines[upper & same]),
        "cosine of types of two lineages": np.median(cosines[upper & ~same]),
        "displacement, responsive lineage over the other": norms[responsive].mean()
        / norms[~responsive].mean(),
        "displacement over the spread of control cells": np.mean(norms / spreads),
        "differences between types, over the mean displacement": (
            weights * (deviations[0] * deviations[1]).sum(1)
        ).sum()
        / mean,
        "of these, on one axis": axes[0] ** 2 / (axes**2).sum(),
    }


def response_within_types(of: Sample) -> dict[str, float]:
    """How the response varies from cell to cell, along the displacement of the other half."""
    top = np.argsort(-np.abs(of.t_statistic(np.ones_like(of.control))[0]))[:N_TOP]
    excess, silent, ratios, weights = [], [], [], []
    for name in of.types:
        cells = of.is_type(name)
        along: dict[bool, list[np.ndarray]] = {True: [], False: []}
        for half in (of.half, ~of.half):
            direction = of.displacement(cells & half)
            direction = direction / np.linalg.norm(direction)
            for control in (True, False):
                rows = cells & ~half & (of.control == control)
                along[control].append(of.x[rows] @ direction)
        before, after = (np.concatenate(along[control]) for control in (True, False))
        excess.append((after.var() - before.var()) / (after.mean() - before.mean()) ** 2)
        silent.append((after < np.quantile(before, 0.95)).mean())
        variances = [of.x[cells & side][:, top].var(0).sum() for side in (~of.control, of.control)]
        ratios.append(variances)
        weights.append(cells.mean())
    after_and_before = np.array(weights) @ np.array(ratios)
    return {
        "variance along the displacement, over its square": np.mean(excess),
        "perturbed cells within 95 % of control cells": np.mean(silent),
        f"variance within types, {N_TOP} genes, after over before": after_and_before[0]
        / after_and_before[1],
    }


def measure(data: str, seed: int) -> dict[str, float]:
    of = Sample(load(data, seed), seed)
    found = expression(of)
    for part in (response_of_genes, response_of_types, response_within_types):
        found |= part(of)
    return {name: round(float(value), 3) for name, value in found.items()}


def score(cells: int, genes: int, preset: str, seed: int) -> dict[str, float]:
    adata = rt.datasets.simulated(cells, genes, seed=seed)
    rt.pp.split(adata, stratify="cell_type", seed=seed)
    training = adata[adata.obs["split"] == "train"]
    seen, _ = sc.pp.filter_genes(training, min_cells=1, inplace=False)
    adata = adata[:, seen].copy()
    embed(adata)
    rt.tl.w1ot(
        adata,
        "control",
        "perturbed",
        use_rep="X_pca",
        preset=preset,
        **(DELTA if preset == "fast" else {}),
        seed=seed,
        show_progress_bar=False,
    )
    table = rt.tl.evaluate(adata, seed=seed)
    return {
        f"{name} {column}": round(float(table.loc[method, column]), 3)
        for name, method in (("map", "w1ot"), ("mean shift", "mean shift"))
        for column in ("way_mmd", "way_energy_distance")
    }


def summarise() -> None:
    """Statistics side by side, and the ways by preset and size."""
    table = pd.read_csv(RESULTS / "simulator.csv")
    groups = table.drop(columns="seed").groupby("data")
    means, spread = groups.mean().T, groups.std().T
    summary = pd.DataFrame(
        {
            "kang18": means["kang18"],
            "simulated": means["simulated"],
            "simulated, sd": spread["simulated"],
        }
    ).round(2)
    summary.rename_axis("statistic").to_csv(RESULTS / "simulator_summary.csv")
    scores = pd.read_csv(RESULTS / "simulator_scores.csv")
    columns = [name for name in scores if " way_" in name]
    ways = scores.groupby(["cells", "genes", "preset"], sort=False)[columns].agg(
        ["mean", "min", "max"]
    )
    cells = {
        column.replace("way_", "").replace("_", " "): ways[column].apply(
            lambda row: f"{row['mean']:.2f} ({row['min']:.2f} to {row['max']:.2f})", axis=1
        )
        for column in columns
    }
    pd.DataFrame(cells).reset_index().to_csv(RESULTS / "simulator_scores_summary.csv", index=False)
    print(summary.to_string())


if __name__ == "__main__":
    cases = [{"data": "kang18", "seed": 0}]
    cases += [{"data": "simulated", "seed": seed} for seed in SEEDS]
    run("simulator", cases, measure)
    sizes = [(*size, "fast") for size in SIZES] + [(*SIZES[0], "paper")]
    run(
        "simulator_scores",
        [
            {"cells": cells, "genes": genes, "preset": preset, "seed": seed}
            for cells, genes, preset in sizes
            for seed in SEEDS
        ],
        score,
    )
    summarise()
