"""Maps against what theory says they are."""

import logging

import numpy as np
import ot
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rayot.nn import ConvexNetwork
from rayot.solvers import (
    Batch,
    CinemaMap,
    DiscreteMap,
    FixedStepMap,
    FlowMap,
    GaussianMap,
    GenotMap,
    IdentityMap,
    Population,
    ShiftMap,
    W1Map,
    W2Map,
    generator,
)
from rayot.solvers.cinema import chatterjee
from rayot.solvers.coupling import (
    COSTS,
    LARGEST_EXPONENT,
    SINKHORN_TOLERANCE,
    WHOLE_ITERATIONS,
    draw_pairs,
    entropic_plan,
    exact_plan,
    squared_euclidean,
)
from rayot.train import TrainingOptions, train_transport

ALL = [
    CinemaMap,
    DiscreteMap,
    FixedStepMap,
    FlowMap,
    GaussianMap,
    GenotMap,
    IdentityMap,
    ShiftMap,
    W1Map,
    W2Map,
]


def fit(kind, source, target, seed=0, **changes):
    chosen = kind.settings_type.from_preset("fast", **changes)
    stack = kind(source.shape[1], ["a"], chosen, seed)
    cells, rows = torch.cat([source, target]), torch.arange(len(source) + len(target))
    sides = [
        Population.from_groups(cells, [part]) for part in (rows[: len(source)], rows[len(source) :])
    ]
    train_transport(stack, *sides, TrainingOptions(n_folds=1, progress=False))
    return stack.eval()


def fewer_steps(kind):
    """Enough for cells that move alike or not at all."""
    return {"n_steps": 300} if "n_steps" in kind.settings_type.phase_steps else {}


def moved(stack, cells):
    with torch.no_grad():
        return stack(cells[None])[0]


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind is not IdentityMap])
def test_a_translation_is_found(kind):
    """By every method: W1 and W2 maps of a translation are the translation."""
    draw = torch.Generator().manual_seed(0)
    source = torch.randn(800, 3, generator=draw)
    shift = torch.tensor([3.0, -2.0, 1.0])
    target = torch.randn(800, 3, generator=draw) + shift
    moves = moved(fit(kind, source, target, **fewer_steps(kind)), source) - source
    assert torch.allclose(moves.mean(0), shift, atol=0.25)


@pytest.mark.parametrize("kind", ALL)
def test_equal_distributions_stay(kind):
    draw = torch.Generator().manual_seed(1)
    source, target = torch.randn(2, 600, 4, generator=draw)
    moves = moved(fit(kind, source, target, **fewer_steps(kind)), source) - source
    assert float(moves.mean(0).norm()) < 0.2


def gaussians(d, n=4000):
    """Samples of two Gaussians, and the Wasserstein-2 map between them by POT."""
    rng = np.random.default_rng(d)
    roots = [rng.normal(size=(d, d)) / d**0.5 for _ in range(2)]
    covariances = [root @ root.T + 0.3 * np.eye(d) for root in roots]
    means = np.zeros(d), np.ones(d)
    cells = [
        rng.multivariate_normal(mean, covariance, n).astype(np.float32)
        for mean, covariance in zip(means, covariances, strict=True)
    ]
    matrix, offset = ot.gaussian.bures_wasserstein_mapping(*means, *covariances)
    return *map(torch.from_numpy, cells), torch.tensor(matrix).float(), torch.tensor(offset).float()


def error(found, truth):
    """Share of the variance of where cells should go that a map leaves unexplained.

    The L2-UVP of Korotin et al. (2021), Do neural optimal transport solvers work?
    """
    return float((found - truth).square().sum() / (truth - truth.mean(0)).square().sum())


@pytest.mark.parametrize("d", [2, 20])
def test_the_gaussian_map_is_the_closed_form(d):
    source, target, matrix, offset = gaussians(d)
    assert error(moved(fit(GaussianMap, source, target), source), source @ matrix + offset) < 0.02


@pytest.mark.parametrize("d", [2, 20])
def test_convex_potentials_find_the_map_between_gaussians(d):
    source, target, matrix, offset = gaussians(d)
    stack = fit(W2Map, source, target, n_steps=300)
    assert error(moved(stack, source), source @ matrix + offset) < 0.05
    back = stack.back(moved(stack, source)[None])[0].detach()
    assert error(back, source) < 0.1


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 1))
def test_convex_networks_are_convex(seed, share):
    draw = generator(seed, "convex")
    network = ConvexNetwork(4, [draw], width=8, n_layers=3)
    x, y = torch.randn(2, 1, 50, 4, generator=draw) * 5
    between = network(torch.lerp(x, y, share))
    assert bool((between <= torch.lerp(network(x), network(y), share) + 1e-3).all())


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_conjugates_meet_their_bound_at_the_gradient(seed):
    """Fenchel and Young: f*(x) ≥ ⟨x, y⟩ − f(y) for every y, with equality where x = ∇f(y)."""
    draw = generator(seed, "convex")
    network = ConvexNetwork(4, [draw, draw])
    y, other, start = torch.randn(3, 2, 20, 4, generator=draw) * 3
    with torch.no_grad():
        x, values = network.gradient(y), network(y)
        found = network.conjugate(x, start)
        expected = (x * y).sum(-1) - values
        assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
        bound = (x * other).sum(-1) - network(other)
        assert bool((found >= bound - 1e-4 * (1 + bound.abs())).all())


