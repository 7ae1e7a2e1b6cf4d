"""Every method on real cells: python benchmarks/methods.py [--methods NAMES] [--settings NAMES]
[--seeds 0,1,2,3,4].

50 principal components (``scgen`` has an autoencoder of its own, on all genes), scored in gene
space on held-out cells and the top 50 differentially expressed genes. "i.i.d.": test cells are
drawn by condition. "unseen": all cells of a type or of a patient are test cells, another group at
each seed; methods then match cells within the groups of training (``strata_key``, balanced).
"genes": the 1,000 most variable genes of kang18 themselves (Figure 4b of the paper), for some
methods; the others of them work on leading components, as their defaults do. held.py explains
``left within``, ``components`` and ``correlations``. Everything runs on one thread; ``seconds`` are
processor time.
"""

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"

import time
from functools import lru_cache

import pandas as pd
import torch
from anndata import AnnData
from held import Held
from rows import RESULTS, run
from sets import DELTA, SETS, prepare, write_map_alone

import rayot as rt

METRICS = ("mmd", "energy_distance", "wasserstein1", "r2", "l2")
SETTINGS = {
    "i.i.d.": ("kang18", "gbm", "papalexi", "bcr"),
    "unseen": ("kang18", "gbm", "bcr", "pma"),
    "genes": ("kang18",),
}
METHODS = {
    "w1ot": {"preset": "fast", "n_seeds": 1},
    "w1ot, paper": {"preset": "paper"},
    "w1ot, all genes": {
        "preset": "fast",
        "n_seeds": 1,
        "plan_kwargs": {"n_components": None},
    },
    "w2ot": {},
    "w2ot, paper": {"preset": "paper"},
    "w2ot, all genes": {"plan_kwargs": {"n_components": None}},
    "otcfm": {},
    "genot": {},
    "genot, paper": {"preset": "paper"},
    "scgen": {},
    "scgen, paper": {"preset": "paper"},
    "cpa": {},
    "cpa, paper": {"preset": "paper"},
    "biolord": {},
    "biolord, paper": {"preset": "paper"},
    "cinemaot": {},
    "cinemaot, paper": {"preset": "paper"},
    "discrete_ot": {},
    "gaussian_ot": {},
    "fixed_step": {},
    "celltype_shift": {},
    "mean_shift": {},
    "quantile_map": {},
}
IN_GENES = (
    "w1ot",
    "w1ot, all genes",
    "w2ot",
    "w2ot, all genes",
    "otcfm",
    "scgen",
    "mean_shift",
    "quantile_map",
    "identity",
    "observed",
)

OF_GENES = ("scgen", "quantile_map")
"""They work on genes themselves, whatever the space of the others."""

JOINT = ("cpa", "biolord")
"""They know a covariate of every cell; none can be the group that is unseen."""


@lru_cache(maxsize=1)
def cells(data: str, setting: str, seed: int) -> AnnData:
    space = "genes" if setting == "genes" else "pca"
    return prepare(
        data, space, seed, unseen=unseen_group(data, seed) if setting == "unseen" else ""
    )


@lru_cache
def unseen_group(data: str, seed: int) -> str:
    """One of the groups with both conditions, by the seed."""
    of = SETS[data]
    obs = getattr(rt.datasets, of.loader)().obs
    counts = pd.crosstab(obs[of.group], obs["perturbation"])[["control", of.target]].min(axis=1)
    groups = sorted(counts.index[counts >= 50].astype(str))
    return groups[seed % len(groups)]


def measure(data: str, setting: str, seed: int, method: str) -> dict:
    adata = cells(data, setting, seed)
    torch.set_num_threads(1)
    verb = method.partition(",")[0]
    group = SETS[data].group
    options = dict(METHODS[method])
    if options.get("preset") != "paper":
        options["plan_kwargs"] = {**DELTA["plan_kwargs"], **options.get("plan_kwargs", {})}
    if setting == "unseen" or verb == "celltype_shift":
        options["strata_key"] = group
    if setting == "unseen" and verb in JOINT:
        options["covariate_keys"] = None
    if method == "w2ot, paper" and data != "kang18":
        # To its end, which takes 85 minutes, on one set alone.
        options["early_stopping"] = True
    start = time.process_time()
    model = getattr(rt.tl, verb)(
        adata,
        "control",
        SETS[data].target,
        use_rep=None if setting == "genes" or verb in OF_GENES else "X_pca",
        key_added="map",
        seed=seed,
        show_progress_bar=False,
        **options,
    )
    seconds = time.process_time() - start
    write_map_alone(adata, model)
    table = rt.tl.evaluate(adata, "map", metrics=METRICS, seed=seed)
    parameters = sum(each.numel() for each in model.module.parameters())
    row = {"seconds": round(seconds, 2), "parameters": parameters}
    row |= {metric: round(float(table.loc["map", metric]), 5) for metric in METRICS}
    row |= {
        f"way {metric}": round(float(table.loc["map", f"way_{metric}"]), 4)
        for metric in ("mmd", "energy_distance")
    }
    return row | structure(adata, data, setting, seed, "map")


