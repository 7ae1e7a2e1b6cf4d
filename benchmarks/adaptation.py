"""A few treated cells of a new group: python benchmarks/adaptation.py [--patients FILE].

Each cell type of kang18, each patient of gbm and, with ``--patients FILE``, each of the 8 patients
of Bodenmiller et al. (2012, BCR/FcR-XL) in turn is held out whole; a map is fitted with the others
as strata, ``preset="fast"``, and then told 0 to 100 treated cells of the new one. Scores are ways
in energy distance of the new group's control cells to its other treated cells, on the 50 genes (all
proteins) that differ most between the training cells of both conditions.

``adapted`` is ``model.adapt``. ``their mean shift`` and ``their quantile map`` know the same cells
and no other group; ``their own fit`` is a map of the new group alone, ``fit again`` one of all
groups with these cells among them. Controls: ``identity`` is 0 and ``observed``, other treated
cells, 1; ``cells of others`` is ``model.adapt`` with treated cells of another group under the name
of the new one. Cells that are learned from are never scored, and all rows have as many cells.
``seconds`` are processor time of what is done once the cells are known.
"""

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"

import time
from dataclasses import dataclass
from functools import lru_cache

import anndata as ad
import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from rows import RESULTS, run
from sets import SETS, prepare
from unseen_word import GROUPS

import rayot as rt
from rayot.metrics import energy_distance, way

N_CELLS = (0, 3, 10, 30, 100)
MOST_SCORED, N_GENES = 300, 50
LEAST_SUMMARISED = 30
LEAST_OF_A_FIT, LEAST_OF_A_STRATUM = 20, 10
FIT = {"preset": "fast", "n_seeds": 1, "show_progress_bar": False}


@dataclass
class New:
    """A new group: its cells, those that are told and those that are scored."""

    adata: AnnData
    target: str
    group: str
    name: str
    model: rt.model.W1OT
    genes: np.ndarray
    control: np.ndarray
    told: np.ndarray
    observed: np.ndarray
    reference: np.ndarray

    def cells(self, rows: np.ndarray) -> np.ndarray:
        block = self.adata.X[rows]
        return np.asarray(block.toarray() if hasattr(block, "toarray") else block)

    @property
    def use_rep(self) -> str | None:
        return "X_pca" if "X_pca" in self.adata.obsm else None

    def fit(self, rows: np.ndarray, **options: object) -> rt.model.W1OT:
        adata = self.adata[rows].copy()
        adata.obs["split"] = "train"
        options = {**FIT, "use_rep": self.use_rep, "leave_out_strata": False, **options}
        return rt.tl.w1ot(adata, "control", self.target, **options)

    def predicted(self, model: rt.model.W1OT) -> np.ndarray:
        found = model.predict(self.adata[self.control[: len(self.reference)]].copy()).X
        return np.asarray(found.toarray() if hasattr(found, "toarray") else found)


def load(data: str, unseen: str, seed: int) -> tuple[AnnData, str, str]:
    if data != "patients":
        adata = prepare(data, "pca", seed, unseen=unseen)
        return adata, SETS[data].target, SETS[data].group
    adata = ad.read_h5ad(PATIENTS)
    adata.obs["split"] = np.where(adata.obs["patient"] == unseen, "test", "train")
    return adata, "BCR/FcR-XL", "patient"


