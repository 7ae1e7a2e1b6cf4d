"""Calibrated genes of a model of many conditions: seen ones, doses between, combinations."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import rayot as rt
from rayot.data.matrix import dense
from rayot.model import ConditionalW1OT

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
        assert doses.at("drug_000", dose=dose).calibration is None
        found, expected = (
            values(each.predict(control, "drug_000", dose=dose)) for each in (doses, plain)
        )
        np.testing.assert_array_equal(found, expected)


def test_a_combination_adds_what_its_parts_change(doses, control):
    names = "drug_000", "drug_001"
    both = values(doses.predict(control, "+".join(names), dose=100))
    own, cells, genes = dense(control.X), control.obs_names.to_numpy(), control.var_names.to_numpy()
    changes = []
    for turn, name in enumerate(names):
        rows = np.arange(control.n_obs)
        _, moves, decoder = doses.at(name, dose=100).move(control, rows, clip=False)
        change = decoder.change(decoder.start + moves.mean.numpy())
        calibration = doses.part_calibrations[f"{name} / 100"]
        changes.append(calibration(own, change, cells, genes, None, turn) - own)
    np.testing.assert_allclose(both, np.maximum(own + sum(changes), 0), atol=1e-5)
    assert zeros(both).mean() > 0.5 * zeros(own).mean()
    # Not of the same cells, as zeros that change are drawn anew.
    other = values(doses.predict(control, "drug_001+drug_000", dose=100))
    np.testing.assert_allclose(other.mean(axis=0), both.mean(axis=0), atol=0.1)


def test_parts_that_raise_the_same_gene_raise_it_twice():
    cells = pd.DataFrame({"perturbation": np.repeat(["control", "A", "B"], 200)})
    draws = np.random.default_rng(0)
    expression = draws.uniform(0.5, 1.5, (600, 6)) * (draws.random((600, 6)) < 0.7)
    expression[200:, 0] += 4
    expression[200:400, 1] += 4
    adata = ad.AnnData(sparse.csr_matrix(expression.astype(np.float32)), obs=cells)
    adata.obs_names = [f"cell_{k}" for k in range(600)]
    model = rt.tl.conditional_w1ot(adata, "control", allow_counts=True, **QUICK)
    start = adata[:200].copy()
    for name in ("A+B", "B+A"):
        found = values(model.predict(start, name)).mean(axis=0) - dense(start.X).mean(axis=0)
        assert found[0] == pytest.approx(8, abs=0.5)
        assert found[1] == pytest.approx(4, abs=0.5)


def test_values_below_zero_stay_where_training_cells_have_some(cells):
    adata = cells.copy()
    adata.X = dense(adata.X) - 1
    given = {"plan_kwargs": {"decode": "calibrated"}, "allow_counts": True}
    model = rt.tl.conditional_w1ot(adata, "control", **given, **QUICK)
    start = adata[(adata.obs["perturbation"] == "control").to_numpy()].copy()
    both = values(model.predict(start, "drug_000+drug_001"))
    # The values of most cells, which are zeros less one, are kept, and some fall further.
    assert both.min() <= -1
    assert abs((both == -1).mean() - (dense(start.X) == -1).mean()) < 0.3


def test_a_condition_is_its_parts_whatever_their_order_and_the_control(doses, control):
    expected = values(doses.predict(control, "drug_000", dose=100))
    for name in ("drug_000+control", "control+drug_000"):
        found = doses.predict(control, name, dose=100)
        np.testing.assert_allclose(values(found), expected, rtol=1e-5)


def test_combinations_of_training_are_found_by_their_parts(cells, control):
    adata = cells.copy()
    names = adata.obs["perturbation"].astype(str)
    adata.obs["perturbation"] = names.where(names == "control", names + "+control")
    model = rt.tl.conditional_w1ot(adata, "control", **QUICK)
    assert model.at("drug_000").calibration is model.calibrations["drug_000+control"]
    assert len(model.at("drug_000+drug_001").calibrations) == 2
    assert model.at("drug_000").diagnostics["n_cells"] > 1


def test_a_part_without_effect_changes_little(cells, control):
    adata = cells.copy()
    still = adata[(adata.obs["perturbation"] == "control").to_numpy()][::2].copy()
    still.obs["perturbation"], still.obs_names = (
        "nothing",
        [f"still_{k}" for k in range(len(still))],
    )
    adata = ad.concat([adata, still])
    model = rt.tl.conditional_w1ot(adata, "control", **QUICK)
    both, alone = (model.predict(control, name) for name in ("drug_000+nothing", "drug_000"))
    step = [each.obs["conditional_w1ot_step"] for each in (both, alone)]
    np.testing.assert_allclose(*step, rtol=1e-4)
    np.testing.assert_array_equal(values(model.predict(control, "nothing")), dense(control.X))
    # Less than what its cells differ by, all of which is noise.
    own, names = dense(control.X), (control.obs_names.to_numpy(), control.var_names.to_numpy())
    changed = model.part_calibrations["nothing"](own, np.zeros_like(own), *names, None) - own
    noise = dense(still.X).mean(0) - own.mean(0)
    assert np.linalg.norm(changed.mean(0)) < 0.8 * np.linalg.norm(noise)
    assert (changed == 0).mean() > 0.5


def weak_parts(n=60, n_genes=40, effect=0.6, seed=0):
    """Two drugs that change ten genes each, too little to be told from so few cells."""
    rng = np.random.default_rng(seed)
    changed = {"control": [], "A": range(10), "B": range(10, 20), "A+B": range(20)}
    cells, names = [], []
    for name, genes in changed.items():
        mean = np.full(n_genes, 0.5)
        mean[list(genes)] += effect
        size = 10 * n if name == "A+B" else n
        cells.append(np.maximum(rng.normal(mean, 1.0, (size, n_genes)), 0))
        names += [name] * size
    adata = ad.AnnData(sparse.csr_matrix(np.concatenate(cells), dtype=np.float32))
    adata.obs["perturbation"] = names
    adata.obs_names = [f"cell_{k}" for k in range(adata.n_obs)]
    return adata


def test_weak_parts_add_up():
    adata = weak_parts()
    names = adata.obs["perturbation"]
    model = rt.tl.conditional_w1ot(adata[names != "A+B"].copy(), "control", **QUICK)
    start = adata[names == "control"].copy()
    found = values(model.predict(start, "A+B")).mean(0) - dense(start.X).mean(0)
    expected = of(adata, "A+B").mean(0) - of(adata, "control").mean(0)
    assert found[:20].mean() > 0.5 * expected[:20].mean()
    # Of a single drug, what is not certain stays.
    single = values(model.predict(start, "A")).mean(0) - dense(start.X).mean(0)
    assert np.abs(single[10:]).mean() < 0.5 * np.abs(found[20:]).mean() + 0.05


def test_strata_that_differ_are_no_noise_and_constant_genes_no_signal():
    rng = np.random.default_rng(0)
    shares = []
    for apart in (0.0, 5.0):
        cells, obs = [], []
        for number, kind in enumerate("abc"):
            for name, effect in (("control", 0.0), ("A", 0.5), ("B", 0.5)):
                drawn = rng.normal(1 + apart * number + effect, 1.0, (60, 4))
                drawn[:, 3] = 0
                cells.append(np.maximum(drawn, 0))
                obs.append(pd.DataFrame({"perturbation": [name] * 60, "kind": kind}))
        obs = pd.concat(obs, ignore_index=True)
        obs.index = [f"cell_{k}" for k in range(len(obs))]
        adata = ad.AnnData(sparse.csr_matrix(np.concatenate(cells), dtype=np.float32), obs=obs)
        model = rt.tl.conditional_w1ot(adata, "control", covariate_keys=["kind"], **QUICK)
        part = model.part_calibrations["A"]
        assert 3 not in part.genes
        shares.append(part.shape[0].mean())
    assert shares[1] > 0.8 * shares[0]


def test_a_gene_goes_as_far_as_its_effect_stands_out():
    adata = weak_parts(n=200)
    model = rt.tl.conditional_w1ot(
        adata[adata.obs["perturbation"] != "A+B"].copy(), "control", **QUICK
    )
    part = model.part_calibrations["A"]
    source, target = of(adata, "control").astype(float), of(adata, "A").astype(float)
    error = source.var(0, ddof=1) / len(source) + target.var(0, ddof=1) / len(target)
    share = np.clip(1 - 0.75 * error / np.square(target.mean(0) - source.mean(0)), 0, 1)
    np.testing.assert_array_equal(part.genes, np.flatnonzero(share >= 0.05))
    # Mixtures of both sides' distributions: so many of their zeros.
    chosen = share[part.genes]
    zeros_of = chosen * zeros(target)[part.genes] + (1 - chosen) * zeros(source)[part.genes]
    np.testing.assert_allclose(part.observed[0].zero.numpy(), zeros_of, atol=1e-3)


def test_covariates_are_strata(cells, control, tmp_path):
    adata = cells.copy()
    model = rt.tl.conditional_w1ot(adata, "control", covariate_keys=["cell_type"], **QUICK)
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
    assert model.at("new").calibration is None
    assert not np.allclose(values(model.predict(control, "new")), dense(control.X))


def test_what_is_kept_of_the_cells_is_bounded(cells, monkeypatch):
    monkeypatch.setattr("rayot.model.calibrations.COPIED_CELLS", 120)
    monkeypatch.setattr("rayot.model.calibrations.FEWEST_CELLS", 20)
    data = ConditionalW1OT.setup_anndata(cells)
    model = ConditionalW1OT(cells, data, "control", dose_key="dose")
    # Twenty of each of six conditions, and as many of the control, which all share.
    assert model._sample.adata.n_obs <= 7 * 20
    model.train(**QUICK)
    assert len(model.calibrations) == 6


def test_an_interrupted_calibration_leaves_no_fit(cells, control, monkeypatch):
    model = rt.tl.conditional_w1ot(cells.copy(), "control", dose_key="dose", **QUICK)

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("rayot.model.calibrating.calibrate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.train(**QUICK | {"max_steps": 5})
    with pytest.raises(RuntimeError, match="Train the model before it predicts"):
        model.predict(control, "drug_000", dose=10)


def test_expression_without_zeros_keeps_no_cells(cells):
    adata = cells.copy()
    adata.X = dense(adata.X) + 1
    model = ConditionalW1OT(adata, ConditionalW1OT.setup_anndata(adata), "control")
    assert model._sample is None


def test_genes_that_do_not_fit_are_counted(cells, monkeypatch, caplog):
    monkeypatch.setattr("rayot.model.calibrations.LARGEST", 6_000)
    with caplog.at_level("WARNING"):
        rt.tl.conditional_w1ot(cells.copy(), "control", dose_key="dose", **QUICK)
    assert "change least certainly keep their values, up to" in caplog.text


def test_delta_keeps_no_distributions(cells):
    delta = {"plan_kwargs": {"decode": "delta"}}
    assert rt.tl.conditional_w1ot(cells.copy(), "control", **delta, **QUICK).calibrations == {}
