import numpy as np
import pytest
from scipy.spatial.distance import cdist

from rayot.metrics import knn_enrichment


def test_by_hand():
    predicted, observed = np.random.default_rng(0).normal(size=(2, 80, 4))
    distances = cdist(predicted, np.concatenate([predicted, observed]))
    distances[np.arange(80), np.arange(80)] = np.inf
    nearest = np.argsort(distances, axis=1)
    expected = np.mean([(nearest[:, :k] < 80).mean() for k in (50, 100)])
    assert knn_enrichment(predicted, observed) == pytest.approx(expected)


def test_half_where_both_mix_one_where_they_are_apart():
    predicted, observed = np.random.default_rng(0).normal(size=(2, 500, 4))
    assert knn_enrichment(predicted, observed) == pytest.approx(0.5, abs=0.02)
    assert knn_enrichment(predicted + 50, observed) == 1
    assert knn_enrichment(predicted / 3, observed) > 0.6


def test_the_larger_population_is_subsampled():
    cells = np.random.default_rng(0).normal(size=(1200, 4))
    assert knn_enrichment(cells[:900], cells[900:]) == pytest.approx(0.5, abs=0.03)


def test_too_few_cells(populations):
    with pytest.raises(ValueError, match=r"61 predicted and as many observed.*200 neighbours"):
        knn_enrichment(*populations, neighbours=[200])
    with pytest.raises(ValueError, match="neighbours must be whole numbers"):
        knn_enrichment(*populations, neighbours=[0])
