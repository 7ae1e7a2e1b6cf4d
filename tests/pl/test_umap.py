import anndata as ad
import numpy as np
import pytest

import rayot as rt


def test_overlay_of_three_populations(embedded):
    ax = rt.pl.umap(embedded, show=False)
    assert [len(part.get_offsets()) for part in ax.collections] == [40, 30, 40]
    assert ax.get_xlabel() == "UMAP1"


def test_a_gene_shows_its_predicted_expression(embedded):
    embedded.layers["w1ot"][:40] = embedded.X.max()
    ax = rt.pl.umap(embedded, color="gene0", show=False)
    faces = ax.collections[2].get_facecolors()
    np.testing.assert_allclose(faces, np.tile(faces[0], (40, 1)))


@pytest.fixture
def fits(embedded, monkeypatch):
    """UMAPs that were fitted, by their numbers of cells, where there is none at first."""
    found = []

    def fit(cells, seed):
        found.append(len(cells))
        return cells[:, :2] + seed

    monkeypatch.setattr("rayot.pl._kept_umap._fit_umap", fit)
    del embedded.obsm["X_umap"]
    return found


def test_a_umap_is_fitted_once_and_kept(embedded, fits, tmp_path):
    first = rt.pl.umap(embedded, show=False)
    assert np.isfinite(embedded.obsm["X_w1ot_umap"]).all()
    embedded.write_h5ad(tmp_path / "cells.h5ad")
    for adata in (embedded, ad.read_h5ad(tmp_path / "cells.h5ad")):
        for draw in (rt.pl.umap, rt.pl.transport_rays, rt.pl.markers):
            again = draw(adata, show=False)
            for before, after in zip(first.collections, again.collections[:3], strict=True):
                np.testing.assert_array_equal(before.get_offsets(), after.get_offsets())
    assert fits == [70]


def test_maps_between_the_same_cells_share_a_umap(embedded, fits):
    embedded.uns["other"], embedded.obsm["X_other"] = (
        embedded.uns["w1ot"],
        embedded.obsm["X_w1ot"] + 1,
    )
    rt.pl.umap(embedded, "w1ot", show=False)
    rt.pl.umap(embedded, "other", show=False)
    assert fits == [70]
    assert "X_other_umap" not in embedded.obsm


def test_a_umap_of_other_cells_is_not_taken(embedded, fits):
    rt.pl.umap(embedded, show=False)
    fewer = embedded[:60].copy()
    rt.pl.umap(fewer, show=False)
    embedded.obsm["X_pca"][0] += 1
    rt.pl.umap(embedded, show=False)
    rt.pl.umap(embedded, seed=1, show=False)
    # Of the rows, some say nothing.
    embedded.obsm["X_w1ot_umap"][5] = np.nan
    rt.pl.umap(embedded, seed=1, show=False)
    assert fits == [70, 60, 70, 70, 70]


def test_cells_of_other_conditions_have_no_place(embedded, fits):
    embedded.obs["perturbation"] = embedded.obs["perturbation"].cat.add_categories("other")
    embedded.obs.iloc[-5:, embedded.obs.columns.get_loc("perturbation")] = "other"
    rt.pl.umap(embedded, show=False)
    assert np.flatnonzero(np.isnan(embedded.obsm["X_w1ot_umap"][:, 0])).tolist() == [*range(65, 70)]
    rt.pl.umap(embedded, show=False)
    assert fits == [65]


def test_a_view_is_not_written_to(embedded, fits):
    view = embedded[:60]
    rt.pl.umap(view, show=False)
    assert view.is_view
    assert "X_w1ot_umap" not in view.obsm
    assert fits == [60]
