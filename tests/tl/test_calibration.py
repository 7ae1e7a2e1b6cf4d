"""Coverage of ensembles: by hand, on truths of known spread, and what is refused."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import rayot as rt
from rayot.model import W1OT

SOURCE, TARGET = "control", "perturbed"


def ensemble(spread, bias, *, n_genes=400, n_members=40, noise=0.01, seed=0):
    """A map as a fit would write it, whose members err by ``spread`` around ``bias``."""
    rng = np.random.default_rng(seed)
    n = 50
    cells = rng.normal(0, noise, size=(2 * n, n_genes))
    adata = ad.AnnData(cells, obs=pd.DataFrame(index=[f"cell{i}" for i in range(2 * n)]))
    adata.obs["perturbation"] = [SOURCE] * n + [TARGET] * n
    adata.obs["split"] = np.tile(["train", "test"], n)
    error = rng.normal(0, bias, n_genes)
    adata.layers["w1ot"] = np.where(np.arange(2 * n)[:, None] < n, cells + error, np.nan)
    members = error + rng.normal(0, spread, (n_members, 1, n_genes))
    adata.uns["w1ot"] = {
        "source": SOURCE,
        "target": TARGET,
        "groupby": "perturbation",
        "split_key": "split",
        "member_means": {
            "values": members,
            "groups": np.array([""]),
            "n_cells": np.array([25]),
            "genes": adata.var_names.to_numpy(),
        },
    }
    return adata


def test_an_honest_spread_has_its_levels():
    table = rt.tl.calibration(ensemble(1.0, 1.0), n_top_genes=400)
    np.testing.assert_allclose(table["coverage"], table.index, atol=0.05)
    assert table["coverage by sampling alone"].max() < 0.05
    assert (table["n_points"] == 400).all()
    expected = 2 * stats.norm.ppf((1 + table.index.to_numpy()) / 2)
    np.testing.assert_allclose(table["width"], expected, rtol=0.1)


@pytest.mark.parametrize(("bias", "too_sure"), [(3.0, True), (0.3, False)])
def test_a_spread_that_is_wrong_shows(bias, too_sure):
    table = rt.tl.calibration(ensemble(1.0, bias), n_top_genes=400)
    assert ((table["coverage"] < table.index) == too_sure).all()


def test_sampling_errors_are_counted():
    """Without a spread and without an error, samples of 25 cells differ by what they should."""
    adata = ensemble(0.0, 0.0, noise=1.0, n_genes=3000)
    table = rt.tl.calibration(adata, n_top_genes=3000)
    np.testing.assert_allclose(table["coverage"], table.index, atol=0.03)
    np.testing.assert_allclose(table["coverage"], table["coverage by sampling alone"])


def test_levels_can_be_chosen():
    table = rt.tl.calibration(ensemble(1.0, 1.0), levels=[0.3])
    assert table.index.tolist() == [0.3]
    for wrong in ([0.5, 1.0], [0.0], []):
        with pytest.raises(ValueError, match=r"levels must be (numbers )?between 0 and 1, found"):
            rt.tl.calibration(ensemble(1.0, 1.0), levels=wrong)


def test_genes_that_never_vary_are_left_out():
    adata = ensemble(1.0, 1.0, n_genes=60)
    adata.X[:, :10] = 0
    adata.layers["w1ot"][:50, :10] = 0
    adata.uns["w1ot"]["member_means"]["values"][..., :10] = 0
    assert (rt.tl.calibration(adata)["n_points"] == 50).all()


@pytest.fixture
def fitted(cells, quick):
    plan = {"decode": "delta"}
    rt.tl.w1ot(cells, SOURCE, TARGET, use_rep="X_pca", n_seeds=3, plan_kwargs=plan, **quick)
    return cells


def held_out(adata):
    return ((adata.obs["perturbation"] == SOURCE) & (adata.obs["split"] == "test")).to_numpy()


def test_means_of_members_average_to_the_prediction(fitted, quick):
    means = fitted.uns["w1ot"]["member_means"]
    rows = held_out(fitted)
    types = fitted.obs["cell_type"][rows].value_counts().sort_index()
    assert means["groups"].tolist() == types.index.tolist()
    assert means["n_cells"].tolist() == types.tolist()
    assert means["values"].shape == (3, len(types), fitted.n_vars)
    for number, name in enumerate(types.index):
        of_type = rows & (fitted.obs["cell_type"] == name).to_numpy()
        # Clipping at zero is not linear, so an average of members is not clipped alike.
        np.testing.assert_allclose(
            means["values"][:, number].mean(0), fitted.layers["w1ot"][of_type].mean(0), atol=0.05
        )


def test_genes_are_matched_by_name(fitted):
    """Neither their order nor how many are left changes what one gene counts."""
    table = rt.tl.calibration(fitted)
    pd.testing.assert_frame_equal(rt.tl.calibration(fitted[:, ::-1].copy()), table)
    some = fitted.var_names[[20, 3, 11, 5]]
    subset, reverse = (rt.tl.calibration(fitted[:, each].copy()) for each in (some, some[::-1]))
    pd.testing.assert_frame_equal(subset, reverse)
    assert subset["n_points"].max() <= 4


def test_means_are_those_of_single_members(fitted):
    """Each member's mean by its own map, and all members at once."""
    import torch

    model = W1OT(
        fitted,
        W1OT.setup_anndata(fitted, use_rep="X_pca"),
        SOURCE,
        TARGET,
        preset="fast",
        n_seeds=2,
        shrink=False,
        decode="delta",
    )
    model.train(max_steps=2, batch_size=32, show_progress_bar=False)
    rows = np.flatnonzero(held_out(fitted))
    found = model._member_means(fitted, rows, np.arange(len(rows)) % 2, clip=False)
    start = torch.from_numpy(fitted.obsm["X_pca"][rows].astype(np.float32))
    with torch.no_grad():
        moves = (model.module(start[None].expand(2, -1, -1)) - start).numpy()
    genes = fitted.X[rows].toarray() + moves @ fitted.varm["PCs"].T
    for group in (0, 1):
        np.testing.assert_allclose(found[:, group], genes[:, group::2].mean(1), atol=1e-3)


