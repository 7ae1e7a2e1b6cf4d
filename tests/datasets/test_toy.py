import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist

import rayot as rt

NAMES = [
    "bookshelf",
    "checkerboard",
    "circles",
    "eight_gaussians",
    "moons",
    "s_curve",
    "swiss_roll",
]
NOISY = ["bookshelf", "circles", "moons", "s_curve", "swiss_roll"]


def halves(adata):
    control = (adata.obs["perturbation"] == "control").to_numpy()
    return adata.X[control], adata.X[~control]


@settings(max_examples=30, deadline=None)
@given(name=st.sampled_from(NAMES), n=st.integers(1, 60), seed=st.integers(0, 2**32 - 1))
def test_every_set_has_two_populations_of_the_size_asked_for(name, n, seed):
    adata = getattr(rt.datasets, name)(n, seed=seed)
    source, target = halves(adata)
    assert source.shape == target.shape == (n, 2)
    assert adata.X.dtype == np.float32
    assert np.isfinite(adata.X).all()
    assert list(adata.obs["perturbation"].cat.categories) == ["control", "perturbed"]
    assert list(adata.var_names) == ["x", "y"]
    assert adata.obs_names.is_unique


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_decides_and_the_global_generator_is_left_alone(name):
    draw = getattr(rt.datasets, name)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    assert np.array_equal(draw(50, seed=3).X, draw(50, seed=3).X)
    assert not np.array_equal(draw(50, seed=3).X, draw(50, seed=4).X)
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_bookshelf_shelves_lie_where_the_paper_puts_them():
    source, target = halves(rt.datasets.bookshelf(2000))
    assert 0 <= source[:, 0].min() and source[:, 0].max() <= 1
    assert 2 <= target[:, 0].min() and target[:, 0].max() <= 3
    assert abs(source[:, 1].std() - 0.001) < 1e-4
    # In one dimension W1 is the mean gap of the sorted points.
    assert np.mean(np.sort(target[:, 0]) - np.sort(source[:, 0])) == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize("n", [1, 2, 101])
def test_circles_rings_have_their_radii(n):
    adata = rt.datasets.circles(n, noise=0.0)
    radii = np.linalg.norm(adata.X, axis=1)
    keys = zip(adata.obs["perturbation"], adata.obs["ring"], strict=True)
    expected = {
        ("control", "inner"): 0.5,
        ("perturbed", "inner"): 1,
        ("control", "outer"): 1.5,
        ("perturbed", "outer"): 2,
    }
    assert np.allclose(radii, [expected[key] for key in keys], atol=1e-6)


def test_circles_optimal_coupling_keeps_each_ring():
    adata = rt.datasets.circles(120)
    source, target = halves(adata)
    rows, columns = linear_sum_assignment(cdist(source, target))
    ring = adata.obs["ring"].to_numpy()
    assert (ring[:120][rows] == ring[120:][columns]).all()


def test_swiss_roll_is_a_spiral_of_order_one():
    source, target = halves(rt.datasets.swiss_roll(4000, noise=0.0))
    radii = np.linalg.norm(target, axis=1)
    assert radii.min() >= 1.5 * np.pi / 4 - 1e-5
    assert radii.max() <= 4.5 * np.pi / 4 + 1e-5
    # On the roll the angle is the radius times 4.
    angles = np.arctan2(target[:, 1], target[:, 0])
    assert np.allclose(np.cos(angles - 4 * radii), 1, atol=1e-4)
    assert np.allclose(np.cov(source.T), np.eye(2), atol=0.1)


def test_moons_are_two_half_circles():
    source, target = halves(rt.datasets.moons(200, noise=0.0))
    assert np.allclose(np.linalg.norm(source, axis=1), 1, atol=1e-6)
    assert np.allclose(np.linalg.norm(target - [1, 0.5], axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "n_source", "n_target"), [("eight_gaussians", 1, 8), ("checkerboard", 5, 4)]
)
def test_gaussians_share_the_points_evenly(name, n_source, n_target):
    for points, n_blobs in zip(
        halves(getattr(rt.datasets, name)(400)), (n_source, n_target), strict=True
    ):
        # Centres are at least 3 apart and a blob's spread is 0.32, so no chain of steps shorter
        # than 1 leads from blob to blob.
        _, sizes = np.unique(_blob_of(points), return_counts=True)
        assert len(sizes) == n_blobs
        assert sizes.max() - sizes.min() <= 1


def _blob_of(points):
    return connected_components(cdist(points, points) < 1)[1]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_samples", [0, -1, 2.5, "many", True])
def test_a_wrong_number_of_samples_is_named(name, n_samples):
    with pytest.raises(ValueError, match="n_samples must be a whole number of at least 1, "):
        getattr(rt.datasets, name)(n_samples)


@pytest.mark.parametrize("name", NOISY)
@pytest.mark.parametrize("noise", [-0.1, float("nan"), float("inf"), "loud"])
def test_wrong_noise_is_named(name, noise):
    with pytest.raises(ValueError, match=r"noise must be (finite and )?at least 0, "):
        getattr(rt.datasets, name)(10, noise=noise)


@pytest.mark.parametrize("name", NAMES)
def test_a_negative_seed_is_named(name):
    with pytest.raises(ValueError, match=r"seed must be .* found -1"):
        getattr(rt.datasets, name)(10, seed=-1)
