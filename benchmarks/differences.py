"""Where rivals predict otherwise: python benchmarks/differences.py.

kang18 and gbm, 50 principal components, seed 0: energy distance left in each cell type or patient,
over that of doing nothing; and over the scored genes the absolute error of predicted means and of
predicted standard deviations, over the standard deviation of the observed cells. ``too narrow`` is
the share of genes whose predicted spread is too small.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import rivals
import torch
from pairs import ours, rival
from rows import run
from sets import DELTA, SETS, prepare

import rayot as rt
from rayot.model.scored_cells import read_held_out, read_maps

METHODS = {
    "fast": lambda *cells: ours(*cells, preset="fast", **DELTA),
    "nearest control": lambda *cells: rival(*cells, fit=rivals.nearest_control, decode="delta"),
    "flow matching": lambda *cells: rival(*cells, fit=rivals.flow_matching, decode="delta"),
}


def measure(data: str, method: str) -> dict:
    adata = prepare(data, "pca", 0)
    torch.set_num_threads(1)
    METHODS[method](adata, SETS[data].target, "X_pca", 0)
    held_out = read_held_out(adata, read_maps(adata, "map"))
    moved, truth = held_out.predicted["map"], held_out.truth
    spread = truth.std(0)
    row = {
        "error of means": round(
            float(np.abs(moved.mean(0) - truth.mean(0)).sum() / spread.sum()), 3
        ),
        "error of spreads": round(float(np.abs(moved.std(0) - spread).sum() / spread.sum()), 3),
        "too narrow": round(float(np.mean(moved.std(0) < spread)), 2),
    }
    groups = adata.obs[SETS[data].group].astype(str)
    left = []
    for group in sorted(groups.unique()):
        found = rt.tl.evaluate(
            adata, "map", metrics=["energy_distance"], cell_mask=(groups == group).to_numpy()
        )["energy_distance"]
        left.append(f"{group} {found['map'] / found['identity']:.2f}")
    return {**row, "left by group": "; ".join(left)}


if __name__ == "__main__":
    run(
        "differences",
        [{"data": d, "method": m} for d in ("kang18", "gbm") for m in METHODS],
        measure,
    )
