"""Cell types and patients that training never saw: python benchmarks/unseen.py [--methods NAMES].

Each cell type of kang18 and each patient of gbm in turn: none of its treated cells are in training,
and of its control cells, which are predicted, none ("unseen") or all ("seen").
50 principal components, scored in gene space on the top 50 differentially expressed genes.
"balanced" and "separate" are the two ways of ``strata_key``. Predictions are clipped at zero, or
calibrated: gene by gene with distributions of training, as the default is for sparse expression.
held.py explains ``components`` and ``correlations``; all figures are within one group.
"""

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"

import time
from collections.abc import Callable
from functools import lru_cache

import rivals
import torch
from anndata import AnnData
from held import Held
from pairs import METRICS, ours, rival
from rows import run
from sets import DELTA, SETS, prepare

import rayot as rt

GROUPS = {
    "kang18": ["B", "CD14+Mono", "CD4T", "CD8T", "Dendritic", "FCGR3A+Mono", "NK"],
    "gbm": ["PW030", "PW032", "PW034", "PW036", "PW040"],
}
CONTROLS = ("unseen", "seen")


def fast(**options: object) -> Callable[..., None]:
    return lambda *cells, group: ours(
        *cells,
        preset="fast",
        **{**DELTA, **options, **({"strata_key": group} if options else {})},
    )


def of(fit: Callable) -> Callable[..., None]:
    return lambda *cells, group: rival(*cells, fit=fit, decode="delta")


CALIBRATED = {"plan_kwargs": {"decode": "calibrated"}}


def quantile_map(adata: AnnData, target: str, use_rep: str, seed: int, *, group: str) -> None:
    """No map at all: each gene from its distribution to that of treated cells, within strata."""
    options = {"strata_key": group, "key_added": "map", "seed": seed}
    rt.tl.quantile_map(adata, "control", target, show_progress_bar=False, **options)


METHODS: dict[str, Callable[..., None]] = {
    "pooled": fast(),
    "balanced": fast(strata="balanced"),
    "balanced, not clipped": fast(strata="balanced", clip=False),
    "balanced, ensemble of 5": fast(strata="balanced", n_seeds=5),
    "balanced, calibrated": fast(strata="balanced", **CALIBRATED),
    "separate": fast(strata="separate"),
    "separate, calibrated": fast(strata="separate", **CALIBRATED),
    "quantile map": quantile_map,
    "nearest control": of(rivals.nearest_control),
    "flow matching": of(rivals.flow_matching),
}


@lru_cache(maxsize=1)
def cells(data: str, unseen: str, controls: str, seed: int) -> AnnData:
    return prepare(data, "pca", seed, unseen=unseen, with_controls=controls == "seen")


def measure(data: str, unseen: str, controls: str, seed: int, method: str) -> dict:
    adata = cells(data, unseen, controls, seed).copy()
    torch.set_num_threads(1)
    start = time.process_time()
    METHODS[method](adata, SETS[data].target, "X_pca", seed, group=SETS[data].group)
    seconds = time.process_time() - start
    table = rt.tl.evaluate(adata, "map", metrics=METRICS, seed=seed)
    row: dict = {"seconds": round(seconds, 2)}
    for name, prefix in (("map", ""), ("mean shift", "mean shift ")):
        for metric in METRICS:
            row[f"{prefix}way {metric}"] = round(float(table.loc[name, f"way_{metric}"]), 4)
    of_group = (adata.obs[SETS[data].group] == unseen).to_numpy()
    held = Held(adata, SETS[data].target, None, seed, of_group)
    structure = held.structure(held.genes(held.source, "map"), held.source)
    return row | {name: structure[name] for name in ("components", "correlations")}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", default=",".join(METHODS).replace(", ", "; "))
    parser.add_argument("--controls", default=",".join(CONTROLS))
    parser.add_argument("--sets", default=",".join(GROUPS))
    parser.add_argument("--seeds", default="0,1,2")
    options = parser.parse_args()
    cases = [
        {
            "data": data,
            "unseen": group,
            "controls": controls,
            "seed": seed,
            "method": method.replace("; ", ", "),
        }
        for seed in map(int, options.seeds.split(","))
        for controls in options.controls.split(",")
        for data in options.sets.split(",")
        for group in GROUPS[data]
        for method in options.methods.split(",")
    ]
    run("unseen", cases, measure)
