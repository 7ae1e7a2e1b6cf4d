import logging
import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from scipy.sparse import csr_matrix

import rayot as rt


def rays(ax):
    (lines,) = (part for part in ax.collections if isinstance(part, LineCollection))
    return np.array(lines.get_segments())


def scatters(ax):
    return [np.asarray(part.get_offsets()) for part in ax.collections[:3]]


def test_rays_lead_from_source_to_prediction(planar):
    ax = rt.pl.transport_rays(planar, n_cells=15, show=False)
    lines = rays(ax)
    assert len(lines) == 15
    np.testing.assert_allclose(lines[:, 1] - lines[:, 0], [[3, 1]] * 15, rtol=1e-5)
    starts = {tuple(row) for row in planar.X[:40].tolist()}
    assert {tuple(start) for start in lines[:, 0].tolist()} <= starts


def test_populations_are_drawn_where_they_are(planar):
    source, target, predicted = scatters(rt.pl.transport_rays(planar, show=False))
    np.testing.assert_allclose(source, planar.X[:40])
    np.testing.assert_allclose(target, planar.X[40:])
    np.testing.assert_allclose(predicted, planar.layers["w1ot"][:40])


def test_labels_and_aspect_of_planar_data(planar):
    ax = rt.pl.transport_rays(planar, show=False)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x", "y")
    assert ax.get_aspect() == 1
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["control", "drug", "predicted drug"]


