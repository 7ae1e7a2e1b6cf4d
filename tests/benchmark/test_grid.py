"""Grids: what is computed, what is kept, and how methods of others join."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from functools import partial
from pathlib import Path

import anndata as ad
import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

import rayot as rt

QUIET = {"show_progress_bar": False, "metrics": ["energy_distance", "l2"]}


@pytest.fixture(scope="module")
def cells():
    adata = rt.datasets.simulated_screen(3, n_cells=120, n_genes=30, inactive=0)
    adata.obs["perturbation"] = adata.obs["perturbation"].cat.rename_categories(
        ["control", "A", "B", "C"]
    )
    rt.pp.split(adata)
    rt.pp.folds(adata, n_folds=2)
    return adata


def fit_ridge(training, task):
    """Where in the ranks of each gene a cell is, regressed on: of no use, but a regressor."""
    is_control = (training.obs[task.groupby] == task.control).to_numpy()
    is_target = (training.obs[task.groupby] == task.perturbation).to_numpy()
    source, target = (_dense(training[rows].X) for rows in (is_control, is_target))
    n = min(len(source), len(target))
    return Ridge().fit(np.sort(source, 0)[:n], np.sort(target, 0)[:n])


def predict_ridge(model, cells, task):
    return model.predict(_dense(cells.X))


RIDGE = (fit_ridge, predict_ridge)


def shift_by_seed():
    """Two functions that other processes need no module for."""

    def fit(training, task):
        return 0.1 * (1 + task.seed)

    def predict(shift, cells, task):
        return (cells.X.toarray() if hasattr(cells.X, "toarray") else cells.X) + shift

    return fit, predict


def _dense(values):
    return values.toarray() if hasattr(values, "toarray") else np.asarray(values)


def test_a_grid_is_scored_as_evaluate_does(cells, tmp_path):
    scores = rt.benchmark.run(
        cells, {"quantile map": rt.tl.quantile_map}, tmp_path, perturbations=["A"], **QUIET
    )
    adata = cells.copy()
    rt.tl.quantile_map(adata, "control", "A", key_added="quantile map")
    table = rt.tl.evaluate(adata, "quantile map", metrics=QUIET["metrics"])
    for row in scores.itertuples():
        assert row.value == pytest.approx(table.loc[row.method, row.metric], rel=1e-6)
        assert row.status == "done"
    assert pd.read_csv(tmp_path / "scores.csv").shape == scores.shape


def test_all_that_is_asked_for_is_there_once(cells, tmp_path):
    splits = ["fold_0", "fold_1"]
    scores = rt.benchmark.run(
        cells,
        {"w1ot": partial(rt.tl.w1ot, preset="fast", max_steps=5), "ridge": RIDGE},
        tmp_path,
        splits=splits,
        spaces={"genes": None, "components": rt.benchmark.principal_components(5)},
        seeds=[0, 1],
        **QUIET,
    )
    one = scores[scores["metric"] == "l2"]
    assert (one["status"] == "done").all()
    counts = one.groupby("method").size()
    assert counts["w1ot"] == counts["ridge"] == 3 * 2 * 2 * 2
    assert counts["identity"] == counts["observed"] == counts["mean shift"] == 3 * 2 * 2
    assert not one.duplicated(["perturbation", "method", "split", "space", "seed"]).any()
    assert set(one["split"]) == set(splits)
    summary = rt.metrics.summarise(scores[scores["space"] == "genes"], unit="perturbation")
    assert summary.loc[("energy_distance", "identity"), "pooled way"] == pytest.approx(0)
    assert "X_pca" not in cells.obsm and not cells.layers


def test_training_cells_are_all_that_a_method_of_others_sees(cells, tmp_path):
    seen = {}

    def fit(training, task):
        seen["train"] = set(training.obs_names)
        return None

    def predict(model, source, task):
        seen["source"] = set(source.obs_names)
        return source.X

    rt.benchmark.run(cells, {"other": (fit, predict)}, tmp_path, perturbations=["B"], **QUIET)
    is_train = cells.obs["split"] == "train"
    is_control = cells.obs["perturbation"] == "control"
    assert seen["train"] == set(cells.obs_names[is_train])
    assert seen["source"] <= set(cells.obs_names[~is_train & is_control])


def test_a_method_that_does_nothing_scores_as_identity(cells, tmp_path):
    nothing = (lambda training, task: None, lambda model, source, task: source.X)
    scores = rt.benchmark.run(cells, {"nothing": nothing}, tmp_path, **QUIET)
    by = scores.pivot(index=["perturbation", "metric"], columns="method", values="value")
    np.testing.assert_allclose(by["nothing"], by["identity"])


def test_names_decide_and_not_the_order(cells, tmp_path):
    def predict(model, source, task):
        moved = ad.AnnData(_dense(source.X) + 1, obs=source.obs, var=source.var)
        return moved[::-1, ::-1].copy()

    def in_order(model, source, task):
        return _dense(source.X) + 1

    nothing = lambda training, task: None  # noqa: E731
    scores = rt.benchmark.run(
        cells, {"named": (nothing, predict), "array": (nothing, in_order)}, tmp_path, **QUIET
    )
    by = scores.pivot(index=["perturbation", "metric"], columns="method", values="value")
    np.testing.assert_allclose(by["named"], by["array"])


PROGRAM = """
import json, sys
from pathlib import Path
import anndata as ad
folder = Path(sys.argv[1])
task = json.loads((folder / "task.json").read_text())
training, source = (ad.read_h5ad(folder / f"{name}.h5ad") for name in ("training", "source"))
mean = {name: training[training.obs[task["groupby"]] == name].X.mean(0)
        for name in (task["control"], task["perturbation"])}