def structure(adata: AnnData, data: str, setting: str, seed: int, method: str) -> dict:
    """Figures within strata, of components and correlations; an unseen group is its own stratum."""
    group = None if setting == "unseen" else SETS[data].group
    held = Held(adata, SETS[data].target, group, seed)
    rows = held.observed if method == "observed" else held.source
    return held.structure(held.genes(rows, "map" if method == "map" else None), rows)


def fits(method: str, data: str, setting: str) -> bool:
    """Whether a method has a row of this set."""
    if setting == "genes":
        return method in IN_GENES
    if method.endswith("all genes"):
        return False
    return method != "celltype_shift" or bool(SETS[data].group)


def reference(data: str, setting: str, seed: int, method: str) -> dict:
    """Rows that need no fit: identity and observed."""
    adata = cells(data, setting, seed)
    if "map" not in adata.uns:
        rt.tl.identity(adata, "control", SETS[data].target, key_added="map")
    table = rt.tl.evaluate(adata, "map", metrics=METRICS, seed=seed)
    row = {"seconds": 0.0, "parameters": 0}
    row |= {metric: round(float(table.loc[method, metric]), 5) for metric in METRICS}
    way = float(method == "observed")
    row |= {"way mmd": way, "way energy_distance": way}
    return row | structure(adata, data, setting, seed, method)


def summary() -> None:
    """Means over sets and seeds of each setting, and published settings beside defaults.

    A set has no way where observed cells are not nearer than doing nothing is.
    """
    table = pd.read_csv(RESULTS / "methods.csv")
    is_paper = table["method"].str.endswith(", paper")
    published(table[is_paper], table[~is_paper])
    table = table[~is_paper]
    beside = ["left within", "components", "correlations"]
    numbers = ["way mmd", "way energy_distance", *beside, *METRICS, "seconds", "parameters"]
    by_set = table.groupby(["setting", "method", "data"])[numbers].mean()
    means = by_set.groupby(["setting", "method"]).mean()
    means["seeds"] = table.groupby(["setting", "method"])["seed"].nunique()
    means["sets"] = table.groupby(["setting", "method"])["data"].nunique()
    digits = dict.fromkeys(numbers, 3) | {"mmd": 4, "seconds": 1, "parameters": 0}
    ordered = means.round(digits).sort_values(["setting", "way energy_distance"], ascending=False)
    ordered.to_csv(RESULTS / "methods_summary.csv")


def published(papers: pd.DataFrame, defaults: pd.DataFrame) -> None:
    """Rows of published settings, each beside the default of the method on the same cells."""
    where = ["data", "setting", "seed", "method"]
    columns = ["way mmd", "way energy_distance", "r2", "l2", "seconds"]
    own = papers.assign(method=papers["method"].str.removesuffix(", paper"))
    beside = own.merge(defaults[[*where, *columns]], on=where, suffixes=("", ", default"))
    order = [name for column in columns for name in (column, f"{column}, default")]
    found = beside.sort_values(["data", "method"])[["data", "method", *order]].round(3)
    found.to_csv(RESULTS / "methods_paper.csv", index=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", help="joined by semicolons; all but published settings")
    parser.add_argument("--seeds", default="0,1,2,3,4", help="joined by commas")
    parser.add_argument("--settings", default=";".join(SETTINGS), help="joined by semicolons")
    options = parser.parse_args()
    cheap = [method for method in METHODS if not method.endswith(", paper")]
    chosen = options.methods.split(";") if options.methods else [*cheap, "identity", "observed"]

    def case(data: str, setting: str, seed: int, method: str) -> dict:
        measured = reference if method in ("identity", "observed") else measure
        return measured(data, setting, seed, method)

    cases = [
        {"data": data, "setting": setting, "seed": seed, "method": method}
        for seed in map(int, options.seeds.split(","))
        for setting in options.settings.split(";")
        for data in SETTINGS[setting]
        for method in chosen
        if fits(method, data, setting)
    ]
    run("methods", cases, case)
    summary()