def test_no_more_rays_than_cells_and_a_local_seed(planar):
    assert len(rays(rt.pl.transport_rays(planar, n_cells=1000, show=False))) == 40
    first, again, other = (
        rays(rt.pl.transport_rays(planar, n_cells=5, seed=seed, show=False)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    with pytest.raises(ValueError, match=r"n_cells must be a whole number of at least 0, found -1"):
        rt.pl.transport_rays(planar, n_cells=-1)


def test_cells_that_were_not_transported_are_left_out(planar):
    planar.layers["w1ot"][:10] = np.nan
    ax = rt.pl.transport_rays(planar, show=False)
    assert len(rays(ax)) == len(scatters(ax)[0]) == 30
    planar.layers["w1ot"][:] = np.nan
    with pytest.raises(ValueError, match=r"has transported no cell of 'control'"):
        rt.pl.transport_rays(planar)


def test_sparse_and_shuffled_cells(planar):
    order = np.random.default_rng(1).permutation(70)
    shuffled = planar[order].copy()
    shuffled.X = csr_matrix(shuffled.X)
    source, _, predicted = scatters(rt.pl.transport_rays(shuffled, show=False))
    np.testing.assert_allclose(predicted - source, [[3, 1]] * 40, rtol=1e-5)


def test_in_the_representation_of_the_map_predictions_are_exact(embedded):
    _, _, predicted = scatters(rt.pl.transport_rays(embedded, basis="pca", show=False))
    np.testing.assert_allclose(predicted, embedded.obsm["X_w1ot"][:40, :2])


def test_in_another_embedding_predictions_lie_among_their_neighbours(embedded):
    ax = rt.pl.transport_rays(embedded, basis="umap", show=False)
    source, target, predicted = scatters(ax)
    np.testing.assert_allclose(source, embedded.obsm["X_umap"][:40])
    assert predicted[:, 0].min() > target[:, 0].min() > source[:, 0].max()
    assert ax.get_xlabel() == "UMAP1"
    assert len(ax.get_xticks()) == 0


def test_a_prediction_on_an_observed_cell_takes_its_place(embedded):
    embedded.obsm["X_w1ot"][:40] = embedded.obsm["X_pca"][40]
    _, target, predicted = scatters(rt.pl.transport_rays(embedded, basis="umap", show=False))
    np.testing.assert_allclose(predicted, np.tile(target[0], (40, 1)), atol=1e-4)


def test_map_on_many_genes_is_embedded_by_components(planar):
    generator = np.random.default_rng(0)
    mixing = generator.normal(size=(2, 80))
    genes = ad.AnnData(planar.X @ mixing, obs=planar.obs, uns=planar.uns)
    genes.layers["w1ot"] = planar.layers["w1ot"] @ mixing
    genes.obsm["X_umap"] = planar.X
    source, _, predicted = scatters(rt.pl.transport_rays(genes, show=False))
    np.testing.assert_allclose((predicted - source).mean(axis=0), [3, 1], atol=0.5)


@pytest.mark.slow
def test_without_an_embedding_umap_is_fitted_for_the_figure(embedded, caplog):
    del embedded.obsm["X_umap"]
    with caplog.at_level(logging.INFO, logger="rayot"):
        source, target, predicted = scatters(rt.pl.transport_rays(embedded, show=False))
    assert "scanpy.tl.umap" in caplog.text
    assert "X_umap" not in embedded.obsm

    def near(points):
        return np.linalg.norm(predicted - points.mean(axis=0), axis=1).mean()

    assert near(target) < near(source)


def test_unknown_embedding_names_what_exists(embedded):
    with pytest.raises(KeyError, match=r"no embedding 'X_tsne' .*'X_pca', 'X_w1ot', 'X_umap'"):
        rt.pl.transport_rays(embedded, basis="tsne")
    del embedded.obsm["X_w1ot"]
    with pytest.raises(KeyError, match=r"needs adata.obsm\['X_w1ot'\] to be drawn"):
        rt.pl.transport_rays(embedded, basis="umap")


def test_categories_take_the_colours_that_scanpy_stored(planar):
    planar.uns["cell_type_colors"] = ["#ff0000", "#0000ff"]
    ax = rt.pl.transport_rays(planar, color="cell_type", n_cells=40, show=False)
    faces = ax.collections[2].get_facecolors()[:, :3]
    np.testing.assert_allclose(faces[:2], [[1, 0, 0], [0, 0, 1]])
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["B", "T", "observed", "predicted"]


PALETTES = {
    "dictionary": {"T": "#0000ff", "B": "#ff0000"},
    "with more": {"T": "#0000ff", "NK": "#00ff00", "B": "#ff0000"},
    "array": np.array(["#ff0000", "#0000ff"]),
    "named": ["red", "blue"],
    "series": pd.Series({"B": "red", "T": "blue"}),
}


@pytest.mark.parametrize("name", PALETTES)
def test_colours_may_be_kept_in_a_dictionary(planar, name):
    planar.uns["cell_type_colors"] = PALETTES[name]
    ax = rt.pl.transport_rays(planar, color="cell_type", n_cells=40, show=False)
    faces = ax.collections[2].get_facecolors()[:, :3]
    np.testing.assert_allclose(faces[:2], [[1, 0, 0], [0, 0, 1]])
    rt.pl.umap(with_umap(planar), color="cell_type", show=False)


@pytest.mark.parametrize(
    "colors", [["red"], {"B": "red"}, "red", {"B": "nonsense", "T": "blue"}, 5]
)
def test_colours_that_are_no_palette_are_left_alone(planar, colors):
    planar.uns["cell_type_colors"] = colors
    ax = rt.pl.transport_rays(planar, color="cell_type", n_cells=40, show=False)
    assert len(np.unique(ax.collections[2].get_facecolors(), axis=0)) == 2


def with_umap(adata):
    adata.obsm["X_umap"] = np.asarray(adata.X)
    return adata


@pytest.mark.parametrize("draw", ["transport_rays", "diagnostics", "history", "markers", "umap"])
@pytest.mark.parametrize("use_rep", [None, "X_pca"])
def test_source_cells_alone_are_enough(cells, quick, draw, use_rep):
    """Whoever keeps the cells that were predicted alone needs no other."""
    cells.obsm["X_umap"] = np.asarray(cells.obsm["X_pca"])[:, :2].copy()
    rt.tl.w1ot(cells, "control", "perturbed", use_rep=use_rep, **quick)
    alone = cells[cells.obs["perturbation"] == "control"].copy()
    np.testing.assert_array_equal(
        rt.get.predicted(cells).to_df().to_numpy(), rt.get.predicted(alone).to_df().to_numpy()
    )
    in_space = {"basis": "pca"} if draw == "transport_rays" and use_rep else {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        whole, part = (
            getattr(rt.pl, draw)(each, show=False, **in_space) for each in (cells, alone)
        )
    assert type(whole) is type(part)
    if in_space:
        np.testing.assert_array_equal(rays(whole), rays(part))
    # Elsewhere a prediction is drawn among the cells next to it, of which there are none.
    said = [each for each in caught if "adata has no cells of 'perturbed'" in str(each.message)]
    assert bool(said) == (draw in ("transport_rays", "markers", "umap") and not in_space)
    assert all(each.filename == __file__ for each in said)


def test_missing_categories_and_strings(planar):
    planar.obs["cell_type"] = planar.obs["cell_type"].cat.set_categories(["B"])
    ax = rt.pl.transport_rays(planar, color="cell_type", show=False)
    assert ax.get_legend().get_texts()[0].get_text() == "B"
    planar.obs["batch"] = ["one", "two"] * 35
    rt.pl.transport_rays(planar, color="batch", show=False)
    assert "batch_colors" not in planar.uns


@pytest.mark.parametrize("color", ["n_counts", "gene3"])
def test_continuous_values_get_a_colour_bar(embedded, color):
    embedded.obs.loc["cell0", "n_counts"] = np.nan
    ax = rt.pl.transport_rays(embedded, basis="umap", color=color, show=False)
    (bar,) = ax.child_axes
    assert bar.get_ylabel() == color


def test_unknown_colour(planar):
    with pytest.raises(KeyError, match=r"color='typo' is neither a column .*'cell_type'"):
        rt.pl.transport_rays(planar, color="typo")
