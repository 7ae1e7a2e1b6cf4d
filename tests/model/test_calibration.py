"""Predicted cells with the distributions of observed ones: zeros, spread and tails."""

import copy
from dataclasses import replace

import anndata as ad
import numpy as np
import pytest
import scanpy as sc
import torch
from scipy import sparse
from scipy.stats import false_discovery_control, mannwhitneyu

import rayot as rt
from rayot.data.matrix import dense
from rayot.model.calibrating import _q_values, certainty
from rayot.model.calibration import Calibration, uniform
from rayot.solvers import Marginals

CALIBRATED = {"plan_kwargs": {"decode": "calibrated"}}
QUICK = {
    "preset": "fast",
    "max_steps": 60,
    "batch_size": 64,
    "n_folds": 1,
    "show_progress_bar": False,
}


@pytest.fixture(scope="module")
def simulated():
    adata = rt.datasets.simulated(n_cells=600, n_genes=60, seed=0)
    sc.pp.pca(adata, n_comps=10)
    rt.pp.split(adata)
    return adata


def fit(adata, verb="w1ot", **options):
    options = {**QUICK, **CALIBRATED, "use_rep": "X_pca", **options}
    return getattr(rt.tl, verb)(adata, "control", "perturbed", **options)


def of(adata, condition, split="test"):
    chosen = (adata.obs["perturbation"] == condition) & (adata.obs["split"] == split)
    return adata[chosen.to_numpy()]


@pytest.mark.parametrize("use_rep", [None, "X_pca"])
@pytest.mark.parametrize("verb", ["w1ot", "w2ot", "otcfm", "mean_shift", "gaussian_ot", "scgen"])
def test_genes_have_the_zeros_and_the_spread_of_observed_cells(simulated, verb, use_rep):
    adata = simulated.copy()
    model = fit(adata, verb, use_rep=use_rep)
    observed = dense(of(adata, "perturbed").X)
    predicted = model.predict(of(adata, "control")).to_df().to_numpy()
    # Of one gene two samples of 120 cells differ by .065, of which the largest of 60 may be 3.5.
    assert abs((predicted == 0).mean(0) - (observed == 0).mean(0)).max() < 0.23
    assert abs((predicted == 0).mean() - (observed == 0).mean()) < 0.02
    varies = observed.var(0) > 0.05
    assert 0.8 < np.median(predicted.var(0)[varies] / observed.var(0)[varies]) < 1.25
    assert predicted.min() == 0
    assert adata.uns[model.method]["share_clipped"] == 0


def test_cells_keep_their_ranks(simulated):
    """Of what is predicted of them, of which as much counts as the number of cells says."""
    adata = simulated.copy()
    calibrated, cells = fit(adata), of(simulated, "control")
    own = dense(cells.X)
    share = np.zeros(own.shape[1])
    share[calibrated.calibration.genes] = calibrated.calibration.shape[0]
    plain = own + share * (
        fit(adata, plan_kwargs={"decode": "delta"}).predict(cells, clip=False).to_df().to_numpy()
        - own
    )
    found = calibrated.predict(cells).to_df().to_numpy()
    for gene in range(found.shape[1]):
        order = plain[:, gene].argsort()
        apart = np.diff(plain[order, gene]) > 2e-3
        assert (np.diff(found[order, gene])[apart] >= -1e-5).all()


def test_what_does_not_change_keeps_its_values(simulated):
    """Half of the genes have the treated cells' values drawn from control cells."""
    adata = simulated.copy()
    x = dense(adata.X).copy()
    rng = np.random.default_rng(3)
    treated = np.flatnonzero(adata.obs["perturbation"] == "perturbed")
    untreated = np.flatnonzero(adata.obs["perturbation"] == "control")
    for gene in range(0, 60, 2):
        x[treated, gene] = x[rng.choice(untreated, len(treated)), gene]
    adata.X = sparse.csr_matrix(x)
    sc.pp.pca(adata, n_comps=10)
    model = fit(adata)
    cells = of(adata, "control")
    changed = np.abs(model.predict(cells).to_df().to_numpy() - dense(cells.X)).mean(0)
    assert changed[0::2].mean() < 0.5 * changed[1::2].mean()
    assert set(np.flatnonzero(changed > 0)) <= set(model.calibration.genes)