source.X = source.X + (mean[task["perturbation"]] - mean[task["control"]])
if task["perturbation"] == "B":
    sys.exit("no such drug")
source.write_h5ad(folder / "predicted.h5ad")
"""


def test_a_program_of_its_own_joins(cells, tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    adata = cells.copy()
    adata.X = _dense(adata.X)
    command = rt.benchmark.Command([sys.executable, str(tmp_path / "program.py"), "{folder}"])
    scores = rt.benchmark.run(
        adata, {"program": command}, tmp_path / "grid", perturbations=["A", "B"], **QUIET
    )
    by = scores[scores["perturbation"] == "A"].pivot(
        index="metric", columns="method", values="value"
    )
    np.testing.assert_allclose(by["program"], by["mean shift"], rtol=1e-4)
    failed = scores[(scores["perturbation"] == "B") & (scores["method"] == "program")]
    assert (failed["status"] == "failed").all() and failed["value"].isna().all()
    assert failed["reason"].str.contains("no such drug").all()


@pytest.mark.parametrize(
    ("predict", "says"),
    [
        (lambda m, c, t: _dense(c.X)[:3], r"shape \(3, 30\)"),
        (lambda m, c, t: np.full(c.shape, np.nan), "not finite"),
        (lambda m, c, t: c[:, :5].copy(), "the genes"),
        (lambda m, c, t: c[:3].copy(), "the cells"),
        (lambda m, c, t: 1 / 0, "ZeroDivisionError"),
    ],
    ids=["cells", "nan", "genes", "named cells", "error"],
)
def test_what_fails_is_told_with_its_traceback_and_not_scored(cells, tmp_path, predict, says):
    methods = {"bad": (lambda training, task: None, predict), "ridge": RIDGE}
    scores = rt.benchmark.run(cells, methods, tmp_path, perturbations=["A"], **QUIET)
    bad = scores[scores["method"] == "bad"]
    assert (bad["status"] == "failed").all() and bad["value"].isna().all()
    assert bad["reason"].str.contains(says).all()
    assert (scores.loc[scores["method"] != "bad", "status"] == "done").all()
    records = [json.loads(path.read_text()) for path in (tmp_path / "cells").glob("*.json")]
    (record,) = [record for record in records if record["status"] == "failed"]
    assert "Traceback" in record["traceback"]


def test_what_is_there_is_not_computed_again(cells, tmp_path):
    calls = []

    def fit(training, task):
        calls.append(task.perturbation)
        if len(calls) == 1:
            raise RuntimeError("this once")
        return fit_ridge(training, task)

    grid = partial(rt.benchmark.run, cells, {"ridge": (fit, predict_ridge)}, tmp_path, **QUIET)
    first = grid(perturbations=["A"])
    assert (first.loc[first["method"] == "ridge", "status"] == "failed").all()
    grid(perturbations=["A", "B"])
    assert calls == ["A", "B"]
    again = grid(perturbations=["A", "B"], retry=True)
    assert calls == ["A", "B", "A"]
    assert (again["status"] == "done").all()


def test_a_split_that_is_drawn_anew_is_another_cell_of_the_grid(cells, tmp_path):
    adata = cells.copy()
    methods = {"quantile map": rt.tl.quantile_map}
    first = rt.benchmark.run(adata, methods, tmp_path, perturbations=["A"], **QUIET)
    rt.pp.split(adata, seed=1)
    second = rt.benchmark.run(adata, methods, tmp_path, perturbations=["A"], **QUIET)
    assert not np.allclose(first["value"], second["value"])


def test_an_interrupt_ends_the_grid_and_keeps_what_was_done(cells, tmp_path):
    def fit(training, task):
        if task.perturbation == "B":
            raise KeyboardInterrupt
        return fit_ridge(training, task)

    with pytest.raises(KeyboardInterrupt):
        rt.benchmark.run(cells, {"ridge": (fit, predict_ridge)}, tmp_path, **QUIET)
    # One method and three controls of the first perturbation.
    assert len(list((tmp_path / "cells").glob("*.json"))) == 4


def test_processes_give_the_same_table(cells, tmp_path):
    methods = {"w1ot": partial(rt.tl.w1ot, preset="fast", max_steps=5), "shift": shift_by_seed()}
    kwargs = {"spaces": {"components": rt.benchmark.principal_components(5)}, **QUIET}
    one = rt.benchmark.run(cells, methods, tmp_path / "one", **kwargs)
    two = rt.benchmark.run(cells, methods, tmp_path / "two", n_jobs=2, **kwargs)
    assert set(two["reason"]) == {""}
    pd.testing.assert_frame_equal(one.drop(columns="seconds"), two.drop(columns="seconds"))


GRID = """
import sys, time
from pathlib import Path
import numpy as np
import rayot as rt

