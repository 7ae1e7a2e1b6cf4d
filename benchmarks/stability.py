"""The same cell, the same answer: python benchmarks/stability.py [--splits 0].

How far the moves of held-out source cells lie apart in 50 principal components, over their mean
length (``rayot.metrics.instability``), and their mean cosine: between fits with three seeds
(``seeds``), on two bootstraps of the training cells with one seed (``bootstraps``), and with one
seed on the cells in two orders (``orders``). A method that ignores its seed moves cells alike
between ``seeds`` alone.

``way``: of one fit, in MMD and energy distance to held-out cells in components, and in energy
distance of calibrated genes. ``spread``: total variance of predicted over that of held-out target
cells, in components and in calibrated genes. ``seconds`` are of the processor, on one thread, a fit
and nothing else. Components are those of all training cells. ``mean_shift`` moves all cells alike,
the control.

``--inner``: what the default was chosen on, splits of the *training* cells again (80/20), which no
cell of the table above is among the held-out ones of.
"""

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"

import time
import warnings
from functools import lru_cache
from itertools import combinations

import numpy as np
import pandas as pd
import torch
from rows import RESULTS, run
from sets import SETS, prepare

import rayot as rt
from rayot.metrics import energy_distance, instability, mmd, way

CELLS = 1000
"""Of each side that distances are between."""

METHODS = {
    "mean_shift": ("MeanShift", {}),
    "fast, 1 member": ("W1OT", {"n_seeds": 1}),
    "fast, 3 members": ("W1OT", {"n_seeds": 3}),
    "fast": ("W1OT", {}),
    "w2ot": ("W2OT", {}),
    "otcfm": ("OTCFM", {}),
}

FIVE = {"n_seeds": 5}
CANDIDATES = {
    "1 member": {"n_seeds": 1},
    "1 member, 1 ray": {"n_seeds": 1, "n_rays": 1},
    "1 member, potential of 128 units": {"n_seeds": 1, "width": 128},
    "1 member, 4 x the steps of the potential": {"n_seeds": 1, "potential_steps": 800},
    "1 member, 4 x the steps of the step size": {"n_seeds": 1, "step_steps": 1200},
    "1 member, batches of 1024": {"n_seeds": 1, "batch_size": 1024},
    "5 members, batches of 256": {**FIVE, "batch_size": 256},
    "5 members, batches of 256, half the steps": {
        **FIVE,
        "batch_size": 256,
        "potential_steps": 100,
        "step_steps": 150,
    },
    "5 members, batches of 128": {**FIVE, "batch_size": 128},
    "5 members, batches of 128, 1 ray": {**FIVE, "batch_size": 128, "n_rays": 1},
    "5 members, batches of 64": FIVE,
    "5 members, batches of 51": {**FIVE, "batch_size": 51},
    "8 members, batches of 64": {"n_seeds": 8},
}


class Cells:
    """One set, split, with the held-out cells that moves and distances are of."""

    def __init__(self, data: str, seed: int, inner: bool) -> None:
        self.target = SETS[data].target
        self.adata = prepare(data, "pca", seed, inner=inner)
        names = np.asarray(self.adata.obs["perturbation"].astype(str))
        self.is_test = np.asarray(self.adata.obs["split"] == "test")
        self.is_target = names == self.target
        self.rng = np.random.default_rng(seed)
        source, target = (
            self.rng.permutation(np.flatnonzero(self.is_test & (self.is_target == side)))
            for side in (False, True)
        )
        self.source, self.observed, self.truth = source, target[::2], target[1::2]
        self.orders = [self.rng.permutation(self.adata.n_obs) for _ in range(2)]
        self.bootstraps = [self.bootstrap() for _ in range(2)]

    def bootstrap(self) -> np.ndarray:
        """Rows with the training cells of each condition drawn with replacement."""
        parts = [np.flatnonzero(self.is_test)]
        for side in (False, True):
            of_side = np.flatnonzero(~self.is_test & (self.is_target == side))
            parts.append(self.rng.choice(of_side, len(of_side)))
        return np.concatenate(parts)

    def fit(self, kind: str, rows: np.ndarray | None, seed: int, **options: object):  # noqa: ANN201
        """A fitted map, the moves of the held-out source cells, and the seconds of the fit."""
        adata = self.adata
        if rows is not None:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Observation names are not unique")
                adata = adata[rows].copy()
            adata.obs_names_make_unique()
        model = getattr(rt.model, kind)
        spec = model.setup_anndata(adata, use_rep="X_pca")
        start = time.process_time()
        fitted = model(adata, spec, "control", self.target, preset="fast", seed=seed, **options)
        fitted.train(show_progress_bar=False)
        seconds = time.process_time() - start
        moved = fitted.predict(self.adata[self.source], write_genes=False, key="map").obsm["X_map"]
        return fitted, moved - self.adata.obsm["X_pca"][self.source], seconds

    def components(self, rows: np.ndarray) -> np.ndarray:
        return self.adata.obsm["X_pca"][rows]

    def genes(self, rows: np.ndarray) -> np.ndarray:
        block = self.adata.X[rows]
        return np.asarray(block.toarray() if hasattr(block, "toarray") else block)

    def ways(self, fitted, moves: np.ndarray) -> dict:  # noqa: ANN001
        """How close predicted cells are to held-out ones, and how spread they are."""
        size = min(len(self.source), len(self.observed), len(self.truth), CELLS)
        source, observed, truth = (rows[:size] for rows in (self.source, self.observed, self.truth))
        moved = self.components(source) + moves[:size]
        found = {}
        for name, metric in (("mmd", mmd), ("energy_distance", energy_distance)):
            parts = (self.components(source), moved, self.components(observed))
            found[f"way {name}"] = round(
                way(*(metric(part, self.components(truth)) for part in parts)), 4
            )
        genes = fitted.predict(self.adata[source]).to_df().to_numpy()
        parts = (self.genes(source), genes, self.genes(observed))
        found["way genes"] = round(
            way(*(energy_distance(part, self.genes(truth)) for part in parts)), 4
        )
        both = np.concatenate([observed, truth])
        for name, cells, of in (
            ("spread", moved, self.components),
            ("spread genes", genes, self.genes),
        ):
            found[name] = round(float(cells.var(0).sum() / of(both).var(0).sum()), 4)
        return found


