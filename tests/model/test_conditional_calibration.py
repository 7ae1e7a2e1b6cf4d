"""Calibrated genes of a model of many conditions: seen ones, doses between, combinations."""

import anndata as ad
import numpy as np
import pytest
import torch

import rayot as rt
from rayot.data.matrix import dense
from rayot.model import ConditionalW1OT
from rayot.model.calibration import Calibration
from rayot.solvers import Marginals

QUICK = {"max_steps": 60, "batch_size": 128, "show_progress_bar": False}
DOSES = [1, 10, 100]


@pytest.fixture(scope="module")
def cells():
    return rt.datasets.simulated_screen(
        2, n_cells=150, n_genes=30, n_cell_types=2, doses=DOSES, inactive=0, seed=1
    )


@pytest.fixture(scope="module")
def doses(cells):
    return rt.tl.conditional_w1ot(cells.copy(), "control", dose_key="dose", **QUICK)


@pytest.fixture(scope="module")
def control(cells):
    return cells[(cells.obs["perturbation"] == "control").to_numpy()].copy()


def of(cells, name, dose=None):
    chosen = (cells.obs["perturbation"] == name).to_numpy()
    if dose is not None:
        chosen &= cells.obs["dose"].to_numpy() == np.float32(dose)
    return dense(cells[chosen].X)


def values(predicted):
    return predicted.to_df().to_numpy()


def zeros(expression):
    return (expression == 0).mean(axis=0)


def test_seen_conditions_have_the_distributions_of_their_cells(cells, doses, control):
    assert set(doses.calibrations) == {f"drug_00{k} / {dose}" for k in (0, 1) for dose in DOSES}
    for name, dose in (("drug_000", 10), ("drug_000", 100), ("drug_001", 100)):
        found = doses.predict(control, name, dose=dose)
        observed, before = of(cells, name, dose), dense(control.X)
        predicted = values(found)
        assert np.abs(zeros(predicted) - zeros(observed)).mean() < 0.04
        distance = np.linalg.norm(predicted.mean(0) - observed.mean(0))
        assert distance < 0.3 * np.linalg.norm(before.mean(0) - observed.mean(0))


def test_they_are_those_of_a_fit_of_the_condition_alone(cells):
    one_dose = cells[np.isin(cells.obs["dose"], [0, 10]) | cells.obs["dose"].isna()].copy()
    together = rt.tl.conditional_w1ot(one_dose.copy(), "control", **QUICK)
    alone = rt.tl.w1ot(one_dose.copy(), "control", "drug_000", preset="fast", **QUICK)
    found, expected = together.calibrations["drug_000"], alone.calibration
    np.testing.assert_array_equal(found.genes, expected.genes)
    for mine, theirs in zip(found.observed, expected.observed, strict=True):
        np.testing.assert_array_equal(mine.quantiles, theirs.quantiles)


def test_a_new_dose_keeps_its_decoded_change(cells, doses, control):
    """Its map differs from those of the doses beside it, whose tables say nothing of it."""
    delta = {"plan_kwargs": {"decode": "delta"}}
    plain = rt.tl.conditional_w1ot(cells.copy(), "control", dose_key="dose", **delta, **QUICK)
    for dose in (31.6, 1e4):
        assert doses.given("drug_000", dose=dose).calibration is None
        found, expected = (
            values(each.predict(control, "drug_000", dose=dose)) for each in (doses, plain)
        )
        np.testing.assert_array_equal(found, expected)


def test_a_combination_takes_one_part_after_the_other(doses, control):
    both = values(doses.predict(control, "drug_000+drug_001", dose=100))
    first = doses.predict(control, "drug_000", dose=100)
    moves = doses.given("drug_001", dose=100).move(control, np.arange(control.n_obs), clip=False)
    decoder, move = moves[2], moves[1].mean.numpy()
    names = control.obs_names.to_numpy(), control.var_names.to_numpy()
    change = decoder.change(decoder.start + move)
    expected = doses.calibrations["drug_001 / 100"](values(first), change, *names, None, turn=1)
    np.testing.assert_allclose(both, expected, atol=1e-5)
    assert zeros(both).mean() > 0.5 * zeros(dense(control.X)).mean()


