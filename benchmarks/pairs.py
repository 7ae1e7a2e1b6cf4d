"""One pair at a time, beside the published implementation and the strongest rivals, in one run.

python benchmarks/pairs.py [--w1ot PATH] [--methods NAMES] [--sets NAMES]

Five sets, genes and principal components, 5 seeds (one of the published implementation, whose
copy --w1ot names). Scored in gene space on held-out cells and the top 50 differentially expressed
genes. "calibrated": genes have the distributions of training cells; others are clipped at zero, but
where the name says no. held.py explains ``left within``, ``components`` and ``correlations``.
Everything runs on one thread; ``seconds`` are of the processor, fit and prediction.
"""

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"

import time
from collections.abc import Callable

import numpy as np
import rivals
import torch
from anndata import AnnData
from held import Held
from rows import run
from sets import DELTA, SETS, SPACES, prepare

import rayot as rt

METRICS = ("mmd", "energy_distance")
SEEDS = (0, 1, 2, 3, 4)


def ours(
    adata: AnnData, target: str, use_rep: str | None, seed: int, **options: object
) -> rt.model.W1OT:
    return rt.tl.w1ot(
        adata,
        "control",
        target,
        use_rep=use_rep,
        seed=seed,
        show_progress_bar=False,
        key_added="map",
        **options,
    )


def calibrated(
    adata: AnnData, target: str, use_rep: str | None, seed: int, *, verb: str, **options: object
) -> None:
    """Any method of the package, its genes with the distributions of training cells."""
    options = {"plan_kwargs": {"decode": "calibrated"}, "key_added": "map", **options}
    options |= {"use_rep": use_rep, "seed": seed, "show_progress_bar": False}
    getattr(rt.tl, verb)(adata, "control", target, **options)


def rival(
    adata: AnnData, target: str, use_rep: str | None, seed: int, *, fit: Callable, decode: str
) -> None:
    """Fit a rival on the training cells and write its prediction as a fitted map is written."""
    dense = adata.X.toarray() if hasattr(adata.X, "toarray") else np.asarray(adata.X)
    cells = dense if use_rep is None else adata.obsm[use_rep]
    cells = np.ascontiguousarray(cells, dtype=np.float32)
    training = (adata.obs["split"] == "train").to_numpy()
    condition = adata.obs["perturbation"].to_numpy()
    is_source = condition == "control"
    transport = fit(cells[training & is_source], cells[training & (condition == target)], seed)
    moved = transport(cells[is_source])
    predicted = np.full(dense.shape, np.nan, dtype=np.float32)
    if use_rep is None:
        predicted[is_source] = moved
    elif decode == "delta":
        change = (moved - cells[is_source]) @ adata.varm["PCs"].T
        predicted[is_source] = dense[is_source] + change
    else:
        mean = np.asarray(adata.X[training].mean(0)).ravel()
        centred = moved @ adata.varm["PCs"].T
        predicted[is_source] = centred + mean
    adata.layers["map"] = np.maximum(predicted, 0) if dense.min() >= 0 else predicted
    names = {"source": "control", "target": target, "groupby": "perturbation"}
    adata.uns["map"] = {**names, "split_key": "split"}


def measure(
    data: str, space: str, seed: int, method: str, fits: dict[str, Callable[..., None]]
) -> dict:
    adata = prepare(data, space, seed)
    torch.set_num_threads(1)  # numba, which scanpy loads, has set it to all cores
    start = time.process_time()
    fits[method](adata, SETS[data].target, "X_pca" if space == "pca" else None, seed)
    seconds = time.process_time() - start
    table = rt.tl.evaluate(adata, "map", metrics=METRICS, seed=seed)
    row: dict = {"seconds": round(seconds, 2)}
    for metric in METRICS:
        row[metric] = round(float(table.loc["map", metric]), 5)
    for name in ("map", "mean shift"):
        for metric in METRICS:
            prefix = "" if name == "map" else "mean shift "
            row[f"{prefix}way {metric}"] = round(float(table.loc[name, f"way_{metric}"]), 4)
    held = Held(adata, SETS[data].target, SETS[data].group, seed)
    return row | held.structure(held.genes(held.source, "map"), held.source)


def methods(path: str | None) -> dict[str, Callable[..., None]]:
    def of(fit: Callable, decode: str = "delta") -> Callable[..., None]:
        return lambda *cells: rival(*cells, fit=fit, decode=decode)

    def by(verb: str, **options: object) -> Callable[..., None]:
        return lambda *cells: calibrated(*cells, verb=verb, **options)

    fits: dict[str, Callable[..., None]] = {
        "fast": lambda *cells: ours(*cells, preset="fast", **DELTA),
        "fast, not clipped": lambda *cells: ours(*cells, preset="fast", clip=False, **DELTA),
        "nearest control": of(rivals.nearest_control),
        "paper": lambda *cells: ours(*cells, preset="paper"),
        "flow matching": of(rivals.flow_matching),
        "fast, calibrated": by("w1ot", preset="fast", n_seeds=1),
        "fast, ensemble, calibrated": by("w1ot", preset="fast"),
        "mean shift, calibrated": by("mean_shift"),
        "discrete coupling, calibrated": by("discrete_ot"),
        "flow matching, calibrated": by("otcfm"),
        "quantile map": lambda adata, target, use_rep, seed: calibrated(
            adata, target, None, seed, verb="quantile_map", plan_kwargs=DELTA["plan_kwargs"]
        ),
    }
    if path:
        fits["published"] = of(rivals.published(path), "direct")
    return fits


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--w1ot", help="path of a copy of the published implementation")
    parser.add_argument("--methods", help="names, joined by semicolons")
    parser.add_argument("--sets", default=",".join(SETS), help="names, joined by commas")
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)), help="joined by commas")
    options = parser.parse_args()
    fits = methods(options.w1ot)
    wanted = options.methods.split(";") if options.methods else list(fits)
    cases = [
        {"data": data, "space": space, "seed": seed, "method": method}
        for seed in map(int, options.seeds.split(","))
        for method in wanted
        if method != "published" or seed == 0
        for data in options.sets.split(",")
        for space in SPACES
    ]
    run("pairs", cases, lambda **case: measure(**case, fits=fits))
