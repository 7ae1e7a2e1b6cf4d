"""Models of all conditions, and a shift of codes: what they must find, and what they keep apart."""

from dataclasses import replace

import lightning.pytorch as pl
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from rayot.nn import StackedEmbedding
from rayot.solvers import (
    Attributes,
    BiolordMap,
    BiolordSettings,
    CPAMap,
    CPASettings,
    LatentShiftMap,
    Population,
    ScGenSettings,
    ShiftMap,
    ShiftSettings,
    generator,
)
from rayot.solvers.cpa import DoseResponse
from rayot.train import TrainingOptions, train_transport

STACKS = [(CPAMap, CPASettings), (BiolordMap, BiolordSettings)]
QUICK = TrainingOptions(n_folds=1, accelerator="cpu", progress=False)


def known(condition, **others):
    shape = condition.shape
    values = {
        "covariate": torch.zeros(shape, dtype=torch.int64),
        "log_dose": torch.zeros(shape),
        "weight": torch.ones(shape),
    }
    return Attributes(condition, **{**values, **others})


def translated(shift, n=400, n_others=0):
    """Source, target moved by ``shift``, and cells of a third condition, in two types."""
    draws = torch.Generator().manual_seed(0)
    cells = torch.randn(2 * n + n_others, 4, generator=draws)
    cells[::2, 1] += 6
    cells[n : 2 * n] += torch.tensor(shift)
    cells[2 * n :] -= torch.tensor(shift)
    condition = torch.tensor([0] * n + [1] * n + [2] * n_others)
    attributes = known(condition, covariate=torch.arange(len(cells)) % 2)
    return cells, attributes


def sides(cells, attributes, n, n_problems=1):
    return [
        Population.from_groups(cells, [rows] * n_problems).with_attributes(attributes)
        for rows in (torch.arange(n), torch.arange(n, 2 * n))
    ]


def fitted(kind, settings, shift, names=("a",), n_others=0):
    cells, attributes = translated(shift, n_others=n_others)
    stack = kind(4, list(names), settings, seed=0)
    both = sides(cells, attributes, 400, len(names))
    train_transport(stack, *both, QUICK)
    rows = torch.arange(400)
    with torch.no_grad():
        source = cells[None, :400].expand(len(names), -1, -1)
        moves = stack(source, attributes.at(rows[None])) - source
    return stack, cells, moves


