"""Splits: sizes, strata, held-out groups, keyed draws."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rayot as rt


def cells(sizes, strata=3):
    condition = np.repeat([f"c{i}" for i in range(len(sizes))], sizes)
    rng = np.random.default_rng(0)
    obs = pd.DataFrame(
        {
            "perturbation": pd.Categorical(condition),
            "cell_type": rng.choice(list("ABC")[:strata], len(condition)),
        }
    )
    obs.index = obs.index.astype(str)
    return ad.AnnData(np.zeros((len(condition), 1), np.float32), obs=obs)


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(5, 6000), min_size=1, max_size=3),
    share=st.floats(0.05, 0.5),
    stratify=st.booleans(),
)
def test_sizes_are_those_of_the_paper_where_there_are_enough_cells(sizes, share, stratify):
    adata = cells(sizes)
    rt.pp.split(adata, test_size=share, stratify="cell_type" if stratify else None)
    assert list(adata.obs["split"].cat.categories) == ["train", "test"]
    for number, size in enumerate(sizes):
        n_test = int(
            ((adata.obs["perturbation"] == f"c{number}") & (adata.obs["split"] == "test")).sum()
        )
        expected = round(share * size)
        if size >= 2000:
            expected = max(expected, 500)
        assert n_test == min(expected, 1000)


def test_strata_keep_their_share():
    adata = cells([1000, 1000])
    rt.pp.split(adata, stratify="cell_type")
    table = pd.crosstab(
        [adata.obs["perturbation"], adata.obs["cell_type"]], adata.obs["split"], normalize="index"
    )
    assert table["test"].between(0.19, 0.21).all()


def test_a_condition_that_is_added_leaves_the_others_alone():
    one, two = cells([300, 300]), cells([300, 300, 200])
    rt.pp.split(one)
    rt.pp.split(two)
    assert list(one.obs["split"]) == list(two.obs["split"][:600])
    rt.pp.split(two, seed=1)
    assert list(one.obs["split"]) != list(two.obs["split"][:600])


def test_groups_are_held_out_whole():
    adata = cells([100, 100])
    rt.pp.split(adata, holdout={"cell_type": ["B"]})
    assert ((adata.obs["split"] == "test") == (adata.obs["cell_type"] == "B")).all()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"groupby": "drug"}, KeyError, "no column 'drug'"),
        ({"stratify": "cell_typ"}, KeyError, "Did you mean 'cell_type'"),
        ({"test_size": 1.0}, ValueError, "test_size must be between 0 and 1, found 1.0"),
        ({"test_limits": (10, 5)}, ValueError, "the smaller first"),
        ({"holdout": {"cell_type": ["D"]}}, ValueError, "no category 'D'"),
        ({"holdout": {"cell_type": "B"}}, ValueError, "must be a list of groups"),
        ({"holdout": {"cell_type": ["A", "B", "C"]}}, ValueError, "leaves no cells"),
        ({"holdout": {}}, ValueError, "leaves no cells"),
        ({"control": "c0"}, ValueError, "control='c0' needs holdout"),
        ({"holdout": {"cell_type": ["B"]}, "control": "c9"}, ValueError, "no category 'c9'"),
        ({"holdout": {"perturbation": ["c0"]}, "control": "c0"}, ValueError, "other than 'c0'"),
        ({"holdout": ["B"]}, TypeError, r"holdout must name columns .* found \['B'\]"),
    ],
)
def test_bad_arguments(arguments, error, message):
    adata = cells([100, 100])
    with pytest.raises(error, match=message):
        rt.pp.split(adata, **arguments)
    assert "split" not in adata.obs
