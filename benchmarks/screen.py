"""A screen of the 25 knock-outs of papalexi21: python benchmarks/screen.py.

299 genes, 80/20, ``preset="fast"``. ``screen.csv`` compares each knock-out's energy distance to
held-out cells by the screen with that of its own single map; ``noise`` is the standard deviation of
the latter by sampling of held-out cells. ``screen_times.csv`` has wall seconds on
two cores: of the largest pair alone, of the screen with all knock-outs fitted, and with those that
pass the false discovery rate; processes are started before the clock.
"""

import argparse
import time

import joblib
import numpy as np
from anndata import AnnData
from rows import run
from sets import DELTA

import rayot as rt


def cells() -> AnnData:
    adata = rt.datasets.papalexi21()
    rt.pp.split(adata)
    return adata


def screen_of(adata: AnnData, **options: object) -> rt.model.Screen:
    return rt.tl.screen(adata, "control", show_progress_bar=False, **DELTA, **options)


class Pair:
    """Held-out cells of control and of one knock-out, and how far predictions are from them."""

    def __init__(self, adata: AnnData, target: str) -> None:
        test = (adata.obs["split"] == "test").to_numpy()
        label = adata.obs["perturbation"].astype(str).to_numpy()
        self.control = adata[test & (label == "control")].copy()
        self.truth = adata[test & (label == target)].X.toarray()

    def distance(self, predicted: np.ndarray) -> float:
        return float(rt.metrics.energy_distance(predicted, self.truth))

    def noise(self, predicted: np.ndarray) -> float:
        rng = np.random.default_rng(0)
        found = []
        for _ in range(20):
            halves = [
                cells[rng.permutation(len(cells))[: max(2, len(cells) // 2)]]
                for cells in (predicted, self.truth)
            ]
            found.append(rt.metrics.energy_distance(*halves))
        # Halves vary √2 times as much as the whole.
        return float(np.std(found) / np.sqrt(2))


def compare(adata: AnnData, screens: dict[str, rt.model.Screen], target: str) -> dict:
    """One knock-out by two screens and by its own map, of two seeds."""
    pair = Pair(adata, target)
    singles = []
    for seed in (0, 1):
        options = {"preset": "fast", "seed": seed, "write_genes": False, **DELTA}
        model = rt.tl.w1ot(adata, "control", target, show_progress_bar=False, **options)
        singles.append(model.predict(pair.control).to_df().to_numpy())
    predicted = {
        name: each.predict(pair.control, target).to_df().to_numpy()
        for name, each in screens.items()
    }
    row = screens["fdr 0.05"].table.set_index("perturbation").loc[target]
    return {
        "cells": int(row["n_cells"]),
        "q_value": round(float(row["q_value"]), 4),
        "identity": round(pair.distance(pair.control.X.toarray()), 4),
        **{name: round(pair.distance(each), 4) for name, each in predicted.items()},
        "single": round(pair.distance(singles[0]), 4),
        "single, other seed": round(pair.distance(singles[1]), 4),
        "noise": round(pair.noise(singles[0]), 4),
    }


def seconds(adata: AnnData, what: str) -> dict:
    label = adata.obs["perturbation"]
    largest = label[label != "control"].value_counts().index[0]
    calls = {
        "largest pair": lambda: rt.tl.w1ot(
            adata, "control", largest, preset="fast", show_progress_bar=False
        ),
        "screen, all fitted": lambda: screen_of(adata, fdr=None, n_jobs=2),
        "screen, fdr 0.05": lambda: screen_of(adata, n_jobs=2),
        "screen, all fitted, one process": lambda: screen_of(adata, fdr=None),
    }
    joblib.Parallel(2)(joblib.delayed(rt.tl.__getattr__)("screen") for _ in range(2))
    found = []
    for _ in range(3):
        start = time.perf_counter()
        calls[what]()
        found.append(time.perf_counter() - start)
    return {"seconds": round(min(found), 2), "of": 3}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("distances", "times"))
    options = parser.parse_args()
    adata = cells()
    names = sorted(set(adata.obs["perturbation"].astype(str)) - {"control"})
    if options.only != "times":
        screens = {"all fitted": screen_of(adata, fdr=None), "fdr 0.05": screen_of(adata)}
        run(
            "screen",
            [{"target": name} for name in names],
            lambda target: compare(adata, screens, target),
        )
    if options.only != "distances":
        rows = (
            "largest pair",
            "screen, all fitted",
            "screen, fdr 0.05",
            "screen, all fitted, one process",
        )
        run("screen_times", [{"what": what} for what in rows], lambda what: seconds(adata, what))
