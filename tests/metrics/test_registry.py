"""Properties that every registered metric must have."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_matrix
from scipy.stats import ortho_group

from rayot.metrics import METRICS, describe, get_metrics, score

every_metric = pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
every_distribution = pytest.mark.parametrize(
    "metric", [m for m in METRICS.values() if m.kind == "distribution"], ids=lambda m: m.name
)
cells = arrays(np.float64, (6, 3), elements=st.floats(0, 5).map(lambda value: round(value, 3)))


@every_metric
def test_same_cells_reach_the_best_value(metric, populations):
    predicted = np.abs(populations[0])
    value = metric(predicted, predicted, predicted)
    # The unbiased energy distance of a population with itself is a little below zero.
    assert value == pytest.approx(
        metric.best, abs=0.1 if metric.name == "energy_distance" else 1e-9
    )


@every_metric
@settings(deadline=None, max_examples=25)
@given(predicted=cells, observed=cells)
def test_symmetric_and_no_better_than_best(metric, predicted, observed):
    control = np.ones((2, 3))
    value = metric(predicted, observed, control)
    np.testing.assert_allclose(value, metric(observed, predicted, control), rtol=1e-5, atol=1e-6)
    if metric.name != "energy_distance" and not np.isnan(value):
        assert value <= metric.best if metric.direction == "higher" else value >= metric.best


@every_distribution
@settings(deadline=None, max_examples=25)
@given(predicted=cells, observed=cells, seed=st.integers(0, 2**16), shift=st.floats(-20, 20))
def test_distribution_metrics_ignore_rotation_and_translation(
    metric, predicted, observed, seed, shift
):
    rotation = ortho_group.rvs(3, random_state=np.random.default_rng(seed))
    moved = metric(predicted @ rotation + shift, observed @ rotation + shift)
    np.testing.assert_allclose(moved, metric(predicted, observed), rtol=1e-5, atol=1e-5)


@every_metric
def test_worse_predictions_score_worse(metric, populations):
    control = np.abs(populations[0])
    observed = control + np.array([2, 0, 0, 1, 0, 3, 0])
    near, far = observed + 0.1 * np.eye(7)[0], observed + 4 * np.eye(7)[1]
    better, worse = (metric(predicted, observed, control) for predicted in (near, far))
    assert better > worse if metric.direction == "higher" else better < worse


@every_metric
@pytest.mark.parametrize(
    ("predicted", "sentence"),
    [
        (np.ones(3), r"predicted has shape \(3,\)"),
        (np.ones((0, 3)), "predicted has 0 cells"),
        (np.ones((4, 2)), "predicted has 2 features and observed has 3"),
        (np.full((4, 3), np.nan), "predicted has NaN or infinite values in 4 of 4 cells"),
    ],
)
def test_refuses_with_a_sentence(metric, predicted, sentence):
    with pytest.raises(ValueError, match=sentence):
        metric(predicted, np.ones((4, 3)), np.ones((4, 3)))


def test_refuses_sparse_matrices():
    with pytest.raises(TypeError, match="toarray"):
        score(csr_matrix(np.ones((2, 2))), np.ones((2, 2)), metrics=["l2"])


def test_control_is_asked_for():
    with pytest.raises(ValueError, match="needs control cells"):
        score(np.ones((2, 2)), np.ones((2, 2)), metrics=["log_fold_change_error"])


def test_unknown_metric_names_the_known_ones():
    with pytest.raises(ValueError, match=r"'mdd'; known are r2, l2, mmd"):
        get_metrics(["mdd"])


def test_scores_follow_the_order_asked_for(populations):
    assert list(score(*populations, metrics=["l2", "r2"])) == ["l2", "r2"]
    assert get_metrics("mmd") == [METRICS["mmd"]]


def test_description_covers_every_metric():
    table = describe()
    assert list(table.index) == list(METRICS)
    assert (table["description"].str.len() > 20).all()
