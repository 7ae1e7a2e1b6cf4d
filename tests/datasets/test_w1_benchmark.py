"""The Wasserstein-1 benchmark: published parameters, optimal plans, true potentials."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import rayot as rt
from rayot.datasets._min_funnels import HALF_SIDE, MinFunnels
from rayot.datasets._twister import Twister
from rayot.datasets._w1_benchmark import DIMENSIONS, FUNNELS

PAIRS = [(dim, funnels) for dim in DIMENSIONS for funnels in FUNNELS]


@pytest.fixture(scope="module")
def published():
    """The folder of published pairs and figures, or a skip where there is none."""
    folder = Path(__file__).resolve().parents[3] / "shared" / "reference"
    if not (folder / "w1_benchmark_pairs.npz").exists():
        pytest.skip("the published pairs of the benchmark are not on this machine")
    return folder


@pytest.mark.parametrize("seed", [0, 987, 2**32 - 1])
@pytest.mark.parametrize("n", [2, 8, 14, 16, 48, 4096])
def test_the_stream_is_that_of_torch(seed, n):
    stream, theirs = Twister(seed), torch.Generator().manual_seed(seed)
    for _ in range(2):
        normal = torch.randn(n, generator=theirs).numpy()
        assert np.allclose(stream.normal(n), normal, rtol=1e-5, atol=1e-6)
        assert np.array_equal(stream.uniform(n), torch.rand(n, generator=theirs).numpy())


def test_centres_and_biases_are_the_published_ones(published):
    with np.load(published / "w1_benchmark_pairs.npz") as files:
        for dim, funnels in PAIRS:
            pair, name = MinFunnels.drawn(dim, funnels), f"dim{dim}_funnels{funnels}"
            assert np.array_equal(pair.centres, files[f"{name}_centers"])
            assert np.allclose(pair.biases, files[f"{name}_bias"], atol=1e-6)


def test_published_distances_are_met(published):
    import pandas as pd

    table = pd.read_csv(published / "w1_benchmark_published.csv")
    truth = table[table["method"] == "true"].set_index(["dim", "funnels"])["w1"]
    scores = []
    for dim, funnels in PAIRS:
        pair = MinFunnels.drawn(dim, funnels)
        target = pair.target(4096, np.random.default_rng(0))
        lengths = np.linalg.norm(target - pair.source_of(target), axis=1)
        # They, too, drew 4,096 points.
        error = lengths.std() * (2 / 4096) ** 0.5
        scores.append((lengths.mean() - truth[dim, funnels]) / error)
    assert np.abs(scores).max() <= 4
    assert abs(np.mean(scores)) <= 4 / len(PAIRS) ** 0.5


@settings(max_examples=30, deadline=None)
@given(pair=st.sampled_from(PAIRS[:-4]), seed=st.integers(0, 100))
def test_the_plan_moves_mass_along_rays_of_a_lipschitz_potential(pair, seed):
    rng = np.random.default_rng(seed)
    funnels = MinFunnels.drawn(*pair)
    target = funnels.target(200, rng)
    source = funnels.source_of(target)
    length = np.linalg.norm(target - source, axis=1)
    assert np.abs(source).max() <= HALF_SIDE * (1 + 1e-5)
    # All mass moves as steeply as f allows, which proves the plan optimal.
    drop = funnels.potential(source) - funnels.potential(target)
    assert np.allclose(drop, length, atol=1e-3)
    others = funnels.target(200, rng)
    steepest = np.abs(funnels.potential(target) - funnels.potential(others))
    assert (steepest <= np.linalg.norm(target - others, axis=1) + 1e-3).all()


def test_one_funnel_ends_at_the_wall():
    pair = MinFunnels(np.zeros((1, 2), np.float32), np.zeros(1, np.float32))
    target = np.array([[1.25, 0.0], [0.0, -2.5], [0.0, 0.0]], np.float32)
    assert np.allclose(pair.source_of(target), [[2.5 / 2**8, 0.0], [0.0, -2.5], [0.0, 0.0]])


def test_two_funnels_end_where_they_meet():
    centres = np.array([[-1.0, 0.0], [1.0, 0.0]], np.float32)
    pair = MinFunnels(centres, np.array([0.0, 0.5], np.float32))
    # The right funnel takes over where x + 1 = 1 − x + 0.5.
    source = pair.source_of(np.array([[-0.375, 0.0]], np.float32))
    assert np.allclose(source, [[-1 + 1.25 / 2**8, 0.0]])


@pytest.mark.parametrize("dim", [2, 32])
def test_the_data_carry_their_truth(dim):
    adata = rt.datasets.w1_benchmark(dim, 16, n_samples=500, seed=1)
    assert adata.shape == (1000, dim) and adata.X.dtype == np.float32
    assert adata.var_names.is_unique and adata.obs_names.is_unique
    control = (adata.obs["perturbation"] == "control").to_numpy()
    assert control[:500].all() and not control[500:].any()
    direction, potential = adata.obsm["true_direction"], adata.obs["true_potential"]
    assert np.allclose(np.linalg.norm(direction, axis=1), 1, atol=1e-5)
    pair = MinFunnels.drawn(dim, 16)
    points, step = adata.X.astype(np.float64), 1e-4
    change = pair.potential(points + step * direction) - pair.potential(points)
    assert np.median(np.abs(change + step)) <= 1e-6
    assert potential[control].mean() > potential[~control].mean()


def test_the_seed_draws_points_and_not_centres():
    draw = rt.datasets.w1_benchmark
    assert np.array_equal(draw(4, 4, seed=3).X, draw(4, 4, seed=3).X)
    assert not np.array_equal(draw(4, 4, seed=3).X, draw(4, 4, seed=4).X)


@pytest.mark.parametrize(
    "arguments", [{"dim": 3}, {"funnels": 5}, {"dim": 2.0}, {"n_samples": 0}, {"seed": -1}]
)
def test_what_there_is_not_is_an_error(arguments):
    (name,) = arguments
    with pytest.raises(ValueError, match=name):
        rt.datasets.w1_benchmark(**{"dim": 2, "funnels": 4, **arguments})