def test_few_cells_follow_the_map_less(simulated):
    adata = simulated[np.random.default_rng(0).permutation(simulated.n_obs)[:150]].copy()
    few, many = fit(adata).calibration, fit(simulated.copy()).calibration
    for calibration, cells in ((few, adata), (many, simulated)):
        training = cells.obs[cells.obs["split"] == "train"]["perturbation"].value_counts().min()
        # Of a gene that changes for certain.
        assert calibration.shape.max() == pytest.approx(training / (training + 200), abs=1e-3)


@pytest.mark.parametrize(
    ("options", "calibrated"),
    [
        ({}, True),
        ({"plan_kwargs": {"decode": "delta"}}, False),
        ({"plan_kwargs": {"decode": "calibrated"}}, True),
        ({"preset": "paper"}, False),
        ({"preset": "adversarial"}, True),
    ],
)
def test_presets_calibrate_sparse_expression(simulated, options, calibrated):
    model = fit(simulated.copy(), **{"plan_kwargs": {}, **options, "max_steps": 2})
    assert (model.calibration is not None) == calibrated


@pytest.mark.parametrize("shift", [-1.0, 1.0])
def test_presets_leave_expression_without_zeros(simulated, shift):
    adata = simulated.copy()
    adata.X = (dense(adata.X) + shift).astype(np.float32)
    sc.pp.pca(adata, n_comps=10)
    model = fit(adata, plan_kwargs={}, max_steps=2)
    assert model.calibration is None and model._sample is None
    assert fit(adata, max_steps=2).calibration is not None


def test_certainty_is_that_of_a_test_of_each_gene():
    """Beside SciPy's test and adjustment, without Storey's factor; none of genes alike."""
    rng = np.random.default_rng(0)
    source, target = (rng.gamma(2.0, size=(n, 300)).astype(np.float32) for n in (300, 200))
    source *= rng.random(source.shape) < 0.4
    target *= rng.random(target.shape) < 0.4
    target[:, :30] *= 1.6
    tables = [
        [Marginals.of(torch.from_numpy(each), torch.ones(len(each), dtype=torch.float64))]
        for each in (source, target)
    ]
    (found,) = certainty(*tables, np.array([[300.0, 200.0]]))
    p_values = mannwhitneyu(source, target, axis=0, method="asymptotic").pvalue
    expected = 1 - false_discovery_control(p_values)
    assert (found >= np.where(expected < 0.05, 0, expected) - 0.03).all()
    assert (found[:30] > 0.9).sum() == (expected[:30] > 0.9).sum()
    assert np.median(found[30:]) < 0.3
    assert not certainty(tables[0], tables[0], np.array([[300.0, 300.0]])).any()


def test_strata_of_a_single_cell_say_nothing():
    rng = np.random.default_rng(0)
    tables = [
        [
            Marginals.of(
                torch.from_numpy(rng.normal(mean, size=(50, 3)).astype(np.float32)),
                torch.ones(50, dtype=torch.float64),
            )
        ]
        * 2
        for mean in (0, 1)
    ]
    assert certainty(*tables, np.array([[50.0, 50.0], [1.0, 1.0]])).shape == (2, 3)


def test_genes_that_cannot_be_tested_do_not_count():
    scores = np.array([0.001, 0.02, 0.3])
    with_constant = np.concatenate([scores, np.ones(1000)])
    np.testing.assert_array_equal(_q_values(with_constant)[:3], _q_values(scores))


def test_no_effect_is_no_change(simulated):
    """The cells of one condition, named as two."""
    adata = of(simulated, "control", "train").copy()
    is_control = np.random.default_rng(1).permutation(adata.n_obs) % 2 == 0
    adata.obs["perturbation"] = np.where(is_control, "control", "perturbed")
    model = fit(adata)
    assert model.diagnostics["strength"] == 0
    np.testing.assert_array_equal(
        model.predict(simulated[:50]).to_df().to_numpy(), dense(simulated[:50].X)
    )


