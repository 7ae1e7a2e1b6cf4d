"""Populations whose mix changes: python benchmarks/composition.py.

``dying``: two cell types in 20 dimensions; under the treatment one is kept and one is lost down to
a tenth. The survivors shift by a known vector, so the error of every prediction is known, over the
length of the shift. ``kang18``: 80 % of the treated CD4 T cells, the type that is lost, are taken
out of training; the error is the energy distance of the predicted to the held-out observed cells
over that of doing nothing. ``weight`` is the mean mass with which control cells are matched.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import anndata as ad
import numpy as np
import torch
from anndata import AnnData
from rows import run
from sets import DELTA, prepare

import rayot as rt

SEEDS = (0, 1, 2)
N = 1000
DYING_LEFT = 0.1
REMOVED = "CD4T"


def dying(seed: int) -> tuple[AnnData, np.ndarray]:
    """Cells, and the true shift of each of them."""
    rng = np.random.default_rng(seed)
    kind = np.concatenate([np.repeat(["A", "B"], N), np.repeat(["A", "B"], [N, N * DYING_LEFT])])
    treated = np.arange(len(kind)) >= 2 * N
    centres = {"A": np.zeros(20), "B": np.r_[4.0, np.zeros(19)]}
    shift = np.r_[0.0, 2.0, np.zeros(18)]
    cells = rng.normal(0, 0.7, (len(kind), 20)) + np.stack([centres[name] for name in kind])
    cells[treated] += shift
    adata = ad.AnnData(cells.astype(np.float32))
    adata.obs["perturbation"] = np.where(treated, "drug", "control")
    adata.obs["cell_type"] = kind
    return adata, shift


def methods(share: float) -> dict[str, dict]:
    return {
        "all cells": DELTA,
        "unbalanced": {
            **DELTA,
            "plan_kwargs": {"unmatched_source": share, **DELTA["plan_kwargs"]},
        },
        "within cell types": {"strata_key": "cell_type", **DELTA},
    }


def on_dying(seed: int, method: str) -> dict:
    adata, shift = dying(seed)
    # Of 2 N control cells, 0.9 N have no counterpart once the survivors are matched.
    share = N * (1 - DYING_LEFT) / (2 * N)
    rt.tl.w1ot(
        adata,
        "control",
        "drug",
        preset="fast",
        seed=seed,
        show_progress_bar=False,
        **methods(share)[method],
    )
    row: dict = {}
    for name, word in (("A", "kept"), ("B", "lost")):
        chosen = (
            (adata.obs["perturbation"] == "control") & (adata.obs["cell_type"] == name)
        ).values
        moved = adata.layers["w1ot"][chosen] - adata.X[chosen]
        error = np.linalg.norm(moved - shift, axis=1).mean() / np.linalg.norm(shift)
        row[f"error {word}"] = round(float(error), 3)
        weight = adata.obs["w1ot_weight"][chosen].mean() if "w1ot_weight" in adata.obs else 1.0
        row[f"weight {word}"] = round(float(weight), 3)
    return row


def on_kang(seed: int, method: str) -> dict:
    adata = prepare("kang18", "pca", seed)
    of_type = (adata.obs["cell_type"] == REMOVED).values
    treated = (adata.obs["perturbation"] == "IFN-beta").values
    training = (adata.obs["split"] == "train").values
    candidates = np.flatnonzero(of_type & treated & training)
    rng = np.random.default_rng(seed)
    gone = rng.choice(candidates, round(0.8 * len(candidates)), replace=False)
    control = np.count_nonzero(training & ~treated)
    share = np.count_nonzero(of_type & training & ~treated) / control * 0.8
    adata = adata[~np.isin(np.arange(adata.n_obs), gone)].copy()
    rt.tl.w1ot(
        adata,
        "control",
        "IFN-beta",
        use_rep="X_pca",
        preset="fast",
        seed=seed,
        show_progress_bar=False,
        **methods(share)[method],
    )
    row: dict = {}
    for word, lost in (("kept", False), ("lost", True)):
        mask = (adata.obs["cell_type"] == REMOVED).values
        found = rt.tl.evaluate(
            adata, metrics=["energy_distance"], cell_mask=mask if lost else ~mask, seed=seed
        )["energy_distance"]
        row[f"error {word}"] = round(float(found["w1ot"] / found["identity"]), 3)
        chosen = ((adata.obs["perturbation"] == "control").values) & (mask == lost)
        weight = adata.obs["w1ot_weight"][chosen].mean() if "w1ot_weight" in adata.obs else 1.0
        row[f"weight {word}"] = round(float(weight), 3)
    return row


def measure(data: str, method: str, seed: int) -> dict:
    torch.set_num_threads(1)
    return (on_dying if data == "dying" else on_kang)(seed, method)


if __name__ == "__main__":
    cases = [
        {"data": data, "method": method, "seed": seed}
        for data in ("dying", "kang18")
        for method in methods(0.5)
        for seed in SEEDS
    ]
    run("composition", cases, measure)
