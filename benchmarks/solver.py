"""What was tried for the preset "fast": python benchmarks/solver.py [--seeds 0,1,2,3,4].

Every variant of variants.py on four sets, in 50 principal components and in gene space, on splits
of the *training* cells (80/20 again), so that no test cell of any other table is looked at.
"""

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"

import time
from functools import lru_cache

import torch
from anndata import AnnData
from rows import run
from sets import SETS, prepare
from variants import VARIANTS

import rayot as rt

METRICS = ("mmd", "energy_distance")
IN_GENES = (
    "fast",
    "all dimensions",
    "MaxMin, width 64",
    "GroupSort, 4 groups, width 64",
    "Sinkhorn step",
    "MMD step",
)


@lru_cache(maxsize=1)
def cells(data: str, space: str, seed: int) -> AnnData:
    return prepare(data, space, seed, inner=True)


def measure(data: str, space: str, seed: int, variant: str) -> dict:
    adata = cells(data, space, seed)
    torch.set_num_threads(1)
    chosen = VARIANTS[variant]
    start = time.process_time()
    with chosen.in_place():
        rt.tl.w1ot(
            adata,
            "control",
            SETS[data].target,
            use_rep="X_pca" if space == "pca" else None,
            preset="fast",
            n_seeds=1,
            seed=seed,
            show_progress_bar=False,
            early_stopping=chosen.early_stopping,
            early_stopping_patience=2,
            plan_kwargs={**chosen.settings, "decode": chosen.decode},
        )
    seconds = time.process_time() - start
    table = rt.tl.evaluate(adata, metrics=METRICS, seed=seed)
    ways = {f"way {m}": round(float(table.loc["w1ot", f"way_{m}"]), 4) for m in METRICS}
    return {"seconds": round(seconds, 2), **ways}


def summary(rows: list[dict]) -> None:
    """Mean over sets and seeds, written beside the rows."""
    import pandas as pd
    from rows import RESULTS

    table = pd.DataFrame(rows)
    for name in ("seconds", "way mmd", "way energy_distance"):
        table[name] = table[name].astype(float)
    columns = ["way mmd", "way energy_distance", "seconds"]
    by_set = table.pivot_table(columns, ["space", "variant"], "data", sort=False)
    wide = pd.concat(
        [
            table.groupby(["space", "variant"], sort=False)[columns].mean().round(3),
            by_set["way mmd"].round(3).add_suffix(" mmd"),
            by_set["way energy_distance"].round(3).add_suffix(" energy"),
        ],
        axis=1,
    )
    wide.sort_values(["space", "way mmd"], ascending=False).to_csv(RESULTS / "solver_summary.csv")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0,1,2,3,4")
    options = parser.parse_args()
    cases = [
        {"data": data, "space": space, "seed": seed, "variant": variant}
        for seed in map(int, options.seeds.split(","))
        for space in ("pca", "genes")
        for data in ("kang18", "gbm", "papalexi", "bcr")
        for variant in (VARIANTS if space == "pca" else IN_GENES)
    ]
    summary(run("solver", cases, measure))