@pytest.mark.parametrize("groupby", [None, "cell_type"])
def test_after_a_fit_and_from_disk(fitted, groupby, tmp_path):
    table = rt.tl.calibration(fitted, groupby=groupby)
    assert ((table["coverage"] >= 0) & (table["coverage"] <= 1)).all()
    assert (table["coverage"] >= table["coverage by sampling alone"]).all()
    assert table["coverage"].is_monotonic_increasing
    n_groups = 1 if groupby is None else fitted.obs["cell_type"].nunique()
    assert table["n_points"].max() <= n_groups * fitted.n_vars
    assert table["n_points"].min() > 0.9 * n_groups * fitted.n_vars
    fitted.write_h5ad(tmp_path / "cells.h5ad")
    again = rt.tl.calibration(ad.read_h5ad(tmp_path / "cells.h5ad"), groupby=groupby)
    pd.testing.assert_frame_equal(again, table)


def test_what_is_refused(fitted, quick):
    with pytest.raises(KeyError, match="no fitted map 'other'"):
        rt.tl.calibration(fitted, "other")
    with pytest.raises(ValueError, match=r"groupby must be None or 'cell_type'.*found 'patient'"):
        rt.tl.calibration(fitted, groupby="patient")
    renamed = fitted.copy()
    renamed.var_names = ["other", *renamed.var_names[1:]]
    with pytest.raises(ValueError, match="fitted without the gene 'other'"):
        rt.tl.calibration(renamed)
    del renamed.uns["w1ot"]["member_means"]["genes"]
    with pytest.raises(ValueError, match="did not keep which genes its members predicted"):
        rt.tl.calibration(renamed)
    dropped = fitted[np.delete(np.arange(fitted.n_obs), np.flatnonzero(held_out(fitted))[0])]
    with pytest.raises(ValueError, match="calibrate before cells are removed"):
        rt.tl.calibration(dropped.copy())
    single = {"key_added": "single", "n_seeds": 1}
    rt.tl.w1ot(fitted, SOURCE, TARGET, use_rep="X_pca", **single, **quick)
    with pytest.raises(ValueError, match=r"'single' is no ensemble.*fit it with n_seeds=5"):
        rt.tl.calibration(fitted, "single")


def test_a_map_that_leaves_mass_unmatched_is_refused(cells, quick):
    unmatched = {"unmatched_source": 0.2}
    rt.tl.w1ot(cells, SOURCE, TARGET, n_seeds=2, plan_kwargs=unmatched, **quick)
    with pytest.raises(ValueError, match="leaves mass unmatched"):
        rt.tl.calibration(cells)


def test_a_new_fit_of_the_same_name_leaves_nothing_of_the_old(cells, quick):
    unmatched = {"unmatched_source": 0.2}
    rt.tl.w1ot(cells, SOURCE, TARGET, use_rep="X_pca", n_seeds=2, plan_kwargs=unmatched, **quick)
    assert {"w1ot_weight", "w1ot_step_sd"} <= set(cells.obs)
    rt.tl.w1ot(cells, SOURCE, TARGET, n_seeds=1, **quick)
    assert not {"w1ot_weight", "w1ot_step_sd"} & set(cells.obs)
    assert "w1ot_sd" not in cells.layers
    assert "X_w1ot" not in cells.obsm
    assert "member_means" not in cells.uns["w1ot"]
