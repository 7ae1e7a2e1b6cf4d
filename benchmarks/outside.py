"""A tool of others in its own environment: python benchmarks/outside.py --python PATH.

``PATH`` is the Python of an environment with pertpy. scGen of pertpy joins the grid as a program
(programs/pertpy_scgen.py), beside maps and shifts of ours, on the same splits: kang18 and gbm, test
cells drawn by condition ("i.i.d."), or a cell type or patient held out whole, its control cells
too. Written as a grid: ``scores`` has a row a score, the summary pooled ways over splits.
"""

import argparse
import os
import sys

os.environ["OMP_NUM_THREADS"] = "1"

from functools import partial
from pathlib import Path

import pandas as pd
import torch
from rows import RESULTS
from sets import SETS, prepare
from unseen_word import GROUPS

import rayot as rt

METRICS = ["mmd", "energy_distance", "r2", "l2", "spread_error"]
DATA = ("kang18", "gbm")
PROGRAM = Path(__file__).parent / "programs" / "pertpy_scgen.py"


def methods(python: str, group: str, strata: dict) -> dict:
    return {
        "scGen of pertpy": rt.benchmark.Command([python, str(PROGRAM), "{folder}"], timeout=1800),
        "w1ot": partial(rt.tl.w1ot, preset="fast", **strata),
        "scgen": partial(rt.tl.scgen, **strata),
        "quantile map": partial(rt.tl.quantile_map, **strata),
        "celltype shift": partial(rt.tl.celltype_shift, strata_key=group),
    }


def grid(data: str, python: str, folder: Path, seeds: list[int]) -> pd.DataFrame:
    """Scores on i.i.d. splits and with each group held out."""
    of = SETS[data]
    tables = []
    for setting in ("i.i.d.", "unseen"):
        cases = [(str(seed), seed, "") for seed in seeds]
        if setting == "unseen":
            cases = [(group, 0, group) for group in GROUPS[data]]
        for name, seed, unseen in cases:
            adata = prepare(data, "genes", seed, unseen=unseen)
            strata = {"strata_key": of.group} if unseen else {}
            scores = rt.benchmark.run(
                adata,
                methods(python, of.group, strata),
                folder / data / f"{setting} {name}".replace("/", "_"),
                perturbations=[of.target],
                spaces={"components": rt.benchmark.principal_components(50)},
                seeds=[seed],
                metrics=METRICS,
            )
            tables.append(scores.assign(data=data, setting=setting, case=name))
    return pd.concat(tables)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--folder", type=Path, default=Path("outside"))
    parser.add_argument("--sets", default=",".join(DATA))
    parser.add_argument("--seeds", default="0,1,2")
    options = parser.parse_args()
    torch.set_num_threads(1)
    seeds = [int(seed) for seed in options.seeds.split(",")]
    scores = pd.concat(
        [grid(data, options.python, options.folder, seeds) for data in options.sets.split(",")]
    )
    scores.to_csv(RESULTS / "outside.csv", index=False)
    summaries = {
        key: rt.metrics.summarise(rows, unit="case")
        for key, rows in scores.groupby(["data", "setting"], sort=False)
    }
    summary = pd.concat(summaries, names=["data", "setting"])
    summary.round(3).to_csv(RESULTS / "outside_summary.csv")
