"""Both presets on kang18: python benchmarks/kang.py.

1,000 highly variable genes, 50 principal components, 80/20 by condition, scored on held-out cells
and the top 50 differentially expressed genes. Genes and components come from training cells.
"""

import numpy as np
import scanpy as sc
from anndata import AnnData
from rows import run

import rayot as rt


def prepare(seed: int) -> AnnData:
    adata = rt.datasets.kang18()
    rt.pp.split(adata, stratify="cell_type", seed=seed)
    training = adata[adata.obs["split"] == "train"].copy()
    sc.pp.highly_variable_genes(training, n_top_genes=1000)
    variable = training.var["highly_variable"].to_numpy()
    adata, training = adata[:, variable].copy(), training[:, variable].copy()
    sc.pp.pca(training, n_comps=50, mask_var=None)
    loadings = training.varm["PCs"]
    mean = np.asarray(training.X.mean(0)).ravel()
    adata.varm["PCs"] = loadings
    adata.obsm["X_pca"] = np.asarray(adata.X @ loadings - mean @ loadings, dtype=np.float32)
    return adata


def measure(preset: str, seed: int) -> dict:
    adata = prepare(seed)
    rt.tl.w1ot(
        adata,
        "control",
        "IFN-beta",
        use_rep="X_pca",
        preset=preset,
        seed=seed,
        show_progress_bar=False,
    )
    table = rt.tl.evaluate(adata, seed=seed)
    row: dict = {}
    for method in table.index:
        name = "map" if method == "w1ot" else method
        row[f"{name} mmd"] = round(float(table.loc[method, "mmd"]), 4)
    for metric in ("way_mmd", "way_energy_distance"):
        row[metric] = round(float(table.loc["w1ot", metric]), 3)
        row[f"mean shift {metric}"] = round(float(table.loc["mean shift", metric]), 3)
    return row


if __name__ == "__main__":
    cases = [{"preset": preset, "seed": seed} for seed in (0, 1, 2) for preset in ("fast", "paper")]
    run("kang", cases, measure)
