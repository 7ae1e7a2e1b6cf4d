"""Gromov couplings: the right optimum among mirror images, and a word where none leads."""

import re

import numpy as np
import pytest
from scipy.spatial.distance import cdist

import rayot.solvers.gromov as gromov
from rayot.solvers.gromov import coupling_certificate, gromov_coupling
from rayot.solvers.translation import TranslationSettings

EUCLIDEAN = TranslationSettings(distance="euclidean")
FIGURES = {
    "loss": 0.02,
    "chance_loss": 0.1,
    "start_losses": [0.02, 0.03],
    "other_loss": 0.03,
    "other_distance": 0.9,
}


def turned(cells, seed):
    """The same cells in one dimension more, in another order, and where each went."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(cells.shape[1] + 1,) * 2))[0][: cells.shape[1]]
    order = rng.permutation(len(cells))
    return (cells @ turn)[order], np.argsort(order)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n_landmarks", [60, 300])
def test_the_isometry_is_found_and_not_its_mirror_image(seed, n_landmarks, monkeypatch):
    """Of a long cloud that hardly differs from its mirror images."""
    monkeypatch.setattr(gromov, "N_LANDMARKS", n_landmarks)
    rng = np.random.default_rng(seed)
    source = rng.normal(size=(120, 2)) * [3, 1]
    target, truth = turned(source, seed)
    found = gromov_coupling(source, target, EUCLIDEAN)
    np.testing.assert_array_equal(found.plan.argmax(1), truth)
    assert found.diagnostics["certificate"] == "good"
    assert found.diagnostics["loss"] < 1e-12
    assert len(found.diagnostics["start_losses"]) == 10
    assert found.diagnostics["start_losses"] == sorted(found.diagnostics["start_losses"])


def test_few_cells_have_distances_by_default():
    """With 110 neighbours, all of 100 cells would be one step apart."""
    cells = np.random.default_rng(0).normal(size=(100, 5))
    found = gromov.distances_within(cells, TranslationSettings())
    assert len(np.unique(found)) > 3
    given = gromov.distances_within(cells, TranslationSettings(n_neighbors=110))
    assert sorted(np.unique(given)) == [0, 1]


def test_a_symmetric_space_is_to_check():
    """Two clusters of one size: which is which cannot be known."""
    rng = np.random.default_rng(0)
    half = rng.normal(size=(50, 2)) * 0.3
    half[:, 0] += 3
    source = np.concatenate([half, -half])
    found = gromov_coupling(source, turned(source, 0)[0], EUCLIDEAN).diagnostics
    assert found["certificate"] == "check"
    assert found["other_distance"] > 0.5
    assert "fused_keys" in found["reason"]
    shared = np.repeat(np.eye(2), 50, axis=0)
    fused = gromov_coupling(source, source @ [[0, 1], [1, 0]], EUCLIDEAN, (shared, shared))
    assert fused.diagnostics["certificate"] == "good"
    assert (fused.plan[:50, :50].sum(), fused.plan[:50, 50:].sum()) == pytest.approx((0.5, 0))


def test_spaces_that_have_nothing_in_common_are_poor():
    rng = np.random.default_rng(0)
    found = gromov_coupling(
        rng.normal(size=(250, 10)), rng.normal(size=(250, 19)), TranslationSettings()
    )
    assert found.diagnostics["certificate"] == "poor"


@pytest.mark.parametrize("fused", [False, True])
def test_losses_are_means_over_pairs_of_pairs(fused):
    rng = np.random.default_rng(0)
    source, target, shared = rng.normal(size=(12, 3)), rng.normal(size=(9, 2)), np.ones((12, 1))
    features = (shared, rng.normal(size=(9, 1))) if fused else None
    found = gromov_coupling(source, target, EUCLIDEAN, features)
    within = [cdist(cells, cells) for cells in (source, target)]
    within = [each / each.max() for each in within]
    squares = (within[0][:, None, :, None] - within[1][None, :, None, :]) ** 2

    def loss(plan):
        agree = np.einsum("ijkl,ij,kl->", squares, plan, plan)
        if not fused:
            return agree
        cost = cdist(*features, metric="sqeuclidean")
        return (agree + (cost / cost.max() * plan).sum()) / 2

    assert found.diagnostics["loss"] == pytest.approx(loss(found.plan))
    assert found.diagnostics["chance_loss"] == pytest.approx(loss(np.full((12, 9), 1 / 108)))


@pytest.mark.parametrize(
    ("changes", "word", "reason"),
    [
        ({}, "good", r"20% of that of chance, and couplings .* have 0\.03 or more\.$"),
        ({"other_loss": float("nan")}, "good", "all starts lead to one coupling"),
        ({"other_loss": 0.0225}, "check", r"elsewhere has 0\.0225, .* \(fused_keys\)\.$"),
        ({"loss": 0.06, "other_loss": 0.061}, "poor", "60% of that of chance: .* Try other"),
        ({"loss": 0.0, "other_loss": 0.0}, "check", "so which of them is right is not sure"),
    ],
)
def test_words_and_reasons(changes, word, reason):
    found = coupling_certificate({**FIGURES, **changes})
    assert found[0] == word
    assert re.search(reason, found[1]), found[1]


def test_where_features_are_compared_none_are_asked_for():
    assert "fused_keys" not in coupling_certificate({**FIGURES, "other_loss": 0.021}, fused=True)[1]
