"""Conditions that training never saw: python benchmarks/conditional.py [--tasks NAMES].

``dose``: simulated drugs at five doses, one of the three in the middle left out. ``cell type`` and
``patient``: of kang18 and gbm, none of whose cells are in training; a condition's vector is the
mean profile of its control cells. ``double``: the doubles of norman19 whose two parts are there
alone, all left out at once. 50 principal components of training cells, scored in gene space on the
50 genes that differ most between control and held-out cells: the share of the way from the control
to the held-out cells, in unbiased energy distance and in the distance of means. ``components``: the
same in energy distance in the principal components, of all genes. ``correlations``: mean error of
the correlations of genes, see held.py. All figures are within one group. Control cells are
predicted: where the group is unseen its own, else all. Rows named ``delta`` are not calibrated; and
``quantile map`` moves each gene by itself. Controls: ``untouched`` cells, and ``observed`` ones,
half of the held-out cells beside the other half. ``mmd``, of the same genes: the share of the way
from untouched to observed cells, as many of each beside the other half.
"""

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"

import time
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from anndata import AnnData
from held import correlation_error
from rows import run
from sets import DELTA, SETS, embed, prepare

import rayot as rt
from rayot.metrics import mmd
from rayot.solvers import energy_distance

N_GENES = 50
DOSES = (0.1, 1.0, 10.0, 100.0, 1000.0)
DRUGS = [f"drug_{number:03d}" for number in range(6)]
HELD_OUT = {
    "dose": DOSES[1:-1],
    "cell type": ("B", "CD14+Mono", "CD4T", "CD8T", "Dendritic", "FCGR3A+Mono", "NK"),
    "patient": ("PW030", "PW032", "PW034", "PW036", "PW040"),
    "double": (
        "KLF1+MAP2K6",
        "KLF1+TGFBR2",
        "MAP2K3+MAP2K6",
        "MAP2K3+SLC38A2",
        "MAPK1+TGFBR2",
    ),
}
SET_OF = {"cell type": "kang18", "patient": "gbm"}
QUIET = {"use_rep": "X_pca", "show_progress_bar": False}


@lru_cache(maxsize=1)
def cells(task: str, held_out: str | float, seed: int) -> AnnData:
    if task in SET_OF:
        adata = prepare(SET_OF[task], "pca", seed, unseen=str(held_out))
        column, control = SETS[SET_OF[task]].group, adata.obs["perturbation"] == "control"
        adata.uns["profiles"] = {
            name: adata.obsm["X_pca"][(adata.obs[column] == name) & control].mean(0)
            for name in adata.obs[column].unique()
        }
        return adata
    if task == "dose":
        adata = rt.datasets.simulated_screen(
            len(DRUGS), n_cells=150, n_genes=100, inactive=0, doses=DOSES, seed=seed
        )
        of_test = adata.obs["dose"] == np.float32(held_out)
    else:
        adata = rt.datasets.norman19()
        of_test = adata.obs["perturbation"].isin(HELD_OUT["double"])
    adata.obs["split"] = np.where(of_test, "test", "train")
    embed(adata)
    return adata


def targets(task: str, held_out: str | float) -> list[tuple[str, float | None]]:
    """Perturbations, and their dose, that are predicted."""
    if task == "dose":
        return [(drug, float(held_out)) for drug in DRUGS]
    return [(str(held_out) if task == "double" else SETS[SET_OF[task]].target, None)]


def marked(adata: AnnData, of_target: np.ndarray) -> AnnData:
    """Training cells of the control and of a target, so named."""
    control = (adata.obs["perturbation"] == "control").to_numpy()
    chosen = (control | of_target) & (adata.obs["split"] == "train").to_numpy()
    part = adata[chosen].copy()
    part.obs["perturbation"] = np.where(of_target[chosen], "target", "control")
    return part


def pair(adata: AnnData, of_target: np.ndarray, seed: int, **options: object) -> rt.model.W1OT:
    """One model from training control cells to some of the training cells."""
    given = {"preset": "fast", "seed": seed, "split_key": None, "write_genes": False, **DELTA}
    part = marked(adata, of_target)
    return rt.tl.w1ot(part, "control", "target", **given, **QUIET, **options)


def pooled(strata: bool = False) -> Callable:
    """One model of the same drug at other doses, of both parts, or of all seen groups."""

    def predict(task: str, adata: AnnData, source: AnnData, what: tuple, seed: int) -> np.ndarray:
        parts = what[0].split("+") if task == "double" else [what[0]]
        key = SETS[SET_OF[task]].group if strata and task in SET_OF else None
        of_target = adata.obs["perturbation"].isin(parts).to_numpy()
        model = pair(adata, of_target, seed, strata_key=key)
        return model.predict(source, unseen="map").to_df().to_numpy()

    return predict


