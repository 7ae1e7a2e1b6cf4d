"""The preset "adversarial" beside "fast" and controls: python benchmarks/adversarial.py
[--seeds 0,1,2,3,4] [--inner].

Held-out cells of five sets in 50 principal components, prepared and scored as in pairs.py, whose
rows of "paper" stand beside these. Both presets are fitted in turns in one run, and each is decoded
with negative values set to zero where expression has none (``clipped``), and calibrated.
``seconds`` are of the processor, on one thread, fit and prediction.

``--inner``: what the settings were chosen on, variants.ADVERSARIES on splits of the *training*
cells of four sets (80/20 again), in principal components.
"""

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"

import time
from functools import lru_cache

import pandas as pd
import torch
from anndata import AnnData
from rows import RESULTS, run
from sets import SETS, prepare
from variants import ADVERSARIES, Variant

import rayot as rt

METRICS = ("mmd", "energy_distance")
WAYS = [f"way {metric}" for metric in METRICS]
METHODS = ("fast", "adversarial", "mean_shift", "identity", "observed")
DECODINGS = ("clipped", "calibrated")


@lru_cache(maxsize=1)
def cells(data: str, space: str, seed: int, inner: bool) -> AnnData:
    return prepare(data, space, seed, inner=inner)


def fit(adata: AnnData, data: str, space: str, seed: int, verb: str, **options: object) -> dict:
    """Fit, predict and score one map: seconds, distances, and shares of the way."""
    torch.set_num_threads(1)
    start = time.process_time()
    getattr(rt.tl, verb)(
        adata,
        "control",
        SETS[data].target,
        use_rep="X_pca" if space == "pca" else None,
        key_added="map",
        seed=seed,
        n_seeds=1,
        show_progress_bar=False,
        **options,
    )
    seconds = time.process_time() - start
    return {"seconds": round(seconds, 2), **scores(adata, seed, "map")}


def scores(adata: AnnData, seed: int, row: str) -> dict:
    """Of the map, or of a control, which `evaluate` scores beside it."""
    table = rt.tl.evaluate(adata, "map", metrics=METRICS, seed=seed)
    found = {metric: round(float(table.loc[row, metric]), 5) for metric in METRICS}
    if row == "map":
        return found | {f"way {m}": round(float(table.loc[row, f"way_{m}"]), 4) for m in METRICS}
    return found | dict.fromkeys(WAYS, float(row == "observed"))


def measure(data: str, space: str, seed: int, decoding: str, method: str) -> dict:
    adata = cells(data, space, seed, False)
    if method in ("identity", "observed"):
        if "map" not in adata.uns:
            rt.tl.identity(adata, "control", SETS[data].target, key_added="map")
        return {"seconds": 0.0, **scores(adata, seed, method)}
    decode = "delta" if decoding == "clipped" else "calibrated"
    options = {"plan_kwargs": {"decode": decode}}
    if method == "mean_shift":
        return fit(adata, data, space, seed, method, **options)
    return fit(adata, data, space, seed, "w1ot", preset=method, **options)


def try_one(data: str, seed: int, variant: str) -> dict:
    chosen: Variant = ADVERSARIES[variant]
    adata = cells(data, "pca", seed, True)
    with chosen.in_place():
        settings = {**chosen.settings, "decode": chosen.decode}
        row = fit(adata, data, "pca", seed, "w1ot", preset="fast", plan_kwargs=settings)
    return {name: row[name] for name in ("seconds", *WAYS)}


def beside_fast(table: pd.DataFrame, case: str, where: list[str]) -> pd.DataFrame:
    """Differences to "fast" on the same cells, and how many times as long."""
    fast = table[table[case] == "fast"].set_index(where)
    beside = table.join(fast[[*WAYS, "seconds"]], on=where, rsuffix=", fast")
    for metric, name in zip(METRICS, WAYS, strict=True):
        beside[f"{metric}, to fast"] = beside[name] - beside[f"{name}, fast"]
    beside["times fast"] = beside["seconds"] / beside["seconds, fast"]
    return beside


def summary() -> None:
    """Means over seeds, of each set and of all, beside the rows of "paper" in pairs.csv."""
    table = pd.read_csv(RESULTS / "adversarial.csv")
    paper = pd.read_csv(RESULTS / "pairs.csv").query("method == 'paper'")
    table = pd.concat([table, paper[list(set(paper) & set(table))].assign(decoding="clipped")])
    table = table[table["space"] == "pca"]
    beside = beside_fast(table, "method", ["data", "space", "seed", "decoding"])
    beside = beside[~beside["method"].isin(["identity", "observed"])]
    # The times of "paper" are of another run.
    beside.loc[beside["method"] == "paper", "times fast"] = float("nan")
    columns = [*WAYS, *(f"{m}, to fast" for m in METRICS), "seconds", "times fast"]
    where = ["decoding", "method"]
    of_sets = beside.groupby([*where, "data"], sort=False)[columns].mean()
    of_all = of_sets.groupby(where, sort=False).mean().assign(data="mean")
    found = pd.concat([of_sets.reset_index(), of_all.reset_index()])
    found = found[[*where, "data", *columns]].round(dict.fromkeys(columns, 3) | {"seconds": 1})
    found.to_csv(RESULTS / "adversarial_sets.csv", index=False)
    means = found[found["data"] == "mean"].drop(columns="data")
    least = of_sets[columns[2:4]].min(axis=1).groupby(where).min().round(3)
    means = means.join(least.rename("least, to fast"), on=where)
    means.to_csv(RESULTS / "adversarial_summary.csv", index=False)


def inner_summary() -> None:
    """Means over sets and seeds of each variant, beside "fast" on the same cells."""
    table = pd.read_csv(RESULTS / "adversarial_inner.csv")
    beside = beside_fast(table, "variant", ["data", "seed"])
    columns = [*WAYS, *(f"{m}, to fast" for m in METRICS), "seconds", "times fast"]
    groups = beside.groupby("variant", sort=False)
    found = groups[columns].mean().round(4).round({"seconds": 1, "times fast": 1})
    found["sets"], found["fits"] = groups["data"].nunique(), groups.size()
    found.sort_values("mmd, to fast", ascending=False).to_csv(
        RESULTS / "adversarial_inner_summary.csv"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--inner", action="store_true")
    parser.add_argument("--variants", help="of --inner, joined by semicolons; all by default")
    options = parser.parse_args()
    seeds = [int(seed) for seed in options.seeds.split(",")]
    if options.inner:
        chosen = options.variants.split(";") if options.variants else list(ADVERSARIES)
        cases = [
            {"data": data, "seed": seed, "variant": variant}
            for seed in seeds
            for data in ("kang18", "gbm", "papalexi", "bcr")
            for variant in chosen
        ]
        run("adversarial_inner", cases, try_one)
        inner_summary()
    else:
        cases = [
            {"data": data, "space": "pca", "seed": seed, "decoding": decoding, "method": method}
            for decoding in DECODINGS
            for seed in seeds
            for data in SETS
            for method in METHODS
            if decoding == "clipped" or method not in ("identity", "observed")
        ]
        run("adversarial", cases, measure)
        summary()
