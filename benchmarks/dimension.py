"""Time of W1OT and W2OT against dimension: python benchmarks/dimension.py.

The published networks and batches of both (``preset="paper"``) on two Gaussian populations, one
thread: seconds for 10,000 iterations of each, from 100 measured ones of W1OT (a step of the
potential and one of the step size) and 20 of W2OT (ten of one potential and one of the other).
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import time

import numpy as np
import torch
from anndata import AnnData
from rows import run

import rayot as rt

DIMENSIONS = (2, 10, 50, 250, 1250)
ITERATIONS = {"w1ot": 100, "w2ot": 20}


def measure(method: str, dimension: int) -> dict:
    rng = np.random.default_rng(dimension)
    adata = AnnData(rng.normal(size=(4000, dimension)).astype(np.float32))
    adata.obs["perturbation"] = np.repeat(["control", "treated"], 2000)
    adata.X[2000:] += 1
    torch.set_num_threads(1)
    model_type = {"w1ot": rt.model.W1OT, "w2ot": rt.model.W2OT}[method]
    data = model_type.setup_anndata(adata)
    seconds = []
    for factor in (1, 3):
        model = model_type(adata, data, "control", "treated", preset="paper")
        start = time.process_time()
        model.train(max_steps=factor * ITERATIONS[method], show_progress_bar=False)
        seconds.append(time.process_time() - start)
    # The difference leaves out what is done once.
    per_iteration = (seconds[1] - seconds[0]) / (2 * ITERATIONS[method])
    return {"seconds per 10,000 iterations": round(1e4 * per_iteration, 1)}


if __name__ == "__main__":
    cases = [{"method": m, "dimension": d} for d in DIMENSIONS for m in ITERATIONS]
    run("dimension", cases, measure)
