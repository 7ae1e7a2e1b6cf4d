"""Five genes doubled: python benchmarks/sensitivity.py [--methods NAMES] [--seeds 0,1,2,3,4].

The paper's sensitivity test (supplementary figure 3) on the control cells of kang18, 1,000 variable
genes: one half is the control, the other the treated cells, in which five well expressed genes are
doubled on the scale of counts. ``error``: mean absolute error of the log2 fold-change of these
genes on held-out cells, where 1 is the truth; ``others``: that of all other genes, where 0 is.
"""

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"

import time
from functools import lru_cache

import numpy as np
import torch
from anndata import AnnData
from rows import run, summarise
from sets import DELTA, prepare

import rayot as rt

METHODS = {
    "w1ot": {"preset": "fast", "n_seeds": 1},
    "w1ot, paper": {"preset": "paper"},
    "w2ot": {},
    "otcfm": {},
    "genot": {},
    "scgen": {},
    "cpa": {},
    "biolord": {},
    "cinemaot": {},
    "discrete_ot": {},
    "gaussian_ot": {},
    "fixed_step": {},
    "celltype_shift": {"strata_key": "cell_type"},
    "mean_shift": {},
    "identity": {},
}


@lru_cache(maxsize=1)
def cells(seed: int) -> tuple[AnnData, np.ndarray]:
    adata = prepare("kang18", "genes", seed)
    adata = adata[adata.obs["perturbation"] == "control"].copy()
    rng = np.random.default_rng(seed)
    dense = adata.X.toarray() if hasattr(adata.X, "toarray") else np.asarray(adata.X)
    expressed = np.flatnonzero((dense > 0).mean(0) > 0.3)
    genes = np.sort(rng.choice(expressed, 5, replace=False))
    treated = rng.permutation(adata.n_obs) < adata.n_obs // 2
    doubled = np.ix_(treated, genes)
    dense[doubled] = np.log1p(2 * np.expm1(dense[doubled]))
    found = AnnData(dense, obs=adata.obs.copy(), var=adata.var[[]].copy())
    found.obs["perturbation"] = np.where(treated, "doubled", "control")
    return found, genes


def measure(method: str, seed: int) -> dict:
    adata, genes = cells(seed)
    torch.set_num_threads(1)
    start = time.process_time()
    getattr(rt.tl, method.partition(",")[0])(
        adata,
        "control",
        "doubled",
        key_added="map",
        seed=seed,
        show_progress_bar=False,
        **{**({} if "paper" in method else DELTA), **METHODS[method]},
    )
    seconds = time.process_time() - start
    is_control = (adata.obs["perturbation"] == "control").to_numpy()
    held_out = is_control & (adata.obs["split"] == "test").to_numpy()
    change = rt.metrics.log_fold_change(adata.layers["map"][held_out], adata.X[held_out])
    error = np.abs(change - np.isin(np.arange(adata.n_vars), genes))
    return {
        "seconds": round(seconds, 1),
        "error": round(float(error[genes].mean()), 4),
        "others": round(float(np.delete(error, genes).mean()), 4),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", default=";".join(METHODS), help="joined by semicolons")
    parser.add_argument("--seeds", default="0,1,2,3,4", help="joined by commas")
    options = parser.parse_args()
    cases = [
        {"method": method, "seed": seed}
        for seed in map(int, options.seeds.split(","))
        for method in options.methods.split(";")
    ]
    run("sensitivity", cases, measure)
    summarise("sensitivity", "error")
