"""Calibrated genes of a screen: as those of single fits, saved, and bounded."""

import numpy as np
import pytest
import scanpy as sc

import rayot as rt
from rayot.data.matrix import dense
from rayot.model import Screen
from rayot.model.screen_calibration import bounded

QUICK = {"show_progress_bar": False, "max_steps": 60, "batch_size": 64}


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
        found = screen.predict(start, name).X
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
            loaded.predict(control(cells), name).X, found.predict(control(cells), name).X
        )


def test_delta_keeps_no_distributions(cells):
    found = rt.tl.screen(
        cells.copy(), "control", use_rep="X_pca", plan_kwargs={"decode": "delta"}, **QUICK
    )
    assert found.calibrations == {}


def test_distributions_are_bounded(screen):
    total = sum(each.n_bytes for each in screen.calibrations.values())
    assert bounded(screen.calibrations, total) == screen.calibrations
    half = bounded(screen.calibrations, total // 2)
    assert sum(each.n_bytes for each in half.values()) <= total // 2
    for name, each in half.items():
        whole = screen.calibrations[name]
        assert each.n_quantiles < whole.n_quantiles
        for fewer, all_of_them in zip(each.observed, whole.observed, strict=True):
            assert (fewer.quantiles[:, -1] == all_of_them.quantiles[:, -1]).all()
            assert (fewer.quantiles[:, 0] == all_of_them.quantiles[:, 0]).all()


def test_strata_are_what_goes_first(cells):
    screen = rt.tl.screen(
        cells.copy(), "control", use_rep="X_pca", strata_key="cell_type", fdr=None, **QUICK
    )
    total = sum(each.n_bytes for each in screen.calibrations.values())
    pooled = bounded(screen.calibrations, total - 1)
    for name, each in pooled.items():
        assert each.strata == () and each.n_quantiles == screen.calibrations[name].n_quantiles
        assert len(screen.calibrations[name].strata) > 1


def test_an_interrupted_screen_is_none(cells, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    spec = rt.model.W1OT.setup_anndata(cells, use_rep="X_pca")
    found = Screen(cells.copy(), spec, "control")
    monkeypatch.setattr("rayot.model.calibration.Calibration.of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        found.train(**QUICK)
    with pytest.raises(RuntimeError, match="Train the screen first"):
        len(found)
