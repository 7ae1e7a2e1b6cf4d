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


def test_genes_that_hardly_any_cell_expresses_have_no_change():
    silent = np.zeros((30, 2))
    assert np.isnan(log_fold_change(silent, silent)).all()
    assert log_fold_change(silent, silent, min_expressed=0).tolist() == [0, 0]
    assert np.isfinite(log_fold_change(silent - 1, silent, log1p=False, min_expressed=0)).all()
    rare = silent.copy()
    rare[0, 0], rare[:3, 1] = 1.0, 1.0
    for cells, control in ((rare, silent), (silent, rare)):
        assert np.isnan(log_fold_change(cells, control)).tolist() == [True, False]
    # Were the first gene counted, one cell in thirty would be a change of a factor of seven.
    exact = log_fold_change_error(rare[:, 1:], rare[:, 1:], silent[:, 1:])
    assert log_fold_change_error(rare, rare, silent) == exact == 0
    assert np.isnan(log_fold_change_error(silent, rare, silent, min_expressed=0.2))


def test_pseudocount_needs_to_be_positive(counts):
    with pytest.raises(ValueError, match="pseudocount must be greater than 0, found 0"):
        log_fold_change(counts, counts, pseudocount=0)


def test_features_of_control_need_to_match(counts):
    with pytest.raises(ValueError, match="6 features and control has 5"):
        log_fold_change(counts, counts[:, :5])
