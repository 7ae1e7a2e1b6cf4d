"""Drugs and genes that only a vector describes: python benchmarks/drugs.py [--seeds NUMBERS].

``simulated``: drugs act by four mechanisms, each of which changes genes of its own in each cell
type, as :func:`rayot.datasets.simulated_screen` has it; a drug's activities are sparse. 24 drugs
are in training, with 100 cells each and 500 of the control, and 6 are held out. Vectors have 8
entries: ``informative`` ones are activities, mixed, with a tenth of their spread as noise;
``permuted`` ones are those of other drugs; ``random`` ones are noise. ``norman19``: its 18 single
genes, a third of them held out at a time. Half of the treated cells are set apart, and informative
vectors are 6 principal components of the genes' mean responses in these: better ones than anybody
has of a gene that was not perturbed.

50 principal components of training cells. All is scored by :func:`rayot.tl.evaluate` on the 50
genes that differ most between the control and other perturbations: ``way`` in energy distance and
MMD, and the correlation ``delta`` of the mean change of all genes with the observed one. Controls:
``untouched`` cells, and ``own mean shift``, the mean shift of the held-out drug's own cells.
``conditional, network`` is the same fit with ``unseen="network"``. A sum of parts
(:func:`rayot.tl.additive`) has no meaning for a single drug.
"""

import argparse
import copy
import os

os.environ["OMP_NUM_THREADS"] = "1"

from collections.abc import Callable
from dataclasses import dataclass, replace
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
N_GENE_ENTRIES, N_FOLDS = 6, 3


def held_out(data: str, seed: int) -> list[list[str]]:
    """Perturbations that are held out together."""
    if data == "simulated":
        return [[f"drug_{number:03d}" for number in range(N_TRAINING, N_TRAINING + N_HELD_OUT)]]
    order = np.random.default_rng(seed).permutation(singles(real()))
    return [order[fold::N_FOLDS].tolist() for fold in range(N_FOLDS)]


def singles(adata: AnnData) -> list[str]:
    """Names of the perturbations."""
    names = adata.obs["perturbation"].cat.categories
    return [name for name in names if name != "control" and "+" not in name]


@lru_cache(maxsize=1)
def cells(data: str, seed: int, fold: int) -> AnnData:
    adata = simulated(seed) if data == "simulated" else with_vectors(real(), seed)
    of_test = adata.obs["perturbation"].isin(held_out(data, seed)[fold])
    adata.obs["split"] = np.where(of_test, "test", "train")
    embed(adata)
    return adata


@lru_cache(maxsize=1)
def real() -> AnnData:
    adata = rt.datasets.norman19()
    return adata[adata.obs["perturbation"].isin(["control", *singles(adata)])].copy()


def with_vectors(adata: AnnData, seed: int) -> AnnData:
    """Half of the treated cells, and vectors of genes by what the others say."""
    name, rng = adata.obs["perturbation"], np.random.default_rng(seed)
    others = np.zeros(adata.n_obs, dtype=bool)
    for gene in singles(adata):
        rows = np.flatnonzero(name == gene)
        others[rng.permutation(rows)[::2]] = True
    control = adata[name == "control"].X.toarray().mean(0)
    responses = [
        adata[others & (name == gene)].X.toarray().mean(0) - control for gene in singles(adata)
    ]
    left, values, _ = np.linalg.svd(responses, full_matrices=False)
    kept = adata[~others].copy()
    return described(kept, singles(adata), (left * values)[:, :N_GENE_ENTRIES], rng)


def described(
    adata: AnnData, names: list[str], informative: np.ndarray, rng: np.random.Generator
) -> AnnData:
    """Cells with vectors of each kind."""
    for kind, vectors in (
        ("informative", informative),
        ("permuted", rng.permutation(informative)),
        ("random", rng.normal(size=informative.shape)),
    ):
        adata.uns[kind] = dict(zip(names, vectors, strict=True))
    return adata


