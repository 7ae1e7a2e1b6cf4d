"""Encoders and decoders against the libraries that made them."""

import contextlib
from typing import ClassVar

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import torch
from scipy import sparse

import rayot as rt
from rayot.data.spec import DataSpec
from rayot.representation import (
    PCA,
    SCVI,
    Autoencoder,
    Embedding,
    Identity,
    Representation,
    representation_of,
)
from rayot.representation.resolve import KINDS, representation_from_saved


def resolve(cells, use_rep):
    spec = DataSpec.from_anndata(cells, use_rep=use_rep)
    return representation_of(cells, spec, np.arange(cells.n_obs))


@pytest.mark.parametrize("zero_center", [True, False])
def test_pca_is_scanpys_there_and_back(cells, zero_center):
    sc.pp.pca(cells, n_comps=20, zero_center=zero_center, svd_solver="arpack")
    representation = resolve(cells, "X_pca")
    assert isinstance(representation, PCA)
    rows = np.arange(cells.n_obs)
    encoded = representation.encode(cells, rows, sparse.csr_matrix(cells.X, dtype=np.float32))
    np.testing.assert_allclose(encoded, cells.obsm["X_pca"], atol=1e-3)
    decoded = representation.decode(encoded, cells, rows)
    expression = cells.X.toarray()
    if zero_center:
        expected = expression.mean(0) + cells.obsm["X_pca"] @ cells.varm["PCs"].T
        np.testing.assert_allclose(decoded, expected, atol=1e-3)
    lost = np.square(decoded - expression).sum()
    assert lost < np.square(expression - expression.mean(0)).sum()


def test_components_of_another_matrix_are_refused(cells):
    cells.X = cells.X * 2
    with pytest.raises(ValueError, match=r"is not the expression times adata.varm\['PCs'\]"):
        resolve(cells, "X_pca")


def test_a_pca_of_highly_variable_genes_leaves_the_others_alone(cells):
    cells.var["highly_variable"] = np.arange(cells.n_vars) < 12
    sc.pp.pca(cells, n_comps=5, mask_var="highly_variable")
    with pytest.warns(UserWarning, match="says nothing of .* genes, so they are predicted as they"):
        representation = resolve(cells, "X_pca")
    rows = np.arange(4)
    change = representation.decode(np.ones((4, 5), np.float32), cells, rows)
    change = change - representation.decode(np.zeros((4, 5), np.float32), cells, rows)
    assert np.abs(change[:, 12:]).max() < 1e-6


def test_anything_else_in_obsm_has_no_decoder(cells):
    cells.obsm["X_umap"] = np.zeros((cells.n_obs, 2))
    representation = resolve(cells, "X_umap")
    assert isinstance(representation, Embedding)
    assert not representation.has_decoder
    with pytest.raises(TypeError, match="no decoder"):
        representation.decode(np.zeros((1, 2)), cells, np.arange(1))


def test_autoencoder_encodes_what_it_wrote_and_reconstructs(cells):
    rt.pp.autoencoder(cells, n_latent=8, hidden=(32,), max_steps=600, show_progress_bar=False)
    representation = resolve(cells, "X_autoencoder")
    assert isinstance(representation, Autoencoder)
    rows = np.arange(cells.n_obs)
    expression = cells.X.toarray().astype(np.float32)
    latent = representation.encode(cells, rows, expression)
    np.testing.assert_allclose(latent, cells.obsm["X_autoencoder"], atol=1e-5)
    error = np.square(representation.decode(latent, cells, rows) - expression).mean()
    assert error < np.square(expression - expression.mean(0)).mean()


def test_autoencoder_sees_training_cells_only(cells):
    arguments = {"n_latent": 3, "hidden": (8,), "max_steps": 100, "show_progress_bar": False}
    rt.pp.autoencoder(cells, **arguments)
    first = cells.uns["X_autoencoder"]["weights"]["encoder.0.weight"]
    test = (cells.obs["split"] == "test").to_numpy()
    expression = cells.X.toarray()
    expression[test] += 100
    cells.X = sparse.csr_matrix(expression)
    rt.pp.autoencoder(cells, **arguments)
    again = cells.uns["X_autoencoder"]["weights"]["encoder.0.weight"]
    np.testing.assert_array_equal(first, again)


