"""Strata with too few cells are named; weights that are none are refused."""

import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from rayot.data.spec import DataSpec
from rayot.data.strata import check_strata, strata_of, training_strata, weights_of


@pytest.fixture
def patients():
    """Patient a: 30 + 30 cells; b: 30 + 5; c: control only; one cell without a patient."""
    sizes = [("a", "control", 30), ("a", "drug", 30), ("b", "control", 30), ("b", "drug", 5)]
    sizes += [("c", "control", 12), (None, "drug", 1)]
    obs = pd.DataFrame(
        [(patient, condition) for patient, condition, n in sizes for _ in range(n)],
        columns=["patient", "perturbation"],
    )
    obs.index = obs.index.astype(str)
    return ad.AnnData(np.ones((len(obs), 2), dtype=np.float32), obs=obs)


def rows_of(adata):
    return {name: np.flatnonzero(adata.obs["perturbation"] == name) for name in ("control", "drug")}


def test_strata_keep_their_rows_and_small_ones_are_named_and_left_out(patients, caplog):
    with caplog.at_level(logging.WARNING):
        kept = training_strata(patients, "patient", rows_of(patients), "drop")
    assert list(kept) == ["a"]
    np.testing.assert_array_equal(kept["a"][0], np.arange(30))
    np.testing.assert_array_equal(kept["a"][1], np.arange(30, 60))
    assert "'b' (5 of 'drug'), 'c' (0 of 'drug'); they are left out" in caplog.text


def test_small_strata_can_be_an_error(patients):
    with pytest.raises(ValueError, match=r"'b' \(5 of 'drug'\).*small_strata='drop' to leave"):
        training_strata(patients, "patient", rows_of(patients), "raise")


def test_no_stratum_is_left(patients):
    with pytest.raises(ValueError, match="no stratum is left to match cells in"):
        training_strata(patients[60:], "patient", rows_of(patients[60:]), "drop")


def test_strata_without_values(patients):
    patients.obs["batch"] = np.nan
    with pytest.raises(ValueError, match=r"obs\['batch'\] has no values"):
        training_strata(patients, "batch", rows_of(patients), "drop")


@pytest.mark.parametrize("dtype", ["object", "category"])
def test_missing_strata_are_empty(patients, dtype):
    patients.obs["patient"] = patients.obs["patient"].astype(dtype)
    found = strata_of(patients, "patient", np.array([0, 107, 60]))
    assert found.tolist() == ["a", "", "b"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("seperate", "drop", "patient"), r"strata must be one of .* found 'seperate'"),
        (("balanced", "ignore", "patient"), r"small_strata must be one of .* found 'ignore'"),
        (("separate", "drop", None), "strata='separate' needs strata_key"),
    ],
)
def test_options_of_strata(arguments, message):
    with pytest.raises(ValueError, match=message):
        check_strata(*arguments)


@pytest.mark.parametrize("dtype", ["float64", "int64", "category", "object"])
def test_weights_of_every_kind_of_column(patients, dtype):
    patients.obs["weight"] = pd.Series(2, index=patients.obs_names).astype(dtype)
    found = weights_of(patients, "weight", np.arange(4))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, 2)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, r"obs\['weight'\] has 2 NaN or infinite weights"),
        (np.inf, "2 NaN or infinite weights"),
        (-1.0, r"2 negative weights among the training cells; weights must be numbers of at least"),
    ],
)
def test_weights_that_are_none(patients, value, message):
    patients.obs["weight"] = 1.0
    patients.obs.iloc[[3, 5], patients.obs.columns.get_loc("weight")] = value
    with pytest.raises(ValueError, match=message):
        weights_of(patients, "weight", np.arange(10))


def test_cells_of_weight_zero_are_no_training_cells(patients):
    patients.obs["weight"] = np.where(np.arange(patients.n_obs) % 2, 1.0, 0.0)
    data = DataSpec.from_anndata(patients, weights_key="weight")
    rows = data.training_rows(patients, "control")
    assert (rows % 2 == 1).all()
    patients.obs["weight"] = 0.0
    with pytest.raises(ValueError, match=r"weights of adata.obs\['weight'\] above zero, 'control'"):
        data.training_rows(patients, "control")
