"""Losses against independent implementations, randomness by counter, populations, rays."""

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.spatial.distance import cdist

from rayot.solvers import (
    Fold,
    Population,
    SparseCells,
    W1Map,
    W1Settings,
    critic_loss,
    dual_value,
    energy_distance,
    energy_loss,
    generator,
    generator_loss,
)
from rayot.solvers.diagnostics import diagnostics


def test_energy_distance_is_that_of_scipy():
    first, second = torch.randn(2, 30, 5), torch.randn(2, 40, 5) + 1
    for p in range(2):
        x, y = first[p].numpy(), second[p].numpy()
        expected = (
            2 * cdist(x, y).mean() - cdist(x, x).sum() / (30 * 29) - cdist(y, y).sum() / (40 * 39)
        )
        assert np.isclose(float(energy_distance(first, second)[p]), expected, rtol=1e-4)


def test_energy_loss_has_the_gradient_of_the_energy_distance():
    moved = torch.randn(1, 30, 4, requires_grad=True)
    target = torch.randn(1, 30, 4)
    gradients = [
        torch.autograd.grad(function(moved, target).sum(), moved)[0]
        for function in (energy_distance, energy_loss)
    ]
    assert torch.allclose(*gradients)


@settings(max_examples=30, deadline=None)
@given(st.floats(-200, 200), st.floats(-200, 200))
def test_losses_by_logits_equal_the_papers_logarithms_and_never_overflow(first, second):
    logits = torch.tensor([[first]]), torch.tensor([[second]])
    values = [generator_loss(logits[0]), critic_loss(*logits)]
    assert all(bool(torch.isfinite(value).all()) for value in values)
    if max(abs(first), abs(second)) < 8:
        probability = [1 / (1 + np.exp(-float(each))) for each in logits]
        assert np.isclose(float(values[0]), -np.log(probability[0]), atol=1e-4)
        expected = -np.log(probability[0]) - np.log(1 - probability[1])
        assert np.isclose(float(values[1]), expected, atol=1e-4)


def test_dual_of_any_potential_is_below_the_exact_distance():
    x, y = torch.randn(1, 60, 4), torch.randn(1, 60, 4) + 2
    weights = np.full(60, 1 / 60)
    exact = ot.emd2(weights, weights, cdist(x[0], y[0]))
    for seed in range(5):
        transport = W1Map(4, ["a"], W1Settings(), seed)
        assert float(dual_value(transport.potential(x), transport.potential(y))) <= exact + 1e-4


def test_draws_depend_on_their_key_alone():
    torch.manual_seed(1)
    first = torch.rand(5, generator=generator(0, "a", "potential", 3))
    torch.manual_seed(2)
    torch.rand(100)
    assert torch.equal(first, torch.rand(5, generator=generator(0, "a", "potential", 3)))
    others = [(1, "a", "potential", 3), (0, "b", "potential", 3), (0, "a", "step", 3), (0, "a", 3)]
    for key in others:
        assert not torch.equal(first, torch.rand(5, generator=generator(*key)))


def test_draws_are_uniform_within_each_group_of_unequal_size():
    cells = torch.arange(60.0)[:, None]
    groups = [torch.arange(10), torch.arange(10, 60)]
    population = Population.from_groups(cells, groups)
    drawn = population.take(population.draw([generator(0, "a"), generator(0, "b")], 20_000))
    assert drawn.shape == (2, 20_000, 1)
    for values, group in zip(drawn, groups, strict=True):
        counts = torch.bincount(values[:, 0].long(), minlength=60)[group]
        assert int(counts.sum()) == 20_000
        assert float(counts.max() / counts.min()) < 1.5


def test_split_parts_are_disjoint_shuffled_and_cover_all():
    population = Population.from_groups(torch.zeros(100, 1), [torch.arange(40), torch.arange(100)])
    rest, apart = population.split([generator(0, "a"), generator(0, "b")], 0.1)
    assert apart.sizes.tolist() == [4, 10]
    assert rest.sizes.tolist() == [36, 90]
    found = torch.cat([rest.rows[:36], apart.rows[:4]])
    assert sorted(found.tolist()) == list(range(40))
    assert apart.rows[:4].tolist() != [36, 37, 38, 39]


def test_padded_positions_never_leave_the_group():
    population = Population.from_groups(torch.zeros(9, 1), [torch.arange(2), torch.arange(2, 9)])
    positions = population.positions()
    assert positions.shape == (2, 7)
    assert positions[0].max() == 1
    first, sizes = population.first_of_groups(3)
    assert first.shape == (2, 3)
    assert sizes.tolist() == [2, 3]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 99), density=st.floats(0, 1))
def test_sparse_cells_are_the_dense_ones(seed, density):
    rng = np.random.default_rng(seed)
    matrix = sparse.random(12, 7, density, format="csr", random_state=rng, dtype=np.float32)
    rows = torch.from_numpy(rng.integers(0, 12, (2, 5)))
    expected = torch.from_numpy(matrix.toarray())[rows]
    assert torch.equal(SparseCells.from_scipy(matrix)[rows], expected)


@pytest.mark.parametrize("preset", sorted(W1Settings.presets))
def test_a_cell_moves_by_its_step_along_the_gradient(preset):
    settings_ = W1Settings.from_preset(preset, n_rays=1)
    transport = W1Map(5, ["a"], settings_, seed=0)
    cells = torch.randn(1, 8, 5)
    ray = transport.ray(0)
    direction, _, _ = ray.direction(cells)
    expected = cells + ray.step(cells)[..., None] * direction
    assert torch.allclose(transport(cells), expected, atol=1e-5)
    assert torch.allclose(direction.norm(dim=-1), torch.ones(1, 8), atol=1e-5)


