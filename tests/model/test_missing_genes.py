"""Genes of a model that cells to predict lack: what they are taken for, and that it is said."""

import anndata as ad
import numpy as np
import pytest
from mudata import MuData
from scipy import sparse

import rayot as rt

SOURCE, TARGET = "control", "perturbed"


@pytest.fixture(scope="module")
def cells():
    return rt.datasets.simulated(n_cells=200, n_genes=30)


@pytest.fixture(scope="module")
def model(cells):
    return rt.tl.w1ot(
        cells.copy(),
        SOURCE,
        TARGET,
        preset="fast",
        max_steps=5,
        n_folds=1,
        n_seeds=1,
        show_progress_bar=False,
    )


@pytest.fixture
def new(cells):
    """Cells that lack five genes, and have others in another order."""
    kept = cells[:40, [*range(29, 9, -1), *range(5)]].copy()
    kept.obs = kept.obs[[]]
    return kept


def dense(values):
    return values.toarray() if sparse.issparse(values) else np.asarray(values)


def filled(model, cells, how, **options):
    with pytest.warns(UserWarning, match=r"lack 5 of the 30 genes of the model, which are filled"):
        return model.predict(cells, missing_genes=how, **options)


@pytest.mark.parametrize("how", ["zero", "mean"])
def test_sparse_dense_and_stored_cells_are_predicted_alike(model, new, tmp_path, how):
    expected = filled(model, new, how)
    assert sparse.issparse(new.X) and list(expected.var_names) == list(model.data.var_names)
    assert list(np.flatnonzero(expected.var["w1ot_missing"])) == [5, 6, 7, 8, 9]
    assert expected.uns["w1ot"] == {"missing_genes": how, "n_missing_genes": 5}
    as_dense = new.copy()
    as_dense.X = new.X.toarray()
    new.write_h5ad(tmp_path / "cells.h5ad")
    new.write_zarr(tmp_path / "cells.zarr")
    mudata = MuData({"rna": new})
    others = {
        "dense": filled(model, as_dense, how),
        "view": filled(model, new[:, ::-1], how),
        "backed": filled(model, ad.read_h5ad(tmp_path / "cells.h5ad", backed="r"), how),
        "lazy": filled(model, ad.experimental.read_lazy(tmp_path / "cells.zarr"), how),
        "MuData": filled(model, mudata, how, modality="rna"),
        "h5ad": filled(model, new, how, write=tmp_path / "new.h5ad").to_memory(),
        "zarr": filled(model, new, how, write=tmp_path / "new.zarr").to_memory(),
    }
    for name, found in others.items():
        np.testing.assert_array_equal(dense(found.X), dense(expected.X), err_msg=name)
        np.testing.assert_array_equal(
            found.var["w1ot_missing"], expected.var["w1ot_missing"], err_msg=name
        )
        assert found.uns["w1ot"]["n_missing_genes"] == 5, name


def test_the_mean_is_that_of_the_source_cells_of_training(cells):
    rt.pp.split(adata := cells.copy())
    options = {"preset": "fast", "max_steps": 3, "n_folds": 1, "show_progress_bar": False}
    model = rt.tl.w1ot(adata, SOURCE, TARGET, **options)
    training = (adata.obs["split"] == "train") & (adata.obs["perturbation"] == SOURCE)
    expected = adata[training].X.toarray().mean(0, dtype=np.float64)
    np.testing.assert_allclose(model.source_mean, expected, rtol=1e-5, atol=1e-7)


def test_nothing_that_is_missing_says_nothing(model, cells, recwarn):
    found = model.predict(cells[:9], missing_genes="mean")
    assert not [str(one.message) for one in recwarn if "lack" in str(one.message)]
    assert not found.var["w1ot_missing"].any()
    assert found.uns["w1ot"]["n_missing_genes"] == 0
    expected = model.predict(cells[:9])
    assert list(expected.var) == [] and "w1ot" not in expected.uns
    np.testing.assert_array_equal(dense(found.X), dense(expected.X))


def test_what_cannot_be_filled_in(model, cells, new, tmp_path):
    few = cells[:9, :14].copy()
    few.var_names = [f"ENSG{number:011d}" for number in range(14)]
    with pytest.raises(ValueError, match=r"30 genes .* more than half, .* Ensembl identifiers"):
        model.predict(few, missing_genes="zero")
    with pytest.raises(ValueError, match=r"missing_genes must be one of \('error', 'zero', 'mean'"):
        model.predict(new, missing_genes="median")
    counts = new.copy()
    counts.X = sparse.csr_matrix(np.random.default_rng(0).poisson(3, new.shape).astype(np.float32))
    # What is filled in does not hide that the rest are counts.
    with (
        pytest.warns(UserWarning, match="lack 5"),
        pytest.raises(ValueError, match="holds raw counts"),
    ):
        model.predict(counts, missing_genes="mean")
    with pytest.raises(ValueError, match="lack 5 of the 30 genes the model was fitted on"):
        model.predict(new)


def test_a_model_of_an_early_version_has_no_means(model, new, tmp_path, saved_folder):
    model.save(tmp_path / "model")
    folder = saved_folder(tmp_path / "model")
    arrays = folder.arrays
    del arrays["source_mean"]
    folder.replace_arrays(arrays)
    early = rt.model.W1OT.load(tmp_path / "model")
    with (
        pytest.warns(UserWarning, match="lack 5"),
        pytest.raises(ValueError, match="kept no means of its source cells; pass missing_genes"),
    ):
        early.predict(new, missing_genes="mean")
    np.testing.assert_array_equal(
        dense(filled(early, new, "zero").X), dense(filled(model, new, "zero").X)
    )


def test_a_model_is_scored_by_cells_that_lack_genes(model, cells):
    fewer = cells[:, 5:].copy()
    with pytest.raises(ValueError, match="lack 5 of the 30 genes"):
        rt.tl.evaluate(fewer, model, metrics=["l2"])
    with pytest.warns(UserWarning, match="lack 5 of the 30 genes"):
        scores = rt.tl.evaluate(fewer, model, missing_genes="mean", metrics=["l2"])
    assert np.isfinite(scores["l2"]).all()


def test_a_screen_writes_predictions_of_cells_that_lack_genes(tmp_path):
    adata = rt.datasets.simulated_screen(3, n_cells=60, n_controls=60, n_genes=20)
    screen = rt.tl.screen(adata, "control", fdr=None, max_steps=3, show_progress_bar=False)
    fewer = adata[:9, 2:].copy()
    with pytest.warns(UserWarning, match="lack 2 of the 20 genes") as said:
        found = screen.predict(fewer, missing_genes="mean", write=tmp_path / "all.h5ad")
    assert len([one for one in said if "lack 2" in str(one.message)]) == 1
    assert found.uns["w1ot"]["n_missing_genes"] == 2
    assert found.var["w1ot_missing"].sum() == 2
    with pytest.warns(UserWarning, match="lack 2 of the 20 genes"):
        one = screen.predict(fewer, "drug_000", missing_genes="mean")
    part = found.to_memory()[[f"{name}-drug_000" for name in fewer.obs_names]]
    np.testing.assert_array_equal(dense(part.X), dense(one.X))
