import time
import tracemalloc

import numpy as np
import pytest
from sklearn.metrics.pairwise import rbf_kernel

from rayot.metrics import mmd


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
