"""Monotone maps of genes, beside what one-dimensional optimal transport must be."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, norm, wasserstein_distance

from rayot.solvers import Marginals, monotone_map, monotone_shift, rank_sum_scores
from rayot.solvers.marginals import N_QUANTILES, levels

SEEDS = st.integers(0, 2**32 - 1)


def samples(seed, *sizes):
    """Cells of three genes with values below, at and above zero, some of them equal."""
    rng = np.random.default_rng(seed)
    found = []
    for n in sizes:
        values = rng.normal(rng.normal(), rng.gamma(1.0), size=(n, 3)).round(rng.integers(1, 6))
        values[rng.random((n, 3)) < rng.random()] = 0
        found.append(values.astype(np.float32))
    return found


def of(values, weights=None, n_quantiles=128):
    """As many quantiles as hold all values of a few cells."""
    values = torch.as_tensor(values, dtype=torch.float32)
    weights = torch.ones(len(values)) if weights is None else torch.as_tensor(weights)
    return Marginals.of(values, weights.double(), n_quantiles)


def mapped(source, target, values, seed=0):
    values = torch.as_tensor(values, dtype=torch.float32)
    draws = torch.rand(values.shape, generator=torch.Generator().manual_seed(seed))
    return monotone_map(of(source), of(target), values, draws).numpy()


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(2, 60))
def test_a_distribution_is_mapped_to_itself_by_the_identity(seed, n):
    (cells,) = samples(seed, n)
    np.testing.assert_allclose(mapped(cells, cells, cells), cells, atol=1e-4, rtol=1e-5)


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(2, 60), st.integers(2, 300))
def test_ranks_are_kept(seed, n, m):
    source, target, cells = samples(seed, n, m, 50)
    found = mapped(source, target, cells)
    for gene in range(cells.shape[1]):
        order = np.argsort(cells[:, gene], kind="stable")
        low, high = order[:-1], order[1:]
        apart = cells[high, gene] > cells[low, gene]
        assert (np.diff(found[order, gene])[apart] >= -1e-4).all()


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(2, 300), st.integers(2, 300))
def test_no_value_lies_between_zero_and_those_of_cells(seed, n, m):
    source, target = samples(seed, n, m)
    found = mapped(source, target, source)
    for sign in (1, -1):
        for of_cells, made in zip(sign * target.T, sign * found.T, strict=True):
            beyond, made = of_cells[of_cells > 0], made[made > 0]
            # Where no cell of the target is beyond zero, none is made.
            assert (made >= beyond.min(initial=np.inf) - 1e-4).all()
            assert (made <= beyond.max(initial=-np.inf) + 1e-4).all()
            if len(beyond) == m:
                assert len(made) == n


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(3, 70))
def test_cells_of_the_source_become_those_of_the_target(seed, n):
    """With as many values, none twice: each goes to the one of its rank, as by sorting."""
    rng = np.random.default_rng(seed)
    # Values that differ by no more than rounding count as equal.
    source = rng.permuted(np.tile(np.linspace(-2, 2.03, n), (2, 1)).T, axis=0).astype(np.float32)
    target = rng.gamma(2.0, size=(n, 2)).astype(np.float32) + 0.01
    found = mapped(source, target, source)
    for gene in range(2):
        expected = np.sort(target[:, gene])[np.argsort(np.argsort(source[:, gene]))]
        np.testing.assert_allclose(found[:, gene], expected, atol=1e-5)


def test_a_large_sample_gets_zeros_and_tail_of_another():
    rng = np.random.default_rng(0)
    source = rng.normal(0.4, 1.0, size=(20_000, 4)).astype(np.float32)
    target = (rng.gamma(2.0, size=(20_000, 4)) * (rng.random((20_000, 4)) < 0.2)).astype(np.float32)
    fresh = rng.normal(0.4, 1.0, size=(20_000, 4)).astype(np.float32)
    found = mapped(source, target, fresh)
    assert abs((found == 0).mean(0) - (target == 0).mean(0)).max() < 0.015
    for gene in range(4):
        assert wasserstein_distance(found[:, gene], target[:, gene]) < 0.02
        np.testing.assert_allclose(found[:, gene].var(), target[:, gene].var(), rtol=0.06)


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(2, 20))
def test_a_weight_is_as_many_cells(seed, n):
    (cells,) = samples(seed, n)
    counts = np.random.default_rng(seed).integers(0, 4, len(cells))
    counts[0] = 1
    weighted, repeated = of(cells, counts), of(np.repeat(cells, counts, axis=0))
    for name in ("negative", "zero", "quantiles"):
        torch.testing.assert_close(getattr(weighted, name), getattr(repeated, name))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("n", [10, 103, 206])
def test_genes_without_zeros_get_none(n, sign):
    """Beyond all cells of training, too, and however their shares of mass are rounded."""
    rng = np.random.default_rng(n)
    target = sign * (1 + rng.gamma(2.0, size=(n, 3))).astype(np.float32)
    found = mapped(rng.normal(size=(n, 3)), target, np.array([[-9.0], [0.1], [9.0]]).repeat(3, 1))
    assert of(target).zero.tolist() == [0, 0, 0]
    np.testing.assert_array_equal(found[0], target.min(0))
    np.testing.assert_array_equal(found[2], target.max(0))


def test_equal_values_are_parted_by_the_draws_alone():
    source = np.zeros((100, 1), dtype=np.float32)
    target = np.linspace(1, 2, 100, dtype=np.float32)[:, None]
    values, low, high = torch.zeros(3, 1), torch.zeros(3, 1), torch.full((3, 1), 0.999)
    assert monotone_map(of(source), of(target), values, low).unique().tolist() == [1.0]
    assert monotone_map(of(source), of(target), values, high).min() > 1.98


@pytest.mark.parametrize("n", [2, 5, N_QUANTILES])
def test_levels_go_from_nothing_to_all(n):
    found = levels(n)
    assert found[0] == 0
    assert found[-1] == 1
    assert (found.diff() > 0).all()


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.floats(0, 1))
def test_a_mixture_is_that_of_the_cells(seed, share):
    one, other = samples(seed, 400, 300)
    weights = np.r_[np.full(400, share / 400), np.full(300, (1 - share) / 300)]
    expected = of(np.concatenate([one, other]), weights)
    found = of(one).mixture(of(other), torch.full((3,), share))
    torch.testing.assert_close(found.zero, expected.zero, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.negative, expected.negative, atol=1e-5, rtol=0)
    inner = slice(20, -20)
    spread = np.concatenate([one, other]).std(0)[:, None]
    difference = (found.quantiles - expected.quantiles)[:, inner].abs().numpy() / spread
    assert np.nanmedian(difference) < 0.1
    for alone, all_of_it in ((one, 1.0), (other, 0.0)):
        mixed = of(one).mixture(of(other), torch.full((3,), all_of_it))
        torch.testing.assert_close(mixed.quantiles, of(alone).quantiles)


@pytest.mark.parametrize(("n", "m"), [(60, 40), (700, 900)])
def test_scores_are_those_of_the_rank_sum_test(n, m):
    rng = np.random.default_rng(n)
    source, target = (rng.gamma(2.0, size=(size, 50)).astype(np.float32) for size in (n, m))
    source *= rng.random((n, 50)) < 0.4
    target *= rng.random((m, 50)) < 0.5
    found = rank_sum_scores(of(source, n_quantiles=32), of(target, n_quantiles=32), n, m).numpy()
    test = mannwhitneyu(target, source, axis=0, method="asymptotic", use_continuity=False)
    expected = norm.isf(test.pvalue / 2) * np.sign(test.statistic - n * m / 2)
    assert abs(found - expected).max() < 0.1


def test_values_that_differ_by_rounding_are_equal():
    source = np.full((100, 1), 0.7, dtype=np.float32)
    source[50:] += np.float32(1e-6)
    target = np.linspace(1, 2, 100, dtype=np.float32)[:, None]
    found = [mapped(source, target, each) for each in (source, source + np.float32(1e-6))]
    assert abs(found[0] - found[1]).max() < 0.05
    assert found[0].std() > 0.2


@pytest.mark.parametrize("rate", [1, 3, 10])
def test_no_more_genes_are_found_among_equal_values_than_the_level_says(rate):
    rng = np.random.default_rng(rate)
    source, target = (
        of(np.log1p(rng.poisson(rate, size=(4096, 300))).astype(np.float32), n_quantiles=32)
        for _ in range(2)
    )
    scores = rank_sum_scores(source, target, 4096, 4096).numpy()
    assert scores.std() < 1.1
    assert (abs(scores) > 1.96).mean() < 0.09


def test_the_smallest_values_are_not_lost_to_zeros():
    cells = np.repeat(np.float32([0, 0.5, 1.0, 3.0]), [30, 10, 10, 10])[:, None]
    ranks = torch.tensor([[0.2, 0.4999, 0.5, 0.75, 1.0]])
    assert of(cells).at(ranks)[0].tolist() == pytest.approx([0, 0, 0.5, 1.0, 3.0])


@given(seed=st.integers(0, 999), n=st.integers(20, 200))
@settings(max_examples=25, deadline=None)
def test_a_shift_of_ranks_is_the_map_within_and_goes_on_beyond(seed, n):
    draws = np.random.default_rng(seed)
    before, after = (
        np.maximum(draws.normal(mean, 1, (n, 3)), 0).astype(np.float32) for mean in (0.5, 1.5)
    )
    source, target = (
        Marginals.of(torch.from_numpy(x), torch.ones(n).double()) for x in (before, after)
    )
    uniform = torch.from_numpy(draws.random((n, 3), dtype=np.float32))
    values = torch.from_numpy(before)
    within = monotone_shift(source, target, values, uniform)
    torch.testing.assert_close(
        within, monotone_map(source, target, values, uniform), atol=1e-3, rtol=1e-3
    )
    torch.testing.assert_close(
        monotone_shift(source, source, values, uniform), values, atol=1e-5, rtol=1e-5
    )
    beyond = values.amax(0, keepdim=True) + torch.tensor([[1.0], [2.0]])
    moved = monotone_shift(source, target, beyond, uniform[:2])
    torch.testing.assert_close(moved[1] - moved[0], torch.ones(3), atol=1e-3, rtol=1e-3)
    assert (within >= 0).all()
