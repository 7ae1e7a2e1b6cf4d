"""Cross-fitting of problems with few cells: what is held out, what stays, and what it gains."""

import lightning.pytorch as pl
import pytest
import torch

from rayot.solvers import Population, W1Map, W1Settings
from rayot.train import TrainingOptions, runner, train_transport
from rayot.train.folds import fold_counts, folds_per_problem, stacks_of

QUICK = {"potential_steps": 100, "step_steps": 100, "batch_size": 32, "n_rays": 1}


def population(cells, sizes, n_strata=1, weights=None):
    """Groups of so many cells, one after the other."""
    groups = list(torch.arange(sum(sizes)).split(list(sizes)))
    shares = None if weights is None else list(weights.split(list(sizes)))
    return Population.from_groups(cells, groups, n_strata=n_strata, weights=shares)


def sides(sizes, d=4, shift=2.0, **options):
    draws = torch.Generator().manual_seed(0)
    source, target = torch.randn(2, sum(sizes), d, generator=draws)
    target[:, 0] += shift
    return [population(cells, sizes, **options) for cells in (source, target)]


def fit(populations, names="a", preset="fast", changes=None, **options):
    settings = W1Settings.from_preset(preset, **{**QUICK, **(changes or {})})
    transport = W1Map(populations[0].cells.shape[1], list(names), settings, 0)
    options = TrainingOptions(progress=False, **options)
    return transport, train_transport(transport, *populations, options)


@pytest.fixture
def judged(monkeypatch):
    """The folds of each problem of the fits that follow."""
    found = []

    def diagnostics(folds, *rest, **options):
        found.append(folds)
        return original(folds, *rest, **options)

    original = runner.diagnostics
    monkeypatch.setattr(runner, "diagnostics", diagnostics)
    return found


@pytest.mark.parametrize("preset", ["paper", "fast", "adversarial"])
def test_the_map_is_the_same_with_folds(preset):
    populations = sides([40])
    without, first = fit(populations, preset=preset, n_folds=1)
    crossed, second = fit(populations, preset=preset)
    expected = crossed.state_dict()
    for name, values in without.state_dict().items():
        assert torch.equal(values, expected[name]), name
    assert first.diagnostics[0]["n_folds"] == 1
    assert first.diagnostics[0]["n_cells"] == 4
    assert second.diagnostics[0]["n_folds"] == 5
    assert second.diagnostics[0]["n_cells"] == 40
    for phase, columns in first.history.items():
        for name, values in columns.items():
            assert (values == second.history[phase][name]).all()


def test_every_cell_is_held_out_once_and_unseen_by_its_map(judged, monkeypatch):
    """Of each stratum, and those without weight are shared among folds too."""
    sizes = [10, 23]
    weights = torch.ones(33)
    weights[10:20] = 0
    seen = {}
    original = runner.cross_fit.__globals__["phases_of"]

    def phases_of(transport, training, *rest):
        for number, name in enumerate(transport.names):
            offsets = training[0].problem_offsets
            seen[name] = training[0].rows[offsets[number] : offsets[number + 1]]
        return original(transport, training, *rest)

    monkeypatch.setattr("rayot.train.folds.phases_of", phases_of)
    fit(sides(sizes, n_strata=2, weights=weights))
    ((folds,),) = judged
    assert len(folds) == 5
    for side in ("source", "target"):
        rows = []
        for fold in folds:
            held_out = getattr(fold, side)
            groups = held_out.rows.split(held_out.group_sizes.tolist())
            own = groups[2 * fold.number : 2 * fold.number + 2]
            assert all(len(group) >= 2 for group in own)
            assert int((weights[own[1]] > 0).sum()) >= 2
            rows += own
        assert torch.cat(rows).sort().values.tolist() == list(range(sum(sizes)))
    for fold in folds:
        groups = fold.source.rows.split(fold.source.group_sizes.tolist())
        held_out = torch.cat(groups[2 * fold.number : 2 * fold.number + 2])
        learned = seen[fold.transport.names[fold.number]]
        assert not set(held_out.tolist()) & set(learned.tolist())
        assert len(held_out) + len(learned) == sum(sizes)


