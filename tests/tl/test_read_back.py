"""Cells that were written and read again, with all that rayot left in them."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import rayot as rt

QUICK = {"max_steps": 5, "show_progress_bar": False}
WITHOUT_FOLDS = {**QUICK, "n_folds": 1}
READ = {"h5ad": ad.read_h5ad, "zarr": ad.read_zarr}


OF_A_PAIR = {
    "scores": lambda adata: rt.tl.evaluate(adata, ["w1ot", "scgen", "mean_shift"]),
    "fold changes": lambda adata: rt.tl.log_fold_change(adata, "w1ot"),
    "calibration": lambda adata: rt.tl.calibration(adata, "w1ot"),
    "calibration of groups": lambda adata: rt.tl.calibration(adata, "w1ot", groupby="cell_type"),
    "predicted cells": lambda adata: rt.get.predicted(adata, "scgen"),
    "history": lambda adata: rt.pl.history(adata, "w1ot", show=False),
    "diagnostics": lambda adata: rt.pl.diagnostics(adata, "w1ot", show=False),
    "markers": lambda adata: rt.pl.markers(adata, "w1ot", show=False),
    "a fit": lambda adata: predicted(rt.tl.w1ot, adata, "control", "perturbed"),
}
OF_A_SCREEN = {
    "figure": lambda adata: rt.pl.screen(adata, show=False),
    "similarity": lambda adata: rt.tl.similarity(adata),
    "a screen": lambda adata: (
        rt.tl.screen(adata, "control", key_added="again", **WITHOUT_FOLDS).table
    ),
    "a fit": lambda adata: predicted(
        rt.tl.conditional_w1ot,
        adata,
        "control",
        dose_key="dose",
        of={"perturbation": "drug_000", "dose": 3.0},
    ),
}


def predicted(verb, adata, *conditions, of=None, **options):
    model = verb(adata, *conditions, key_added="again", **options, **QUICK)
    return model.predict(adata[adata.obs["perturbation"] == "control"].copy(), **(of or {}))


@pytest.fixture(scope="module")
def fitted():
    adata = rt.datasets.simulated(150, 40)
    rt.pp.split(adata, stratify="cell_type")
    rt.tl.w1ot(adata, "control", "perturbed", n_seeds=2, strata_key="cell_type", **WITHOUT_FOLDS)
    rt.tl.scgen(adata, "control", "perturbed", **WITHOUT_FOLDS)
    rt.tl.mean_shift(adata, "control", "perturbed")
    return adata


@pytest.fixture(scope="module")
def screened():
    adata = rt.datasets.simulated_screen(4, n_cells=60, n_genes=30, doses=[1.0, 10.0])
    rt.pp.split(adata)
    rt.tl.screen(adata, "control", **WITHOUT_FOLDS)
    rt.tl.conditional_w1ot(adata, "control", dose_key="dose", **QUICK)
    return adata


def read_back(adata, path):
    getattr(adata, f"write_{path.suffix[1:]}")(path)
    return READ[path.suffix[1:]](path)


def same(first, second):
    if isinstance(first, pd.DataFrame):
        pd.testing.assert_frame_equal(first, second, check_dtype=False)
    elif isinstance(first, ad.AnnData):
        np.testing.assert_array_equal(*(each.to_df().to_numpy() for each in (first, second)))


@pytest.mark.parametrize("suffix", READ)
@pytest.mark.parametrize("name", OF_A_PAIR)
def test_of_one_pair_all_is_as_before(fitted, suffix, name, tmp_path):
    call = OF_A_PAIR[name]
    same(call(fitted.copy()), call(read_back(fitted, tmp_path / f"cells.{suffix}")))


@pytest.mark.parametrize("suffix", READ)
@pytest.mark.parametrize("name", OF_A_SCREEN)
def test_of_a_screen_all_is_as_before(screened, suffix, name, tmp_path):
    call = OF_A_SCREEN[name]
    same(call(screened.copy()), call(read_back(screened, tmp_path / f"cells.{suffix}")))


@pytest.mark.parametrize("dtype", [object, str, np.dtypes.StringDType()])
def test_labels_of_any_text_dtype_are_compared(dtype):
    points, labels = np.eye(4), np.array(list("abab"), dtype=dtype)
    found = rt.metrics.label_transfer_accuracy(points, points, labels, list("abab"), k=1)
    assert found == 1
