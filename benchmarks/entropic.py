"""GENOT beside the entropic plan that it learns: python benchmarks/entropic.py [--seeds 0,1,2,3,4].

``plan``: 400 cells each of two normal distributions in one and two dimensions. The mean and the
spread of what a cell becomes, by 400 samples, are compared with those of Sinkhorn's plan (POT) of
the very same cells; errors are means over cells, in units where the target has variance 1.
``outliers``: a tenth of the source lies far from every target, and ``tau_source=0.9`` lets mass go
unmatched; their learned mean mass is beside that of the others. The first seed is drawn.
"""

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"

from pathlib import Path

import matplotlib as mpl
import numpy as np
import ot
import torch
from anndata import AnnData
from rows import run, summarise

import rayot as rt

mpl.use("Agg")
from matplotlib import pyplot as plt

FIGURE = Path(__file__).parents[1] / "docs" / "_static" / "entropic.png"
EPSILON = 0.3


def fit(source: np.ndarray, target: np.ndarray, seed: int, **settings: float) -> tuple:
    """A fitted model, and the source cells with what was written of them."""
    adata = AnnData(np.concatenate([source, target]).astype(np.float32))
    adata.obs["perturbation"] = np.repeat(["control", "perturbed"], [len(source), len(target)])
    torch.set_num_threads(1)
    model = rt.tl.genot(
        adata,
        "control",
        "perturbed",
        seed=seed,
        show_progress_bar=False,
        plan_kwargs={"shrink": False, **settings},
    )
    return model, adata[adata.obs["perturbation"] == "control"].copy()


def plan(d: int, seed: int) -> dict[str, np.ndarray]:
    """Means (n, d) and spreads (n,) by GENOT and by Sinkhorn's plan, of source cells (n, d)."""
    rng = np.random.default_rng(seed)
    source, target = rng.normal(size=(400, d)), rng.normal(size=(400, d)) + 2
    model, cells = fit(source, target, seed, epsilon=EPSILON, steps_per_coupling=5)
    predicted = model.predict(cells, n_samples=400, clip=False)
    cost = ot.dist(source, target)
    shares = ot.sinkhorn([], [], cost / cost.mean(), EPSILON)
    shares /= shares.sum(1, keepdims=True)
    mean = shares @ target
    variance = shares @ target**2 - mean**2
    return {
        "source": source,
        "mean": predicted.X,
        "spread": predicted.obs["genot_sd"].to_numpy(),
        "mean of the plan": mean,
        "spread of the plan": np.sqrt(variance.mean(1)),
    }


def outliers(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Source cells (500, 2), the last 50 far away, and their mass (500,)."""
    rng = np.random.default_rng(seed)
    source = np.concatenate([rng.normal(size=(450, 2)), rng.normal(size=(50, 2)) + 12])
    target = rng.normal((2.0, 0.0), size=(500, 2))
    _, cells = fit(source, target, seed, epsilon=0.05, tau_source=0.9)
    return source, cells.obs["genot_weight"].to_numpy()


def measure(method: str, seed: int) -> dict:
    empty = dict.fromkeys(("error of mean", "error of spread", "mass of outliers", "of others"))
    if method == "outliers":
        mass = outliers(seed)[1]
        found = {"mass of outliers": mass[450:].mean(), "of others": mass[:450].mean()}
    else:
        of = plan(int(method.rsplit(maxsplit=1)[-1]), seed)
        found = {
            f"error of {name}": np.abs(of[name] - of[f"{name} of the plan"]).mean()
            for name in ("mean", "spread")
        }
    return {**empty, **{name: round(float(value), 4) for name, value in found.items()}}


def draw() -> None:
    figure, axes = plt.subplots(1, 3, figsize=(10, 3.1), layout="constrained")
    one = plan(1, 0)
    order = one["source"][:, 0].argsort()
    x, mean = one["source"][order, 0], one["mean of the plan"][order, 0]
    spread = one["spread of the plan"][order]
    axes[0].fill_between(x, mean - spread, mean + spread, color="0.85", label="Sinkhorn, ± sd")
    axes[0].plot(x, mean, color="0.4", label="Sinkhorn, mean")
    rows = order[::8]
    axes[0].errorbar(
        one["source"][rows, 0],
        one["mean"][rows, 0],
        one["spread"][rows],
        fmt="o",
        ms=3,
        lw=0.8,
        label="GENOT, ± sd",
    )
    axes[0].set(title="one dimension", xlabel="x", ylabel="y given x")
    axes[0].legend(fontsize="small", frameon=False)
    two = plan(2, 0)
    for number in range(2):
        of = two["mean of the plan"][:, number], two["mean"][:, number]
        axes[1].scatter(*of, s=5, label=f"coordinate {number + 1}")
    axes[1].axline((2, 2), slope=1, color="0.4", lw=0.8)
    axes[1].set(title="two dimensions", xlabel="mean by Sinkhorn", ylabel="mean by GENOT")
    axes[1].legend(fontsize="small", frameon=False)
    source, mass = outliers(0)
    drawn = axes[2].scatter(*source.T, c=mass, s=6, vmin=0)
    axes[2].set(title="source with outliers", xlabel="x₁", ylabel="x₂")
    figure.colorbar(drawn, ax=axes[2], label="learned mass")
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
    figure.savefig(FIGURE, dpi=150)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0,1,2,3,4", help="joined by commas")
    options = parser.parse_args()
    methods = ("plan, dimensions: 1", "plan, dimensions: 2", "outliers")
    run(
        "entropic",
        [
            {"method": method, "seed": seed}
            for seed in map(int, options.seeds.split(","))
            for method in methods
        ],
        measure,
    )
    summarise("entropic", "error of mean")
    draw()