@pytest.mark.parametrize(
    ("sizes", "n_strata", "expected"),
    [
        ([100, 99, 10, 9, 5, 4, 3], 1, [1, 5, 5, 4, 2, 2, 1]),
        ([50, 49, 50, 50, 7, 90], 2, [5, 1, 3]),
    ],
)
def test_as_many_folds_as_can_have_two_cells(sizes, n_strata, expected):
    one = population(torch.zeros(sum(sizes), 1), sizes, n_strata)
    other = population(torch.zeros(200 * len(sizes), 1), [200] * len(sizes), n_strata)
    for pair in ((one, other), (other, one)):
        assert fold_counts(*pair, 5) == expected
        assert fold_counts(*pair, 1) == [1] * len(expected)


def test_stacks_hold_whole_problems_and_no_more_than_the_memory_of_all():
    assert stacks_of([5, 1, 4], 1) == [[0], [2]]
    assert stacks_of([1, 1], 1) == []
    counts = [5] * 23
    stacks = stacks_of(counts, 1)
    assert [len(each) for each in stacks] == [4] * 5 + [3]
    assert [problem for each in stacks for problem in each] == list(range(23))
    assert stacks_of([5, 1, 4], 4) == [[0, 2]]
    assert [len(each) for each in stacks_of(counts, 4)] == [18, 5]


def test_smaller_batches_make_room_for_folds_but_cells_do_not():
    def found(n_source, **options):
        settings = W1Settings.from_preset("fast", **options)
        stack = W1Map(20, ["a"], settings, seed=0)
        one, other = (population(torch.zeros(n, 20), [n]) for n in (n_source, 60))
        return folds_per_problem(stack, one, other)

    assert found(60) > 2
    assert found(100_000) == 1
    assert found(60, batch_size=64) == 1


def test_the_smallest_group_is_cross_fitted():
    _, found = fit(sides([10]))
    (report,) = found.diagnostics
    assert (report["n_folds"], report["n_cells"]) == (5, 10)
    # Of a shift by 2, of which so few cells vouch for a part.
    assert report["mean_step"] == pytest.approx(2 * report["strength"], rel=0.3)
    assert abs(report["residual_energy_distance"]) < 0.2


def test_what_has_no_effect_is_not_cross_fitted():
    """Its word is that of the test, whatever folds would say."""
    cells = [each.cells for each in sides([40])]
    cells[1] = torch.cat([cells[0][:20].flip(0), cells[1][20:]])
    both = [population(each, [20, 20]) for each in cells]
    transport, found = fit(both, "ab")
    words = [report["certificate"] for report in found.diagnostics]
    assert [report["n_folds"] for report in found.diagnostics] == [1, 5]
    assert words[0] == "no effect" != words[1]
    assert float(transport.strength[0]) == 0


@pytest.mark.slow
def test_figures_spread_less_over_seeds():
    """The same 40 cells, 20 times: what differs are draws and which cells are held out."""
    cells = [each.cells for each in sides([40], d=20, shift=4.0)]
    names = [str(seed) for seed in range(20)]
    repeated = [Population.from_groups(each, [torch.arange(40)] * 20) for each in cells]
    spread = {}
    for n_folds in (1, 5):
        _, found = fit(repeated, names, changes={"shrink": False}, n_folds=n_folds)
        spread[n_folds] = {
            name: torch.tensor([report[name] for report in found.diagnostics]).std()
            for name in ("residual_energy_distance", "share_left", "held_out_dual", "mean_step")
        }
    for name, without in spread[1].items():
        assert spread[5][name] < without / 2, (name, spread)


def test_folds_do_not_feel_the_neighbours_of_their_problem():
    cells = [each.cells for each in sides([200])]
    few, other, many = torch.arange(40), torch.arange(40, 90), torch.arange(200)
    reports = []
    for names, groups in (("a", [few]), ("bac", [other, few, many]), ("ca", [many, few])):
        populations = [Population.from_groups(each, groups) for each in cells]
        _, found = fit(populations, names)
        reports.append(found.diagnostics[names.index("a")])
        if "c" in names:
            assert found.diagnostics[names.index("c")]["n_folds"] == 1
    for report in reports:
        changed = {k for k, v in report.items() if v != reports[0][k] and v == v}
        assert not changed


