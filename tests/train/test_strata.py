"""Draws within strata and by weight; what goes unmatched; the basis that rays work in."""

import lightning.pytorch as pl
import pytest
import torch

from rayot.solvers import Population, W1Map, W1Settings, generator
from rayot.solvers.phase import by_stratum
from rayot.solvers.w1 import matched_only, set_limits
from rayot.train import TrainingOptions, train_transport
from rayot.train.standardise import RADIUS, standardise

SIZES = (20, 200, 70)


def strata(sizes=SIZES, n_problems=1, weights=None):
    """Cells that are the number of their row; every problem has the same strata."""
    cells = torch.arange(float(sum(sizes)))[:, None]
    groups = list(torch.arange(sum(sizes)).split(list(sizes)))
    shares = None if weights is None else list(weights.split(list(sizes))) * n_problems
    return Population.from_groups(cells, groups * n_problems, n_strata=len(sizes), weights=shares)


def keys(n):
    return [generator(0, name) for name in range(n)]


@pytest.mark.parametrize("n_problems", [1, 2])
def test_each_stratum_is_drawn_equally_and_from_itself(n_problems):
    population = strata(n_problems=n_problems)
    drawn = population.take(population.draw(keys(n_problems), 4000))[..., 0]
    assert drawn.shape == (n_problems, len(SIZES) * 4000)
    low = 0
    for size, values in zip(SIZES, drawn.split(4000, dim=1), strict=True):
        assert bool(((values >= low) & (values < low + size)).all())
        counts = torch.bincount((values - low).long().flatten(), minlength=size)
        assert float(counts.min()) > 0
        low += size


def test_a_batch_has_an_equal_share_of_each_stratum():
    settings = W1Settings.from_preset("fast", batch_size=32, potential_steps=1, step_steps=1)
    population = strata()
    transport = W1Map(1, ["a"], settings, seed=0)
    both = population, population
    batches = []

    class Drawn(pl.Callback):
        def on_train_batch_start(self, trainer, module, batch, index):
            if module.stack is transport:
                batches.extend(module.draw_block(5))

    train_transport(transport, *both, TrainingOptions(progress=False, callbacks=[Drawn()]))
    for batch in batches:
        # 32 cells do not divide by three strata: each has one more.
        assert batch.target.shape == (1, 33, 1)
        # Cells are the number of their row.
        rows = batch.target * transport.scale + transport.centre
        stratum = torch.bucketize(rows.flatten() + 0.5, population.offsets[1:-1], right=True)
        assert torch.bincount(stratum).tolist() == [11, 11, 11]


def test_cells_are_drawn_by_their_weight():
    weights = torch.rand(sum(SIZES), generator=generator(1))
    weights[::7] = 0
    population = strata(weights=weights)
    n = 60_000
    drawn = population.take(population.draw(keys(1), n))[0, :, 0].long()
    counts = torch.bincount(drawn, minlength=len(weights)).float()
    assert bool((counts[weights == 0] == 0).all())
    for group in torch.arange(len(weights)).split(list(SIZES)):
        expected = weights[group] / weights[group].sum()
        found = counts[group] / n
        assert torch.allclose(found, expected, atol=5 * (expected.max() / n) ** 0.5)


def test_parts_keep_strata_and_weights():
    weights = torch.arange(float(sum(SIZES))) + 1
    rest, apart = strata(weights=weights).split(keys(1), 0.1)
    assert apart.group_sizes.tolist() == [2, 20, 7]
    assert (rest.n_strata, apart.n_strata) == (3, 3)
    for part in (rest, apart):
        assert torch.equal(part.weights, part.rows + 1.0)


@pytest.mark.parametrize("preset", ["paper", "fast"])
def test_what_lies_outside_of_the_basis_stays(preset):
    draws = torch.Generator().manual_seed(0)
    cells = torch.randn(200, 12, generator=draws) * torch.linspace(3, 0.3, 12)
    sides = [Population.from_groups(cells, [rows]) for rows in torch.arange(200).view(2, 100)]
    settings = W1Settings.from_preset(preset, n_components=4)
    transport = W1Map(12, ["a"], settings, seed=0)
    standardise(transport, *sides)
    basis = transport.basis[0]
    assert torch.allclose(basis.mT @ basis, torch.eye(4), atol=1e-5)
    with torch.no_grad():
        moves = transport(cells[None])[0] - cells
    assert float(moves.norm(dim=1).min()) > 0
    assert torch.allclose(moves @ basis @ basis.mT, moves, atol=1e-4)
    inside = transport.standardise(cells[None])[0]
    assert float(inside.square().sum(1).mean().sqrt()) == pytest.approx(RADIUS, rel=1e-3)
    _, _, vectors = torch.linalg.svd(cells - cells.mean(0), full_matrices=False)
    assert torch.allclose((basis.mT @ vectors[:4].mT).abs(), torch.eye(4), atol=1e-3)