def test_autoencoder_survives_an_h5ad(cells, tmp_path):
    import anndata as ad

    rt.pp.autoencoder(cells, n_latent=3, hidden=(8,), max_steps=100, show_progress_bar=False)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    read = ad.read_h5ad(tmp_path / "cells.h5ad")
    rows = np.arange(5)
    expression = cells.X[:5].toarray().astype(np.float32)
    first, second = (resolve(each, "X_autoencoder") for each in (cells, read))
    np.testing.assert_array_equal(
        first.encode(cells, rows, expression), second.encode(read, rows, expression)
    )


@pytest.mark.parametrize("use_rep", [None, "X_pca"])
def test_a_saved_representation_is_the_same(cells, use_rep):
    representation = resolve(cells, use_rep)
    again = representation_from_saved(representation.to_json(), representation.arrays())
    assert type(again) is type(representation)
    assert again.n_features == representation.n_features
    coordinates = np.ones((2, again.n_features), np.float32)
    np.testing.assert_array_equal(
        again.decode(coordinates, cells, np.arange(2)),
        representation.decode(coordinates, cells, np.arange(2)),
    )


def test_an_autoencoder_of_other_genes_or_another_layer_is_refused(cells):
    options = {"n_latent": 3, "hidden": (8,), "max_steps": 100, "show_progress_bar": False}
    rt.pp.autoencoder(cells, **options)
    with pytest.raises(ValueError, match="fitted on other genes"):
        resolve(cells[:, ::-1].copy(), "X_autoencoder")
    cells.layers["log"] = cells.X
    rt.pp.autoencoder(cells, layer="log", **options)
    with pytest.raises(ValueError, match="fitted on layer 'log'"):
        resolve(cells, "X_autoencoder")


def test_components_that_were_cut_are_refused(cells):
    cells.obsm["X_pca"] = cells.obsm["X_pca"][:, :3]
    with pytest.raises(ValueError, match=r"has 3 components and adata.varm\['PCs'\] 5"):
        resolve(cells, "X_pca")


def test_components_under_another_name(cells):
    sc.pp.pca(cells, n_comps=4, key_added="other")
    assert isinstance(resolve(cells, "other"), PCA)


def test_an_autoencoder_leaves_the_users_random_state_alone(cells):
    before = torch.get_rng_state()
    rt.pp.autoencoder(cells, n_latent=3, hidden=(8,), max_steps=100, show_progress_bar=False)
    resolve(cells, "X_autoencoder")
    assert torch.equal(before, torch.get_rng_state())


def test_identity_keeps_sparse_cells_sparse(cells):
    representation = resolve(cells, None)
    assert isinstance(representation, Identity)
    assert sparse.issparse(representation.encode(cells, np.arange(2), cells.X[:2]))


@pytest.fixture
def vae(cells):
    import scvi

    scvi.settings.seed = 0
    scvi.model.SCVI.setup_anndata(cells, layer="counts")
    model = scvi.model.SCVI(cells, n_latent=4, n_hidden=16)
    model.train(max_epochs=20, accelerator="cpu", enable_progress_bar=False)
    return model


def test_scvi_decodes_to_what_scvi_says(cells, vae):
    representation = SCVI(vae)
    rows = np.arange(cells.n_obs)
    latent = representation.encode(cells, rows, None)
    decoded = representation.decode(latent, cells, rows)
    assert decoded.shape == cells.shape
    np.testing.assert_allclose(np.expm1(decoded).sum(1), 1e4, rtol=1e-3)
    zeros = torch.zeros(len(latent), 1)
    with torch.no_grad():
        generated = vae.module.generative(torch.from_numpy(latent), zeros, zeros)
    np.testing.assert_allclose(decoded, np.log1p(1e4 * generated["px"].scale.numpy()), atol=1e-4)


def test_scvi_cells_keep_their_order_and_their_object(cells, vae):
    representation = SCVI(vae)
    rows = np.random.default_rng(0).permutation(cells.n_obs)
    other = cells.copy()
    other.uns.clear()
    before = list(other.obs), sorted(other.uns)
    latent = representation.encode(other, rows, None)
    assert (list(other.obs), sorted(other.uns)) == before
    np.testing.assert_allclose(latent, vae.get_latent_representation(cells)[rows], atol=1e-5)


