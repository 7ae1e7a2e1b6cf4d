import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import cdist, pdist

from rayot.metrics import _distances, energy_distance


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("unbiased", [False, True])
def test_against_scipy_distances(populations, squared, unbiased):
    predicted, observed = populations
    metric = "sqeuclidean" if squared else "euclidean"
    expected = 2 * cdist(predicted, observed, metric).mean()
    for cells in populations:
        n = len(cells)
        expected -= 2 * pdist(cells, metric).sum() / (n * (n - 1) if unbiased else n * n)
    got = energy_distance(predicted, observed, squared=squared, unbiased=unbiased)
    assert got == pytest.approx(expected, rel=1e-10)


def test_in_one_dimension_scipy_gives_the_root_of_the_biased_one():
    generator = np.random.default_rng(0)
    predicted, observed = generator.normal(size=40), generator.gamma(2, size=30)
    expected = stats.energy_distance(predicted, observed) ** 2
    got = energy_distance(predicted[:, None], observed[:, None], unbiased=False)
    assert got == pytest.approx(expected)


def test_squared_distances_see_only_means(populations):
    predicted, observed = populations
    shift = predicted.mean(axis=0) - observed.mean(axis=0)
    got = energy_distance(predicted, observed, squared=True, unbiased=False)
    assert got == pytest.approx(2 * shift @ shift)


def test_same_population_scores_zero_on_average():
    generator = np.random.default_rng(0)
    scores = [energy_distance(*generator.normal(size=(2, 30, 4))) for _ in range(200)]
    assert abs(np.mean(scores)) < 3 * np.std(scores) / np.sqrt(200)
    assert min(scores) < 0


def test_one_cell_has_no_unbiased_estimate():
    with pytest.raises(ValueError, match="at least 2"):
        energy_distance([[0.0]], [[1.0], [2.0]])


@pytest.mark.parametrize("unbiased", [False, True])
def test_many_cells_score_as_few_do(populations, monkeypatch, unbiased):
    expected = energy_distance(*populations, unbiased=unbiased)
    monkeypatch.setattr(_distances, "MANY_CELLS", 10)
    monkeypatch.setattr(_distances, "BLOCK_COLUMNS", 16)
    monkeypatch.setattr(_distances, "BLOCK_ENTRIES", 160)
    assert energy_distance(*populations, unbiased=unbiased) == pytest.approx(expected, rel=1e-10)