def test_neither_blocks_nor_order_matter(simulated):
    model = fit(simulated.copy())
    whole = model.predict(simulated).to_df().to_numpy()
    order = np.random.default_rng(0).permutation(simulated.n_obs)
    shuffled = model.predict(simulated[order, ::-1]).to_df().to_numpy()
    np.testing.assert_allclose(shuffled, whole[order], atol=1e-3)
    assert ((shuffled == 0) == (whole[order] == 0)).mean() > 0.9999


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"n_seeds": 2},
        {"strata_key": "cell_type"},
        {"strata_key": "cell_type", "strata": "separate", "n_seeds": 2},
    ],
)
def test_it_is_saved_and_written(simulated, tmp_path, options):
    adata = simulated.copy()
    model = fit(adata, **options)
    expected = model.predict(simulated[:80])
    model.save(tmp_path / "model")
    loaded = rt.model.W1OT.load(tmp_path / "model")
    found = loaded.predict(simulated[:80])
    expected = expected.to_df().to_numpy()
    np.testing.assert_array_equal(found.to_df().to_numpy(), expected)
    written = loaded.predict(simulated[:80], write=tmp_path / "cells.h5ad").to_memory()
    np.testing.assert_array_equal(written.to_df().to_numpy(), expected)
    if "n_seeds" in options:
        assert np.isfinite(found.to_df(layer="w1ot_sd").to_numpy()).all()
    rows = np.flatnonzero(adata.obs["perturbation"] == "control")
    np.testing.assert_allclose(
        adata.layers["w1ot"][rows], model.predict(adata[rows]).to_df().to_numpy(), atol=1e-3
    )


@pytest.mark.parametrize("ending", ["h5ad", "zarr"])
def test_predictions_of_sparse_cells_are_sparse(simulated, tmp_path, monkeypatch, ending):
    model = fit(simulated.copy())
    expected = model.predict(simulated)
    assert sparse.issparse(expected.X) and expected.X.dtype == np.float32
    assert expected.X.nnz == np.count_nonzero(expected.X.toarray())
    # Block by block, the first of which makes the matrix on disk.
    monkeypatch.setattr("rayot.model.fitted_map.chunk_rows", lambda n_features: 64)
    written = model.predict(simulated, write=tmp_path / f"cells.{ending}").to_memory()
    assert sparse.issparse(written.X)
    assert written.X.indptr[-1] == written.X.nnz
    np.testing.assert_array_equal(written.X.toarray(), expected.X.toarray())


def test_predictions_are_held_as_the_cells_are(simulated):
    adata = simulated.copy()
    model = fit(adata)
    assert sparse.issparse(rt.get.predicted(adata).X)
    dense_cells = simulated.copy()
    dense_cells.X = simulated.X.toarray()
    found = model.predict(dense_cells).X
    assert isinstance(found, np.ndarray)
    # Components of dense cells are rounded otherwise, which parts equal ranks otherwise.
    assert np.abs(found - model.predict(simulated).X.toarray()).mean() < 1e-3
    # Without calibration genes have no zeros worth the room.
    plain = fit(simulated.copy(), plan_kwargs={"decode": "delta"}).predict(simulated[:20])
    assert isinstance(plain.X, np.ndarray)


def test_strata_have_distributions_of_their_own(simulated):
    """A gene of one type alone, which the distribution of all cells would give to others too."""
    adata = simulated.copy()
    x = dense(adata.X).copy()
    first = (adata.obs["cell_type"] == adata.obs["cell_type"].cat.categories[0]).to_numpy()
    treated = (adata.obs["perturbation"] == "perturbed").to_numpy()
    x[:, 0] = 0
    x[first & treated, 0] = 2.0
    adata.X = sparse.csr_matrix(x)
    model = fit(adata, strata_key="cell_type", use_rep=None)
    cells = adata[~treated & (adata.obs["split"] == "test").to_numpy()]
    found = model.predict(cells).to_df().to_numpy()[:, 0]
    in_first = (cells.obs["cell_type"] == adata.obs["cell_type"].cat.categories[0]).to_numpy()
    assert (found[in_first] > 0).mean() > 0.7
    assert (found[~in_first] > 0).mean() < 0.3
    # A stratum that training has not seen takes the distribution of all.
    cells = cells.copy()
    cells.obs["cell_type"] = "new"
    share = (model.predict(cells).to_df().to_numpy()[:, 0] > 0).mean()
    assert 0.1 < share < 0.6


@pytest.fixture(scope="module")
def in_strata(simulated):
    return fit(simulated.copy(), strata_key="cell_type", use_rep="X_pca")


def new_cells(simulated):
    cells = simulated[(simulated.obs["perturbation"] == "control").to_numpy()].copy()
    cells.obs["cell_type"] = "new"
    return cells


