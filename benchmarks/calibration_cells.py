"""Whose predicted cells genes are calibrated by: python benchmarks/calibration_cells.py.

A calibration maps each gene from its distribution in predicted training cells, which the map was
fitted on and may fit too well. Beside it the same from control cells that the map has not seen, as
many (``unseen cells``): what predictions of cross-fitted maps could give at best. ``way`` in energy
distance to the held-out cells of benchmarks/few_cells.py; ``gain`` is what unseen cells add, and
``error`` its standard error over seeds. ``uncalibrated`` and ``shuffled`` (genes
calibrated from the distributions of other genes) are controls.
"""

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"

from dataclasses import replace

import few_cells
import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from rows import RESULTS, run

import rayot as rt
from rayot.metrics import energy_distance, way
from rayot.model.calibrating import _changes
from rayot.model.calibration import Calibration, scores_of
from rayot.model.training_sample import SampledCells

N_CELLS = (30, 60, 100, 200, 400)
N_PERTURBATIONS = {"kang18": 1, "gbm": 1, "papalexi": 4, "norman": 4}


def by_unseen(model: rt.model.W1OT, found: Calibration, adata: AnnData) -> Calibration:
    """The same calibration from these control cells in place of those of training."""
    rows = np.arange(adata.n_obs)
    cells = SampledCells.of(adata, model.data, [rows], model.representation, ())
    own, (_, change) = cells.expression[:, found.genes], _changes(model, cells.cells, found.genes)
    scores = scores_of(own, change, found.shape, np.zeros(len(rows), dtype=np.intp))
    return replace(found, predicted=tuple(cells.marginals_of(scores, cells.weights)))


def spare_controls(data: str, seed: int, adata: AnnData, n: int) -> AnnData:
    """Training control cells that no fit has seen, n of them."""
    whole = few_cells.whole(data).copy()
    rt.pp.split(whole, test_size=0.4, test_limits=(20, 1000), seed=seed)
    spare = (whole.obs["split"] == "train") & (whole.obs["perturbation"] == "control")
    spare &= ~whole.obs_names.isin(adata.obs_names)
    rows = np.random.default_rng(seed + 1).permutation(np.flatnonzero(spare))[:n]
    return whole[np.sort(rows), adata.var_names].copy()


def shuffled(found: Calibration, seed: int) -> Calibration:
    """Each gene from what is predicted of another one."""
    order = torch.randperm(len(found.genes), generator=torch.Generator().manual_seed(seed))
    return replace(found, predicted=tuple(each.take(order) for each in found.predicted))


def measure(data: str, n: int, seed: int, perturbation: int) -> dict:
    torch.set_num_threads(1)
    adata = few_cells.cells(data, n, seed)
    columns = ("way", "unseen cells", "shuffled", "uncalibrated", "genes", "gap")
    nothing = dict.fromkeys(columns, np.nan)
    if adata is None:
        return nothing
    names = few_cells.perturbations_of(adata)
    spare = spare_controls(data, seed, adata, n)
    if perturbation >= len(names) or spare.n_obs < n:
        return nothing
    name = names[perturbation]
    spec = rt.model.W1OT.setup_anndata(adata, use_rep="X_pca")
    options = {"preset": "fast", "seed": seed, "n_seeds": 1, "decode": "calibrated"}
    model = rt.model.W1OT(adata, spec, "control", name, **options)
    model.train(show_progress_bar=False)
    found = model.calibration
    control, observed, reference = few_cells.test_cells(adata, name, seed)
    truth = few_cells.dense(reference)
    ends = [energy_distance(few_cells.dense(each), truth) for each in (control, observed)]

    def way_of(calibration: Calibration | None) -> float:
        model.calibration = calibration
        decode = "calibrated" if calibration else "delta"
        model.settings = replace(model.settings, decode=decode)
        predicted = few_cells.dense(model.predict(control))
        return round(float(way(ends[0], energy_distance(predicted, truth), ends[1])), 4)

    tables = (found, by_unseen(model, found, spare), shuffled(found, seed), None)
    ways = dict(zip(columns, map(way_of, tables), strict=False))
    return {**ways, "genes": len(found.genes), "gap": round(float(ends[0] - ends[1]), 4)}


def summary() -> None:
    """Ways of all perturbations and seeds together, and a jackknife error of the gain."""
    table = pd.read_csv(RESULTS / "calibration_cells.csv").dropna()
    figures = ["way", "unseen cells", "shuffled", "uncalibrated"]
    setting = ["data", "n", "seed"]
    # Distances added up: each way counts as far as there is to go.
    weighted = table[figures].mul(table["gap"], axis=0).join(table[[*setting, "gap"]])
    sums = weighted.groupby(setting, sort=False).sum()
    rows = []
    for (data, n), of_seeds in sums.groupby(level=["data", "n"], sort=False):
        without = of_seeds.sum() - of_seeds
        gains = (without["unseen cells"] - without["way"]) / without["gap"]
        error = np.sqrt((len(gains) - 1) * gains.var(ddof=0))
        ways = of_seeds[figures].sum() / of_seeds["gap"].sum()
        found = {"gain": ways["unseen cells"] - ways["way"], "error": error, **ways}
        found = {name: round(float(value), 3) for name, value in found.items()}
        rows.append({"data": data, "n": n, **found, "seeds": len(of_seeds)})
    pd.DataFrame(rows).to_csv(RESULTS / "calibration_cells_summary.csv", index=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0,1,2,3,4")
    options = parser.parse_args()
    cases = [
        {"data": data, "n": n, "seed": seed, "perturbation": perturbation}
        for seed in map(int, options.seeds.split(","))
        for data, n_perturbations in N_PERTURBATIONS.items()
        for n in N_CELLS
        for perturbation in range(n_perturbations)
    ]
    run("calibration_cells", cases, measure)
    summary()
