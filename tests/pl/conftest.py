"""Fitted maps made by hand, and a check that figures leave nothing behind."""

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest


@pytest.fixture(autouse=True)
def closed_figures():
    plt.close("all")
    yield
    plt.close("all")


@pytest.fixture
def planar():
    """40 control cells in the plane, 30 target cells, and a map that shifts by (3, 1)."""
    generator = np.random.default_rng(0)
    cells = generator.normal(size=(70, 2)).astype(np.float32)
    cells[40:] += [3, 1]
    adata = ad.AnnData(cells, obs=_obs(40, 30), var=pd.DataFrame(index=["x", "y"]))
    predicted = np.full_like(cells, np.nan)
    predicted[:40] = cells[:40] + np.array([3, 1])
    adata.layers["w1ot"] = predicted
    steps = np.arange(50)
    sparse = np.where(steps % 10 == 0, 1.0, np.nan)
    grid = np.linspace(-5, 8, 12)
    adata.uns["w1ot"] = {
        "source": "control",
        "target": "drug",
        "groupby": "perturbation",
        "history": {
            "ray 1 potential": {"step": steps, "dual": steps / 50, "validation_dual": sparse},
            "ray 1 step": {"step": steps, "step_loss": steps, "critic_loss": -steps},
        },
        "diagnostics": {
            "held_out_dual": 3.0,
            "mean_step": 3.2,
            "initial_energy_distance": 4.0,
            "residual_energy_distance": 0.04,
            "floor_energy_distance": 0.02,
            "initial_wasserstein": 3.4,
            "residual_wasserstein": 0.6,
            "floor_wasserstein": 0.5,
            "n_cells_wasserstein": 15,
            "changed_type": float("nan"),
            "floor_changed_type": float("nan"),
            "n_cells": 30,
            "certificate": "good",
            "reason": "1% of the distance to held-out target cells is left.",
        },
        "potential_grid": {"x": grid, "y": grid, "values": np.tile(-grid, (12, 1))},
    }
    return adata


@pytest.fixture
def embedded():
    """The same in a representation of four dimensions, with an embedding of two."""
    generator = np.random.default_rng(0)
    adata = ad.AnnData(
        generator.poisson(2, size=(70, 6)).astype(np.float32),
        obs=_obs(40, 30),
        var=pd.DataFrame(index=[f"gene{i}" for i in range(6)]),
    )
    latent = generator.normal(size=(70, 4))
    latent[40:, 0] += 10
    moved = np.full_like(latent, np.nan)
    moved[:40] = latent[:40] + np.array([10, 0, 0, 0])
    adata.obsm.update({"X_pca": latent, "X_w1ot": moved, "X_umap": latent[:, :2] * 2})
    adata.layers["w1ot"] = np.where(np.isnan(moved[:, :1]), np.nan, adata.X + 1).astype(np.float32)
    adata.uns["w1ot"] = {
        "source": "control",
        "target": "drug",
        "groupby": "perturbation",
        "use_rep": "X_pca",
    }
    return adata


def _obs(n_control, n_drug):
    total = n_control + n_drug
    return pd.DataFrame(
        {
            "perturbation": pd.Categorical(["control"] * n_control + ["drug"] * n_drug),
            "cell_type": pd.Categorical(np.where(np.arange(total) % 2, "T", "B")),
            "n_counts": np.arange(total, dtype=float),
        },
        index=[f"cell{i}" for i in range(total)],
    )
