"""Does a fit know what it does for groups that it has not seen? python benchmarks/unseen_word.py.

Each cell type of kang18, each patient of gbm and, with ``--patients FILE``, each of the 8 patients
of Bodenmiller et al. (2012, BCR/FcR-XL) in turn is held out whole; the map is fitted with the
others as strata, ``preset="fast"``. What it then says of the new group stands beside the truth, the
share of the energy distance that its map leaves to the group's own treated cells, in the space of
the map.

``word, seen`` is the certificate of the strata that were seen, the only word there was without
strata left out. Distances are means over control cells: of the new group, of held-out control cells
of groups that were seen (positive control), and of the new group with each feature shuffled over
its cells (negative control).
"""

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"

import time

import anndata as ad
import numpy as np
import torch
from rows import run
from sets import SETS, prepare

import rayot as rt

GROUPS = {
    "kang18": ["B", "CD14+Mono", "CD4T", "CD8T", "Dendritic", "FCGR3A+Mono", "NK"],
    "gbm": ["PW030", "PW032", "PW034", "PW036", "PW040"],
    "patients": [f"patient{number}" for number in range(1, 9)],
}
MODES = ("balanced", "separate")


def cells(data: str, unseen: str, seed: int, patients: str) -> tuple[ad.AnnData, str, str]:
    """Cells, the target and the column of groups; the new group is apart, a tenth of the others."""
    if data == "patients":
        adata = ad.read_h5ad(patients)
        adata.obsm["X_proteins"] = np.asarray(adata.X, dtype=np.float32)
        target, group, use_rep = "BCR/FcR-XL", "patient", "X_proteins"
    else:
        adata = prepare(data, "pca", seed, unseen=unseen)
        target, group, use_rep = SETS[data].target, SETS[data].group, "X_pca"
    adata = ad.AnnData(adata.obsm[use_rep], obs=adata.obs[["perturbation", group]].astype(str))
    apart = np.random.default_rng(seed).random(adata.n_obs) < 0.1
    new = (adata.obs[group] == unseen).to_numpy()
    adata.obs["split"] = np.where(apart | new, "test", "train")
    return adata, target, group


def measure(data: str, unseen: str, strata: str, seed: int) -> dict:
    adata, target, group = cells(data, unseen, seed, PATIENTS)
    options = {"strata_key": group, "strata": strata, "preset": "fast", "seed": seed}
    torch.set_num_threads(1)
    seconds = {}
    for left_out in (False, True):
        start = time.process_time()
        model = rt.tl.w1ot(
            adata.copy(),
            "control",
            target,
            leave_out_strata=left_out,
            show_progress_bar=False,
            **options,
        )
        seconds[left_out] = time.process_time() - start
    new = (adata.obs[group] == unseen).to_numpy()
    control = (adata.obs["perturbation"] == "control").to_numpy()
    own, truth = adata[new & control].copy(), adata[new & ~control].X
    predicted = model.predict(own, unseen="map")
    expected = predicted.uns["w1ot"]["unseen_strata"]
    distance = rt.metrics.energy_distance
    shuffled = own.copy()
    shuffled.X = np.random.default_rng(seed).permuted(own.X, axis=0)
    seen = adata[~new & control & (adata.obs["split"] == "test").to_numpy()].copy()
    return {
        "share left": round(distance(predicted.X, truth) / distance(own.X, truth), 3),
        "word": expected["certificate"][0],
        "expected share left": round(model.diagnostics["unseen_share_left"], 3),
        "word, seen": model.diagnostics["certificate"],
        "share left, seen": round(model.diagnostics["share_left"], 3),
        "distance": round(float(expected["distance"][0]), 3),
        "farthest stratum": round(float(model.unseen_strata["distance"].max()), 3),
        "distance, seen": round(float(model.predict(seen).obs["w1ot_distance"].mean()), 3),
        "distance, shuffled": round(float(model.predict(shuffled).obs["w1ot_distance"].mean()), 3),
        "seconds": round(seconds[True], 1),
        "seconds without": round(seconds[False], 1),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", default="")
    parser.add_argument("--seeds", default="0,1,2")
    options = parser.parse_args()
    PATIENTS = options.patients
    cases = [
        {"data": data, "unseen": group, "strata": strata, "seed": seed}
        for seed in map(int, options.seeds.split(","))
        for data in GROUPS
        if data != "patients" or PATIENTS
        for group in GROUPS[data]
        for strata in MODES
    ]
    run("unseen_word", cases, measure)