@pytest.mark.parametrize(
    "changes",
    [
        {"unmatched_source": 0.2, "unmatched_target": 0.1},
        {"n_rays": 2, "n_components": 3},
        {"potential": "funnel"},
    ],
)
def test_folds_are_fitted_with_the_settings_of_the_map(changes, plain):
    _, found = fit(sides([30, 25], n_strata=2), changes=changes)
    (report,) = found.diagnostics
    assert report["n_folds"] == 5
    assert abs(report["residual_energy_distance"]) < 0.15 * report["initial_energy_distance"]
    # The dual is that of folds alone.
    assert report["held_out_dual"] != plain["held_out_dual"]


@pytest.fixture(scope="module")
def plain():
    """Figures by the settings of the preset."""
    return fit(sides([30, 25], n_strata=2))[1].diagnostics[0]


class Blocks(pl.Callback):
    """The last block of each phase, by the name of the first map in the stack."""

    def __init__(self):
        self.last = {}

    def on_train_batch_start(self, trainer, module, batch, index):
        self.last[module.stack.names[0], module.name] = module.block


def test_folds_stop_early_as_the_map_does():
    watch = Blocks()
    options = {"early_stopping": True, "early_stopping_patience": 1, "callbacks": [watch]}
    fit(sides([40]), changes={"potential_steps": 1000, "step_steps": 1000}, n_folds=2, **options)
    # Of ten blocks, 0 to 9.
    assert all(watch.last["a, fold 1", name] < 9 for name in ("ray 1 potential", "ray 1 step"))


class InFold(pl.Callback):
    """Does something at the start of a block of a fold's phase."""

    def __init__(self, what, phase="ray 1 step", block=0):
        self.what, self.phase, self.block = what, phase, block

    def on_train_batch_start(self, trainer, module, batch, index):
        in_fold = module.stack.names[0].endswith("fold 1")
        if in_fold and (module.name, module.block) == (self.phase, self.block):
            self.what(module)


def interrupt(module):
    raise KeyboardInterrupt


@pytest.mark.parametrize("phase", ["ray 1 potential", "ray 1 step"])
def test_interrupted_folds_resume_bit_for_bit(tmp_path, phase):
    populations, changes = sides([30]), {"step_steps": 200, "potential_steps": 200}
    plain, expected = fit(populations, changes=changes)
    options = {"changes": changes, "checkpoint_dir": tmp_path, "checkpoint_every": 100}
    with pytest.raises(KeyboardInterrupt):
        fit(populations, **options, callbacks=[InFold(interrupt, phase, 1)])
    assert list((tmp_path / "folds").rglob("*.ckpt"))
    for _ in range(2):
        resumed, found = fit(populations, **options)
        assert torch.equal(resumed.strength, plain.strength)
        assert str(found.diagnostics) == str(expected.diagnostics)
    with pytest.raises(ValueError, match="it differs in n_folds"):
        fit(populations, **options, n_folds=3)
    _, found = fit(populations, **options, n_folds=3, resume=False)
    assert found.diagnostics[0]["n_folds"] == 3


def spoil_all(module):
    for parameter in module.parameters():
        parameter.data.fill_(torch.nan)


def spoil_second(module):
    for parameter in module.parameters():
        parameter.data[1] = torch.nan


@pytest.mark.parametrize(("spoil", "n_folds"), [(spoil_all, 1), (spoil_second, 5)])
def test_a_fold_that_cannot_be_fitted_makes_the_map_poor(spoil, n_folds):
    _, found = fit(sides([40]), callbacks=[InFold(spoil)])
    (report,) = found.diagnostics
    assert report["certificate"] == "poor"
    assert "fold" in report["reason"]
    assert report["n_folds"] == n_folds


@pytest.mark.parametrize("n_folds", [0, -1, 2.5])
def test_a_number_of_folds_that_is_none(n_folds):
    with pytest.raises(ValueError, match="n_folds must be a whole number of at least 1, found"):
        fit(sides([20]), n_folds=n_folds)