folder, log = map(Path, sys.argv[1:3])

def fit(training, task):
    with log.open("a") as file:
        file.write(f"{task.method} {task.perturbation} {task.seed}\\n")
    time.sleep(0.05)
    return int(task.method[1:]) + task.seed

def predict(shift, cells, task):
    return cells.X + 0.1 * shift

adata = rt.datasets.simulated_screen(4, n_cells=60, n_genes=20, inactive=0)
adata.X = np.asarray(adata.X.todense())
rt.pp.split(adata)
methods = {f"m{number}": (fit, predict) for number in range(5)}
scores = rt.benchmark.run(
    adata, methods, folder, seeds=[0, 1], metrics=["l2", "mmd"], show_progress_bar=False
)
print("done", flush=True)
"""


def test_a_grid_that_is_killed_twice_is_the_undisturbed_one(tmp_path):
    program = tmp_path / "grid.py"
    program.write_text(textwrap.dedent(GRID))

    def start(name):
        arguments = [sys.executable, program, tmp_path / name, tmp_path / f"{name}.log"]
        return subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ
        )

    assert start("whole").communicate()[0] == b"done\n"
    for n_done in (9, 25):
        process = start("killed")
        log = tmp_path / "killed.log"
        while not (log.exists() and len(log.read_text().splitlines()) >= n_done):
            assert process.poll() is None, process.communicate()[1].decode()
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    said, errors = start("killed").communicate()
    assert said == b"done\n", errors.decode()
    whole, killed = (
        pd.read_csv(tmp_path / name / "scores.csv").drop(columns="seconds")
        for name in ("whole", "killed")
    )
    pd.testing.assert_frame_equal(whole, killed)
    assert len(whole[(whole["metric"] == "l2") & whole["method"].str.startswith("m")]) >= 40
    computed = (tmp_path / "killed.log").read_text().splitlines()
    # Nothing but what was running when it was killed is computed twice.
    assert len(computed) - len(set(computed)) <= 2
    assert not list((tmp_path / "killed").rglob("*.partial"))


@pytest.mark.slow
def test_a_cluster_gives_the_same_table(cells, tmp_path):
    distributed = pytest.importorskip("distributed")
    methods = {"w1ot": partial(rt.tl.w1ot, preset="fast", max_steps=20), "shift": shift_by_seed()}
    one = rt.benchmark.run(cells, methods, tmp_path / "one", **QUIET)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as c,
        distributed.Client(c),
        joblib.parallel_config("dask"),
    ):
        two = rt.benchmark.run(cells, methods, tmp_path / "two", **QUIET)
    assert set(two["reason"]) == {""}
    pd.testing.assert_frame_equal(one.drop(columns="seconds"), two.drop(columns="seconds"))


CHANGES = [
    ({"methods": {}}, "methods must map"),
    ({"methods": {"identity": RIDGE}}, "is a control of every grid"),
    ({"methods": {"x": 3}}, "must be a verb"),
    ({"perturbations": ["nonsense"]}, "nonsense"),
    ({"perturbations": ["control"]}, "both 'control'"),
    ({"control": "nonsense"}, "nonsense"),
    ({"splits": ["nonsense"]}, "nonsense"),
    ({"splits": ["cell_type"]}, "'train'"),
    ({"metrics": ["nonsense"]}, "nonsense"),
    ({"table": "xlsx"}, "csv"),
    ({"n_cells": 1}, "n_cells"),
]


@pytest.mark.parametrize(
    ("change", "says"),
    CHANGES,
    ids=[f"{next(iter(change))} {says}" for change, says in CHANGES],
)
def test_bad_grids_are_refused_before_anything_is_done(cells, tmp_path, change, says):
    arguments = {"methods": {"ridge": RIDGE}, **QUIET, **change}
    with pytest.raises((KeyError, ValueError), match=says):
        rt.benchmark.run(cells, folder=tmp_path / "grid", **arguments)
    assert not (tmp_path / "grid").exists()


def test_results_of_other_cells_are_not_mixed(cells, tmp_path):
    run = partial(rt.benchmark.run, methods={"ridge": RIDGE}, folder=tmp_path, **QUIET)
    run(cells, perturbations=["A"])
    with pytest.raises(ValueError, match="another cells"):
        run(cells[5:].copy(), perturbations=["A"])
    with pytest.raises(ValueError, match="another n_top_genes"):
        run(cells, perturbations=["A"], n_top_genes=7)
    changed = cells.copy()
    changed.X = _dense(changed.X)
    changed.X[-1, 0] += 1
    with pytest.raises(ValueError, match="another expression"):
        run(changed, perturbations=["A"])
    # Neither the order of the cells nor that of the metrics makes another grid.
    shuffled = cells[np.random.default_rng(0).permutation(cells.n_obs)].copy()
    again = {**QUIET, "metrics": QUIET["metrics"][::-1]}
    rt.benchmark.run(shuffled, {"ridge": RIDGE}, tmp_path, perturbations=["A"], **again)


def test_another_space_of_the_same_name_is_not_taken_for_the_first(cells, tmp_path):
    adata = cells.copy()
    rt.pp.pca(adata, 5)
    run = partial(
        rt.benchmark.run, methods={"ridge": RIDGE}, folder=tmp_path, perturbations=["A"], **QUIET
    )
    few, more = (rt.benchmark.principal_components(n) for n in (5, 10))
    run(adata, spaces={"few": few, "mine": "X_pca"})
    run(adata, spaces={"few": few, "more": more})
    with pytest.raises(ValueError, match="another space 'few'"):
        run(adata, spaces={"few": more})
    adata.obsm["X_pca"][3] += 1
    with pytest.raises(ValueError, match="another space 'mine'"):
        run(adata, spaces={"mine": "X_pca"})


def test_what_a_grid_does_not_have_is_not_asked_of_it(cells, tmp_path):
    with pytest.raises(ValueError, match="needs perturbations"):
        rt.benchmark.run(
            cells,
            {"ridge": RIDGE},
            tmp_path / "grid",
            metrics=["centroid_accuracy"],
            show_progress_bar=False,
        )
    cells.write_h5ad(tmp_path / "cells.h5ad")
    backed = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    with pytest.raises(ValueError, match="to_memory"):
        rt.benchmark.run(backed, {"ridge": RIDGE}, tmp_path / "grid", **QUIET)
    backed.file.close()
    centred = cells.copy()
    centred.X = _dense(centred.X) - 1
    with pytest.warns(UserWarning, match="scale of the expression is not known"):
        scores = rt.benchmark.run(
            centred,
            {"ridge": RIDGE},
            tmp_path / "centred",
            perturbations=["A"],
            metrics=["log_fold_change_error"],
            show_progress_bar=False,
        )
    assert set(scores["metric"]) == {"mean_difference_error"}


def test_two_processes_do_not_share_a_folder(cells, tmp_path):
    def fit(training, task):
        with pytest.raises(BlockingIOError, match="Another process"):
            rt.benchmark.run(cells, {"ridge": RIDGE}, Path(tmp_path), **QUIET)
        return fit_ridge(training, task)

    scores = rt.benchmark.run(
        cells, {"ridge": (fit, predict_ridge)}, tmp_path, perturbations=["A"], **QUIET
    )
    assert (scores["status"] == "done").all()