def summed(task: str, adata: AnnData, source: AnnData, what: tuple, seed: int) -> np.ndarray:
    """The moves of one model a part, added."""
    start = source.X.toarray()
    moves = [
        pair(adata, (adata.obs["perturbation"] == part).to_numpy(), seed)
        .predict(source, clip=False)
        .X
        - start
        for part in what[0].split("+")
    ]
    return np.maximum(start + sum(moves), 0)


def mean_shift(task: str, adata: AnnData, source: AnnData, what: tuple, seed: int) -> np.ndarray:
    """Of other groups, interpolated between neighbouring doses, or the sum of both parts'."""
    training = (adata.obs["split"] == "train").to_numpy()
    name = adata.obs["perturbation"].to_numpy()
    mean = lambda chosen: np.asarray(adata.X[training & chosen].mean(0)).ravel()  # noqa: E731
    control = mean(name == "control")
    if task == "double":
        shift = sum(mean(name == part) - control for part in what[0].split("+"))
    elif task == "dose":
        at = DOSES.index(what[1])
        beside = [adata.obs["dose"].to_numpy() == np.float32(DOSES[k]) for k in (at - 1, at + 1)]
        shift = np.mean([mean((name == what[0]) & dose) for dose in beside], axis=0) - control
    else:
        shift = mean(name == what[0]) - control
    return np.maximum(source.X.toarray() + shift, 0)


def quantile_map(task: str, adata: AnnData, source: AnnData, what: tuple, seed: int) -> np.ndarray:
    """Each gene by itself, of other groups, of doses beside it, or of one part after another."""
    name, dose = adata.obs["perturbation"].to_numpy(), adata.obs.get("dose")
    parts = what[0].split("+") if task == "double" else [what[0]]
    groups = [name == part for part in parts]
    if task == "dose":
        at = DOSES.index(what[1])
        beside = np.isin(dose, np.float32([DOSES[at - 1], DOSES[at + 1]]))
        groups = [groups[0] & beside]
    for of_target in groups:
        part = marked(adata, of_target)
        model = rt.tl.quantile_map(part, "control", "target", seed=seed, split_key=None)
        predicted = model.predict(source)
        predicted.obs["perturbation"] = "control"
        source = predicted
    return source.to_df().to_numpy()


def conditional(**options: object) -> Callable:
    """One model of all conditions."""
    fitted: dict = {}

    def predict(task: str, adata: AnnData, source: AnnData, what: tuple, seed: int) -> np.ndarray:
        if fitted.get("cells") is not adata:
            given: dict = {"seed": seed, **options}
            if task == "dose":
                given["dose_key"] = "dose"
            if task in SET_OF:
                group = SETS[SET_OF[task]].group
                given |= {"covariate_keys": [group], "embedding_key": {group: "profiles"}}
            data = rt.model.ConditionalW1OT.setup_anndata(adata, use_rep="X_pca")
            model = rt.model.ConditionalW1OT(adata, data, "control", **given)
            model.train(show_progress_bar=False)
            fitted.update(cells=adata, model=model)
        return fitted["model"].predict(source, what[0], dose=what[1]).to_df().to_numpy()

    return predict


def profiles(kind: type) -> Callable:
    """A baseline that predicts from the mean shifts of other perturbations."""

    def predict(task: str, adata: AnnData, source: AnnData, what: tuple, seed: int) -> np.ndarray:
        data = kind.setup_anndata(adata, use_rep="X_pca")
        model = kind(adata, data, "control", what[0])
        model.train()
        return model.predict(source).to_df().to_numpy()

    return predict


def untouched(task: str, adata: AnnData, source: AnnData, what: tuple, seed: int) -> np.ndarray:
    """Negative control: cells as they are."""
    return source.X.toarray()


METHODS: dict[str, Callable | None] = {
    "untouched": untouched,
    "conditional": conditional(),
    "conditional, delta": conditional(decode="delta"),
    "conditional, delta, biases alone": conditional(decode="delta", rank=0),
    "conditional, delta, vectors added": conditional(decode="delta", combination="vectors"),
    "one model, pooled": pooled(),
    "one model, balanced": pooled(strata=True),
    "one model a part, summed": summed,
    "mean shift": mean_shift,
    "quantile map": quantile_map,
    "additive": profiles(rt.model.Additive),
    "nearest": profiles(rt.model.Nearest),
    "ridge": profiles(rt.model.Ridge),
    "observed": None,
}
ONLY = {
    **dict.fromkeys(("additive", "nearest", "ridge"), ("double",)),
    "conditional, delta, vectors added": ("double",),
    "one model, balanced": tuple(SET_OF),
    "one model a part, summed": ("double",),
}