def test_a_cell_of_a_new_stratum_takes_the_distributions_of_a_seen_one(simulated, in_strata):
    cells, strata = new_cells(simulated), in_strata.calibration.strata
    assert len(strata) > 2
    model = copy.copy(in_strata)
    model.calibration = replace(in_strata.calibration, mixed=True)
    found = model.predict(cells, unseen="map").to_df().to_numpy()
    # Moves do not depend on the stratum, so that only its distributions differ.
    by_stratum = []
    for name in strata:
        cells.obs["cell_type"] = name
        by_stratum.append(in_strata.predict(cells).to_df().to_numpy())
    equal = np.stack([(found == each).all(axis=1) for each in by_stratum], axis=1)
    assert equal.any(axis=1).all()
    start = dense(in_strata._encode(cells, np.arange(cells.n_obs))[0])
    near = in_strata.training_distance.nearness(start)
    np.testing.assert_allclose(equal.mean(axis=0), near.mean(axis=0), atol=0.06)
    model.calibration = replace(in_strata.calibration, mixed=False)
    cells.obs["cell_type"] = "new"
    pooled = model.predict(cells, unseen="map").to_df().to_numpy()
    assert not any((pooled == each).all() for each in [found, *by_stratum])


def test_neither_blocks_nor_order_matter_to_new_strata(simulated, in_strata):
    cells = new_cells(simulated)
    model = copy.copy(in_strata)
    model.calibration = replace(in_strata.calibration, mixed=True)
    expected = model.predict(cells, unseen="map").to_df().to_numpy()
    order = np.random.default_rng(0).permutation(cells.n_obs)
    parts = [
        model.predict(cells[rows], unseen="map").to_df().to_numpy()
        for rows in np.array_split(order, 7)
    ]
    np.testing.assert_allclose(np.concatenate(parts), expected[order], atol=1e-5)


@pytest.mark.parametrize("in_pairs", [True, False])
def test_distributions_of_new_strata_are_chosen_by_leaving_strata_out(in_pairs):
    """Each type has one beside it that answers alike; or these answer the other way."""
    rng = np.random.default_rng(0)
    n, n_types = 240, 4 if in_pairs else 6
    types = np.repeat(np.arange(n_types), n)
    answers = (types > 1) if in_pairs else types % 2 == 1
    level = 4 * answers if in_pairs else 3 * types
    x = rng.poisson(1.0, (2, len(types), 30)).astype(np.float32)
    x[:, :, :5] += level[:, None]
    x[1, :, 10:20] += rng.poisson(6.0, (len(types), 10)) * answers[:, None]
    adata = ad.AnnData(sparse.csr_matrix(np.log1p(np.concatenate(x))))
    adata.obs["perturbation"] = np.repeat(["control", "perturbed"], len(types))
    adata.obs["cell_type"] = np.tile(np.array(list("abcdef"))[types], 2)
    sc.pp.pca(adata, n_comps=8)
    assert fit(adata, strata_key="cell_type").calibration.mixed is in_pairs


def test_strata_in_training_are_asked_for_by_what_is_saved(in_strata):
    calibration = replace(in_strata.calibration, mixed=True)
    arrays = calibration.arrays()
    n_genes = int(calibration.genes[-1]) + 1
    loaded = Calibration.from_arrays(arrays, calibration.strata, n_genes, 0)
    assert loaded.mixed and loaded.strata == calibration.strata
    pool = calibration.within(calibration.n_bytes - 1)
    assert not pool.mixed and pool.strata == ()
    arrays = {**pool.arrays(), "mixed.": np.array([True])}
    with pytest.raises(ValueError, match="asks for strata, and there are none"):
        Calibration.from_arrays(arrays, calibration.strata, n_genes, 0)


def test_weights_enter(simulated):
    """Cells that weigh next to nothing leave no mark on the distributions."""
    adata = simulated.copy()
    x = dense(adata.X).copy()
    treated = np.flatnonzero(adata.obs["perturbation"] == "perturbed")
    x[treated[::2], 0] = 30.0
    adata.X = sparse.csr_matrix(x)
    adata.obs["weight"] = 1.0
    adata.obs.iloc[treated[::2], adata.obs.columns.get_loc("weight")] = 1e-6
    unweighted = (
        fit(adata.copy(), use_rep=None).predict(of(adata, "control")).to_df().to_numpy()[:, 0]
    )
    model = fit(adata.copy(), weights_key="weight", use_rep=None)
    weighted = model.predict(of(adata, "control")).to_df().to_numpy()[:, 0]
    assert unweighted.max() == 30
    assert weighted.max() < 20


def test_proteins_may_be_negative(simulated):
    adata = simulated.copy()
    adata.X = (dense(adata.X) - 1.0).astype(np.float32)
    sc.pp.pca(adata, n_comps=10)
    predicted = fit(adata).predict(of(adata, "control")).to_df().to_numpy()
    observed = of(adata, "perturbed").X
    assert predicted.min() == pytest.approx(-1.0)
    assert abs((predicted < 0).mean() - (observed < 0).mean()) < 0.02


