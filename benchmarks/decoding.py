"""Predicted cells that look like cells: python benchmarks/decoding.py [--seeds 0,1,2].

Each map once, its predictions decoded with negative values as they are, set to zero where training
cells have none, and calibrated (the default where expression has zeros), by all training cells or
within strata as well. ``way``: in energy distance to held-out cells; ``components``: the same in 50
principal components, and with ``left within`` and ``correlations`` explained in held.py. ``zeros``
and ``variance``: share of zeros, and median ratio of the genes' variances to those of held-out
cells. ``genes``: those that scanpy's Wilcoxon test finds against training control cells, as many of
each; ``recall``: of those that observed cells find.

Controls: ``identity`` and ``observed``, a second half of the held-out cells, which all rows but
their own are compared with. On training cells split again, so that no test cell of any other table
is looked at.
"""

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"

from functools import lru_cache

import numpy as np
import torch
from held import Held
from rows import RESULTS, run
from sets import SETS, prepare

import rayot as rt
from rayot.metrics import way

METHODS = {
    "w1ot": "W1OT",
    "mean_shift": "MeanShift",
    "quantile_map": "QuantileMap",
    "discrete_ot": "DiscreteOT",
    "otcfm": "OTCFM",
    "gaussian_ot": "GaussianOT",
    "w2ot": "W2OT",
    "genot": "GENOT",
}
DECODE = ("not clipped", "clipped", "calibrated", "calibrated within strata")


def figures(held: Held, cells: np.ndarray, rows: np.ndarray) -> dict:
    """All figures of predicted cells, or of observed ones."""
    ends = [held.distance(held.genes(each), each) for each in (held.source, held.observed)]
    truth, varies = held.truth()
    expected, genes = held.found(held.genes(held.observed)), held.found(cells)
    ratios = cells.var(0)[varies] / truth.var(0)[varies]
    structure = held.structure(cells, rows)
    return {
        "way": round(way(ends[0], held.distance(cells, rows), ends[1]), 4),
        "components": structure["components"],
        "left within": structure["left within"],
        "zeros": round(float((cells == 0).mean()), 4),
        "zeros observed": round(float((truth == 0).mean()), 4),
        "variance": round(float(np.median(ratios)), 3),
        "correlations": structure["correlations"],
        "genes": len(genes),
        "genes observed": len(expected),
        "recall": round(len(genes & expected) / max(1, len(expected)), 3),
    }


@lru_cache(maxsize=1)
def held_out(data: str, seed: int) -> Held:
    adata = prepare(data, "pca", seed, inner=True)
    return Held(adata, SETS[data].target, SETS[data].group, seed)


@lru_cache(maxsize=2)
def fitted(data: str, seed: int, method: str, decode: str, strata_key: str | None):  # noqa: ANN201
    adata = held_out(data, seed).adata
    model = getattr(rt.model, METHODS[method])
    use_rep = None if method == "quantile_map" else "X_pca"
    spec = model.setup_anndata(adata, use_rep=use_rep, strata_key=strata_key)
    options = {"preset": "fast", "seed": seed, "n_seeds": 1, "decode": decode}
    fit = model(adata, spec, "control", SETS[data].target, **options)
    fit.train(show_progress_bar=False)
    return fit


def measure(data: str, seed: int, method: str, decode: str) -> dict:
    torch.set_num_threads(1)
    held = held_out(data, seed)
    if method in ("identity", "observed"):
        rows = held.source if method == "identity" else held.observed
        return figures(held, held.genes(rows), rows)
    within = held.group if decode.endswith("strata") else None
    word = "calibrated" if decode.startswith("calibrated") else "delta"
    model = fitted(data, seed, method, word, within)
    predicted = model.predict(
        held.adata[held.source], clip="auto" if decode == "clipped" else False
    )
    return figures(held, predicted.to_df().to_numpy(), held.source)


def summary() -> None:
    """Means over seeds, written beside the rows."""
    import pandas as pd

    table = pd.read_csv(RESULTS / "decoding.csv", keep_default_na=False, na_values=["nan"])
    groups = table.groupby(["data", "method", "decode"], sort=False)
    means = groups.mean(numeric_only=True).drop(columns="seed").round(3)
    means["seeds"] = groups["seed"].nunique()
    means.to_csv(RESULTS / "decoding_summary.csv")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--methods", default=",".join(METHODS))
    options = parser.parse_args()
    cases = [
        {"data": data, "seed": seed, "method": method, "decode": decode}
        for seed in map(int, options.seeds.split(","))
        for data in ("kang18", "gbm", "papalexi", "bcr")
        for method, decodes in (
            ("identity", ("",)),
            *((method, DECODE) for method in options.methods.split(",")),
            ("observed", ("",)),
        )
        for decode in decodes
        if SETS[data].group or not decode.endswith("strata")
    ]
    run("decoding", cases, measure)
    summary()