def test_two_parts_change_as_many_zeros_as_both():
    draws = np.random.default_rng(0)
    cells = [f"cell_{k}" for k in range(4000)]
    names = np.array(cells), np.array(["gene"])
    own = (draws.random((4000, 1)) < 0.1).astype(np.float32)
    weights = torch.ones(4000, dtype=torch.float64)
    of = lambda share: Marginals.of(  # noqa: E731
        torch.from_numpy((draws.random((4000, 1)) < share).astype(np.float32)), weights
    )
    part = Calibration((), np.array([0]), np.ones((1, 1), np.float32), (of(0.1),), (of(0.4),), 0)
    once = part(own, 0 * own, *names, None)
    assert zeros(once) == pytest.approx(0.6, abs=0.03)
    again = part(once, 0 * own, *names, None, turn=1)
    # Two thirds of the zeros that are left stay zero, as two thirds of all did.
    assert zeros(again) == pytest.approx(0.4, abs=0.03)
    assert zeros(part(once, 0 * own, *names, None)) > 0.5


def test_a_part_without_effect_changes_nothing(cells, control):
    adata = cells.copy()
    still = adata[(adata.obs["perturbation"] == "control").to_numpy()][::2].copy()
    still.obs["perturbation"], still.obs_names = (
        "nothing",
        [f"still_{k}" for k in range(len(still))],
    )
    adata = ad.concat([adata, still])
    model = rt.tl.conditional_w1ot(adata, "control", **QUICK)
    both = values(model.predict(control, "drug_000+nothing"))
    np.testing.assert_array_equal(both, values(model.predict(control, "drug_000")))
    np.testing.assert_array_equal(values(model.predict(control, "nothing")), dense(control.X))


def test_covariates_are_strata(cells, control, tmp_path):
    adata = cells.copy()
    model = rt.tl.conditional_w1ot(adata, "control", condition_keys=["cell_type"], **QUICK)
    assert model.calibrations["drug_000"].strata == ("type_0", "type_1")
    model.save(tmp_path / "model")
    loaded = ConditionalW1OT.load(tmp_path / "model")
    for name in ("drug_000", "drug_000+drug_001"):
        expected = values(model.predict(control, name))
        np.testing.assert_array_equal(values(loaded.predict(control, name)), expected)
        order = np.random.default_rng(0).permutation(control.n_obs)
        shuffled = values(model.predict(control[order].copy(), name))
        np.testing.assert_allclose(shuffled, expected[order], atol=1e-5)


def test_ensembles_are_spread(cells, control):
    model = rt.tl.conditional_w1ot(cells.copy(), "control", n_seeds=2, **QUICK)
    for name in ("drug_000", "drug_000+drug_001"):
        found = model.predict(control[:50].copy(), name)
        assert (dense(found.layers["conditional_w1ot_sd"]).max(axis=0) > 0).any()


def test_what_training_knows_nothing_of_keeps_its_decoded_change(cells, control):
    adata = cells.copy()
    adata.uns["vectors"] = {"drug_000": [1.0, 0], "drug_001": [0, 1.0], "new": [0.5, 0.5]}
    model = rt.tl.conditional_w1ot(adata, "control", embedding_key="vectors", **QUICK)
    assert model.given("new").calibration is None
    assert not np.allclose(values(model.predict(control, "new")), dense(control.X))


def test_what_is_kept_of_the_cells_is_bounded(cells, monkeypatch):
    monkeypatch.setattr("rayot.model.calibrations.COPIED_CELLS", 120)
    monkeypatch.setattr("rayot.model.calibrations.FEWEST_CELLS", 20)
    data = ConditionalW1OT.setup_anndata(cells)
    model = ConditionalW1OT(cells, data, "control", dose_key="dose")
    # Twenty of each of six conditions, and as many of the control, which all share.
    assert model.sample.adata.n_obs <= 7 * 20
    model.train(**QUICK)
    assert len(model.calibrations) == 6


def test_delta_keeps_no_distributions(cells):
    delta = {"plan_kwargs": {"decode": "delta"}}
    assert rt.tl.conditional_w1ot(cells.copy(), "control", **delta, **QUICK).calibrations == {}
