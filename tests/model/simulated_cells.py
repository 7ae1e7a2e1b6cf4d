"""Cells that several tests of models share."""

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse


def patients(shifts, n=120, n_genes=12, seed=0):
    """Sparse cells of several patients, who answer in so many genes more or less strongly."""
    rng = np.random.default_rng(seed)
    cells, obs = [], []
    for number, shift in enumerate(shifts):
        centre = rng.uniform(0, 1, n_genes)
        for condition in ("control", "drug"):
            move = shift * (np.arange(n_genes) < n_genes // 2) * (condition == "drug")
            cells.append(np.maximum(rng.normal(centre + move, 1.0, (n, n_genes)), 0))
            obs.append(pd.DataFrame({"perturbation": [condition] * n, "patient": f"P{number}"}))
    obs = pd.concat(obs, ignore_index=True)
    obs.index = [f"cell{number}" for number in range(len(obs))]
    adata = ad.AnnData(sparse.csr_matrix(np.concatenate(cells), dtype=np.float32), obs=obs)
    adata.uns["log1p"] = {"base": None}
    return adata


def of_patient(adata, patient, condition, rows=slice(None)):
    member = (adata.obs["patient"] == patient) & (adata.obs["perturbation"] == condition)
    return np.flatnonzero(member)[rows]


def act_by(data, activities, effects, rng):
    """Let drugs act by latent activities: control cells, drawn anew, plus what they do to genes."""
    names = [name for name in data.obs["perturbation"].cat.categories if name != "control"]
    expression = data.X.toarray()
    control = expression[(data.obs["perturbation"] == "control").to_numpy()]
    for name, activity in zip(names, activities, strict=True):
        rows = np.flatnonzero(data.obs["perturbation"] == name)
        own = control[rng.integers(0, len(control), len(rows))]
        expression[rows] = own + activity @ effects
    data.X = expression
    return names
