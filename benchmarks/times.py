"""A time, or a dose, between two that were measured: python benchmarks/times.py [--seeds 0,1,2].

``continuous`` and ``switching``: simulated cells at five times. In the one all cells change at
once, a share t of their response at time t; in the other a share t of the cells has all of its
response and the others have none. ``sciplex2``: doses of dexamethasone, on a logarithmic scale, on
which the control is a step below the lowest. Each inner time, or dose from the second on, is left
out and predicted from the others, in 30 principal components of these.

``displacement`` is ``tl.w1ot`` between the two neighbours and ``model.at(time=…)``; ``straight
line`` the same map with all genes on the straight line, zeros too; ``ends`` the map from the first
time to the last. ``mixture``: cells of both neighbours, or of both ends, as many of each as the
time says. ``conditional``: ``tl.conditional_w1ot`` of all other times, ``time_key`` as they are (of
sciplex2: doses) or ``dose_key`` by their logarithm. Controls: cells of the ``nearest time``,
``control`` cells, of the first time, and ``observed``, other cells of the very time.

``way``: of the summed distances over the times left out, the share of the way from control to
observed cells, on the 50 genes that differ most between first and last time. ``zeros``: share of
them, less that of the truth. How genes are decoded between two times was chosen on other genes and
cells (seeds from 100 on).
"""

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"

import time
from collections.abc import Callable
from functools import lru_cache, partial

import anndata as ad
import numpy as np
import pandas as pd
import scanpy as sc
import torch
from anndata import AnnData
from rows import RESULTS, run

import rayot as rt
from rayot.data.matrix import dense
from rayot.datasets._expression import (
    DISPERSION,
    HETEROGENEITY,
    LIBRARY_SIZE,
    Cells,
    CellTypes,
    Genes,
)
from rayot.metrics import score, way

N_GENES, N_CELLS, N_COMPONENTS, N_SCORED = 300, 800, 30, 50
TIMES = (0.0, 0.2, 0.5, 0.7, 1.0)
METRICS = ("energy_distance", "mmd")
QUIET = {"groupby": "name", "use_rep": "X_pca", "show_progress_bar": False}


def simulated(switching: bool, seed: int) -> AnnData:
    """Cells of all times, whose genes do the same at each."""
    types = CellTypes.of(3)
    of_genes = np.random.default_rng([seed, 1])
    genes = Genes.draw(N_GENES, types, of_genes).with_response(types, 2.0, 0.5, 0.5, of_genes)
    genes = genes.midway()
    parts = []
    for number, at in enumerate(TIMES):
        rng = np.random.default_rng([seed, 2, number])
        cells = Cells.draw(N_CELLS, types, LIBRARY_SIZE, rng)
        gone = rng.random(N_CELLS) < at if switching else at
        strength = (1 + HETEROGENEITY * np.tanh(cells.state)) * gone
        rates = genes.rates(cells, DISPERSION, rng)
        counts = genes.answer(rng.poisson(rates), rates, cells, strength, rng)
        parts.append(AnnData(cells.log_normalised(counts, LIBRARY_SIZE)))
        parts[-1].obs["time"] = at
    return ad.concat(parts, label="time_number", index_unique="-")


def sciplex2(seed: int) -> AnnData:
    adata = rt.datasets.sciplex2()
    treated = (adata.obs["perturbation"] != "control").to_numpy()
    logs = np.log10(
        adata.obs["dose"].to_numpy(np.float64), where=treated, out=np.zeros(len(treated))
    )
    # Control cells are a step below the lowest dose.
    steps = np.diff(np.unique(logs[treated]))
    adata.obs["time"] = np.where(treated, logs, logs[treated].min() - steps.mean()).round(4)
    return adata


DATA: dict[str, Callable[[int], AnnData]] = {
    "continuous": partial(simulated, False),
    "switching": partial(simulated, True),
    "sciplex2": sciplex2,
}