@pytest.mark.parametrize(("kind", "settings_type"), STACKS)
@pytest.mark.parametrize("shift", [[4.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
def test_a_translation_and_nothing_are_found(kind, settings_type, shift):
    settings = settings_type.from_preset(
        "fast",
        n_components=None,
        shrink=False,
        n_steps=600,
        covariates=("x", "y"),
        conditions=("s", "t", "u"),
    )
    _, _, moves = fitted(kind, settings, shift, n_others=200)
    assert torch.allclose(moves.mean((0, 1)), torch.tensor(shift), atol=0.35)


@pytest.mark.parametrize(("kind", "settings_type"), STACKS)
def test_a_problem_does_not_feel_its_neighbours(kind, settings_type):
    settings = settings_type.from_preset("fast", n_components=None, n_steps=30, width=16)
    shift = [4.0, 0.0, 0.0, 0.0]
    _, _, alone = fitted(kind, settings, shift, names=("b",))
    _, _, together = fitted(kind, settings, shift, names=("a", "b"))
    assert torch.allclose(alone[0], together[1], atol=1e-4)


def test_basal_codes_hide_the_condition_from_the_classifiers():
    """The adversary is what keeps a linear classifier from reading the condition."""
    accuracies = {}
    for weight in (0.0, 5.0):
        settings = CPASettings.from_preset(
            "fast", n_components=None, n_steps=400, adversary_weight=weight, n_latent=8
        )
        stack, cells, _ = fitted(CPAMap, settings, [4.0, 0.0, 0.0, 0.0])
        with torch.no_grad():
            codes = stack.encode(stack.standardise(cells[None, :800]))[0].numpy()
        truth = [0] * 400 + [1] * 400
        accuracies[weight] = LogisticRegression(max_iter=2000).fit(codes, truth).score(codes, truth)
    assert accuracies[0.0] > 0.9
    assert accuracies[5.0] < accuracies[0.0] - 0.1


@pytest.mark.parametrize("kind", ["sigmoid", "linear"])
def test_the_dose_scales_the_embedding_of_a_treated_condition_alone(kind):
    response = DoseResponse(3, 1, kind)
    condition = torch.tensor([[0, 0, 1, 1, 1]])
    dose = torch.tensor([[-1.0, 1.0, -1.0, 0.0, 1.0]])
    source, first, mean, last = response(condition, dose)[0, [0, 2, 3, 4]].tolist()
    assert source == 1 and mean == 1 and first < 1 < last


def test_the_codes_of_training_cells_are_let_go_of():
    settings = BiolordSettings.from_preset("fast", n_components=None, n_steps=5, width=8)
    stack, cells, _ = fitted(BiolordMap, settings, [4.0, 0.0, 0.0, 0.0])
    assert stack.codes.values.shape == (1, 0, settings.n_latent)
    again = BiolordMap(4, ["a"], settings, seed=0)
    again.restore(stack.state_dict())
    assert torch.equal(again(cells[None]), stack(cells[None]))


def test_maps_with_covariates_ask_for_them():
    settings = CPASettings(covariates=("x", "y"), width=8)
    with pytest.raises(ValueError, match="need the covariates"):
        CPAMap(3, ["a"], settings, seed=0)(torch.zeros(1, 5, 3))


def test_an_embedding_looks_up_its_own_problem():
    table = StackedEmbedding(4, 3, [generator(0, name) for name in "ab"])
    found = table(torch.tensor([[0, 3], [2, 2]]))
    expected = torch.stack([table.weight[0, [0, 3]], table.weight[1, [2, 2]]])
    assert torch.equal(found, expected)
    assert torch.equal(StackedEmbedding(4, 3, [generator(0, "b")]).weight[0], table.weight[1])


def test_others_are_drawn_with_the_pair_and_those_set_apart_are_not():
    cells, attributes = translated([4.0, 0.0, 0.0, 0.0], n_others=50)
    small = {"n_components": None, "width": 8, "batch_size": 16, "n_steps": 10}
    settings = CPASettings.from_preset("fast", **small, conditions=("s", "t", "u"))
    stack = CPAMap(4, ["a", "b"], settings, seed=0)
    both = sides(cells, attributes, 400, 2)
    (phase,) = stack.phases()
    assert set(phase.others(both[0]).rows.tolist()) == set(range(800, 850))
    batches = []

    class Drawn(pl.Callback):
        def on_train_batch_start(self, trainer, module, batch, index):
            batches.extend(module.draw_block(3))

    train_transport(stack, *both, replace(QUICK, callbacks=[Drawn()]))
    for batch in batches:
        source, target, others = batch.rows.view(2, 3, 16).unbind(1)
        assert int(source.max()) < 400 <= int(target.min())
        assert int(target.max()) < 800 <= int(others.min())
        assert batch.others.shape == (2, 16, 4)
        assert torch.equal(batch.attributes.condition.unique(), torch.arange(3))


def strata(counts, seed=0):
    """Source and target of two strata of these sizes, each with a shift of its own."""
    draws = torch.Generator().manual_seed(seed)
    groups, cells, start = [], [], 0
    for side in (0, 1):
        rows = []
        for stratum, n in enumerate(counts[side]):
            values = torch.randn(n, 3, generator=draws)
            values[:, 0] += side * (stratum + 1)
            cells.append(values)
            rows.append(torch.arange(start, start + n))
            start += n
        groups.append(rows)
    store = torch.cat(cells)
    return [Population.from_groups(store, rows, n_strata=2) for rows in groups]


def test_without_an_autoencoder_scgen_is_the_balanced_shift():
    source, target = strata([(500, 40), (30, 300)])
    options = source, target
    scgen = LatentShiftMap(3, ["a"], ScGenSettings(n_latent=None), seed=0)
    plain = ShiftMap(3, ["a"], ShiftSettings(), seed=0)
    for stack in (scgen, plain):
        train_transport(stack, *options, QUICK)
    cells = torch.randn(1, 7, 3)
    moves = scgen(cells) - cells
    # As the plain shift of all cells that the fit has not set apart.
    assert torch.allclose(moves, plain(cells) - cells, atol=1e-5)
    # Strata of shifts 1 and 2 count alike, however many cells they have.
    assert moves[0, 0].tolist() == pytest.approx([1.5, 0, 0], abs=0.25)


def test_scgen_finds_a_translation_through_its_autoencoder():
    settings = ScGenSettings.from_preset(
        "fast", n_components=None, n_latent=6, shrink=False, n_steps=400
    )
    stack, _, moves = fitted(LatentShiftMap, settings, [4.0, 0.0, 0.0, 0.0])
    assert stack.shift.abs().sum() > 0
    assert torch.allclose(moves.mean((0, 1)), torch.tensor([4.0, 0.0, 0.0, 0.0]), atol=0.5)
