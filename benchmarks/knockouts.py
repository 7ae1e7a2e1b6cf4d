"""Every knock-out of papalexi21 with 200 cells or more: python benchmarks/knockouts.py.

One map a knock-out, ``preset="fast"``, 299 genes, 80/20; energy distance and MMD to held-out cells
of the map, of doing nothing and of the mean shift. The mean shift leaves expression below zero, so
the map is scored with its negative predictions too: "w1ot, not clipped". ``noise`` is the standard
deviation, by sampling of held-out cells, of the energy distance of the map minus that of doing
nothing.
"""

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"

import time

import numpy as np
import torch
from anndata import AnnData
from rows import run
from sets import DELTA

import rayot as rt
from rayot.model.scored_cells import read_held_out, read_maps

METRICS = ("mmd", "energy_distance")
MIN_CELLS = 200


def targets() -> list[str]:
    counts = rt.datasets.papalexi21().obs["perturbation"].value_counts()
    return [name for name in counts.index if counts[name] >= MIN_CELLS and name != "control"]


def measure(target: str, seed: int) -> dict:
    adata = rt.datasets.papalexi21()
    adata = adata[adata.obs["perturbation"].isin(["control", target])].copy()
    rt.pp.split(adata, seed=seed)
    torch.set_num_threads(1)
    start = time.process_time()
    options = {"preset": "fast", "seed": seed, "show_progress_bar": False, **DELTA}
    model = rt.tl.w1ot(adata, "control", target, **options)
    seconds = time.process_time() - start
    table = rt.tl.evaluate(adata, metrics=METRICS, seed=seed)
    is_source = (adata.obs["perturbation"] == "control").to_numpy()
    raw = adata.copy()
    raw.layers["w1ot"][is_source] = model.predict(adata[is_source], clip=False).to_df().to_numpy()
    table.loc["w1ot, not clipped"] = rt.tl.evaluate(raw, metrics=METRICS, seed=seed).loc["w1ot"]
    row: dict = {
        "p_value": round(model.diagnostics["p_value"], 3),
        "strength": round(model.diagnostics["strength"], 2),
        "certificate": model.diagnostics["certificate"],
        "seconds": round(seconds, 2),
        "noise": round(noise(adata, seed), 5),
    }
    for method in ("w1ot", "w1ot, not clipped", "identity", "mean shift", "observed"):
        for metric in METRICS:
            row[f"{method} {metric}"] = round(float(table.loc[method, metric]), 5)
    return row


def noise(adata: AnnData, seed: int) -> float:
    """Spread of (map − identity) in energy distance when half of the held-out cells are drawn."""
    held_out = read_held_out(adata, read_maps(adata, "w1ot"), seed=seed)
    control, moved = held_out.control, held_out.predicted["w1ot"]
    rng = np.random.default_rng(0)
    found = []
    for _ in range(20):
        rows = rng.permutation(len(control))[: len(control) // 2]
        truth = held_out.truth[rng.permutation(len(held_out.truth))[: len(held_out.truth) // 2]]
        distances = [rt.metrics.energy_distance(each[rows], truth) for each in (moved, control)]
        found.append(distances[0] - distances[1])
    # Halves vary √2 times as much as the whole.
    return float(np.std(found) / np.sqrt(2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0,1,2,3,4")
    options = parser.parse_args()
    cases = [
        {"target": target, "seed": seed}
        for seed in map(int, options.seeds.split(","))
        for target in targets()
    ]
    run("knockouts", cases, measure)
