"""Whether fits are what they were: python benchmarks/unchanged.py FOLDER, before and after.

Small fits with fixed seeds: every method of a pair, with balanced and with separate strata, as an
ensemble, in a screen, conditional models, and a translation between modalities. The first run
stores, of each, the fitted parameters, what is predicted, and the figures of its diagnostics. Each
later run compares: parameters bit for bit, predictions and figures to 1e-6 of their largest value.
So a change of the code that is to change no result can be seen to change none. A negative control
fits the first case with another seed, and must differ.
"""

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import scanpy as sc
import torch
from anndata import AnnData
from mudata import MuData
from safetensors.numpy import load_file, save_file

import rayot as rt

TOLERANCE = 1e-6
STEPS = {"max_steps": 30, "batch_size": 32, "show_progress_bar": False}
PAIRS = (
    "w1ot",
    "w2ot",
    "genot",
    "otcfm",
    "cinemaot",
    "scgen",
    "cpa",
    "biolord",
    "fixed_step",
    "discrete_ot",
    "gaussian_ot",
    "quantile_map",
    "mean_shift",
    "identity",
)
OF_GENES = ("scgen", "quantile_map")
WITHOUT_SEPARATE = ("cpa", "biolord", "celltype_shift")
WAYS = {
    "fixed step": {"step": "fixed"},
    "funnel": {"potential": "funnel", "width": 32},
    "unmatched": {"unmatched_source": 0.2, "unmatched_target": 0.1},
    "all genes": {"n_components": None},
}
"""Settings of W1OT with phases of their own, trained for more than one block."""
PROFILES = ("additive", "nearest", "ridge")
NOT_SCREENED = ("cpa", "biolord")

Arrays = dict[str, np.ndarray]


def screen_cells() -> AnnData:
    """A control, two drugs and their combination, sparse, in three cell types."""
    adata = rt.datasets.simulated_screen(
        3, n_cells=120, n_genes=40, n_controls=240, inactive=0, seed=0
    )
    names = adata.obs["perturbation"].astype(str)
    drugs = sorted(set(names) - {"control"})
    adata.obs["perturbation"] = names.replace(dict(zip(drugs, ("A", "B", "A+B"), strict=True)))
    sc.pp.pca(adata, n_comps=10, mask_var=None)
    rt.pp.split(adata)
    return adata


def dose_cells() -> AnnData:
    """Three doses of two drugs."""
    adata = rt.datasets.simulated_screen(
        2, n_cells=60, n_genes=40, n_controls=120, inactive=0, doses=(1.0, 3.0, 10.0), seed=0
    )
    sc.pp.pca(adata, n_comps=10, mask_var=None)
    return adata


def modalities() -> MuData:
    """Three clusters in a plane, and the same turned into three dimensions."""
    rng = np.random.default_rng(0)
    kind = np.repeat([0, 1, 2], [40, 60, 30])
    plane = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 11.0]])[kind] + rng.normal(size=(130, 2))
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0][:2]
    sides = {"rna": AnnData(plane.astype(np.float32)), "atac": AnnData(np.float32(plane @ turn))}
    for side in sides.values():
        side.obs_names = [f"cell {number}" for number in range(130)]
    return MuData(sides)


def pair(verb: str, seed: int = 0, target: str = "A", **options: object) -> Arrays:
    adata = screen_cells()
    use_rep = None if verb in OF_GENES or verb in PROFILES else "X_pca"
    model = getattr(rt.tl, verb)(
        adata, "control", target, use_rep=use_rep, key_added="map", seed=seed, **(STEPS | options)
    )
    found = of_parameters(model.module)
    found["training cells"] = dense(adata.layers["map"])
    return found | of_predictions(model.predict(adata[::3])) | of_figures(model.diagnostics)


def screen(method: str, **options: object) -> Arrays:
    adata = screen_cells()
    use_rep = None if method in OF_GENES else "X_pca"
    quick = {**STEPS, "use_rep": use_rep, "fdr": None, **options}
    model = rt.tl.screen(adata, "control", method=method, **quick)
    control = adata[(adata.obs["perturbation"] == "control").to_numpy()]
    found: Arrays = {}
    for name in model:
        own = (
            of_parameters(model[name].module)
            | of_predictions(model.predict(control[::3], name))
            | of_figures(model[name].diagnostics)
        )
        found |= {f"{name}: {part}": value for part, value in own.items()}
    return found


def conditional(adata: AnnData, asked: list[tuple[str, float | None]], **options: object) -> Arrays:
    model = rt.tl.conditional_w1ot(adata, "control", use_rep="X_pca", **STEPS, **options)
    found = of_parameters(model.module)
    control = adata[(adata.obs["perturbation"] == "control").to_numpy()]
    for name, dose in asked:
        predicted = of_predictions(model.predict(control[::3], name, dose=dose))
        found |= {f"{name} {dose}: {part}": value for part, value in predicted.items()}
    return found


def translation() -> Arrays:
    data = modalities()
    settings = {"distance": "euclidean", "width": 32, "integration_steps": 5}
    model = rt.tl.translate(data, "rna", "atac", plan_kwargs=settings, **STEPS)
    found = of_parameters(model.module)
    return found | {"translated": data["rna"].obsm["X_translate"]} | of_figures(model.diagnostics)


