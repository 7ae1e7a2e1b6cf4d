"""SNARE-seq, expression to accessibility: python benchmarks/translation.py [--seeds 0,1,2,3,4].

1,047 cells of which both were measured; that they are the same cells is used for scoring alone.
FOSCTTM is the fraction of samples closer than the true match. "discrete": the mean of the cells
that a cell is coupled with, which knows no new cells.
"""

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"

import time

import numpy as np
import torch
from rows import run, summarise

import rayot as rt
from rayot.solvers.gromov import gromov_plan
from rayot.solvers.translation import TranslationSettings

METHODS = {
    "discrete": {},
    "GENOT": {},
    "discrete, Euclidean": {"distance": "euclidean"},
    "GENOT, Euclidean": {"distance": "euclidean"},
    "GENOT, entropic": {"coupling": "entropic"},
}


def measure(method: str, seed: int) -> dict:
    data = rt.datasets.snareseq()
    torch.set_num_threads(1)
    truth, labels = np.asarray(data["atac"].X), data["rna"].obs["cell_type"]
    start = time.process_time()
    if method.startswith("discrete"):
        order = [np.random.default_rng([seed, k]).permutation(len(truth)) for k in (0, 1)]
        source, target = np.asarray(data["rna"].X)[order[0]], truth[order[1]]
        plan = gromov_plan(source, target, TranslationSettings(**METHODS[method]))
        found = np.empty_like(truth)
        found[order[0]] = plan @ target / plan.sum(1, keepdims=True)
    else:
        rt.tl.translate(
            data,
            "rna",
            "atac",
            seed=seed,
            plan_kwargs=METHODS[method],
            show_progress_bar=False,
        )
        found = data["rna"].obsm["X_translate"]
    seconds = time.process_time() - start
    return {
        "seconds": round(seconds, 1),
        "foscttm": round(rt.metrics.foscttm(found, truth), 4),
        "label transfer": round(
            rt.metrics.label_transfer_accuracy(found, truth, labels, labels), 4
        ),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0,1,2,3,4", help="joined by commas")
    options = parser.parse_args()
    cases = [
        {"method": method, "seed": seed}
        for seed in map(int, options.seeds.split(","))
        for method in METHODS
    ]
    run("translation", cases, measure)
    summarise("translation", "foscttm")
