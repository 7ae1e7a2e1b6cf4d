"""Properties that every registered metric must have."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_matrix
from scipy.stats import ortho_group

from rayot.metrics import METRICS, describe, get_metrics, score

UNBIASED = {"energy_distance", "mmd_unbiased"}
"""Of a population with itself a little below zero."""

ONE_SIDED = {"coefficient_of_determination", "weighted_r2_delta", "knn_enrichment"}
"""Predicted and observed cells do not change places."""

BLIND_TO_SHIFT = {"l2_sd", "pearson_delta", "pearson_delta_systema"}
"""Right where all features are off by the same."""

of_cells = [metric for metric in METRICS.values() if not metric.of_perturbations]
of_many = [metric for metric in METRICS.values() if metric.of_perturbations]
every_metric = pytest.mark.parametrize("metric", of_cells, ids=lambda metric: metric.name)
every_formula = pytest.mark.parametrize(
    "metric",
    [m for m in of_cells if m.kind != "differential expression" and m.name != "mmd_median"],
    ids=lambda metric: metric.name,
)
cells = arrays(np.float64, (6, 3), elements=st.floats(0, 5).map(lambda value: round(value, 3)))


def beside(n_features):
    """What metrics may need beside the cells."""
    generator = np.random.default_rng(5)
    return {
        "control": generator.gamma(2, size=(70, n_features)),
        "reference": generator.gamma(2, size=(12, n_features)),
        "weights": np.arange(1.0, n_features + 1),
    }


def of(metric, predicted, observed):
    return metric(predicted, observed, **beside(np.shape(observed)[1]))


@pytest.fixture
def responding():
    """Cells whose genes respond, each more than the one before, of two populations."""
    generator = np.random.default_rng(3)
    first, second = generator.gamma(2, size=(2, 70, 7))
    change = np.array([0.0, 0.0, 0.0, 2.0, 3.0, 4.0, 5.0])
    return first + change, second + change


@every_metric
def test_same_cells_reach_the_best_value(metric, responding):
    predicted, _ = responding
    if metric.direction == "nearest":
        predicted = np.concatenate([predicted, predicted + 1e-9])
    atol = 0.2 if metric.name in UNBIASED else 0.02 if metric.direction == "nearest" else 1e-6
    assert of(metric, predicted, predicted) == pytest.approx(metric.best, abs=atol)


@every_formula
@settings(deadline=None, max_examples=15)
@given(predicted=cells, observed=cells)
def test_symmetric_and_no_better_than_best(metric, predicted, observed):
    if metric.name == "knn_enrichment":
        return
    value = of(metric, predicted, observed)
    if metric.name not in UNBIASED and not np.isnan(value):
        off = 1e-6 if metric.name == "sinkhorn_divergence" else 1e-12
        better = value - metric.best if metric.direction == "higher" else metric.best - value
        assert better <= off
    if metric.name not in ONE_SIDED | {"spread_error", "correlation_error"}:
        np.testing.assert_allclose(value, of(metric, observed, predicted), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "name",
    [
        "mmd",
        "mmd_unbiased",
        "mmd_cellflow",
        "energy_distance",
        "wasserstein1",
        "wasserstein2",
        "sinkhorn_divergence",
    ],
)
@settings(deadline=None, max_examples=15)
@given(predicted=cells, observed=cells, seed=st.integers(0, 2**16), shift=st.floats(-20, 20))
def test_distribution_metrics_ignore_rotation_and_translation(
    name, predicted, observed, seed, shift
):
    metric = METRICS[name]
    rotation = ortho_group.rvs(3, random_state=np.random.default_rng(seed))
    moved = metric(predicted @ rotation + shift, observed @ rotation + shift)
    np.testing.assert_allclose(moved, metric(predicted, observed), rtol=1e-5, atol=1e-5)


@every_metric
def test_worse_predictions_score_worse(metric, responding):
    predicted, observed = responding
    centre = predicted.mean(axis=0)
    # Neither in place, nor in spread, nor in how genes go together.
    wrong = 3 * (predicted - centre)[:, ::-1] + centre[::-1] - 4
    wrong[:, 1] = wrong[:, 0] / 2
    if metric.kind == "differential expression":
        # Other genes respond, and some that should not go down do.
        wrong = predicted[:, ::-1] - np.array([0, 0, 0, 0, 0, 2, 3])
    better, worse = (of(metric, each, observed) for each in (predicted, wrong))
    if metric.direction == "nearest":
        better, worse = (-abs(value - metric.best) for value in (better, worse))
    assert better > worse if metric.direction != "lower" else better < worse


@every_metric
@pytest.mark.parametrize(
    ("predicted", "sentence"),
    [
        (np.ones(3), r"predicted has shape \(3,\)"),
        (np.ones((0, 3)), "predicted has 0 cells"),
        (np.ones((4, 2)), "predicted has 2 features and observed has 3"),
        (np.full((4, 3), np.nan), "predicted has NaN or infinite values in 4 of 4 cells"),
    ],
    ids=["one dimension", "no cells", "other features", "NaN"],
)
def test_refuses_with_a_sentence(metric, predicted, sentence):
    with pytest.raises(ValueError, match=sentence):
        of(metric, predicted, np.ones((4, 3)))


@pytest.mark.parametrize(
    "metric", [m for m in of_cells if m.name not in BLIND_TO_SHIFT], ids=lambda metric: metric.name
)
def test_constant_features_are_never_a_good_score(metric):
    constant = np.ones((120, 3))
    try:
        value = of(metric, constant, constant + 1)
    except ValueError as error:
        assert "median" in str(error)
        return
    assert np.isnan(value) or value != pytest.approx(metric.best, abs=1e-3)


@pytest.mark.parametrize("metric", of_many, ids=lambda metric: metric.name)
def test_metrics_of_many_perturbations(metric):
    names = [f"drug {i}" for i in range(6)]
    profiles = pd.DataFrame(np.random.default_rng(0).normal(size=(6, 4)), index=names)
    control = np.zeros((1, 4))
    values = metric(profiles, profiles, control)
    assert values.index.tolist() == names
    np.testing.assert_allclose(values, metric.best)
    shuffled = metric(profiles, profiles.sample(frac=1, random_state=1), control)
    np.testing.assert_array_equal(shuffled, values)
    with pytest.raises(ValueError, match="several perturbations"):
        score(profiles, profiles, control, metrics=[metric.name])
    with pytest.raises(ValueError, match="at least two"):
        metric(profiles.iloc[:1], profiles.iloc[:1], control)


def test_refuses_sparse_matrices():
    with pytest.raises(TypeError, match="toarray"):
        score(csr_matrix(np.ones((2, 2))), np.ones((2, 2)), metrics=["l2"])


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("log_fold_change_error", "needs control cells; pass them as control"),
        ("de_overlap", "needs control cells"),
        ("weighted_mse", "a weight for each feature; pass them as weights"),
        ("pearson_delta_systema", "the mean profiles of training perturbations"),
    ],
)
def test_what_a_metric_needs_is_asked_for(name, sentence):
    with pytest.raises(ValueError, match=sentence):
        score(np.ones((2, 2)), np.ones((2, 2)), metrics=[name])


def test_unknown_metric_names_the_nearest_ones():
    with pytest.raises(ValueError, match=r"'mdd'; did you mean 'mmd'"):
        get_metrics(["mdd"])
    with pytest.raises(ValueError, match=r"'xyzzy'. rayot.metrics.describe\(\) lists all"):
        get_metrics(["xyzzy"])


def test_defaults_are_those_of_the_paper_and_two_more():
    names = [metric.name for metric in get_metrics()]
    assert names == ["r2", "l2", "mmd", "energy_distance", "wasserstein1"]


def test_scores_follow_the_order_asked_for(populations):
    assert list(score(*populations, metrics=["l2", "r2"])) == ["l2", "r2"]
    assert get_metrics("mmd") == [METRICS["mmd"]]


def test_a_score_is_the_metric_itself(responding):
    names = [metric.name for metric in of_cells]
    extra = beside(7)
    scores = score(*responding, **extra, metrics=names)
    for name in names:
        np.testing.assert_equal(scores[name], METRICS[name](*responding, **extra))


def test_description_covers_every_metric():
    table = describe()
    assert list(table.index) == list(METRICS)
    assert (table["description"].str.len() > 20).all()
    assert table.loc["weighted_r2_delta", "needs"] == "control, weights"
