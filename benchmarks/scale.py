"""What a screen costs: python benchmarks/scale.py [--only cost,memory,cluster].

``cost.csv``: processor seconds of a fit (``preset="fast"``, 100 steps a phase) against dimension,
cells and number of perturbations, other sizes being 50 dimensions, 2,000 cells and one
perturbation. ``screen_memory.csv``: peak resident memory of a screen in a process of its own, less
that after importing. ``cluster.csv``: wall seconds of a screen of 100 simulated perturbations in
one process, and on a LocalCluster of two.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys

os.environ["OMP_NUM_THREADS"] = "1"

import resource
import time
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from anndata import AnnData
from rows import RESULTS, run

import rayot as rt

SIZES = {
    "dimension": (2, 10, 50, 200, 1000, 5000),
    "dimension, all components": (2, 10, 50, 200, 1000, 5000),
    "cells": (1000, 10_000, 100_000, 1_000_000),
    "perturbations": (1, 2, 8, 32, 128, 512),
}
QUICK = {"show_progress_bar": False, "max_steps": 100, "fdr": None}


def gaussians(d: int, n: int, n_perturbations: int) -> AnnData:
    """Control and perturbed cells, n in all (n a perturbation, if there are several)."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(n_perturbations + 1), n // 2)
    cells = rng.standard_normal((len(labels), d), dtype=np.float32)
    cells[:, 0] += 2 * (labels > 0)
    names = np.array(["control", *(f"drug_{p:03d}" for p in range(n_perturbations))])
    obs = pd.DataFrame({"perturbation": pd.Categorical(names[labels])})
    obs.index = obs.index.astype(str)
    return AnnData(cells, obs=obs)


def cost(against: str, size: int) -> dict:
    d, n, n_perturbations = 50, 2000, 1
    plan = {}
    if against.startswith("dimension"):
        d = size
        plan = {"n_components": None} if "all" in against else {}
    elif against == "cells":
        n = size
    else:
        n_perturbations, n = size, 400
    adata = gaussians(d, n, n_perturbations)
    start = time.process_time()
    rt.tl.screen(adata, "control", plan_kwargs=plan, **QUICK)
    return {"seconds": round(time.process_time() - start, 2)}


def in_own_process(n_perturbations: int) -> None:
    rt.tl.screen(gaussians(2, 100, 1), "control", **{**QUICK, "max_steps": 5})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    adata = rt.datasets.simulated_screen(n_perturbations, 60, 50, n_controls=2000, inactive=0.0)
    rt.tl.screen(adata, "control", **QUICK)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"before MB": before // 1024, "peak MB": peak // 1024}))


def memory(perturbations: int) -> dict:
    call = [sys.executable, __file__, "--memory-of", str(perturbations)]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def cluster(workers: int) -> dict:
    from distributed import Client, LocalCluster

    adata = rt.datasets.simulated_screen(100, 100, 50, n_controls=500, inactive=0.0)
    options = {"show_progress_bar": False, "fdr": None, "max_steps": 100}
    if workers == 1:
        start = time.perf_counter()
        found = rt.tl.screen(adata, "control", **options)
        seconds = time.perf_counter() - start
    else:
        with (
            LocalCluster(workers, threads_per_worker=1, dashboard_address=None) as local,
            Client(local) as client,
            joblib.parallel_config(backend="dask"),
        ):
            client.run(rt.tl.__getattr__, "screen")
            rt.tl.screen(adata, "control", perturbations=["drug_000"], **options)
            start = time.perf_counter()
            found = rt.tl.screen(adata, "control", **options)
            seconds = time.perf_counter() - start
    digest = hashlib.blake2b(digest_size=6)
    for values in found.stack.state.values():
        digest.update(np.ascontiguousarray(values).data)
    return {"seconds": round(seconds, 1), "digest of all weights": digest.hexdigest()}


def draw() -> None:
    """Costs with the slope of their last half, as docs/_static/cost.png."""
    import matplotlib.pyplot as plt

    table = pd.read_csv(RESULTS / "cost.csv")
    figure, axes = plt.subplots(1, 3, figsize=(9, 2.8), sharey=True, layout="constrained")
    for ax, name in zip(axes, ("dimension", "cells", "perturbations"), strict=True):
        for against, part in table.groupby("against", sort=False):
            if not against.startswith(name):
                continue
            part = part.sort_values("size")
            last = part.iloc[len(part) // 2 :]
            slope = np.polyfit(np.log(last["size"]), np.log(last["seconds"]), 1)[0]
            label = "all components" if "all" in against else "fast"
            ax.loglog(
                part["size"], part["seconds"], "o-", ms=4, label=f"{label}, slope {slope:.2f}"
            )
        ax.set_xlabel(name)
        ax.legend(frameon=False, fontsize="small")
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("processor seconds")
    axes[0].set_ylim(0.5, 1.5 * table["seconds"].max())
    figure.savefig(Path(__file__).parents[1] / "docs/_static/cost.png", dpi=120)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="cost,memory,cluster")
    parser.add_argument("--memory-of", type=int)
    options = parser.parse_args()
    if options.memory_of:
        in_own_process(options.memory_of)
        sys.exit()
    if "cost" in options.only:
        # What is imported and compiled at first use is not the cost of the first row.
        rt.tl.screen(gaussians(2, 100, 1), "control", **{**QUICK, "max_steps": 5})
        sizes = [{"against": name, "size": size} for name, each in SIZES.items() for size in each]
        run("cost", sizes, cost)
        draw()
    if "memory" in options.only:
        run("screen_memory", [{"perturbations": p} for p in (25, 100, 400)], memory)
    if "cluster" in options.only:
        run("cluster", [{"workers": n} for n in (1, 2)], cluster)
