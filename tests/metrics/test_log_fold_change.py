import numpy as np
import pytest

from rayot.metrics import log_fold_change, log_fold_change_error


@pytest.fixture
def counts():
    return np.random.default_rng(0).poisson(4, size=(50, 6)) + 1.0


def test_a_doubled_gene_has_log_fold_change_one(counts):
    doubled = counts * np.array([2, 1, 1, 0.5, 1, 4])
    expected = [1, 0, 0, -1, 0, 2]
    change = log_fold_change(np.log1p(doubled), np.log1p(counts), pseudocount=1e-9)
    np.testing.assert_allclose(change, expected, atol=1e-6)
    linear = log_fold_change(doubled, counts, log1p=False, pseudocount=1e-9)
    np.testing.assert_allclose(linear, expected, atol=1e-6)


def test_error_is_the_mean_over_genes(counts):
    predicted = counts * np.array([2, 1, 1, 1, 1, 1])
    observed = counts * np.array([1, 1, 1, 1, 1, 0.5])
    error = log_fold_change_error(predicted, observed, counts, log1p=False, pseudocount=1e-9)
    assert error == pytest.approx(2 / 6, abs=1e-6)


def test_genes_that_no_cell_expresses_stay_finite():
    silent = np.zeros((3, 2))
    assert log_fold_change(silent, silent).tolist() == [0, 0]
    assert np.isfinite(log_fold_change(silent - 1, silent, log1p=False)).all()


def test_pseudocount_needs_to_be_positive(counts):
    with pytest.raises(ValueError, match="pseudocount is 0"):
        log_fold_change(counts, counts, pseudocount=0)


def test_features_of_control_need_to_match(counts):
    with pytest.raises(ValueError, match="6 features and control has 5"):
        log_fold_change(counts, counts[:, :5])