@pytest.mark.parametrize("n_steps", [1, 150])
def test_the_held_out_dual_of_w2ot_is_a_bound(n_steps):
    """Of the distance between the very cells that it is taken on, however bad the map is."""
    source, target = (cells[:400] for cells in gaussians(3)[:2])
    stack = fit(W2Map, source, target, n_steps=n_steps)
    (phase,) = stack.phases()
    first, second = (stack.standardise(each[None]) for each in (source, target))
    held_out = Batch((first,), second, 1)
    found = phase.validate(held_out, lambda function, *values: function(*values))
    exact = float(ot.emd2([], [], ot.dist(first[0].numpy(), second[0].numpy()))) ** 0.5
    assert float(found) <= exact * 1.001
    if n_steps > 1:
        assert float(found) > 0.8 * exact


def test_the_gradient_of_a_convex_network_is_that_of_autograd():
    network = ConvexNetwork(3, [torch.Generator().manual_seed(0)], width=8)
    x = torch.randn(1, 1, 3, generator=torch.Generator().manual_seed(1))
    steps = 1e-2 * torch.eye(3)
    slopes = [(network(x + h) - network(x - h)) / 2e-2 for h in steps]
    assert torch.allclose(network.gradient(x)[0, 0], torch.stack(slopes).flatten(), atol=1e-3)


def test_exact_plans_cost_what_pot_says():
    x, y = torch.randn(2, 2, 40, 3, generator=torch.Generator().manual_seed(0))
    cost = squared_euclidean(x, y)
    plan = exact_plan(cost)
    for p in range(2):
        expected = ot.emd2([], [], cost[p].double().numpy())
        assert np.isclose(float((plan[p] * cost[p]).sum()), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("epsilon", "far"), [(1e-4, 1000), (0.005, 0), (0.05, 0), (0.05, 30), (0.1, 0)]
)
def test_entropic_plans_have_their_marginals(epsilon, far):
    """A small ε or a cell far away makes the kernel underflow: iterations are in logarithms."""
    x, y = torch.randn(2, 1, 60, 3, generator=torch.Generator().manual_seed(0))
    x[0, 0, 0] += far
    cost = squared_euclidean(x, y)
    underflows = float(cost.max() / cost.mean()) / epsilon > LARGEST_EXPONENT
    assert underflows == (far > 0 or epsilon < 0.05)
    plan = entropic_plan(cost, epsilon, n_iterations=WHOLE_ITERATIONS)[0]
    assert torch.allclose(plan.sum(1) * 60, torch.ones(60, dtype=plan.dtype), atol=0.01)
    assert torch.allclose(plan.sum(0) * 60, torch.ones(60, dtype=plan.dtype), atol=0.01)


@pytest.mark.parametrize(("epsilon", "far"), [(0.1, 0), (0.01, 0), (0.05, 30)])
def test_entropic_plans_are_those_of_pot(epsilon, far):
    x, y = torch.randn(2, 1, 50, 3, generator=torch.Generator().manual_seed(0))
    x[0, 0, 0] += far
    cost = squared_euclidean(x, y).double()
    masses = torch.rand(2, 1, 50, generator=torch.Generator().manual_seed(1)).double()
    masses[0, 0, 7] = 0
    masses /= masses.sum(2, keepdim=True)
    found = entropic_plan(cost, epsilon, masses=(masses[0], masses[1]), n_iterations=5000)[0]
    given = (each[0].clamp_min(1e-30).numpy() for each in masses)
    options = {"method": "sinkhorn_log", "numItermax": 20_000, "stopThr": 1e-7}
    expected = ot.sinkhorn(*given, (cost / cost.mean())[0].numpy(), epsilon, **options)
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-4)
    assert float(found[7].sum()) < 1e-20


