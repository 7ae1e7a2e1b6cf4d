"""Maps by quantiles, beside SciPy and what one-dimensional transport must be."""

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp, spearmanr

from rayot.solvers import MarginalMap, Population, QuantileSettings
from rayot.solvers.quantile import _draws


def population(cells, n_strata=1):
    cells = torch.from_numpy(cells.astype(np.float32))
    return Population.from_groups(
        cells, list(torch.arange(len(cells)).chunk(n_strata)), n_strata=n_strata
    )


def sparse_cells(rng, n, share, scale):
    return rng.gamma(2.0, scale, size=(n, 12)) * (rng.random((n, 12)) < share)


@pytest.fixture
def fitted():
    rng = np.random.default_rng(0)
    source, target = sparse_cells(rng, 2000, 0.3, 1.0), sparse_cells(rng, 1500, 0.5, 2.0)
    transport = MarginalMap(12, ["a"], QuantileSettings(), seed=0)
    transport.fit(population(source), population(target))
    fresh = torch.from_numpy(sparse_cells(rng, 2000, 0.3, 1.0).astype(np.float32))
    return transport, fresh, target


def test_each_feature_gets_the_distribution_of_the_target(fitted):
    transport, fresh, target = fitted
    found = transport(fresh[None])[0].numpy()
    for feature in range(12):
        assert ks_2samp(found[:, feature], target[:, feature]).statistic < 0.08
        assert abs((found[:, feature] == 0).mean() - (target[:, feature] == 0).mean()) < 0.04


def test_ranks_of_other_values_than_zero_are_kept(fitted):
    transport, fresh, _ = fitted
    found = transport(fresh[None])[0]
    for feature in range(12):
        rows = fresh[:, feature] > 0
        assert spearmanr(fresh[rows, feature], found[rows, feature]).statistic > 0.999


def test_a_cell_goes_to_the_same_place_among_others(fitted):
    transport, fresh, _ = fitted
    together = transport(fresh[None])[0]
    torch.testing.assert_close(transport(fresh[None, 5:9])[0], together[5:9], rtol=0, atol=0)
    order = torch.randperm(len(fresh), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(transport(fresh[None, order])[0], together[order], rtol=0, atol=0)


def test_draws_are_uniform_and_unlike():
    cells = torch.zeros(1, 3000, 3)
    cells[0, :, 0] = torch.arange(3000) * 1e-3
    draws = _draws(cells)[0].numpy()
    assert 0 <= draws.min() < draws.max() < 1
    assert abs(draws.mean(0) - 0.5).max() < 0.03
    assert abs(np.corrcoef(draws.T) - np.eye(3)).max() < 0.08


def test_strata_weigh_alike():
    """A stratum of a tenth of the cells, where all are 5, is half of the distribution."""
    source = np.linspace(0.1, 1, 220)[:, None]
    target = np.concatenate([np.ones((200, 1)), np.full((20, 1), 5.0)])
    sides = [
        Population.from_groups(
            torch.from_numpy(cells.astype(np.float32)),
            [torch.arange(200), torch.arange(200, 220)],
            n_strata=2,
        )
        for cells in (source, target)
    ]
    transport = MarginalMap(1, ["a"], QuantileSettings(), seed=0)
    transport.fit(*sides)
    assert transport.target_quantiles[0, 0, 14] == 1
    assert transport.target_quantiles[0, 0, 17] == 5
