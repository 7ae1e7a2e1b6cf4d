"""Is the certificate right where the answer is known? python benchmarks/certificate.py.

Each set is fitted with ``preset="fast"`` in full, with 20 steps a phase and with 5. ``error`` is
what only the truth tells: on the bookshelf the mean distance to where a book belongs over how far
it travels; on a Wasserstein-1 pair one minus the cosine between a cell's move and its true
direction; on the simulator the energy distance to the cells' own counterfactuals over that of doing
nothing.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from anndata import AnnData
from rows import run

import rayot as rt
from rayot.data.keys import Key

SETS = {
    "bookshelf": lambda seed: rt.datasets.bookshelf(2000, seed=seed),
    "pair of 2 dimensions": lambda seed: rt.datasets.w1_benchmark(2, 4, n_samples=2000, seed=seed),
    "pair of 16 dimensions": lambda seed: rt.datasets.w1_benchmark(
        16, 4, n_samples=2000, seed=seed
    ),
    "pair of 128 dimensions": lambda seed: rt.datasets.w1_benchmark(
        128, 16, n_samples=2000, seed=seed
    ),
    **{
        f"simulator, effect {effect}": lambda seed, effect=effect: rt.datasets.simulated(
            1000, effect_size=effect, seed=seed
        )
        for effect in (0.0, 0.3, 1.0)
    },
}
STEPS = {"full": None, "20 steps": 20, "5 steps": 5}


def error(data: str, adata: AnnData) -> float:
    control = (adata.obs["perturbation"] == "control").to_numpy()
    moved = dense(adata.layers["w1ot"][control])
    start = dense(adata.X[control])
    if data == "bookshelf":
        return float(np.abs(moved[:, 0] - start[:, 0] - 2).mean() / 2)
    if data.startswith("pair"):
        truth = np.asarray(adata.obsm[Key.obsm.true_direction])[control]
        moves = moved - start
        cosine = (moves * truth).sum(1) / np.linalg.norm(moves, axis=1).clip(1e-9)
        return float(1 - cosine.mean())
    if np.array_equal(moved, start):
        # Without an effect each cell is its own counterfactual, and staying is right.
        return 0.0
    own = dense(adata.layers[Key.layers.counterfactual][control])
    distance = rt.metrics.energy_distance
    return float(distance(moved, own) / max(distance(start, own), 1e-9))


def dense(values: object) -> np.ndarray:
    return values.toarray() if hasattr(values, "toarray") else np.asarray(values)


def measure(data: str, fit: str, seed: int) -> dict:
    adata = SETS[data](seed)
    torch.set_num_threads(1)
    model = rt.tl.w1ot(
        adata,
        "control",
        "perturbed",
        preset="fast",
        n_seeds=1,
        seed=seed,
        max_steps=STEPS[fit],
        show_progress_bar=False,
    )
    figures = model.diagnostics
    return {
        "certificate": figures["certificate"],
        "error": round(error(data, adata), 3),
        "share left": round(figures["share_left"], 3),
        "p-value": round(figures["p_value"], 3),
        "lower bound": round(figures["held_out_dual"], 3),
        "mean step": round(figures["mean_step"], 3),
        "reason": figures["reason"],
    }


if __name__ == "__main__":
    cases = [{"data": data, "fit": fit, "seed": 0} for data in SETS for fit in STEPS]
    run("certificate", cases, measure)