@pytest.mark.parametrize("epsilon", [0.005, 0.05])
def test_many_cells_take_no_more_iterations_than_few(epsilon):
    """With more than 1000 cells, POT's stabilised kernel starts anew at each iteration."""
    draw = torch.Generator().manual_seed(0)
    cost = squared_euclidean(
        torch.randn(1, 1100, 4, generator=draw), torch.randn(1, 1200, 4, generator=draw)
    )
    plan = entropic_plan(cost, epsilon, n_iterations=200)[0]
    assert float((plan.sum(1) - 1 / 1100).norm()) < SINKHORN_TOLERANCE
    assert float((plan.sum(0) - 1 / 1200).norm()) < SINKHORN_TOLERANCE


@pytest.mark.parametrize("tau", [0.5, 0.9])
def test_unbalanced_plans_are_those_of_pot(tau):
    """With one penalty for both sides, which is what POT has."""
    x, y = torch.randn(2, 1, 40, 3, generator=torch.Generator().manual_seed(0))
    cost = squared_euclidean(x, y + 1)
    epsilon = 0.1
    plan = entropic_plan(cost, epsilon, tau, tau, n_iterations=WHOLE_ITERATIONS)[0]
    uniform = np.full(40, 1 / 40)
    expected = ot.unbalanced.sinkhorn_unbalanced(
        uniform,
        uniform,
        (cost / cost.mean())[0].double().numpy(),
        epsilon,
        tau * epsilon / (1 - tau),
        reg_type="kl",
        numItermax=5000,
        stopThr=1e-9,
    )
    np.testing.assert_allclose(plan.numpy(), expected, rtol=0.01, atol=1e-8)


def test_pairs_are_drawn_by_their_mass():
    plan = torch.tensor([[[0.0, 0.5], [0.25, 0.25]]])
    draws = [torch.Generator().manual_seed(0)]
    first, second = draw_pairs(plan, draws, 4000)
    counts = torch.bincount(first[0] * 2 + second[0], minlength=4) / first.shape[1]
    assert torch.allclose(counts, torch.tensor([0.0, 0.5, 0.25, 0.25]), atol=0.02)


