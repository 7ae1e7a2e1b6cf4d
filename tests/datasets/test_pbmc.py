import numpy as np
import pytest
import scanpy as sc
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import rayot as rt


@pytest.fixture(scope="module")
def original():
    return sc.datasets.pbmc68k_reduced().raw.X.toarray()


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 1000),
    n_genes=st.integers(1, 100),
    fold_change=st.floats(0.01, 50).filter(lambda x: x != 1),
)
def test_only_the_perturbed_genes_change_and_by_the_fold_change(seed, n_genes, fold_change):
    original = sc.datasets.pbmc68k_reduced().raw.X.toarray()
    adata = rt.datasets.pbmc_perturbed(seed, n_genes, fold_change)
    genes = adata.var["perturbed"].to_numpy()
    perturbed = (adata.obs["perturbation"] == "perturbed").to_numpy()
    x, answer = adata.X.toarray(), adata.layers["counterfactual"].toarray()
    assert genes.sum() == n_genes
    assert np.array_equal(x[~perturbed], original[~perturbed])
    assert np.array_equal(x[perturbed], answer[perturbed])
    assert np.array_equal(answer[:, ~genes], original[:, ~genes])
    linear = fold_change * np.expm1(original[:, genes].astype(float))
    assert np.allclose(np.expm1(answer[:, genes].astype(float)), linear, rtol=1e-4, atol=1e-5)
    expected = np.where(genes, np.log2(fold_change), 0)
    assert np.allclose(adata.var["true_log_fold_change"], expected, atol=1e-6)


def test_what_is_in_it(original):
    adata = rt.datasets.pbmc_perturbed()
    assert adata.shape == (700, 765)
    assert adata.obs["perturbation"].value_counts().to_dict() == {"control": 350, "perturbed": 350}
    assert list(adata.obs["perturbation"].cat.categories) == ["control", "perturbed"]
    assert adata.obs["cell_type"].nunique() == 10
    assert isinstance(adata.X, sparse.csr_matrix) and adata.X.dtype == np.float32
    assert isinstance(adata.layers["counterfactual"], sparse.csr_matrix)
    assert not adata.obsm and not adata.obsp
    assert adata.uns["source"]["doi"] == "10.1038/ncomms14049"
    expressed = (original > 0).mean(axis=0)
    assert (expressed[adata.var["perturbed"]] >= 0.6).all()


def test_the_seed_decides():
    first, second = rt.datasets.pbmc_perturbed(1), rt.datasets.pbmc_perturbed(1)
    assert (first.X != second.X).nnz == 0
    assert (first.X != rt.datasets.pbmc_perturbed(2).X).nnz > 0


def test_it_can_be_written(tmp_path):
    rt.datasets.pbmc_perturbed().write_h5ad(tmp_path / "pbmc.h5ad")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fold_change": 0}, r"fold_change must be greater than 0, found 0\."),
        ({"fold_change": -2}, r"fold_change must be .* found -2"),
        ({"n_genes": 0}, r"n_genes must be a whole number of at least 1, found 0\."),
        (
            {"min_expressed": 1.5},
            r"min_expressed must be at least 0 and at most 1, found 1.5",
        ),
        ({"n_genes": 114}, r"n_genes is 114, but only 113 genes .* at least 60%"),
        ({"min_expressed": 1.0, "n_genes": 700}, r"lower min_expressed"),
        ({"seed": -1}, r"seed must be .* found -1"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        rt.datasets.pbmc_perturbed(**arguments)
