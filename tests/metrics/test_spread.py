import numpy as np
import pytest

from rayot.metrics import correlation_error, l2_sd, spread_error


def test_l2_sd_is_the_distance_of_standard_deviations(populations):
    predicted, observed = populations
    expected = np.linalg.norm(np.std(predicted, axis=0, ddof=1) - np.std(observed, axis=0, ddof=1))
    assert l2_sd(predicted, observed) == pytest.approx(expected)


@pytest.mark.parametrize("factor", [0.25, 0.5, 1.0, 4.0])
def test_spread_error_is_the_factor_in_log2(populations, factor):
    _, observed = populations
    assert spread_error(factor * observed + 3, observed) == pytest.approx(abs(np.log2(factor)))


def test_no_spread_at_all_is_a_hundred_times_too_narrow(populations):
    _, observed = populations
    flat = np.tile(observed.mean(axis=0), (40, 1))
    assert spread_error(flat, observed) == pytest.approx(np.log2(100))
    observed[:, 2] = 1.0
    assert spread_error(2 * observed, observed) == pytest.approx(1)
    assert np.isnan(spread_error(observed, np.ones_like(observed)))


def test_correlations_against_numpy(populations, monkeypatch):
    predicted, observed = populations
    pairs = np.triu_indices(7, 1)
    apart = np.corrcoef(predicted.T)[pairs] - np.corrcoef(observed.T)[pairs]
    assert correlation_error(predicted, observed) == pytest.approx(np.abs(apart).mean())
    monkeypatch.setattr("rayot.metrics._spread.BLOCK_FEATURES", 3)
    assert correlation_error(predicted, observed) == pytest.approx(np.abs(apart).mean())


def test_correlations_of_constant_features(populations):
    predicted, observed = populations
    expected = np.abs(np.corrcoef(observed.T)[np.triu_indices(7, 1)]).mean()
    assert correlation_error(np.ones_like(predicted), observed) == pytest.approx(expected)
    observed[:, 3:] = 0.0
    few = correlation_error(predicted[:, :3], observed[:, :3])
    assert correlation_error(predicted, observed) == pytest.approx(few)
    assert np.isnan(correlation_error(predicted, np.ones_like(observed)))


@pytest.mark.parametrize("metric", [l2_sd, spread_error, correlation_error])
def test_one_cell_has_no_spread(metric):
    with pytest.raises(ValueError, match="at least 2"):
        metric([[0.0, 1.0]], [[1.0, 1.0], [2.0, 1.0]])
