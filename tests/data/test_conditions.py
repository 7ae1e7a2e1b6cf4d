"""Conditions as vectors."""

import json

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from rayot.data.condition_columns import dose_of, groups_of, vectors_of
from rayot.data.conditions import Condition, Conditions, parts_of


def conditions(*names, dose_key=None, doses=(None,), given=None, covariates=((),)):
    known = [Condition(name, dose, each) for name in names for dose in doses for each in covariates]
    columns = ["drug", *(["patient"] if covariates[0] else [])]
    return Conditions.learn("control", known, columns, dose_key, given or {})


def test_a_combination_is_the_sum_of_its_parts():
    found = conditions("A", "B", "A+B")
    a, b, both = (found.vector(Condition(name, None, ())) for name in ("A", "B", "A+B"))
    np.testing.assert_array_equal(both, a + b)
    np.testing.assert_array_equal(found.vector(Condition("B+control", None, ())), b)
    assert found.size == 2


def test_a_category_with_a_vector_of_its_own_is_not_split():
    assert parts_of("Na+ blocker", {"Na+ blocker"}, "control") == ["Na+ blocker"]
    assert parts_of("A + B", {}, "control") == ["A", "B"]
    assert parts_of("control+control", {}, "control") == ["control+control"]


def test_doses_enter_by_their_logarithm():
    found = conditions("A", dose_key="dose", doses=(1.0, 10.0, 100.0))
    values = [found.vector(Condition("A", dose, ()))[-1] for dose in (1, 10, 100, 1000)]
    np.testing.assert_allclose(np.diff(values), np.diff(values)[0], rtol=1e-5)
    assert abs(np.mean(values[:3])) < 1e-6


@pytest.mark.parametrize("dose", [0, -1, np.nan, np.inf, "much"])
def test_a_dose_that_has_no_logarithm_is_named(dose):
    with pytest.raises(ValueError, match="above 0"):
        dose_of(dose, "dose")
    with pytest.raises(ValueError, match=str(dose)):
        dose_of(dose, "dose")


def test_given_vectors_are_centred_and_scaled_over_training():
    rows = {"A": [10, 0], "B": [14, 0], "C": [12, 5]}
    vectors = {name: np.array(row, dtype=float) for name, row in rows.items()}
    found = conditions("A", "B", given={"drug": vectors})
    a, b = (found.vector(Condition(name, None, ())) for name in "AB")
    np.testing.assert_allclose(a, [-1, 0])
    np.testing.assert_allclose(b, [1, 0])
    np.testing.assert_allclose(found.vector(Condition("C", None, ())), [0, 2.5])


def test_what_has_no_vector_is_named():
    with pytest.raises(ValueError, match=r"1 of the 2 categories of .*'drug'.* no vector: 'B'"):
        conditions("A", "B", given={"drug": {"A": np.ones(2)}})
    with pytest.raises(ValueError, match=r"'IFNB' of 'drug' was not in training.*'IFN-B'"):
        conditions("IFN-B").vector(Condition("IFNB", None, ()))


def test_json_and_back():
    given = {"patient": {"p": np.array([1.0, 2.0]), "q": np.array([0.5, 0.0])}}
    found = conditions(
        "A", "B", dose_key="dose", doses=(1.0, 3.0), given=given, covariates=(("p",), ("q",))
    )
    again = Conditions.from_json(json.loads(json.dumps(found.to_json())))
    assert again == found


@pytest.fixture
def adata():
    obs = pd.DataFrame(
        {"drug": ["A", "A", "B", None], "dose": [1.0, 2.0, 1.0, 1.0]}, index=list("wxyz")
    )
    return ad.AnnData(np.zeros((4, 2)), obs=obs)


def test_groups_leave_out_cells_without_a_category(adata):
    found = groups_of(adata, np.array([1, 2, 3]), ["drug"], "dose")
    assert {key: rows.tolist() for key, rows in found.items()} == {("A", 2.0): [1], ("B", 1.0): [2]}


def test_vectors_are_read_from_dictionaries_and_tables(adata):
    adata.uns["table"] = pd.DataFrame([[1, 2], [3, 4]], index=["A", "B"])
    adata.uns["dictionary"] = {"A": [1, 2], "B": [3, 4]}
    for key in adata.uns:
        found = vectors_of(adata, key)
        assert {name: vector.tolist() for name, vector in found.items()} == {
            "A": [1, 2],
            "B": [3, 4],
        }
    adata.uns["table"] = {"A": [1, 2], "B": [3]}
    with pytest.raises(ValueError, match=r"'B' in .* has length 1, that of 'A' has 2"):
        vectors_of(adata, "table")
    adata.uns["table"] = {"A": [1, np.nan]}
    with pytest.raises(ValueError, match=r"'A' in .* has NaN"):
        vectors_of(adata, "table")
    adata.uns["table"] = 3
    with pytest.raises(ValueError, match=r"must be a dictionary or a DataFrame .* found int"):
        vectors_of(adata, "table")
    with pytest.raises(KeyError, match="no 'other'"):
        vectors_of(adata, "other")


def test_a_vector_that_says_nothing_is_refused_by_name(adata):
    def refused(table, message):
        adata.uns["table"] = table
        with pytest.raises(ValueError, match=message):
            vectors_of(adata, "table", "control")

    bad = {"A": [1, np.nan], "B": [1, 2], "C": [np.inf, 1], "D": [1e300, 1]}
    refused(bad, r"The vector of 'A', 'C', 'D' in adata.uns\['table'\] has NaN or infinite values")
    zeros = pd.DataFrame([[0, 0], [1, 0], [0, 0]], index=["A", "B", "C"])
    refused(zeros, r"The vector of 'A', 'C' in .* is all zeros, which says nothing")
    equal = {"A": [1, 2], "B": [1, 2], "control": [0, 1]}
    refused(equal, "the same vector of all 2 categories")
    refused(pd.DataFrame([[1], [2]], index=["A", "A"]), "several rows of 'A'")
    refused({1: [1], "1": [2]}, "several vectors of '1'")
    refused(pd.DataFrame(), "not empty, found DataFrame")
    refused({"A": ["x", 1]}, r"'A' in .* must hold real numbers")


def test_zeros_may_stand_for_the_control_and_for_a_number(adata):
    adata.uns["table"] = {"control": [0, 0], "A": [0, 1]}
    assert not vectors_of(adata, "table", "control")["control"].any()
    with pytest.raises(ValueError, match=r"'control' in .* is all zeros"):
        vectors_of(adata, "table")
    adata.uns["table"] = {"A": [0], "B": [1]}
    assert vectors_of(adata, "table")["A"] == 0
    adata.uns["table"] = {"A": [0, 1]}
    assert list(vectors_of(adata, "table")) == ["A"]


def test_a_table_in_a_file_is_read_where_it_is_lazy(adata, tmp_path):
    adata.uns["table"] = pd.DataFrame(
        [[1, 2], [3, 4]], index=["A", "B"], columns=["x", "y"], dtype=np.float32
    )
    adata.write_h5ad(tmp_path / "cells.h5ad")
    for read in (ad.read_h5ad, ad.experimental.read_lazy):
        found = vectors_of(read(tmp_path / "cells.h5ad"), "table")
        assert {name: vector.tolist() for name, vector in found.items()} == {
            "A": [1, 2],
            "B": [3, 4],
        }