@lru_cache(maxsize=1)
def cells_of(data: str, seed: int, inner: bool) -> Cells:
    return Cells(data, seed, inner)


def cosine(first: np.ndarray, second: np.ndarray) -> float:
    """Mean over cells of the cosine of two moves."""
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return float(((first * second).sum(1) / np.maximum(lengths, 1e-12)).mean())


def apart(name: str, moves: list[np.ndarray]) -> dict:
    """Instability and cosine, the mean over pairs of fits."""
    pairs = list(combinations(moves, 2))
    return {
        f"instability {name}": round(float(np.mean([instability(*each) for each in pairs])), 4),
        f"cosine {name}": round(float(np.mean([cosine(*each) for each in pairs])), 4),
    }


def measure(data: str, split: int, method: str) -> dict:
    torch.set_num_threads(1)
    cells = cells_of(data, split, False)
    kind, options = METHODS[method]
    fits = [cells.fit(kind, None, seed, **options) for seed in range(3)]
    first = fits[0][1]
    orders = [first, *(cells.fit(kind, rows, 0, **options)[1] for rows in cells.orders[:1])]
    bootstraps = [cells.fit(kind, rows, 0, **options)[1] for rows in cells.bootstraps]
    scores = [cells.ways(fitted, moves) for fitted, moves, _ in fits]
    return {
        **apart("seeds", [moves for _, moves, _ in fits]),
        **apart("bootstraps", bootstraps),
        **apart("orders", orders),
        **{name: round(float(np.mean([each[name] for each in scores])), 4) for name in scores[0]},
        "seconds": round(float(np.mean([seconds for *_, seconds in fits])), 2),
    }


def try_one(data: str, split: int, candidate: str) -> dict:
    torch.set_num_threads(1)
    cells = cells_of(data, split, True)
    fits = [cells.fit("W1OT", None, seed, **CANDIDATES[candidate]) for seed in range(2)]
    scores = [cells.ways(fitted, moves) for fitted, moves, _ in fits]
    return {
        **apart("seeds", [moves for _, moves, _ in fits]),
        **{name: round(float(np.mean([each[name] for each in scores])), 4) for name in scores[0]},
        "seconds": round(float(np.mean([seconds for *_, seconds in fits])), 2),
    }


def summary(name: str, of: str) -> None:
    """Means over splits, of each set, beside the rows."""
    table = pd.read_csv(RESULTS / f"{name}.csv")
    groups = table.groupby(["data", of], sort=False)
    means = groups.mean(numeric_only=True).drop(columns="split")
    means.round(3).round({"seconds": 1}).to_csv(RESULTS / f"{name}_summary.csv")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", default="0")
    parser.add_argument("--inner", action="store_true")
    options = parser.parse_args()
    name, of, rows, function = "stability", "method", METHODS, measure
    if options.inner:
        name, of, rows, function = "stability_inner", "candidate", CANDIDATES, try_one
    cases = [
        {"data": data, "split": split, of: row}
        for split in map(int, options.splits.split(","))
        for data in ("kang18", "gbm", "papalexi", "bcr")
        for row in rows
    ]
    run(name, cases, function)
    summary(name, of)
