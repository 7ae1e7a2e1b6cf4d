"""Both presets on kang18: python benchmarks/kang.py.

1,000 highly variable genes, 50 principal components, 80/20 by condition, scored on held-out cells
and the top 50 differentially expressed genes. Genes and components come from training cells.
"""

from rows import run
from sets import DELTA, prepare

import rayot as rt


def measure(preset: str, seed: int) -> dict:
    adata = prepare("kang18", "pca", seed)
    rt.tl.w1ot(
        adata,
        "control",
        "IFN-beta",
        use_rep="X_pca",
        preset=preset,
        **(DELTA if preset == "fast" else {}),
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
