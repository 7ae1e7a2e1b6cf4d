"""The paper's toy data sets with ``preset="paper"``: python benchmarks/toy.py [--figure PATH].

32,768 training cells of each population; scores on fresh samples: energy distance from transported
to target cells; on the bookshelf the rank correlation of the order of the books; on the circles
the share of the inner source circle that lands on the inner target circle.
"""

import argparse
import time

import numpy as np
from anndata import AnnData
from rows import run
from scipy.stats import spearmanr

import rayot as rt

N_TRAINING = 32_768
N_TEST = 5000
SETS = ("bookshelf", "circles", "swiss_roll", "moons")
SEEDS = (0, 1, 2)


def fit(name: str, seed: int) -> tuple[AnnData, rt.model.W1OT]:
    adata = getattr(rt.datasets, name)(N_TRAINING, seed=seed)
    return adata, rt.tl.w1ot(
        adata, "control", "perturbed", preset="paper", seed=seed, show_progress_bar=False
    )


def measure(data: str, seed: int) -> dict:
    start = time.perf_counter()
    _, model = fit(data, seed)
    seconds = time.perf_counter() - start
    fresh = getattr(rt.datasets, data)(N_TEST, seed=1000 + seed)
    source = fresh[fresh.obs["perturbation"] == "control"]
    target = np.asarray(fresh[fresh.obs["perturbation"] == "perturbed"].X)
    moved = np.asarray(model.predict(source).to_df().to_numpy())
    row = {
        "energy_distance": round(float(rt.metrics.energy_distance(moved, target)), 5),
        "seconds": round(seconds, 1),
        "order": "",
        "inner_to_inner": "",
    }
    if data == "bookshelf":
        row["order"] = round(float(spearmanr(source.X[:, 0], moved[:, 0])[0]), 5)
    if data == "circles":
        inner = (source.obs["ring"] == "inner").to_numpy()
        radius = np.linalg.norm(moved, axis=1)
        target_radius = np.linalg.norm(target, axis=1)
        middle = (target_radius.min() + target_radius.max()) / 2
        row["inner_to_inner"] = round(float((radius[inner] < middle).mean()), 5)
    return row


def figure(path: str) -> None:
    import matplotlib.pyplot as plt

    canvas, axes = plt.subplots(2, 2, figsize=(10, 9), layout="constrained")
    for ax, name in zip(axes.flat, SETS, strict=True):
        adata, _ = fit(name, 0)
        shown = adata[np.random.default_rng(0).permutation(adata.n_obs)[:4000]].copy()
        draw = rt.pl.markers if name == "bookshelf" else rt.pl.transport_rays
        draw(shown, ax=ax)
        if name != "bookshelf":
            ax.get_legend().remove()
        ax.set_title(name.replace("_", " "))
    canvas.savefig(path, dpi=150)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figure", help="also redraw the paper's Figure 2 to this file")
    options = parser.parse_args()
    run("toy", [{"data": name, "seed": seed} for seed in SEEDS for name in SETS], measure)
    if options.figure:
        figure(options.figure)
