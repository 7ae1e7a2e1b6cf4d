"""What is kept per gene or per cell is found again by name, or refused."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import rayot as rt
from rayot.representation import Representation

SOURCE, TARGET = "control", "perturbed"


@pytest.fixture
def fitted(cells, quick):
    rt.tl.w1ot(cells, SOURCE, TARGET, n_seeds=2, **quick)
    return cells


def scores(adata, mask):
    return rt.tl.evaluate(adata, cell_mask=mask, metrics=["l2"])


@pytest.mark.parametrize("dtype", ["bool", "boolean", "object"])
def test_a_mask_with_names_goes_by_them(fitted, dtype):
    mask = (fitted.obs["cell_type"] == "type_0").astype(dtype)
    expected = scores(fitted, mask.to_numpy(dtype=bool))
    shuffled = mask.sample(frac=1, random_state=0)
    assert not (shuffled.to_numpy() == mask.to_numpy()).all()
    more = pd.concat([shuffled, pd.Series([True], ["elsewhere"]).astype(dtype)])
    for each in (mask, shuffled, more):
        pd.testing.assert_frame_equal(scores(fitted, each), expected)


def test_a_mask_of_other_cells_is_refused(fitted):
    mask = fitted.obs["cell_type"] == "type_0"
    for wrong, message in (
        (mask.iloc[1:], "has no entry for 1 of 240 cells, 'cell_0"),
        (mask.set_axis(range(len(mask))), "has no entry for 240 of 240 cells"),
        (pd.concat([mask, mask]), "a name is there twice"),
        (mask.astype("boolean").where(mask, pd.NA), f"boolean and {(~mask).sum()} missing values"),
        (mask.astype(float), "dtype float64 and 0 missing"),
        (mask.to_numpy()[1:], "one bool a cell"),
        (mask.to_numpy().astype(int), "one bool a cell"),
        (np.ma.masked_array(mask.to_numpy(), mask.to_numpy()), "one bool a cell"),
    ):
        with pytest.raises(ValueError, match=message):
            scores(fitted, wrong)


def test_genes_in_another_order_change_no_result(fitted, tmp_path):
    backwards = fitted[:, ::-1].copy()
    for verb in (
        lambda adata: rt.tl.evaluate(adata, metrics=["l2", "r2"]),
        lambda adata: rt.tl.log_fold_change(adata).sort_index(),
        lambda adata: rt.tl.calibration(adata),
        lambda adata: rt.get.predicted(adata).to_df().sort_index(axis=1),
    ):
        pd.testing.assert_frame_equal(
            verb(backwards), verb(fitted), check_exact=False, rtol=1e-5, atol=1e-6
        )


REPRESENTATIONS = {
    "components": lambda cells: "X_pca",
    "expression": lambda cells: None,
    "autoencoder": lambda cells: fit_autoencoder(cells),
    "of the user": lambda cells: Halves(cells.var_names),
}


def fit_autoencoder(cells):
    rt.pp.autoencoder(cells, n_latent=4, hidden=(8,), max_steps=100, show_progress_bar=False)
    return "X_autoencoder"


class Halves(Representation):
    """Half of each gene, by the names of the genes that it was made with."""

    kind = "halves"
    savable = False

    def __init__(self, genes):
        self.genes, self.name = genes, "X_halves"

    @property
    def n_features(self):
        return len(self.genes)

    def encode(self, adata, rows, expression):
        values = expression.toarray() if sparse.issparse(expression) else expression
        columns = adata.var_names.get_indexer(self.genes)
        return np.asarray(values[:, columns] / 2, dtype=np.float32)

    @classmethod
    def from_saved(cls, values, arrays):
        raise NotImplementedError

    def decode(self, cells, adata, rows):
        columns = self.genes.get_indexer(adata.var_names)
        return np.asarray(2 * cells[:, columns], dtype=np.float32)


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_a_representation_sees_the_genes_it_was_made_with(cells, quick, name):
    representation = REPRESENTATIONS[name](cells)
    model = rt.tl.w1ot(cells, SOURCE, TARGET, use_rep=representation, **quick)
    expected = model.predict(cells).to_df()
    more = ad.concat([cells, rename(cells, "other")], axis=1, merge="first")
    for other in (cells[:, ::-1].copy(), more[:, ::-1].copy()):
        # Components and latents are computed anew from the genes of the model.
        other.obsm.clear()
        found = model.predict(other).to_df()
        pd.testing.assert_frame_equal(found, expected, rtol=1e-4, atol=1e-4)


def rename(cells, prefix):
    other = ad.AnnData(cells.X[:, :7].copy(), obs=cells.obs[[]])
    other.var_names = [f"{prefix}_{number}" for number in range(7)]
    return other


def test_components_in_another_order_of_genes_are_told(cells, quick):
    """Loadings that do not belong to the genes beside them are found out by the scores."""
    cells.varm["PCs"] = cells.varm["PCs"][::-1].copy()
    with pytest.raises(ValueError, match=r"obsm\['X_pca'\].*varm\['PCs'\]"):
        rt.tl.w1ot(cells, SOURCE, TARGET, use_rep="X_pca", **quick)


@pytest.mark.parametrize("container", ["table", "array"])
def test_columns_of_an_embedding_go_by_name(cells, quick, container):
    cells.obsm["X_any"] = pd.DataFrame(
        np.asarray(cells.obsm["X_pca"]), index=cells.obs_names, columns=list("abcde")
    )
    model = rt.tl.w1ot(cells, SOURCE, TARGET, use_rep="X_any", **quick)
    expected = model.predict(cells).obsm["X_w1ot"]
    other = cells.copy()
    if container == "table":
        other.obsm["X_any"] = cells.obsm["X_any"][list("edcba")]
        np.testing.assert_array_equal(model.predict(other).obsm["X_w1ot"], expected)
        other.obsm["X_any"] = cells.obsm["X_any"].rename(columns={"a": "z"})
        with pytest.raises(ValueError, match="lacks the column 'a'"):
            model.predict(other)
    else:
        other.obsm["X_any"] = cells.obsm["X_any"].to_numpy()
        np.testing.assert_array_equal(model.predict(other).obsm["X_w1ot"], expected)


def test_tables_of_metrics_go_by_name():
    rng = np.random.default_rng(0)
    first, second = (
        pd.DataFrame(rng.gamma(2, 1, (60, 3)), columns=list("abc")) + shift for shift in (0, 1)
    )
    beside = {"control": first + 0.5, "reference": first[:12] + 0.2}
    turned = {name: each[list("bca")] for name, each in beside.items()}
    weights = [0.1, 0.2, 0.7]
    for name, metric in rt.metrics.METRICS.items():
        expected = metric(first, second, **beside, weights=weights)
        mixed = metric(first, second[list("cab")], **turned, weights=weights)
        np.testing.assert_allclose(mixed, expected, rtol=1e-6, atol=1e-9, err_msg=name)
        with pytest.raises(ValueError, match="not the same features"):
            metric(first, second.rename(columns={"a": "z"}), **beside, weights=weights)
    changes = rt.metrics.log_fold_change(first, second[list("cab")], log1p=False)
    np.testing.assert_allclose(changes, rt.metrics.log_fold_change(first, second, log1p=False))


def test_labels_of_another_length_are_not_spread():
    cells = np.eye(6)
    for labels, true_labels in (
        (["a"], list("ababab")),
        (list("ababab"), ["a"]),
        (list("ab"), list("ab")),
    ):
        with pytest.raises(ValueError, match="one label for each"):
            rt.metrics.label_transfer_accuracy(cells, cells, labels, true_labels, k=1)