@lru_cache(maxsize=1)
def cells(data: str, seed: int) -> AnnData:
    """All cells, half of each time for training, with the name of their time."""
    adata = DATA[data](seed)
    adata.uns["log1p"] = {}
    adata.obs["name"] = [f"t{at:g}" for at in adata.obs["time"]]
    training = np.zeros(adata.n_obs, dtype=bool)
    for at in np.unique(adata.obs["time"]):
        rows = np.flatnonzero(adata.obs["time"] == at)
        drawn = np.random.default_rng([seed, 3]).permutation(rows)
        training[drawn[: len(rows) // 2]] = True
    adata.obs["training"] = training
    return adata


@lru_cache(maxsize=2)
def training(data: str, seed: int, left_out: float) -> AnnData:
    """Training cells of all other times."""
    adata = cells(data, seed)
    adata = adata[adata.obs["training"] & (adata.obs["time"] != left_out)].copy()
    sc.pp.pca(adata, n_comps=N_COMPONENTS)
    return adata


def of_time(adata: AnnData, at: float, *, trained: bool) -> AnnData:
    return adata[(adata.obs["time"] == at) & (adata.obs["training"] == trained)].copy()


def around(data: str, seed: int, at: float, ends: bool) -> tuple[float, float]:
    """Times beside a time, or the first and the last."""
    times = np.unique(cells(data, seed).obs["time"])
    if ends:
        return float(times[0]), float(times[-1])
    place = int(np.searchsorted(times, at))
    return float(times[place - 1]), float(times[place + 1])


@lru_cache(maxsize=8)
def fitted(data: str, seed: int, at: float, pair: tuple[float, float]) -> rt.model.W1OT:
    names = [f"t{time:g}" for time in pair]
    return rt.tl.w1ot(training(data, seed, at), *names, seed=seed, **QUIET)


def displacement(data: str, seed: int, at: float, ends: bool = False) -> np.ndarray:
    pair = around(data, seed, at, ends)
    model = fitted(data, seed, at, pair).at(time=at, times=pair)
    return dense(model.predict(of_time(cells(data, seed), pair[0], trained=False)).X)


def straight_line(data: str, seed: int, at: float) -> np.ndarray:
    first, last = pair = around(data, seed, at, ends=False)
    source = of_time(cells(data, seed), first, trained=False)
    own = dense(source.X)
    share = (at - first) / (last - first)
    return own + share * (dense(fitted(data, seed, at, pair).predict(source).X) - own)


def mixture(data: str, seed: int, at: float, ends: bool = False) -> np.ndarray:
    first, last = pair = around(data, seed, at, ends)
    share = (at - first) / (last - first)
    sides = [dense(of_time(cells(data, seed), each, trained=True).X) for each in pair]
    size = min(map(len, sides))
    rng = np.random.default_rng([seed, 4])
    sizes = size - round(share * size), round(share * size)
    return np.concatenate([rng.permutation(side)[:n] for side, n in zip(sides, sizes, strict=True)])


def conditional(data: str, seed: int, at: float, key: str) -> np.ndarray:
    adata = training(data, seed, at).copy()
    first = adata.obs["time"].min()
    adata.obs["name"] = np.where(adata.obs["time"] == first, "control", "later")
    adata.obs["number"] = 10.0 ** adata.obs["time"] if data == "sciplex2" else adata.obs["time"]
    column = {f"{key}_key": "number"}
    model = rt.tl.conditional_w1ot(adata, "control", seed=seed, **column, **QUIET)
    source = of_time(cells(data, seed), first, trained=False)
    number = 10.0**at if data == "sciplex2" else at
    return dense(model.at("later", **{key: number}).predict(source).X)


def nearest(data: str, seed: int, at: float) -> np.ndarray:
    close = min(around(data, seed, at, ends=False), key=lambda other: abs(other - at))
    return dense(of_time(cells(data, seed), close, trained=True).X)


def control(data: str, seed: int, at: float) -> np.ndarray:
    adata = cells(data, seed)
    return dense(of_time(adata, adata.obs["time"].min(), trained=True).X)


def observed(data: str, seed: int, at: float) -> np.ndarray:
    return dense(of_time(cells(data, seed), at, trained=True).X)


METHODS: dict[str, Callable[..., np.ndarray]] = {
    "displacement": displacement,
    "straight line": straight_line,
    "mixture": mixture,
    "displacement, ends": partial(displacement, ends=True),
    "mixture, ends": partial(mixture, ends=True),
    "conditional, time_key": partial(conditional, key="time"),
    "conditional, dose_key": partial(conditional, key="dose"),
    "nearest time": nearest,
    "control": control,
    "observed": observed,
}


def scored(data: str, seed: int) -> np.ndarray:
    """Genes that differ most between the first and the last time, by training cells."""
    adata = cells(data, seed)
    ends = [
        dense(of_time(adata, at, trained=True).X)
        for at in (adata.obs["time"].min(), adata.obs["time"].max())
    ]
    spread = np.sqrt(sum(side.var(0) / len(side) for side in ends)) + 1e-6
    return np.argsort(-np.abs(ends[0].mean(0) - ends[1].mean(0)) / spread)[:N_SCORED]


def measure(data: str, seed: int, method: str) -> dict:
    torch.set_num_threads(1)
    adata, genes = cells(data, seed), scored(data, seed)
    inner = np.unique(adata.obs["time"])[1:-1]
    if data == "sciplex2":
        # The lowest dose would be between control cells and another.
        inner = inner[1:]
    start = time.process_time()
    predicted = [METHODS[method](data, seed, float(at)) for at in inner]
    seconds = time.process_time() - start
    totals = dict.fromkeys([(metric, row) for metric in METRICS for row in range(3)], 0.0)
    zeros = []
    for at, found in zip(map(float, inner), predicted, strict=True):
        truth = dense(of_time(adata, at, trained=False).X)[:, genes]
        sides = [
            side[:, genes] for side in (control(data, seed, at), found, observed(data, seed, at))
        ]
        size = min(map(len, (*sides, truth)))
        rng = np.random.default_rng([seed, 5])
        truth, *sides = (rng.permutation(side)[:size] for side in (truth, *sides))
        zeros.append(float((sides[1] == 0).mean() - (truth == 0).mean()))
        for row, side in enumerate(sides):
            for metric, value in score(side, truth, sides[0], metrics=METRICS).items():
                totals[metric, row] += value
    ways = {
        f"way {metric}": round(way(*(totals[metric, row] for row in range(3))), 4)
        for metric in METRICS
    }
    return {**ways, "zeros": round(float(np.mean(zeros)), 4), "seconds": round(seconds, 1)}


def summary() -> None:
    table = pd.read_csv(RESULTS / "times.csv")
    columns = ["way energy_distance", "way mmd", "zeros", "seconds"]
    groups = table.groupby(["data", "method"], sort=False)
    means = groups[columns].mean().round(3)
    means["way energy_distance, sd"] = groups["way energy_distance"].std().round(3)
    means["seeds"] = groups["seed"].nunique()
    means.to_csv(RESULTS / "times_summary.csv")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=",".join(DATA))
    parser.add_argument("--methods", default=";".join(METHODS), help="names, joined by semicolons")
    parser.add_argument("--seeds", default="0,1,2,3,4")
    options = parser.parse_args()
    cases = [
        {"data": data, "seed": seed, "method": method}
        for seed in map(int, options.seeds.split(","))
        for data in options.data.split(",")
        for method in options.methods.split(";")
    ]
    run("times", cases, measure)
    summary()
