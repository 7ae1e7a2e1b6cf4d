"""Rows from every kind of matrix, checks that name what is wrong, the description of the data."""

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mudata import MuData
from scipy import sparse

from rayot.data import checks
from rayot.data.matrix import dense, row_chunks, take_rows
from rayot.data.modality import modality_of
from rayot.data.spec import DataSpec


@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(st.integers(0, 19), min_size=1, max_size=30),
    dtype=st.sampled_from(["float64", "float32", "int64", "uint16"]),
)
def test_rows_of_every_kind_of_matrix_are_the_same(rows, dtype):
    values = np.arange(140).reshape(20, 7).astype(dtype)
    rows = np.array(rows)
    expected = values[rows].astype(np.float32)
    for matrix in (values, sparse.csr_matrix(values), sparse.csc_array(values)):
        taken = take_rows(matrix, rows)
        assert taken.dtype == np.float32
        np.testing.assert_array_equal(dense(taken), expected)


@pytest.mark.parametrize("kind", ["dense", "csr"])
def test_rows_on_disk(tmp_path, kind):
    values = np.arange(140.0).reshape(20, 7)
    adata = ad.AnnData(values if kind == "dense" else sparse.csr_matrix(values))
    adata.write_h5ad(tmp_path / "cells.h5ad")
    backed = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    rows = np.array([7, 3, 3, 19])
    np.testing.assert_array_equal(dense(take_rows(backed.X, rows)), values[rows])


@pytest.mark.parametrize("wrap", [np.array, sparse.csr_matrix])
@pytest.mark.parametrize("view", [False, True])
def test_sums_over_genes_have_the_same_bits_whatever_their_order(wrap, view):
    rng = np.random.default_rng(0)
    adata = ad.AnnData(wrap(rng.normal(size=(20, 50)).astype(np.float32)))
    adata.obs["perturbation"] = "control"
    spec = DataSpec.from_anndata(adata)
    weights = rng.normal(size=(50, 3)).astype(np.float32)
    other = adata[:, rng.permutation(50)]
    found, expected = (
        spec.expression(cells, np.arange(20)) @ weights
        for cells in (other if view else other.copy(), adata)
    )
    np.testing.assert_array_equal(found, expected)


def test_rows_of_an_h5py_data_set(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        data = file.create_dataset("x", data=np.arange(20.0).reshape(10, 2))
        np.testing.assert_array_equal(take_rows(data, np.array([9, 0, 9])), data[:][[9, 0, 9]])


def test_chunks_cover_all_rows_in_order():
    assert np.concatenate(list(row_chunks(np.arange(10), 4))).tolist() == list(range(10))


@pytest.mark.parametrize("wrap", [np.asarray, sparse.csr_matrix])
def test_counts_are_told_by_what_they_are(wrap):
    rng = np.random.default_rng(0)
    counts = rng.poisson(1.0, (50, 10)).astype(np.float32)
    with pytest.raises(ValueError, match=r"adata.X holds raw counts .*allow_counts=True"):
        checks.not_counts(wrap(counts), "adata.X")
    checks.not_counts(wrap(np.log1p(counts)), "adata.X")
    checks.not_counts(wrap(1000 * np.log1p(counts)), "adata.X")
    checks.not_counts(wrap(counts - 5), "adata.X")
    checks.not_counts(wrap((counts > 0).astype(np.float32)), "adata.X")


@pytest.mark.parametrize("wrap", [np.asarray, sparse.csr_matrix])
def test_values_that_are_not_finite_are_counted_and_the_first_gene_named(wrap):
    values = np.ones((4, 3), dtype=np.float32)
    values[2, 1], values[3, 2] = np.nan, np.inf
    with pytest.raises(ValueError, match=r"adata.X has 2 NaN or infinite values, the first in 'b'"):
        checks.finite([wrap(values)], ["a", "b", "c"], "adata.X")


def test_names_come_with_the_nearest_one():
    adata = ad.AnnData(np.ones((2, 1)), obs=pd.DataFrame({"perturbation": ["a", "IFN-beta"]}))
    with pytest.raises(KeyError, match=r"no column 'pertubation'\. Did you mean 'perturbation'"):
        checks.column(adata, "pertubation")
    with pytest.raises(ValueError, match=r"no category 'IFN-b'\. Did you mean 'IFN-beta'"):
        checks.in_category(adata, "perturbation", "IFN-b")


def test_genes_are_aligned_by_name():
    found = pd.Index(["c", "a", "b"])
    assert checks.aligned_genes(found, ["a", "b", "c"]).tolist() == [1, 2, 0]
    with pytest.raises(ValueError, match=r"lack 2 of the 3 genes .* on: x, y\."):
        checks.aligned_genes(found, ["a", "x", "y"])
    with pytest.raises(ValueError, match="the gene 'a' more than once"):
        checks.aligned_genes(pd.Index(["a", "a"]), ["a"])


def test_modalities(cells):
    mdata = MuData({"rna": cells, "protein": cells[:, :3].copy()})
    assert modality_of(mdata, "rna") is mdata.mod["rna"]
    with pytest.raises(ValueError, match=r"one of \['protein', 'rna'\]"):
        modality_of(mdata, None)
    with pytest.raises(KeyError, match="no modality 'atac'"):
        modality_of(mdata, "atac")
    with pytest.raises(ValueError, match="is for a MuData"):
        modality_of(cells, "rna")
    with pytest.raises(TypeError, match="found ndarray"):
        modality_of(np.ones(3), None)


def test_a_description_survives_json(cells):
    spec = DataSpec.from_anndata(cells, use_rep="X_pca")
    assert DataSpec.from_json(spec.to_json()) == spec
    assert spec.split_key == "split"


def test_a_description_of_data_without_a_split(cells):
    del cells.obs["split"]
    assert DataSpec.from_anndata(cells).split_key is None
    with pytest.raises(KeyError, match="no column 'fold'"):
        DataSpec.from_anndata(cells, split_key="fold")


@pytest.mark.parametrize(
    ("here", "wanted", "hint"),
    [
        (["ENSG00000187634", "ENSG00000188976"], ["SAMD11", "NOC2L"], "Here genes have Ensembl"),
        (["SAMD11", "NOC2L"], ["ENSG00000187634.13"], "Here genes have symbols and in the model"),
        (["ENSG00000187634"], ["ENSG00000187634.13"], "differ in the version after the point"),
        (["ENSMUSG00000051951.6"], ["ENSMUSG00000051951.5"], "differ in the version"),
        (["SAMD11", "NOC2L"], ["SAMD11", "KLHL17"], r"fitted on: KLHL17\.$"),
        # Symbols of clones, whose last number tells genes apart.
        (["AL627309.1", "RP11-34P13.7"], ["AL627309.5"], r"fitted on: AL627309\.5\.$"),
        (["ENSG00000187634.1", "ENSG00000187634.2"], ["ENSG00000187634"], r"187634\.$"),
    ],
)
def test_genes_by_other_names_are_told(here, wanted, hint):
    with pytest.raises(ValueError, match=hint):
        checks.aligned_genes(pd.Index(here), wanted)