@pytest.mark.parametrize("cost", sorted(COSTS))
def test_costs(cost):
    x, y = torch.randn(2, 1, 5, 3, generator=torch.Generator().manual_seed(0))
    name = {"squared_euclidean": "sqeuclidean"}.get(cost, cost)
    expected = ot.dist(x[0].numpy(), y[0].numpy(), metric=name)
    np.testing.assert_allclose(COSTS[cost](x, y)[0].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("d", [1, 2])
def test_genot_has_the_conditional_moments_of_the_entropic_plan(d):
    """Beside Sinkhorn's plan of the same cells."""
    draw = torch.Generator().manual_seed(0)
    source, target = torch.randn(400, d, generator=draw), torch.randn(400, d, generator=draw) + 2
    epsilon = 0.3
    options = {"n_steps": 500, "steps_per_coupling": 5, "shrink": False}
    stack = fit(GenotMap, source, target, epsilon=epsilon, **options)
    with torch.no_grad():
        samples = stack.samples(source[None, :200], 64)[:, 0]
    plan = entropic_plan(squared_euclidean(source[None], target[None]), epsilon)[0, :200]
    shares = (plan / plan.sum(1, keepdim=True)).float()
    mean = shares @ target
    spread = (shares @ target.square() - mean.square()).sqrt()
    assert float((samples.mean(0) - mean).abs().mean()) < 0.2
    assert float((samples.std(0) - spread).abs().mean()) < 0.15


def test_unbalanced_weights_find_outliers():
    """A tenth of the source far away from every target loses its mass."""
    draw = torch.Generator().manual_seed(0)
    inside, outside = torch.randn(450, 2, generator=draw), torch.randn(50, 2, generator=draw) + 12
    target = torch.randn(500, 2, generator=draw) + torch.tensor([2.0, 0.0])
    stack = fit(
        GenotMap, torch.cat([inside, outside]), target, tau_source=0.9, epsilon=0.05, n_steps=300
    )
    with torch.no_grad():
        mass = [float(stack.mass(cells[None], "source").mean()) for cells in (inside, outside)]
    assert mass[1] < 0.5 * mass[0]


def test_a_fixed_step_is_as_long_for_all_cells():
    draw = torch.Generator().manual_seed(0)
    source, target = torch.randn(400, 3, generator=draw), torch.randn(400, 3, generator=draw) + 3
    steps = (moved(fit(FixedStepMap, source, target), source) - source).norm(dim=1)
    assert float(steps.std() / steps.mean()) < 1e-3


def test_chatterjees_coefficient_is_that_of_scipy():
    rng = np.random.default_rng(0)
    x = rng.normal(size=300)
    for y in (x**2, rng.normal(size=300), (x > 0.3).astype(int)):
        expected = scipy.stats.chatterjeexi(x, y).statistic
        assert np.isclose(chatterjee(x, y), expected, atol=1e-8)


def test_cinema_matches_by_the_confounder_and_not_by_the_effect():
    """Two cell types that the treatment sends past each other: only the confounder tells them."""
    draw = torch.Generator().manual_seed(0)
    noise = torch.randn(2, 600, 3, generator=draw)
    kind = torch.arange(600) % 2
    place = torch.stack([8.0 * kind, torch.zeros(600), torch.zeros(600)], dim=1)
    effect = torch.tensor([0.0, 9.0, 0.0])
    source, target = noise[0] + place, noise[1] + place + effect
    moves = moved(fit(CinemaMap, source, target), source) - source
    for each in (0, 1):
        assert torch.allclose(moves[kind == each].mean(0), effect, atol=0.6)


def test_the_published_smoothness_is_an_epsilon_for_costs_of_mean_one():
    """The kernel is exp(−d² / (s k)) for k components of variance 1 / n: ε is s k / E d²."""
    n, k, smoothness = 4000, 10, 1e-4
    cells = torch.randn(n, k, generator=torch.Generator().manual_seed(0)).double() / n**0.5
    mean = float(squared_euclidean(cells[None, ::2], cells[None, 1::2]).mean())
    stack = CinemaMap(3, ["a"], CinemaMap.settings_type.from_preset("paper"), 0)
    assert stack.epsilon(n) == pytest.approx(smoothness * k / mean, rel=0.02)
    assert CinemaMap(3, ["a"], CinemaMap.settings_type(), 0).epsilon(n) == 0.01


def test_components_that_do_not_settle_are_named(monkeypatch, caplog):
    source, target = torch.rand(2, 100, 5, generator=torch.Generator().manual_seed(0))
    with caplog.at_level(logging.WARNING, logger="rayot"):
        fit(CinemaMap, source, target)
        assert not caplog.records
        monkeypatch.setattr("rayot.solvers.cinema.ICA_ITERATIONS", 1)
        fit(CinemaMap, source, target)
    assert "components of 'a' did not settle in 1 iterations" in caplog.text


def strata_of(cells, n_strata=2, weights=None):
    """A population whose cells lie in strata that mean nothing."""
    rows = list(torch.arange(len(cells)).chunk(n_strata))
    given = None if weights is None else [weights[each] for each in rows]
    return Population.from_groups(cells, rows, n_strata=n_strata, weights=given)


def test_strata_and_weights_do_not_repeat_cells():
    """Few cells in strata, or with equal weights, have the moments and confounders of all."""
    draw = torch.Generator().manual_seed(3)
    source, target = torch.randn(2, 60, 12, generator=draw)
    target = target + 1
    chosen = GaussianMap.settings_type.from_preset("fast")
    maps = []
    for n_strata, weights in ((1, None), (2, None), (1, torch.ones(60))):
        stack = GaussianMap(12, ["a"], chosen, 0)
        stack.fit(*(strata_of(each, n_strata, weights) for each in (source, target)))
        maps.append(stack.matrix[0])
    assert torch.allclose(maps[0], maps[2], atol=1e-4)
    assert float((maps[0] - maps[1]).norm() / maps[0].norm()) < 0.05
    stacks = []
    for n_strata in (1, 2):
        stack = CinemaMap(12, ["a"], CinemaMap.settings_type.from_preset("fast"), 0)
        stack.fit(*(strata_of(each, n_strata) for each in (source, target)))
        stacks.append(int((stack.unmixing[0].abs().sum(0) > 0).sum()))
        assert stack.anchors.shape[1] == 60
    assert stacks[1] >= stacks[0] - 2


def test_one_far_cell_does_not_empty_an_unbalanced_plan():
    draw = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 1, 128, 10, generator=draw)
    x[0, 0, 0] = 30
    plan = entropic_plan(squared_euclidean(x, y), 0.05, 0.9, 1.0)[0]
    assert torch.allclose(plan.sum(0) * 128, torch.ones(128, dtype=plan.dtype), atol=0.05)
    assert float(plan[0].sum()) < 0.5 / 128


def test_samples_of_genot_are_independent():
    stack = GenotMap(10, ["a"], GenotMap.settings_type(), 0)
    cells = torch.randn(1, 400, 10, generator=torch.Generator().manual_seed(0))
    noise = torch.stack([stack.noise(cells, number)[0] for number in range(40)])
    assert abs(float(noise.mean())) < 0.02
    assert abs(float(noise.std()) - 1) < 0.02
    of_one_feature = np.corrcoef(noise[:, :, 0].numpy())
    assert np.abs(of_one_feature[np.triu_indices(40, 1)]).max() < 0.3
    of_one_cell = np.corrcoef(noise[:, 0].numpy().T)
    assert np.abs(of_one_cell[np.triu_indices(10, 1)]).mean() < 0.2
