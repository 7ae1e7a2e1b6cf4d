"""What belongs to the whole process is after a call as it was before."""

import logging
import os
import random
import sys
import types
import warnings
from functools import partial

import matplotlib as mpl
import matplotlib.pyplot as plt
import mudata
import numpy as np
import pytest
import torch

import rayot as rt
from rayot.model.methods import METHODS

SOURCE, TARGET = "control", "perturbed"
QUICK = {"preset": "fast", "max_steps": 2, "batch_size": 16, "show_progress_bar": False}
WITHOUT_FOLDS = {**QUICK, "n_folds": 1}


def settings_of_the_process():
    """Random numbers, loggers, warnings, variables and options that others rely on."""
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002
    return {
        "random": random.getstate(),
        "numpy": (kind, keys.tobytes(), *rest),
        "torch": torch.get_rng_state().numpy().tobytes(),
        "root logger": (list(logging.root.handlers), logging.root.level),
        "loggers": {
            name: logging.getLogger(name).level for name in ("lightning.pytorch", "rayot", "scanpy")
        },
        "warnings": list(warnings.filters),
        "environment": dict(os.environ),
        "matplotlib": dict(mpl.rcParams),
        "threads": torch.get_num_threads(),
        "errors of numpy": np.geterr(),
        "defaults of torch": (torch.get_default_dtype(), torch.get_default_device()),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }


@pytest.fixture(scope="module")
def fitted():
    adata = rt.datasets.simulated(n_cells=60, n_genes=12, seed=0)
    labels = np.resize([SOURCE, "a", "b", "a+b"], adata.n_obs)
    adata.obs["combination"] = labels
    rt.pp.split(adata)
    rt.tl.w1ot(adata, SOURCE, TARGET, n_seeds=2, **WITHOUT_FOLDS)
    adata.obsm["X_umap"] = np.asarray(adata.X[:, :2].toarray())
    return adata


def fit(name, adata, path):
    if name in ("additive", "nearest", "ridge"):
        getattr(rt.tl, name)(adata, SOURCE, "a+b", groupby="combination")
    elif name in ("screen", "conditional_w1ot"):
        getattr(rt.tl, name)(adata, SOURCE, checkpoint_dir=path / "checkpoints", **QUICK)
    else:
        getattr(rt.tl, name)(
            adata,
            SOURCE,
            TARGET,
            checkpoint_dir=path / "checkpoints",
            **(QUICK if name == "w1ot" else WITHOUT_FOLDS),
        )


def save_and_load(adata, path):
    model = rt.tl.w1ot(adata, SOURCE, TARGET, **WITHOUT_FOLDS)
    model.save(path / "model")
    rt.model.W1OT.load(path / "model").predict(adata, write=path / "cells.h5ad")


CALLS = {
    **{name: partial(fit, name) for name in (*METHODS, "screen", "conditional_w1ot")},
    "split": lambda adata, path: rt.pp.split(adata, key_added="another"),
    "autoencoder": lambda adata, path: rt.pp.autoencoder(
        adata, n_latent=2, hidden=(4,), max_steps=100, show_progress_bar=False
    ),
    "evaluate": lambda adata, path: rt.tl.evaluate(adata, metrics=["l2", "wasserstein1"]),
    "log_fold_change": lambda adata, path: rt.tl.log_fold_change(adata),
    "calibration": lambda adata, path: rt.tl.calibration(adata),
    "predicted": lambda adata, path: rt.get.predicted(adata),
    "report": lambda adata, path: rt.report(adata, path / "report.html"),
    "save and load": save_and_load,
    "simulated": lambda adata, path: rt.datasets.simulated(n_cells=20),
    "pbmc_perturbed": lambda adata, path: rt.datasets.pbmc_perturbed(),
    "moons": lambda adata, path: rt.datasets.moons(),
    "w1_benchmark": lambda adata, path: rt.datasets.w1_benchmark(2, 4, n_samples=10),
    **{
        name: lambda adata, path, name=name: getattr(rt.pl, name)(adata, show=False)
        for name in ("diagnostics", "history", "markers", "transport_rays", "umap")
    },
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_leaves_the_process_as_it_was(fitted, name, tmp_path):
    adata = fitted.copy()
    check(partial(CALLS[name], adata, tmp_path))


def test_snareseq_leaves_the_process_as_it_was(real_data):
    check(rt.datasets.snareseq)


def test_modalities_leave_the_process_as_it_was(fitted):
    """mudata draws on Python's random numbers, and sets the root logger up."""
    both = mudata.MuData({"rna": fitted.copy(), "atac": fitted[:, :5].copy()})
    check(partial(rt.pp.split, both, modality="rna"))
    check(partial(rt.tl.w1ot, both, SOURCE, TARGET, modality="rna", **WITHOUT_FOLDS))
    check(partial(rt.tl.translate, both, "rna", "atac", **QUICK))
    check(partial(rt.tl.screen, both, SOURCE, modality="rna", **WITHOUT_FOLDS))


def test_checkpoints_are_written_without_a_remark_for_each(fitted, tmp_path, caplog, capfd):
    with warnings.catch_warnings(record=True) as caught, caplog.at_level(logging.INFO):
        warnings.simplefilter("always")
        rt.tl.w1ot(
            fitted.copy(),
            SOURCE,
            TARGET,
            checkpoint_dir=tmp_path,
            checkpoint_every=100,
            n_seeds=1,
            **{**WITHOUT_FOLDS, "max_steps": 300},
        )
    said = [str(each.message) for each in caught] + caplog.messages + [*capfd.readouterr()]
    assert not any("weights_only" in each for each in said)


def check(call):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = settings_of_the_process()
        call()
        plt.close("all")
        after = settings_of_the_process()
    assert [name for name in before if after[name] != before[name]] == []


def test_a_module_that_another_thread_imports_has_no_classes_yet(monkeypatch):
    for name in ("mudata", "torch"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    assert rt.metrics.l2([[0.0, 1.0]], [[0.0, 3.0]]) == 2.0