def test_a_map_in_the_latent_space_of_scvi(cells, vae, quick, tmp_path):
    representation = SCVI(vae)
    model = rt.tl.w1ot(cells, "control", "perturbed", use_rep=representation, **quick)
    assert cells.obsm["X_w1ot"].shape == (cells.n_obs, 4)
    assert np.isfinite(rt.get.predicted(cells).to_df().to_numpy()).all()
    model.save(tmp_path / "model")
    with pytest.raises(ValueError, match="pass it again"):
        rt.model.W1OT.load(tmp_path / "model")
    again = rt.model.W1OT.load(tmp_path / "model", representation=representation)
    np.testing.assert_allclose(
        again.predict(cells[:7]).to_df().to_numpy(),
        model.predict(cells[:7]).to_df().to_numpy(),
        atol=1e-5,
    )


def test_an_untrained_scvi_model_is_refused():
    with pytest.raises(ValueError, match="not trained"):
        SCVI(type("Untrained", (), {"is_trained": False})())


CONTAINERS = {
    "table": lambda adata, values: pd.DataFrame(values, index=adata.obs_names),
    "csr": lambda adata, values: sparse.csr_matrix(values),
    "csr_array": lambda adata, values: sparse.csr_array(values),
    "csc": lambda adata, values: sparse.csc_matrix(values),
    "float64": lambda adata, values: np.asfortranarray(values, dtype=np.float64),
}


@pytest.fixture(scope="module")
def represented():
    """Cells with components, latents and an embedding that nothing is known of."""
    cells = rt.datasets.simulated(n_cells=60, n_genes=20, seed=0)
    sc.pp.pca(cells, n_comps=5)
    rt.pp.autoencoder(cells, n_latent=4, hidden=(8,), max_steps=100, show_progress_bar=False)
    cells.obsm["X_any"] = np.asarray(cells.obsm["X_pca"]).copy()
    return cells


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("use_rep", ["X_pca", "X_autoencoder", "X_any"])
def test_an_entry_of_obsm_in_every_container_is_the_same(represented, container, use_rep):
    quick = {"preset": "fast", "max_steps": 2, "batch_size": 16, "show_progress_bar": False}
    quick |= {"n_seeds": 1, "n_folds": 1}
    plain, other = represented.copy(), represented.copy()
    values = np.asarray(represented.obsm[use_rep])
    other.obsm[use_rep] = CONTAINERS[container](other, values)
    for name in ("w1ot", "mean_shift"):
        for cells in (plain, other):
            getattr(rt.tl, name)(cells, "control", "perturbed", use_rep=use_rep, **quick)
        np.testing.assert_array_equal(other.obsm[f"X_{name}"], plain.obsm[f"X_{name}"])
        if use_rep != "X_any":
            np.testing.assert_array_equal(other.layers[name], plain.layers[name])
    screens = [
        rt.tl.screen(cells, "control", use_rep=use_rep, fdr=None, **quick)
        for cells in (plain, other)
    ]
    found, expected = (
        screen.predict(cells[:9].copy(), "perturbed").obsm["X_w1ot"]
        for screen, cells in zip(screens, (plain, other), strict=True)
    )
    np.testing.assert_array_equal(found, expected)
    for draw in (rt.pl.transport_rays, rt.pl.umap):
        other.obsm["X_umap"] = CONTAINERS[container](other, np.asarray(values)[:, :2])
        draw(other, "w1ot", show=False)


def test_loadings_in_every_container_are_the_same(cells, quick):
    expected = rt.tl.w1ot(cells.copy(), "control", "perturbed", use_rep="X_pca", **quick)
    loadings = np.asarray(cells.varm["PCs"])
    for convert in (lambda values: pd.DataFrame(values, index=cells.var_names), sparse.csr_matrix):
        other = cells.copy()
        other.varm["PCs"] = convert(loadings)
        model = rt.tl.w1ot(other, "control", "perturbed", use_rep="X_pca", **quick)
        np.testing.assert_array_equal(
            model.predict(cells[:9]).to_df().to_numpy(),
            expected.predict(cells[:9]).to_df().to_numpy(),
        )