def test_the_map_commutes_with_its_units():
    settings_ = W1Settings.from_preset("fast")
    plain = W1Map(5, ["a"], settings_, seed=0)
    scaled = W1Map(5, ["a"], settings_, seed=0)
    scaled.centre += 3.0
    scaled.scale *= 2.0
    cells = torch.randn(1, 8, 5)
    assert torch.allclose(scaled(2 * cells + 3), 2 * plain(cells) + 3, atol=1e-5)
    assert torch.allclose(scaled.potential(2 * cells + 3), 2 * plain.potential(cells), atol=1e-5)


def test_diagnostics_of_a_translation():
    """With f linear along the shift, the dual is the shift and no gradient exceeds one."""
    transport = W1Map(3, ["a"], W1Settings(), seed=0)
    x = torch.randn(400, 3)
    source = Population.from_groups(x, [torch.arange(400)])
    target = Population.from_groups(torch.randn(400, 3), [torch.arange(400)])
    (report,) = diagnostics([Fold.stack(transport, source, target)], torch.ones(1))
    assert report["largest_gradient_norm"] <= 1 + 1e-4
    assert report["gap"] == pytest.approx(report["mean_step"] - report["held_out_dual"])
    assert report["n_cells"] == 400
    assert abs(report["floor_energy_distance"]) < 0.1


def test_types_are_judged_where_both_sides_have_them():
    """Two islands that keep their place and exchange their types, and types of one side alone."""
    transport = W1Map(2, ["a"], W1Settings(), seed=0)
    transport.strength.zero_()
    place = torch.arange(80) % 2
    islands = torch.randn(2, 80, 2) + 20.0 * place[:, None]
    source, target = (Population.from_groups(side, [torch.arange(80)]) for side in islands)
    folds = [Fold.stack(transport, source, target)]
    changed = {}
    for name, other in {"kept": place, "exchanged": 1 - place, "apart": place + 2}.items():
        (report,) = diagnostics(folds, torch.ones(1), (place, other))
        changed[name] = report["changed_type"], report["floor_changed_type"]
    assert changed["kept"] == (0, 0)
    assert changed["exchanged"] == (1, 0)
    assert np.isnan(changed["apart"]).all()
    (report,) = diagnostics(folds, torch.ones(1), (torch.full_like(place, -1), place))
    assert np.isnan(report["changed_type"])


def test_exact_distances_take_a_small_stratum_with_the_large_one():
    """Of the strata 4 and 100 cells are held out; both have half of the mass."""
    sizes, draws = [4, 100], torch.Generator().manual_seed(0)
    noise = torch.randn(2 * sum(sizes), 2, generator=draws) / 100
    shift = torch.tensor([[0.0, 0.0]] * 104 + [[10.0, 0.0]] * 4 + [[2.0, 0.0]] * 100)
    stratum = torch.tensor([[0.0, 0.0]] * 4 + [[0.0, 50.0]] * 100).repeat(2, 1)
    cells = noise + shift + stratum
    source, target = (
        Population.from_groups(cells, list(rows.split(sizes)), n_strata=2)
        for rows in torch.arange(208).view(2, 104)
    )
    transport = W1Map(2, ["a"], W1Settings(), seed=0)
    transport.strength.zero_()
    (report,) = diagnostics([Fold.stack(transport, source, target)], torch.ones(1))
    assert report["n_cells_wasserstein"] == 2 + 50
    assert report["initial_wasserstein"] == pytest.approx((10 + 2) / 2, abs=0.05)
    assert report["residual_wasserstein"] == pytest.approx(report["initial_wasserstein"], abs=1e-4)
    assert report["floor_wasserstein"] < 0.05


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"potentials": "x"}, r"unknown settings \['potentials'\]"),
        ({"potential": "relu"}, r"potential must be one of .*found 'relu'"),
        ({"n_rays": 0}, r"n_rays must be a whole number of at least 1, found 0"),
        ({"batch_size": 1}, r"batch_size must be a whole number of at least 2"),
        ({"step_lr": -1.0}, r"step_lr must be greater than 0"),
        ({"step_lr": "fast"}, r"step_lr must be greater than 0, found 'fast'"),
        ({"width": 30}, r"width must be a multiple of 4"),
        ({"potential_steps": 2.5}, r"potential_steps must be a whole number"),
        ({"step": "wasserstein", "step_width": 33}, r"step_width must be even .*found 33"),
    ],
)
def test_bad_settings(changes, message):
    with pytest.raises(ValueError, match=message):
        W1Settings.from_preset("paper", **changes)


def test_unknown_preset():
    with pytest.raises(
        ValueError, match=r"preset must be one of \['adversarial', 'fast', 'paper'\], found 'best'"
    ):
        W1Settings.from_preset("best")


def test_the_paper_preset_is_the_paper():
    paper = W1Settings.from_preset("paper")
    assert (paper.width, paper.n_layers, paper.n_groups, paper.orthogonal) == (64, 4, 4, "cayley")
    assert (paper.potential_lr, paper.potential_lr_end) == (1e-2, 1e-4)
    assert (paper.potential_betas, paper.potential_steps) == ((0.5, 0.5), 10_000)
    assert (paper.step, paper.step_lr, paper.step_steps) == ("adversarial", 1e-4, 10_000)
    assert (paper.batch_size, paper.n_rays, paper.decode) == (256, 1, "direct")


def test_a_method_that_would_not_be_trained_is_refused():
    with pytest.raises(TypeError, match=r"Old.objectives is named phases now"):
        type("Old", (W1Map,), {"objectives": lambda self: []})