def simulated(seed: int) -> AnnData:
    names = [f"drug_{number:03d}" for number in range(N_TRAINING + N_HELD_OUT)]
    rng = np.random.default_rng(seed)
    types = expression.CellTypes.of(3)
    genes = expression.Genes.draw(N_GENES, types, rng)
    mechanisms = [
        genes.with_response(types, EFFECT, RESPONDING, SHARED, rng).response
        for _ in range(N_MECHANISMS)
    ]
    activities = rng.gamma(0.5, 1, (len(names), N_MECHANISMS))
    activities *= rng.uniform(0.5, 1.5, (len(names), 1)) / np.linalg.norm(
        activities, axis=1, keepdims=True
    )
    drawn = [_draw(genes, types, N_CONTROLS, expression.DISPERSION, rng)[1]]
    for activity in activities:
        response = np.tensordot(activity, mechanisms, 1).clip(-LARGEST, LARGEST)
        answer = replace(genes, response=response)
        drawn.append(_draw(answer, types, N_CELLS, expression.DISPERSION, rng)[1])
    labels = ["control"] * N_CONTROLS + list(np.repeat(names, N_CELLS))
    obs = pd.DataFrame({"perturbation": pd.Categorical(labels)})
    obs.index = [f"cell_{number}" for number in range(len(obs))]
    adata = AnnData(sparse.vstack(drawn, format="csr"), obs=obs)
    adata.var_names = [f"gene_{number}" for number in range(N_GENES)]
    expression.describe(adata, expression.LIBRARY_SIZE)
    mixed = activities @ rng.normal(size=(N_MECHANISMS, N_ENTRIES))
    mixed += NOISE * mixed.std() * rng.normal(size=mixed.shape)
    return described(adata, names, mixed, rng)


@dataclass(frozen=True)
class Case:
    """What is fitted."""

    data: str
    seed: int
    fold: int
    vectors: str

    @property
    def cells(self) -> AnnData:
        """Training and held-out cells."""
        return cells(self.data, self.seed, self.fold)


@lru_cache(maxsize=1)
def conditional(case: Case) -> rt.model.ConditionalW1OT:
    data = rt.model.ConditionalW1OT.setup_anndata(case.cells, use_rep="X_pca")
    given = {"embedding_key": case.vectors, "seed": case.seed}
    model = rt.model.ConditionalW1OT(case.cells, data, "control", **given)
    model.train(show_progress_bar=False)
    return model


def of_responses(case: Case, drug: str) -> rt.model.W1OT:
    """By weights of the responses of other drugs."""
    return conditional(case).at(drug)


def of_network(case: Case, drug: str) -> rt.model.W1OT:
    """By the network's map at the vector."""
    model = copy.copy(conditional(case))
    model.responses = None
    return model.at(drug)


def profiles(kind: type, **settings: object) -> Callable:
    """A shift by those of other drugs."""

    def fitted(case: Case, drug: str) -> rt.model.Ridge:
        data = kind.setup_anndata(case.cells, use_rep="X_pca")
        given = {"embedding_key": case.vectors, **settings}
        model = kind(case.cells, data, "control", drug, **given)
        model.train()
        return model

    return fitted


def shift(of: str) -> Callable:
    """The mean shift of all drugs of training, or of the held-out drug."""

    def fitted(case: Case, drug: str) -> rt.model.Ridge:
        adata, model = case.cells, profiles(rt.model.Ridge)(case, drug)
        name, others = adata.obs["perturbation"], held_out(case.data, case.seed)[case.fold]
        chosen = [drug] if of == "own" else [each for each in singles(adata) if each not in others]
        means = [adata.obsm["X_pca"][name == each].mean(0) for each in ["control", *chosen]]
        moved = np.mean(means[1:], axis=0) - means[0]
        if of == "nothing":
            moved = np.zeros_like(moved)
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


def measure(data: str, seed: int, vectors: str, fold: int, drug: str, method: str) -> dict:
    torch.set_num_threads(1)
    case = Case(data, seed, fold, vectors)
    adata, model = case.cells, METHODS[method](case, drug)
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
        {
            "data": data,
            "seed": seed,
            "vectors": vectors,
            "fold": fold,
            "drug": drug,
            "method": method,
        }
        for data in ("simulated", "norman19")
        for seed in map(int, options.seeds.split(","))
        for vectors in VECTORS
        for fold, drugs in enumerate(held_out(data, seed))
        for drug in drugs
        for method in METHODS
    ]
    run("drugs", cases, measure)