def test_clipping_can_still_be_asked_for(simulated):
    adata = simulated.copy()
    adata.X = (dense(adata.X) - 1.0).astype(np.float32)
    model = fit(adata, use_rep=None)
    assert model.predict(adata[:50], clip=True).to_df().to_numpy().min() == 0


def test_views_and_files_of_cells_are_taken(simulated, tmp_path):
    expected = fit(simulated.copy(), use_rep=None).predict(simulated[:20]).to_df().to_numpy()
    reversed_view = simulated[::-1, ::-1]
    found = fit(reversed_view, use_rep=None).predict(simulated[:20]).to_df().to_numpy()
    assert abs((found == 0).mean() - (expected == 0).mean()) < 0.05
    simulated.write_h5ad(tmp_path / "cells.h5ad")
    backed = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    rows = np.flatnonzero(simulated.obs["split"] == "train")
    fitted = [fit(each, use_rep=None) for each in (backed[rows].to_memory(), simulated[rows])]
    np.testing.assert_array_equal(
        *[each.predict(simulated[:20]).to_df().to_numpy() for each in fitted]
    )


def test_a_model_holds_no_more_of_its_cells_than_expression(simulated):
    adata = simulated.copy()
    adata.layers["log"] = adata.X.copy()
    adata.uns["large"] = np.zeros(1000)
    adata.obsp["graph"] = sparse.eye(adata.n_obs, format="csr")
    sample = fit(adata, layer="log")._sample.source.cells
    assert sample.X is None
    assert list(filter(None, sample.layers)) == ["log"]
    assert not len(sample.uns) + len(sample.obsp) + len(sample.obsm)


def test_an_interrupted_fit_is_none(simulated, monkeypatch):
    model = fit(simulated.copy())

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("rayot.model.calibrating.calibrate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.train(max_steps=5, show_progress_bar=False)
    with pytest.raises(RuntimeError, match="Train the model before it predicts"):
        model.predict(simulated[:5])


def test_an_embedding_without_genes_stays_as_it_is(simulated):
    adata = simulated.copy()
    adata.obsm["X_other"] = np.asarray(adata.obsm["X_pca"][:, :4])
    model, plain = (
        fit(adata, use_rep="X_other", plan_kwargs=each)
        for each in (CALIBRATED["plan_kwargs"], {"decode": "delta"})
    )
    assert model.calibration is None
    np.testing.assert_array_equal(
        model.predict(adata[:9]).obsm["X_w1ot"], plain.predict(adata[:9]).obsm["X_w1ot"]
    )


def test_another_condition_of_a_joint_model_is_not_calibrated():
    adata = rt.datasets.simulated_screen(2, n_cells=120, n_genes=20, inactive=0.0)
    model = rt.tl.cpa(adata, "control", "drug_000", **QUICK, **CALIBRATED)
    assert model.calibration is not None
    other = model.at("drug_001")
    assert other.calibration is other._sample is None
    assert model.calibration is not None


@pytest.mark.parametrize(
    ("verb", "arguments", "message"),
    [
        ("additive", ("control", "drug_000"), "Additive looks at no cell of the target"),
        ("ridge", ("control", "drug_000"), "Ridge looks at no cell of the target"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(verb, arguments, message):
    adata = rt.datasets.simulated_screen(3, n_cells=60, n_genes=12)
    before = set(adata.uns), set(adata.layers), set(adata.obs)
    with pytest.raises(ValueError, match=message):
        getattr(rt.tl, verb)(adata, *arguments, **CALIBRATED)
    assert before == (set(adata.uns), set(adata.layers), set(adata.obs))


def test_draws_follow_from_names_and_seed_alone():
    cells, genes = np.array([f"cell{k}" for k in range(400)]), np.array(["A", "B", "C"])
    found = uniform(cells, genes, 0)
    assert found.dtype == np.float32
    assert 0 <= found.min() < found.max() < 1
    np.testing.assert_array_equal(found[5:9, 1:], uniform(cells[5:9], genes[1:], 0))
    assert abs(np.corrcoef(found.T) - np.eye(3)).max() < 0.2
    assert abs(found.mean(0) - 0.5).max() < 0.06
    assert (uniform(cells, genes, 1) != found).mean() > 0.99