@pytest.mark.parametrize("target_sum", [None, 1e4, 7.0])
@pytest.mark.parametrize("decode", ["direct", "delta"])
def test_scvi_decodes_to_the_scale_of_the_cells(quick, target_sum, decode):
    """To what a cell has in median, whatever the data were normalised to."""
    import scvi

    # Counts that a short training learns, and few zeros: means of logarithms compare then.
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.gamma(4, 5, 30), (240, 30))
    cells = ad.AnnData(
        np.zeros(counts.shape, dtype=np.float32),
        obs={"perturbation": np.repeat(["control", "perturbed"], 120)},
        layers={"counts": sparse.csr_matrix(counts, dtype=np.float32)},
    )
    rt.pp.split(cells)
    cells.X = sparse.csr_matrix(cells.layers["counts"], dtype=np.float32)
    sc.pp.normalize_total(cells, target_sum=500)
    sc.pp.log1p(cells, base=2)
    scvi.settings.seed = 0
    scvi.model.SCVI.setup_anndata(cells, layer="counts")
    vae = scvi.model.SCVI(cells, n_latent=4, n_hidden=16)
    vae.train(max_epochs=20, accelerator="cpu", enable_progress_bar=False)
    representation = SCVI(vae, target_sum=target_sum)
    options = {"use_rep": representation, "plan_kwargs": {"decode": decode}, "clip": False}
    with contextlib.ExitStack() as stack:
        if target_sum is not None:
            stack.enter_context(pytest.warns(UserWarning, match="is not what the cells have, 500"))
        model = rt.tl.mean_shift(cells, "control", "perturbed", **options)
    source = cells[cells.obs["perturbation"] == "control"].copy()
    predicted = model.predict(source).to_df().to_numpy()
    if decode == "direct":
        np.testing.assert_allclose((2.0**predicted - 1).sum(1), 500, rtol=1e-3)
    assert np.mean(predicted) == pytest.approx(np.mean(source.X.toarray()), rel=0.2)
    # Genes of new cells go by name.
    backwards = model.predict(source[:, ::-1].copy())
    np.testing.assert_allclose(backwards[:, source.var_names].X, predicted, atol=1e-4)


def test_scvi_on_cells_of_no_known_scale_is_refused(cells, quick):
    import scvi

    scvi.model.SCVI.setup_anndata(cells, layer="counts")
    vae = scvi.model.SCVI(cells, n_latent=4, n_hidden=16)
    vae.train(max_epochs=1, accelerator="cpu", enable_progress_bar=False)
    cells.X = cells.X.toarray() - 3
    with pytest.raises(ValueError, match="scale that is not known"):
        rt.tl.mean_shift(cells, "control", "perturbed", use_rep=SCVI(vae))


class Halves(Representation):
    """The expression over two, as docs/contributing.md has it."""

    kind = "halves"
    saved: ClassVar = {"name": str, "n_genes": int}

    def __init__(self, n_genes):
        self.name, self.n_genes = "X_halves", n_genes

    n_features = property(lambda self: self.n_genes)

    @classmethod
    def is_in(cls, adata, use_rep):
        return use_rep == "X_halves"

    @classmethod
    def from_anndata(cls, adata, spec, rows):
        return cls(len(spec.var_names))

    def encode(self, adata, rows, expression):
        return np.float32(0.5) * expression

    def decode(self, cells, adata, rows):
        return 2 * cells

    @classmethod
    def from_saved(cls, values, arrays):
        return cls(values["n_genes"])

    def to_json(self):
        return {**super().to_json(), "n_genes": self.n_genes}


def test_a_kind_of_our_own_is_a_class_and_a_name(monkeypatch, tmp_path):
    for module in ("rayot.representation.resolve", "rayot.model.saved"):
        monkeypatch.setattr(f"{module}.KINDS", {Halves.kind: Halves, **KINDS})
    adata = rt.datasets.simulated(n_cells=200, n_genes=10)
    adata.obsm["X_halves"] = adata.X.toarray() / 2
    model = rt.tl.mean_shift(adata, "control", "perturbed", use_rep="X_halves")
    assert isinstance(model.representation, Halves)
    model.save(tmp_path / "model")
    again = type(model).load(tmp_path / "model")
    found, expected = (each.predict(adata[:9]).to_df() for each in (again, model))
    assert found.equals(expected)
    plain = rt.tl.mean_shift(adata, "control", "perturbed", key_added="plain")
    np.testing.assert_allclose(expected, plain.predict(adata[:9]).to_df(), rtol=1e-4, atol=1e-4)
