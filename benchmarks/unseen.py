"""Cell types and patients that training never saw: python benchmarks/unseen.py [--methods NAMES].

Each cell type of kang18, each patient of gbm and, with ``--patients FILE``, each of the 8 patients
of Bodenmiller et al. (2012, BCR/FcR-XL) in turn: none of its treated cells are in training, and of
its control cells, which are predicted, none ("unseen") or all ("seen").
50 principal components (of the 8 patients the 24 proteins themselves), scored in gene space on the
top 50 differentially expressed genes.
"balanced" and "separate" are the two ways of ``strata_key``; "stacked" is the former with the
experts that predict cells of new groups by default. Predictions are clipped at zero, or
calibrated: gene by gene with distributions of training, as the default is for sparse expression.
"mean of shifts" moves all cells by the mean of the groups' mean shifts.
held.py explains ``components`` and ``correlations``; all figures are within one group.
"""

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"

import time
from collections.abc import Callable
from functools import lru_cache

import anndata as ad
import numpy as np
import rivals
import torch
from anndata import AnnData
from held import Held
from pairs import METRICS, ours, rival
from rows import run
from sets import DELTA, SETS, Set, prepare, split, write_map_alone

import rayot as rt

GROUPS = {
    "kang18": ["B", "CD14+Mono", "CD4T", "CD8T", "Dendritic", "FCGR3A+Mono", "NK"],
    "gbm": ["PW030", "PW032", "PW034", "PW036", "PW040"],
    "patients": [f"patient{number}" for number in range(1, 9)],
}
PATIENTS = Set("", "BCR/FcR-XL", "patient")
CONTROLS = ("unseen", "seen")


def fast(unseen: str = "map", **options: object) -> Callable[..., None]:
    def fit(adata: AnnData, *of: object, group: str) -> None:
        strata = {"strata_key": group} if options else {}
        model = ours(adata, *of, preset="fast", **{**DELTA, **options, **strata})
        if unseen == "map":
            write_map_alone(adata, model, options.get("clip", "auto"))

    return fit


def moved_by(fit: Callable) -> Callable[..., None]:
    return lambda *cells, group: rival(*cells, fit=fit, decode="delta")


CALIBRATED = {"plan_kwargs": {"decode": "calibrated"}}


def by(verb: str) -> Callable[..., None]:
    """Another method, its genes clipped as before and its cells matched within groups."""

    def fit(adata: AnnData, target: str, use_rep: str | None, seed: int, *, group: str) -> None:
        options = {"strata_key": group, "key_added": "map", "seed": seed, "use_rep": use_rep}
        options |= {"plan_kwargs": DELTA["plan_kwargs"], "show_progress_bar": False}
        write_map_alone(adata, getattr(rt.tl, verb)(adata, "control", target, **options))

    return fit


def mean_of_shifts(
    adata: AnnData, target: str, use_rep: str | None, seed: int, *, group: str
) -> None:
    """The mean of the groups' own mean shifts, clipped at zero."""
    cells = adata.X.toarray() if hasattr(adata.X, "toarray") else np.asarray(adata.X)
    training = (adata.obs["split"] == "train").to_numpy()
    control = (adata.obs["perturbation"] == "control").to_numpy()
    groups = adata.obs[group].astype(str).to_numpy()
    shifts = [
        cells[own & ~control].mean(0) - cells[own & control].mean(0)
        for name in sorted(set(groups[training & ~control]))
        if (own := training & (groups == name)).any()
    ]
    moved = cells + np.mean(shifts, axis=0)
    adata.layers["map"] = np.maximum(moved, 0) if cells.min() >= 0 else moved
    names = {"source": "control", "target": target, "groupby": "perturbation"}
    adata.uns["map"] = {**names, "split_key": "split"}


def quantile_map(adata: AnnData, target: str, use_rep: str, seed: int, *, group: str) -> None:
    """No map at all: each gene from its distribution to that of treated cells, within strata."""
    options = {"strata_key": group, "key_added": "map", "seed": seed}
    model = rt.tl.quantile_map(adata, "control", target, show_progress_bar=False, **options)
    write_map_alone(adata, model)


METHODS: dict[str, Callable[..., None]] = {
    "pooled": fast(),
    "balanced": fast(strata="balanced"),
    "balanced, not clipped": fast(strata="balanced", clip=False),
    "balanced, ensemble of 5": fast(strata="balanced", n_seeds=5),
    "balanced, calibrated": fast(strata="balanced", **CALIBRATED),
    "stacked": fast("stacked", strata="balanced", **CALIBRATED),
    "stacked, clipped": fast("stacked", strata="balanced"),
    "separate": fast(strata="separate"),
    "separate, calibrated": fast(strata="separate", **CALIBRATED),
    "quantile map": quantile_map,
    "mean of shifts": mean_of_shifts,
    "cell type shift": by("celltype_shift"),
    "cinemaot": by("cinemaot"),
    "nearest control": moved_by(rivals.nearest_control),
    "flow matching": moved_by(rivals.flow_matching),
}


@lru_cache(maxsize=1)
def cells(data: str, unseen: str, controls: str, seed: int) -> AnnData:
    if data != "patients":
        return prepare(data, "pca", seed, unseen=unseen, with_controls=controls == "seen")
    adata = ad.read_h5ad(PATIENTS_FILE)
    split(adata, PATIENTS, seed, unseen, controls == "seen")
    return adata


def measure(data: str, unseen: str, controls: str, seed: int, method: str) -> dict:
    adata, of = cells(data, unseen, controls, seed).copy(), SETS.get(data, PATIENTS)
    torch.set_num_threads(1)
    start = time.process_time()
    use_rep = "X_pca" if data in SETS else None
    METHODS[method](adata, of.target, use_rep, seed, group=of.group)
    seconds = time.process_time() - start
    table = rt.tl.evaluate(adata, "map", metrics=METRICS, seed=seed)
    row: dict = {"seconds": round(seconds, 2)}
    for name, prefix in (("map", ""), ("mean shift", "mean shift ")):
        for metric in METRICS:
            row[f"{prefix}way {metric}"] = round(float(table.loc[name, f"way_{metric}"]), 4)
    of_group = (adata.obs[of.group] == unseen).to_numpy()
    held = Held(adata, of.target, None, seed, of_group)
    structure = held.structure(held.genes(held.source, "map"), held.source)
    return row | {name: structure[name] for name in ("components", "correlations")}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", default=",".join(METHODS).replace(", ", "; "))
    parser.add_argument("--controls", default=",".join(CONTROLS))
    parser.add_argument("--sets", default=",".join(GROUPS))
    parser.add_argument("--patients", default="")
    parser.add_argument("--seeds", default="0,1,2")
    options = parser.parse_args()
    PATIENTS_FILE = options.patients
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
        if data != "patients" or PATIENTS_FILE
        for group in GROUPS[data]
        for method in options.methods.split(",")
    ]
    run("unseen", cases, measure)