def of_parameters(module: torch.nn.Module) -> Arrays:
    return {f"parameter {name}": each.numpy() for name, each in module.state_dict().items()}


def dense(values: object) -> np.ndarray:
    return np.asarray(values.toarray() if hasattr(values, "toarray") else values)


def of_predictions(predicted: AnnData) -> Arrays:
    numbers = predicted.obs.select_dtypes("number")
    found = {f"predicted obs {name}": numbers[name].to_numpy(np.float64) for name in numbers}
    found |= {f"predicted obsm {name}": dense(each) for name, each in predicted.obsm.items()}
    return {**found, "predicted genes": dense(predicted.X)}


def of_figures(diagnostics: Mapping[str, object]) -> Arrays:
    """Numbers of the diagnostics; words and reasons as bytes."""
    found = {}
    for name, value in diagnostics.items():
        if isinstance(value, str):
            found[f"figure {name}"] = np.frombuffer(value.encode(), dtype=np.uint8).copy()
        elif np.isscalar(value):
            found[f"figure {name}"] = np.array([value], dtype=np.float64)
    return found


def cases() -> Iterator[tuple[str, Callable[[], Arrays]]]:
    strata = {"strata_key": "cell_type"}
    for preset in ("fast", "adversarial", "paper"):
        yield f"pair w1ot {preset}", lambda preset=preset: pair("w1ot", preset=preset)
    for name, plan in WAYS.items():
        longer = {"preset": "fast", "n_seeds": 1, "max_steps": 130, "plan_kwargs": plan}
        yield f"pair w1ot {name}", lambda longer=longer: pair("w1ot", **longer)
    for verb in (*PAIRS, "celltype_shift"):
        options = strata if verb == "celltype_shift" else {}
        yield f"pair {verb}", lambda verb=verb, options=options: pair(verb, **options)
        yield (
            f"ensemble {verb}",
            lambda verb=verb, options=options: pair(verb, n_seeds=2, **options),
        )
        for mode in ("balanced", "separate"):
            if verb not in WITHOUT_SEPARATE or (mode == "balanced" and options == {}):
                yield (
                    f"{mode} {verb}",
                    lambda verb=verb, mode=mode: pair(verb, strata=mode, **strata),
                )
    for verb in PROFILES:
        yield f"profile {verb}", lambda verb=verb: pair(verb, target="A+B")
    for method in PAIRS:
        if method not in NOT_SCREENED:
            yield f"screen {method}", lambda method=method: screen(method)
    for mode in ("balanced", "separate"):
        yield f"screen w1ot {mode}", lambda mode=mode: screen("w1ot", strata=mode, **strata)
    yield "screen w1ot ensemble", lambda: screen("w1ot", n_seeds=2)
    names: list[tuple[str, float | None]] = [("A", None), ("A+B", None), ("B", None)]
    yield "conditional", lambda: conditional(screen_cells(), names)
    yield (
        "conditional cell types",
        lambda: conditional(screen_cells(), names, covariate_keys=["cell_type"], n_seeds=2),
    )
    doses: list[tuple[str, float | None]] = [("drug_000", 3.0), ("drug_001", 5.0)]
    yield "conditional doses", lambda: conditional(dose_cells(), doses, dose_key="dose")
    yield "modality genot", translation


def differences(before: Arrays, after: Arrays) -> list[str]:
    """What has changed, in words; nothing where all is as it was."""
    found = [
        f"{name} is {what}"
        for what, names in (
            ("gone", before.keys() - after.keys()),
            ("new", after.keys() - before.keys()),
        )
        for name in sorted(names)
    ]
    for name in sorted(before.keys() & after.keys()):
        first, second = before[name], after[name]
        if first.shape != second.shape:
            found.append(f"{name} was {first.shape} and is {second.shape}")
        elif "parameter" in name or first.dtype == np.uint8:
            if first.tobytes() != second.tobytes():
                found.append(f"{name} has other bits")
        else:
            largest = np.nanmax(np.abs(first), initial=0, where=np.isfinite(first))
            if not np.allclose(first, second, rtol=0, atol=TOLERANCE * largest, equal_nan=True):
                found.append(f"{name} differs by {np.nanmax(np.abs(first - second)):.2g}")
    return found


def run(name: str, measure: Callable[[], Arrays], folder: Path) -> int:
    """Store a case, or compare it with what is stored; how many of its arrays have changed."""
    found = {key: np.ascontiguousarray(value) for key, value in measure().items()}
    path = folder / f"{name.replace(' ', '-')}.safetensors"
    if not path.exists():
        save_file(found, path)
        print(f"{name}: {len(found)} arrays stored")
        return 0
    changed = differences(load_file(path), found)
    said = "; ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
    print(f"{name}: {said or f'{len(found)} arrays as before'}", flush=True)
    return len(changed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="cases whose names start like this")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    counts = {
        name: run(name, measure, options.folder)
        for name, measure in cases()
        if name.startswith(options.only)
    }
    control = differences(pair("w1ot", preset="fast"), pair("w1ot", seed=1, preset="fast"))
    print(
        json.dumps(
            {
                "changed": sum(map(bool, counts.values())),
                "cases": len(counts),
                "negative control differs": bool(control),
            }
        )
    )
