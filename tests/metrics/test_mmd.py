import time
import tracemalloc

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from sklearn.metrics.pairwise import rbf_kernel

from rayot.metrics import _distances, _mmd, energy_distance, mmd


def by_sklearn(predicted, observed, gammas):
    return np.mean(
        [
            rbf_kernel(predicted, predicted, gamma).mean()
            + rbf_kernel(observed, observed, gamma).mean()
            - 2 * rbf_kernel(predicted, observed, gamma).mean()
            for gamma in gammas
        ]
    )


def test_default_is_the_mmd_of_the_paper(populations):
    expected = by_sklearn(*populations, np.logspace(1, -3, 50))
    assert mmd(*populations) == pytest.approx(expected, rel=1e-10)


def test_own_widths(populations):
    gammas = [2.0, 0.1]
    assert mmd(*populations, gammas=gammas) == pytest.approx(by_sklearn(*populations, gammas))
    assert mmd(*populations, gammas=2.0) == pytest.approx(by_sklearn(*populations, [2.0]))


def test_far_from_the_origin_loses_nothing(populations):
    predicted, observed = populations
    assert mmd(predicted + 1e4, observed + 1e4) == pytest.approx(mmd(predicted, observed), rel=1e-8)


@pytest.mark.parametrize("gammas", [[], [0.0], [-1.0, 1.0], [np.nan]])
def test_widths_need_to_be_positive(populations, gammas):
    with pytest.raises(ValueError, match="positive"):
        mmd(*populations, gammas=gammas)


def test_a_scoring_run_is_fast_and_small():
    generator = np.random.default_rng(0)
    predicted, observed = generator.normal(size=(2, 1500, 50))
    start = time.process_time()
    mmd(predicted, observed)
    assert time.process_time() - start < 5
    tracemalloc.start()
    mmd(predicted, observed, gammas=1.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1500 * 1500 * 8 / 2


def test_widths_by_name(populations):
    expected = by_sklearn(*populations, [2, 1, 0.5, 0.1, 0.01, 0.005])
    assert mmd(*populations, gammas="cellflow") == pytest.approx(expected)
    assert mmd(*populations, gammas="paper") == mmd(*populations)
    with pytest.raises(ValueError, match="gammas must be one of"):
        mmd(*populations, gammas="cellflwo")


def test_median_heuristic():
    predicted, observed = np.random.default_rng(0).normal(size=(2, 60, 3))
    median = np.median(pdist(np.concatenate([predicted, observed]), "sqeuclidean"))
    expected = mmd(predicted, observed, gammas=1 / median)
    assert mmd(predicted, observed, gammas="median") == pytest.approx(expected)
    assert mmd(9 * predicted, 9 * observed, gammas="median") == pytest.approx(expected)
    with pytest.raises(ValueError, match="median distance between cells is zero"):
        mmd(np.zeros((9, 2)), np.zeros((9, 2)), gammas="median")


def test_unbiased_leaves_out_the_diagonal(populations):
    expected = -2 * rbf_kernel(*populations, 0.3).mean()
    for cells in populations:
        kernel = rbf_kernel(cells, cells, 0.3)
        expected += (kernel.sum() - np.trace(kernel)) / (len(cells) * (len(cells) - 1))
    assert mmd(*populations, gammas=0.3, unbiased=True) == pytest.approx(expected)


def test_unbiased_is_zero_on_average():
    generator = np.random.default_rng(0)
    values = [mmd(*generator.normal(size=(2, 20, 3)), unbiased=True) for _ in range(200)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(200)
    assert min(values) < 0
    with pytest.raises(ValueError, match="at least 2"):
        mmd([[0.0]], [[1.0], [2.0]], unbiased=True)


@pytest.mark.parametrize(("many_cells", "many_pairs"), [(10, 10**8), (10, 1), (10**6, 1)])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
@pytest.mark.parametrize("unbiased", [False, True])
def test_many_cells_score_as_few_do(
    populations, monkeypatch, many_cells, many_pairs, scale, unbiased
):
    """Single precision, each pair once, small blocks, and kernels from a table."""
    predicted, observed = (scale * cells for cells in populations)
    expected = mmd(predicted, observed, unbiased=unbiased)
    for module in (_distances, _mmd):
        monkeypatch.setattr(module, "MANY_CELLS", many_cells)
    monkeypatch.setattr(_mmd, "MANY_PAIRS", many_pairs)
    monkeypatch.setattr(_distances, "BLOCK_COLUMNS", 16)
    monkeypatch.setattr(_distances, "BLOCK_ENTRIES", 160)
    got = mmd(predicted, observed, unbiased=unbiased)
    # Each of three means has an error of at most 1e-8 by the table, and of 1e-7 in single.
    assert got == pytest.approx(expected, abs=4e-8 if many_pairs == 1 else 4e-7)


def test_the_table_has_the_error_that_is_said():
    squared = np.exp(np.random.default_rng(0).uniform(-40, 20, size=50_000))
    gammas = np.array(_mmd.GAMMAS)
    kernel = _mmd._from_table(gammas)
    for value in squared[:2000]:
        exact = np.exp(-gammas * value).mean()
        (got,) = kernel(np.array([[value]]))
        assert abs(got / len(gammas) - exact) < 1e-8
    (together,) = kernel(squared[None].copy())
    exact = np.exp(-gammas[:, None] * squared).sum()
    assert together == pytest.approx(exact, rel=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("metric", [mmd, energy_distance])
def test_ten_thousand_cells_in_a_minute(metric):
    predicted, observed = np.random.default_rng(0).normal(size=(2, 10_000, 50))
    tracemalloc.start()
    start = time.process_time()
    metric(predicted, observed)
    seconds = time.process_time() - start
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 60
    # A matrix of all distances would take 800 MB.
    assert peak < 100e6