def test_constant_cells_have_a_scale():
    population = Population.from_groups(torch.ones(40, 3), [torch.arange(40)])
    transport = W1Map(3, ["a"], W1Settings.from_preset("fast"), seed=0)
    standardise(transport, population, population)
    assert float(transport.scale) == 1.0


class Height(W1Map):
    """Its potential is the first coordinate."""

    def potential(self, cells):
        return cells[..., 0]


def test_source_cells_above_and_target_cells_below_go_unmatched():
    settings = W1Settings.from_preset("fast", unmatched_source=0.25, unmatched_target=0.5)
    transport = Height(2, ["a"], settings, seed=0)
    heights = torch.linspace(0, 1, 40)[:, None] * torch.ones(1, 2)
    source, target = (Population.from_groups(heights, [torch.arange(40)]) for _ in range(2))
    set_limits(transport, source, target)
    source, target = matched_only(transport, source, target)
    assert source.weights.tolist() == [1.0] * 30 + [0.0] * 10
    assert target.weights.tolist() == [0.0] * 20 + [1.0] * 20


def test_a_stratum_above_the_limit_keeps_its_cells():
    settings = W1Settings.from_preset("fast", unmatched_source=0.5)
    transport = Height(2, ["a"], settings, seed=0)
    heights = torch.arange(40.0)[:, None] * torch.ones(1, 2)
    halves = list(torch.arange(40).split(20))
    population = Population.from_groups(heights, halves, n_strata=2)
    set_limits(transport, population, population)
    source, _ = matched_only(transport, population, population)
    assert source.weights.tolist() == [1.0] * 40


def test_a_fit_within_strata_learns_a_shift_that_pooled_cells_hide():
    """Strata lie far apart and differ in size between the conditions."""
    draws = torch.Generator().manual_seed(0)
    sizes = {"source": (300, 60), "target": (60, 300)}
    blocks, groups, first = [], {}, 0
    for side, counts in sizes.items():
        groups[side] = []
        for stratum, n in enumerate(counts):
            block = torch.randn(n, 3, generator=draws)
            block[:, 0] += 30.0 * stratum
            block[:, 1] += 2.0 * (side == "target")
            blocks.append(block)
            groups[side].append(torch.arange(first, first + n))
            first += n
    cells = torch.cat(blocks)
    settings = W1Settings.from_preset("fast", potential_steps=200, step_steps=300, batch_size=64)
    moves = {}
    for name in ("within", "pooled"):
        sides = [
            Population.from_groups(
                cells,
                groups[side] if name == "within" else [torch.cat(groups[side])],
                n_strata=2 if name == "within" else 1,
            )
            for side in sizes
        ]
        transport = W1Map(3, ["a"], settings, seed=0)
        fit = train_transport(transport, *sides, TrainingOptions(progress=False, accelerator="cpu"))
        with torch.no_grad():
            source = cells[torch.cat(groups["source"])]
            moves[name] = (transport(source[None])[0] - source).mean(0)
        if name == "within":
            (report,) = fit.diagnostics
    assert torch.allclose(moves["within"], torch.tensor([0.0, 2.0, 0.0]), atol=0.5)
    assert float(moves["pooled"][0]) > 10
    # Held-out cells are judged within strata as well: what is left is not that their sizes differ.
    assert report["initial_energy_distance"] < 3
    assert report["share_left"] < 0.3


@pytest.mark.parametrize(("preset", "n_outputs"), [("paper", (1,)), ("adversarial", ())])
@pytest.mark.parametrize("n_problems", [1, 2])
def test_a_stratum_has_a_discriminator_of_its_own(n_problems, preset, n_outputs):
    population = strata(n_problems=n_problems)
    names = [str(problem) for problem in range(n_problems)]
    settings = W1Settings.from_preset(preset, potential_steps=2, step_steps=2, batch_size=30)
    transport = W1Map(1, names, settings, seed=0)
    both = population, population
    phase = transport.phases()[1]
    phase.players(n_strata=3)
    batch = torch.arange(n_problems * 30.0).view(n_problems, 30, 1)
    parts = by_stratum(batch, len(SIZES))
    assert parts.flatten().tolist() == batch.flatten().tolist()
    assert phase.critic(parts).shape == (n_problems * len(SIZES), 10, *n_outputs)
    losses = torch.tensor([0.0, 1.0, 5.0] * n_problems)
    assert phase.mean_of_strata(losses).tolist() == [2.0] * n_problems
    fit = train_transport(transport, *both, TrainingOptions(progress=False))
    assert ("critic_loss" in fit.history["ray 1 step"]) == (preset == "paper")
    assert fit.history["ray 1 step"]["step_loss"].shape == (1,)