def score(
    start: np.ndarray,
    predicted: np.ndarray,
    truth: np.ndarray,
    loadings: np.ndarray,
    halves: tuple[np.ndarray, np.ndarray],
) -> dict[str, float]:
    """Distances to ``truth``, of the prediction and of the cells it started from."""
    spread = np.sqrt(start.var(0) / len(start) + truth.var(0) / len(truth)) + 1e-6
    genes = np.argsort(-np.abs(start.mean(0) - truth.mean(0)) / spread)[:N_GENES]
    a, b, c = (
        torch.from_numpy(np.ascontiguousarray(x[:, genes])) for x in (start, predicted, truth)
    )
    of_start, of_predicted, of_truth = (
        torch.from_numpy(cells @ loadings)[None] for cells in (start, predicted, truth)
    )
    return {
        "components": float(energy_distance(of_predicted, of_truth)),
        "identity components": float(energy_distance(of_start, of_truth)),
        "correlations": correlation_error(predicted, truth),
        "energy_distance": float(energy_distance(b[None], c[None])),
        "identity energy_distance": float(energy_distance(a[None], c[None])),
        "mean": float((b.mean(0) - c.mean(0)).norm()),
        "identity mean": float((a.mean(0) - c.mean(0)).norm()),
        **of_halves(start[:, genes], predicted[:, genes], *(half[:, genes] for half in halves)),
    }


def of_halves(
    start: np.ndarray, predicted: np.ndarray, observed: np.ndarray, reference: np.ndarray
) -> dict[str, float]:
    """MMD to one half of the cells, which is biased, so that all have as many cells."""
    parts = {"identity mmd": start, "mmd": predicted, "observed mmd": observed}
    size = min(map(len, parts.values()))
    draw = np.random.default_rng(0)
    return {
        name: mmd(draw.permutation(part)[:size], reference[:size]) for name, part in parts.items()
    }


def ways(found: list[dict[str, float]]) -> dict[str, float]:
    """Shares of the way from control to held-out cells, of several targets together."""
    total = {key: sum(each[key] for each in found) for key in found[0]}
    of = {
        name: round(1 - total[name] / total[f"identity {name}"], 4)
        for name in ("energy_distance", "mean", "components")
    }
    gap = total["identity mmd"] - total["observed mmd"]
    return {
        "way mmd": round((total["identity mmd"] - total["mmd"]) / gap, 4),
        "way energy_distance": of["energy_distance"],
        "way mean": of["mean"],
        "components": of["components"],
        "correlations": round(total["correlations"] / len(found), 4),
    }


def measure(task: str, held_out: str | float, seed: int, method: str) -> dict:
    adata = cells(task, held_out if task != "double" else "all", seed)
    torch.set_num_threads(1)
    name, test = adata.obs["perturbation"], adata.obs["split"] == "test"
    unseen = test if task in SET_OF else np.ones(adata.n_obs, dtype=bool)
    source = adata[(name == "control") & unseen].copy()
    start, found = time.process_time(), []
    for what in targets(task, held_out):
        truth = adata[(name == what[0]) & test].X.toarray()
        halves = truth[::2], truth[1::2]
        if method == "observed":
            predicted, truth = halves
        elif (predict := METHODS[method]) is not None:
            predicted = predict(task, adata, source, what, seed)
        found.append(score(source.X.toarray(), predicted, truth, adata.varm["PCs"], halves))
    figures = ways(found)
    if method == "observed":
        # Half as many cells have a larger error, whatever they are.
        figures["correlations"] = np.nan
    return {"seconds": round(time.process_time() - start, 1), **figures}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", default=",".join(HELD_OUT))
    parser.add_argument("--methods", default=";".join(METHODS), help="names, joined by semicolons")
    parser.add_argument("--seeds", default="0,1,2")
    options = parser.parse_args()
    cases = [
        {"task": task, "held_out": held_out, "seed": seed, "method": method}
        for seed in map(int, options.seeds.split(","))
        for task in options.tasks.split(",")
        for method in options.methods.split(";")
        if task in ONLY.get(method, tuple(HELD_OUT))
        for held_out in HELD_OUT[task]
    ]
    run("conditional", cases, measure)
