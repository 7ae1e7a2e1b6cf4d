"""Drugs that only a vector describes: python benchmarks/drugs.py [--seeds NUMBERS].

Simulated drugs act by four mechanisms, each of which changes genes of its own in each cell type, as
:func:`rayot.datasets.simulated_screen` has it; a drug's activities are sparse. 24 drugs are in
training, with 100 cells each and 500 of the control, and 6 are held out. Vectors have 8 entries:
``informative`` ones are activities, mixed, with a tenth of their spread as noise; ``permuted`` ones
are those of other drugs; ``random`` ones are noise. 50 principal components of training cells. All
is scored by :func:`rayot.tl.evaluate` on the 50 genes that differ most between the control and
other perturbations: ``way`` in energy distance and MMD, and the correlation ``delta`` of the mean
change of all genes with the observed one. Controls: ``untouched`` cells, and ``own mean shift``,
the mean shift of the held-out drug's own cells. ``conditional, network`` is the same fit with
``unseen="network"``. A sum of parts (:func:`rayot.tl.additive`) has no meaning for a single drug.
"""

import argparse
import copy
import os

os.environ["OMP_NUM_THREADS"] = "1"

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from rows import run
from scipy import sparse
from sets import embed

import rayot as rt
from rayot.datasets import _expression as expression
from rayot.datasets._simulated_screen import RESPONDING, SHARED, _draw

VECTORS = ("informative", "permuted", "random")
N_TRAINING, N_HELD_OUT, N_MECHANISMS, N_ENTRIES = 24, 6, 4, 8
N_CELLS, N_CONTROLS, N_GENES = 100, 500, 100
EFFECT, LARGEST, NOISE = 1.2, 4.0, 0.1
NAMES = [f"drug_{number:03d}" for number in range(N_TRAINING + N_HELD_OUT)]
HELD_OUT = NAMES[N_TRAINING:]


@lru_cache(maxsize=1)
def cells(seed: int) -> AnnData:
    rng = np.random.default_rng(seed)
    types = expression.CellTypes.of(3)
    genes = expression.Genes.draw(N_GENES, types, rng)
    mechanisms = [
        genes.with_response(types, EFFECT, RESPONDING, SHARED, rng).response
        for _ in range(N_MECHANISMS)
    ]
    activities = rng.gamma(0.5, 1, (len(NAMES), N_MECHANISMS))
    activities *= rng.uniform(0.5, 1.5, (len(NAMES), 1)) / np.linalg.norm(
        activities, axis=1, keepdims=True
    )
    drawn = [_draw(genes, types, N_CONTROLS, expression.DISPERSION, rng)[1]]
    for activity in activities:
        response = np.tensordot(activity, mechanisms, 1).clip(-LARGEST, LARGEST)
        answer = replace(genes, response=response)
        drawn.append(_draw(answer, types, N_CELLS, expression.DISPERSION, rng)[1])
    labels = ["control"] * N_CONTROLS + list(np.repeat(NAMES, N_CELLS))
    obs = pd.DataFrame({"perturbation": pd.Categorical(labels)})
    obs.index = [f"cell_{number}" for number in range(len(obs))]
    adata = AnnData(sparse.vstack(drawn, format="csr"), obs=obs)
    adata.var_names = [f"gene_{number}" for number in range(N_GENES)]
    expression.describe(adata, expression.LIBRARY_SIZE)
    mixed = activities @ rng.normal(size=(N_MECHANISMS, N_ENTRIES))
    mixed += NOISE * mixed.std() * rng.normal(size=mixed.shape)
    for kind, vectors in (
        ("informative", mixed),
        ("permuted", rng.permutation(mixed)),
        ("random", rng.normal(size=mixed.shape)),
    ):
        adata.uns[kind] = dict(zip(NAMES, vectors, strict=True))
    rt.pp.split(adata, holdout={"perturbation": HELD_OUT})
    adata.obs["split"] = np.where(adata.obs["perturbation"].isin(HELD_OUT), "test", "train")
    embed(adata)
    return adata


@lru_cache(maxsize=1)
def conditional(seed: int, vectors: str) -> rt.model.ConditionalW1OT:
    adata = cells(seed)
    data = rt.model.ConditionalW1OT.setup_anndata(adata, use_rep="X_pca")
    model = rt.model.ConditionalW1OT(adata, data, "control", embedding_key=vectors, seed=seed)
    model.train(show_progress_bar=False)
    return model


def of_responses(seed: int, vectors: str, drug: str) -> rt.model.W1OT:
    """By weights of the responses of other drugs."""
    return conditional(seed, vectors).at(drug)


def of_network(seed: int, vectors: str, drug: str) -> rt.model.W1OT:
    """By the network's map at the vector."""
    model = copy.copy(conditional(seed, vectors))
    model.responses = None
    return model.at(drug)


def profiles(kind: type, **settings: object) -> Callable:
    """A shift by those of other drugs."""

    def fitted(seed: int, vectors: str, drug: str) -> rt.model.Ridge:
        adata = cells(seed)
        data = kind.setup_anndata(adata, use_rep="X_pca")
        model = kind(adata, data, "control", drug, embedding_key=vectors, **settings)
        model.train()
        return model

    return fitted


def shift(of: str) -> Callable:
    """The mean shift of all drugs of training, or of the held-out drug."""

    def fitted(seed: int, vectors: str, drug: str) -> rt.model.Nearest:
        adata = cells(seed)
        model = profiles(rt.model.Nearest)(seed, vectors, drug)
        name = adata.obs["perturbation"]
        chosen = [drug] if of == "own" else NAMES[:N_TRAINING]
        means = [adata.obsm["X_pca"][name == each].mean(0) for each in ["control", *chosen]]
        start = np.zeros_like(means) if of == "nothing" else means
        moved = np.mean(start[1:], axis=0) - start[0]
        model.module.shift[:] = torch.from_numpy(moved.astype(np.float32))
        return model

    return fitted


METHODS: dict[str, Callable] = {
    "conditional": of_responses,
    "conditional, network": of_network,
    "ridge": profiles(rt.model.Ridge),
    "ridge, rbf": profiles(rt.model.Ridge, kernel="rbf"),
    "nearest": profiles(rt.model.Nearest),
    "mean of the perturbed": shift("all"),
    "own mean shift": shift("own"),
    "untouched": shift("nothing"),
}


def measure(seed: int, vectors: str, drug: str, method: str) -> dict:
    torch.set_num_threads(1)
    adata = cells(seed)
    model = METHODS[method](seed, vectors, drug)
    table = rt.tl.evaluate(adata, model, metrics=["energy_distance", "mmd"], seed=seed)
    control = adata[adata.obs["perturbation"] == "control"]
    start = control.X.toarray().mean(0)
    predicted = model.predict(control).to_df().to_numpy().mean(0) - start
    observed = adata[adata.obs["perturbation"] == drug].X.toarray().mean(0) - start
    delta = np.corrcoef(predicted, observed)[0, 1] if np.ptp(predicted) > 0 else 0.0
    figures = {
        f"{name} {metric}": round(float(table.loc[row, metric]), 5)
        for metric in ("energy_distance", "mmd")
        for name, row in (
            ("own", table.index[0]),
            ("identity", "identity"),
            ("observed", "observed"),
        )
    }
    return {"delta": round(float(delta), 4), **figures}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0,1,2,3,4")
    options = parser.parse_args()
    cases = [
        {"seed": seed, "vectors": vectors, "drug": drug, "method": method}
        for seed in map(int, options.seeds.split(","))
        for vectors in VECTORS
        for drug in HELD_OUT
        for method in METHODS
    ]
    run("drugs", cases, measure)