def differing(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Genes by Welch's t-statistic."""
    error = np.sqrt(before.var(0) / len(before) + after.var(0) / len(after)) + 1e-9
    return np.argsort(-np.abs(after.mean(0) - before.mean(0)) / error)[:N_GENES]


@lru_cache(maxsize=1)
def new_group(data: str, unseen: str, seed: int) -> New:
    adata, target, group = load(data, unseen, seed)
    model = rt.tl.w1ot(
        adata.copy(),
        "control",
        target,
        use_rep="X_pca" if "X_pca" in adata.obsm else None,
        strata_key=group,
        seed=seed,
        **FIT,
    )
    rng = np.random.default_rng(seed)
    own = (adata.obs[group] == unseen).to_numpy()
    is_control = (adata.obs["perturbation"] == "control").to_numpy()
    control = rng.permutation(np.flatnonzero(own & is_control))
    treated = rng.permutation(np.flatnonzero(own & ~is_control))
    n_told = min(max(N_CELLS), len(treated) // 3)
    told, rest = treated[:n_told], treated[n_told:]
    n = min(MOST_SCORED, len(rest) // 2, len(control))
    new = New(
        adata,
        target,
        group,
        unseen,
        model,
        np.arange(0),
        control,
        told,
        rest[:n],
        rest[n : 2 * n],
    )
    sides = (new.cells(np.flatnonzero(~own & side)) for side in (is_control, ~is_control))
    new.genes = differing(*sides)
    return new


def of_others(new: New, n: int, seed: int) -> AnnData:
    """The new group's control cells, and treated cells of one other group under its name."""
    labels = new.adata.obs[new.group].astype(str).to_numpy()
    is_treated = (new.adata.obs["perturbation"] == new.target).to_numpy()
    rng = np.random.default_rng(seed)
    other = rng.choice(sorted(set(labels) - {new.name}))
    rows = rng.permutation(np.flatnonzero(is_treated & (labels == other)))[:n]
    cells = new.adata[np.concatenate([new.control, rows])].copy()
    cells.obs[new.group] = new.name
    return cells


def predict(new: New, n: int, method: str, seed: int) -> np.ndarray | None:
    """Predicted cells; None where so few cells are too few for the method."""
    told, start = new.told[:n], new.cells(new.control)
    both = np.concatenate([new.control, told])
    scored = new.control[: len(new.reference)]
    if method == "identity":
        return new.cells(scored)
    if method == "observed":
        return new.cells(new.observed)
    if n == 0:
        return new.predicted(new.model) if method == "adapted" else None
    if method == "adapted":
        return new.predicted(new.model.adapt(new.adata[both].copy(), new.name))
    if method == "cells of others":
        return new.predicted(new.model.adapt(of_others(new, n, seed), new.name))
    if method == "their mean shift":
        found = new.cells(scored) + new.cells(told).mean(0) - start.mean(0)
        return np.maximum(found, 0) if start.min() >= 0 else found
    if method == "their quantile map":
        sides = [np.sort(new.cells(rows), axis=0) for rows in (new.control, told)]
        places = [np.argsort(np.argsort(gene, kind="stable")) for gene in start.T]
        ranks = (np.stack(places, 1)[: len(scored)] + 0.5) / len(start)
        chosen = np.minimum((ranks * n).astype(np.intp), n - 1)
        return np.take_along_axis(sides[1], chosen, axis=0)
    if method == "their own fit":
        if n < LEAST_OF_A_FIT:
            return None
        return new.predicted(new.fit(both, seed=seed))
    assert method == "fit again"
    if n < LEAST_OF_A_STRATUM:
        return None
    others = np.flatnonzero((new.adata.obs["split"] == "train").to_numpy())
    fitted = new.fit(np.concatenate([others, both]), seed=seed, strata_key=new.group)
    return new.predicted(fitted)


METHODS = (
    "identity",
    "observed",
    "adapted",
    "cells of others",
    "their mean shift",
    "their quantile map",
    "their own fit",
    "fit again",
)


def measure(data: str, unseen: str, seed: int, n_cells: int, method: str) -> dict:
    torch.set_num_threads(1)
    new = new_group(data, unseen, seed)
    found, seconds = None, np.nan
    if n_cells <= len(new.told):
        start = time.process_time()
        found = predict(new, n_cells, method, seed)
        seconds = round(time.process_time() - start, 2)
    if found is None:
        return {"way": np.nan, "way, all genes": np.nan, "seconds": np.nan}
    start, observed, reference = (
        new.cells(rows) for rows in (new.control[: len(new.reference)], new.observed, new.reference)
    )

    def score(genes: np.ndarray) -> float:
        ends = (
            energy_distance(each[:, genes], reference[:, genes])
            for each in (start, found, observed)
        )
        return round(float(way(*ends)), 4)

    return {
        "way": score(new.genes),
        "way, all genes": score(np.arange(reference.shape[1])),
        "seconds": seconds,
    }


def summary() -> None:
    """Means over groups and seeds, and of the worst group, one column a number of cells."""
    table = pd.read_csv(RESULTS / "adaptation.csv")
    # A mean over other groups would not compare: those that have so many cells in every column.
    most = table.dropna(subset=["way"]).groupby(["data", "unseen"])["n_cells"].max()
    names = table.set_index(["data", "unseen"]).index
    table = table[most.reindex(names).to_numpy() >= LEAST_SUMMARISED]
    parts = []
    for data, of_set in table.groupby("data", sort=False):
        of_groups = of_set.groupby(["method", "n_cells", "unseen"], sort=False)["way"].mean()
        levels = ["method", "n_cells"]
        for what, of in (
            ("mean", of_groups.groupby(level=levels, sort=False).mean()),
            ("worst group", of_groups.groupby(level=levels, sort=False).min()),
        ):
            part = of.unstack("n_cells").reindex(METHODS)
            part.insert(0, "figure", what)
            part.insert(0, "data", data)
            parts.append(part.reset_index())
    columns = ["data", "figure", "method", *N_CELLS]
    pd.concat(parts)[columns].round(3).to_csv(RESULTS / "adaptation_summary.csv", index=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", default="")
    parser.add_argument("--seeds", default="0,1,2,3,4")
    options = parser.parse_args()
    PATIENTS = options.patients
    cases = [
        {"data": data, "unseen": group, "seed": seed, "n_cells": n, "method": method}
        for seed in map(int, options.seeds.split(","))
        for data in GROUPS
        if data != "patients" or PATIENTS
        for group in GROUPS[data]
        for n in N_CELLS
        for method in METHODS
    ]
    run("adaptation", cases, measure)
    summary()
