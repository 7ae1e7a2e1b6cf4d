"""Calibrated genes of a screen: as those of single fits, saved, and bounded."""

import numpy as np
import pytest
import scanpy as sc

import rayot as rt
from rayot.data.matrix import dense
from rayot.model import Screen

QUICK = {"show_progress_bar": False, "max_steps": 60, "batch_size": 64, "n_folds": 1}


@pytest.fixture(scope="module")
def cells():
    adata = rt.datasets.simulated_screen(3, n_cells=150, n_genes=30, n_controls=300, seed=1)
    sc.pp.pca(adata, n_comps=8)
    return adata


@pytest.fixture(scope="module")
def screen(cells):
    return rt.tl.screen(cells.copy(), "control", use_rep="X_pca", fdr=None, **QUICK)


def control(cells, n=100):
    return cells[(cells.obs["perturbation"] == "control").to_numpy()][:n]


def test_each_perturbation_is_calibrated_as_by_its_own_fit(cells, screen):
    start = control(cells)
    for name in cells.uns["active"][:2]:
        alone = rt.tl.w1ot(cells.copy(), "control", name, use_rep="X_pca", preset="fast", **QUICK)
        calibration, expected = screen.calibrations[name], alone.calibration
        np.testing.assert_array_equal(calibration.genes, expected.genes)
        for mine, theirs in zip(calibration.observed, expected.observed, strict=True):
            np.testing.assert_array_equal(mine.quantiles, theirs.quantiles)
        found = screen.predict(start, name).to_df().to_numpy()
        observed = dense(cells[(cells.obs["perturbation"] == name).to_numpy()].X)
        assert abs((found == 0).mean() - (observed == 0).mean()) < 0.05
        changed = np.abs(found - dense(start.X)).max(0) > 0
        assert set(np.flatnonzero(changed)) <= set(calibration.genes)


@pytest.mark.parametrize("strata", [{}, {"strata_key": "cell_type", "strata": "separate"}])
def test_it_is_saved_and_loaded(cells, strata, tmp_path):
    found = rt.tl.screen(cells.copy(), "control", use_rep="X_pca", fdr=None, **strata, **QUICK)
    assert set(found.calibrations) == set(found)
    found.save(tmp_path / "screen")
    loaded = Screen.load(tmp_path / "screen")
    for name in found:
        np.testing.assert_array_equal(
            loaded.predict(control(cells), name).to_df().to_numpy(),
            found.predict(control(cells), name).to_df().to_numpy(),
        )


def test_delta_keeps_no_distributions(cells):
    found = rt.tl.screen(
        cells.copy(), "control", use_rep="X_pca", plan_kwargs={"decode": "delta"}, **QUICK
    )
    assert found.calibrations == {}


def test_distributions_are_bounded(screen):
    whole = next(iter(screen.calibrations.values()))
    assert whole.within(whole.n_bytes) is whole
    fewer = whole.within(whole.n_bytes // 2)
    assert fewer.n_bytes <= whole.n_bytes // 2
    assert fewer.n_quantiles < whole.n_quantiles and fewer.genes.tolist() == whole.genes.tolist()
    for few, all_of_them in zip(fewer.observed, whole.observed, strict=True):
        assert (few.quantiles[:, [0, -1]] == all_of_them.quantiles[:, [0, -1]]).all()
    least = whole.within(whole.n_bytes // 10)
    assert least.n_bytes <= whole.n_bytes // 10
    left_out = ~np.isin(whole.genes, least.genes)
    assert 0 < len(least.genes) < len(whole.genes)
    assert least.shape.min() >= whole.shape[:, left_out].max()


def test_strata_are_what_goes_first(cells):
    screen = rt.tl.screen(
        cells.copy(), "control", use_rep="X_pca", strata_key="cell_type", fdr=None, **QUICK
    )
    whole = next(iter(screen.calibrations.values()))
    pooled = whole.within(whole.n_bytes - 1)
    assert len(whole.strata) > 1 and pooled.strata == ()
    assert pooled.n_quantiles == whole.n_quantiles
    assert pooled.genes.tolist() == whole.genes.tolist()


def test_an_interrupted_screen_is_none(cells, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    spec = rt.model.W1OT.setup_anndata(cells, use_rep="X_pca")
    found = Screen(cells.copy(), spec, "control")
    monkeypatch.setattr("rayot.model.calibrating.calibrate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        found.train(**QUICK)
    with pytest.raises(RuntimeError, match="Train the screen first"):
        len(found)
