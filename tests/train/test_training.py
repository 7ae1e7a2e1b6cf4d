"""Fits on tensors: known maps, resume bit for bit, interruption, independence of neighbours."""

import json
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import contextmanager

import lightning.pytorch as pl
import numpy as np
import pytest
import torch

from rayot.solvers import Population, SparseCells, W1Map, W1Settings
from rayot.solvers.carried import CarriedCells
from rayot.solvers.w1 import EnergyStep
from rayot.train import TrainingOptions, train_transport
from rayot.train.checkpoints import claimed


def cells(n=400, d=3, shift=2.0, seed=0):
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=draws)
    y = torch.randn(n, d, generator=draws) + torch.tensor([shift] + [0.0] * (d - 1))
    both = torch.cat([x, y])
    return both, torch.arange(n), torch.arange(n, 2 * n)


def fit(settings, names=("a",), options=None, seed=0, data=None):
    both, source, target = cells() if data is None else data
    transport = W1Map(both.shape[1], names, settings, seed)
    populations = [Population.from_groups(both, [rows] * len(names)) for rows in (source, target)]
    options = options or TrainingOptions(progress=False)
    return transport, train_transport(transport, *populations, options)


QUICK = {"potential_steps": 200, "step_steps": 200, "batch_size": 64}


@pytest.mark.parametrize("preset", ["paper", "fast"])
def test_a_translation_is_learned(preset):
    step_steps = 2000 if preset == "paper" else 400
    settings = W1Settings.from_preset(preset, potential_steps=600, step_steps=step_steps)
    data = cells(n=2000, d=3, shift=3.0)
    transport, fitted = fit(settings, data=data)
    x = torch.randn(1, 1000, 3, generator=torch.Generator().manual_seed(9))
    directions, _, norms = transport.ray(0).direction(transport.standardise(x))
    assert float(directions[..., 0].mean()) > 0.97
    assert float(norms.median()) >= 0.9
    (report,) = fitted.diagnostics
    assert report["held_out_dual"] == pytest.approx(3.0, abs=0.3)
    with torch.no_grad():
        moved = transport(x) - x
    # A discriminator overshoots and comes back; the energy distance settles.
    tolerance = 0.75 if preset == "paper" else 0.2
    assert torch.allclose(moved.mean(1), torch.tensor([[3.0, 0.0, 0.0]]), atol=tolerance)


def test_history_has_a_row_for_each_block():
    settings = W1Settings.from_preset("fast", **{**QUICK, "step_steps": 250, "n_rays": 2})
    _, fitted = fit(settings)
    assert list(fitted.history) == [
        "ray 1 potential",
        "ray 1 step",
        "ray 2 potential",
        "ray 2 step",
    ]
    assert fitted.history["ray 1 step"]["step"].tolist() == [100, 200, 250]
    dual = fitted.history["ray 1 potential"]["validation_dual"]
    assert dual.shape == (2,)
    assert dual[-1] > dual[0]


def test_equal_seeds_repeat_a_fit_and_others_do_not():
    settings = W1Settings.from_preset("fast", **QUICK, n_rays=1)
    torch.manual_seed(1)
    first, _ = fit(settings)
    torch.manual_seed(2)
    second, _ = fit(settings)
    third, _ = fit(settings, seed=1)
    x = torch.randn(1, 10, 3)
    assert torch.equal(first(x), second(x))
    assert not torch.allclose(first(x), third(x))


def test_a_fit_leaves_the_users_random_state_alone():
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    fit(W1Settings.from_preset("paper", **QUICK))
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("preset", ["paper", "fast", "adversarial"])
def test_a_problem_does_not_feel_its_neighbours(preset):
    # Few steps: the last bits of a product depend on its shape, and training amplifies them.
    settings = W1Settings.from_preset(preset, potential_steps=5, step_steps=5, batch_size=32)
    alone, _ = fit(settings, names=("b",))
    stacked, fitted = fit(settings, names=("a", "b", "c"))
    x = torch.randn(1, 20, 3)
    assert torch.allclose(stacked(x.expand(3, -1, -1))[1], alone(x)[0], atol=1e-4)
    assert fitted.history["ray 1 step"]["step_loss"].shape == (1,)
    assert len(fitted.diagnostics) == 3


def test_sparse_cells_give_the_fit_of_dense_ones():
    from scipy import sparse

    settings = W1Settings.from_preset("fast", **QUICK, n_rays=1)
    both, source, target = cells()
    both = both.clamp_min(0)
    dense, _ = fit(settings, data=(both, source, target))
    matrix = SparseCells.from_scipy(sparse.csr_matrix(both.numpy()))
    sparse_, _ = fit(settings, data=(matrix, source, target))
    x = torch.randn(1, 10, 3)
    assert torch.equal(dense(x), sparse_(x))


def test_following_rays_batch_by_batch_gives_what_the_table_gives(monkeypatch):
    settings = W1Settings.from_preset("fast")
    transport = W1Map(3, ["a", "b"], settings, seed=0)
    both, source, _ = cells()
    population = Population.from_groups(both, [source, source[:50]])
    positions = population.positions()[:, :50]
    second = EnergyStep(transport, 1)

    def carry(cells):
        return second.carry(cells, None)

    tabled = CarriedCells(transport, population, carry)
    monkeypatch.setattr("rayot.solvers.carried.CACHE_ELEMENTS", 0)
    followed = CarriedCells(transport, population, carry)
    assert tabled.table is not None
    assert followed.table is None
    for one, other in zip(tabled.take(positions), followed.take(positions), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_early_stopping_ends_a_phase():
    settings = W1Settings.from_preset("fast", potential_steps=3000, step_steps=100, n_rays=1)
    options = TrainingOptions(progress=False, early_stopping=True, early_stopping_patience=2)
    _, fitted = fit(settings, options=options)
    assert fitted.history["ray 1 potential"]["step"][-1] < 3000


BLOCKS = ("ray 1 potential", 1), ("ray 1 step", 1)


class Stop(pl.Callback):
    """Raise at the end of a block, as Ctrl-C or a crash would."""

    def __init__(self, phase, block, error=KeyboardInterrupt):
        self.phase, self.block, self.error = phase, block, error

    def on_train_batch_start(self, trainer, module, batch, index):
        if module.name == self.phase and module.block == self.block:
            raise self.error


@pytest.mark.parametrize(
    ("preset", "phase", "block"),
    [
        *(("paper", *where) for where in BLOCKS),
        *(("fast", *where) for where in BLOCKS),
        ("fast", "ray 1 potential", 2),
        ("adversarial", "ray 1 step", 1),
    ],
)
def test_an_interrupted_fit_resumes_bit_for_bit(tmp_path, preset, phase, block):
    steps = {"potential_steps": 300, "step_steps": 300} if preset == "fast" else {}
    settings = W1Settings.from_preset(preset, **(QUICK | steps))
    plain, expected = fit(settings)
    folder = tmp_path / "run"
    options = {"progress": False, "checkpoint_dir": folder, "checkpoint_every": 100}
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(settings, options=TrainingOptions(**options, callbacks=[Stop(phase, block)]))
    assert signal.getsignal(signal.SIGINT) is handler
    resumed, found = fit(settings, options=TrainingOptions(**options))
    for one, other in zip(plain.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)
    for name, columns in expected.history.items():
        for column, values in columns.items():
            assert np.array_equal(values, found.history[name][column]), (name, column)


@pytest.mark.parametrize("preset", ["fast", "adversarial"])
def test_a_finished_fit_is_read_back_without_training(tmp_path, preset):
    settings = W1Settings.from_preset(preset, **QUICK)
    options = TrainingOptions(progress=False, checkpoint_dir=tmp_path)
    first, _ = fit(settings, options=options)
    trained = []

    class Trained(pl.Callback):
        def on_train_batch_start(self, *arguments):
            trained.append(arguments)

    options = TrainingOptions(progress=False, checkpoint_dir=tmp_path, callbacks=[Trained()])
    second, _ = fit(settings, options=options)
    assert not trained
    x = torch.randn(1, 10, 3)
    assert torch.equal(first(x), second(x))


def test_an_early_stopped_phase_stays_stopped_on_resume(tmp_path):
    settings = W1Settings.from_preset("fast", potential_steps=2000, step_steps=300, n_rays=1)
    common = {"progress": False, "early_stopping": True, "early_stopping_patience": 1}
    plain, _ = fit(settings, options=TrainingOptions(**common))
    options = {**common, "checkpoint_dir": tmp_path, "checkpoint_every": 100}
    with pytest.raises(KeyboardInterrupt):
        fit(settings, options=TrainingOptions(**options, callbacks=[Stop("ray 1 step", 1)]))
    resumed, _ = fit(settings, options=TrainingOptions(**options))
    for one, other in zip(plain.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


def test_another_runs_checkpoints_are_refused_or_overwritten(tmp_path):
    settings = W1Settings.from_preset("fast", **QUICK)
    fit(settings, options=TrainingOptions(progress=False, checkpoint_dir=tmp_path))
    with pytest.raises(ValueError, match=r"holds another run: it differs in seed"):
        fit(settings, options=TrainingOptions(progress=False, checkpoint_dir=tmp_path), seed=1)
    options = TrainingOptions(progress=False, checkpoint_dir=tmp_path, resume=False)
    overwritten, _ = fit(settings, options=options, seed=1)
    plain, _ = fit(settings, seed=1)
    x = torch.randn(1, 10, 3)
    assert torch.equal(overwritten(x), plain(x))


SCRIPT = """
import signal, sys, time, torch
import lightning.pytorch as pl
# A process that was started in the background of a shell ignores SIGINT.
signal.signal(signal.SIGINT, signal.default_int_handler)
from rayot.solvers import Population, W1Map, W1Settings
from rayot.train import TrainingOptions, train_transport

class Hold(pl.Callback):
    def on_train_batch_start(self, trainer, module, batch, index):
        if module.block == 5:
            print("held", flush=True)
            # A signal that comes just before a long sleep is told only when it ends.
            while True:
                time.sleep(0.1)

draws = torch.Generator().manual_seed(0)
both = torch.randn(800, 3, generator=draws)
settings = W1Settings.from_preset("fast", potential_steps=600, step_steps=200, n_rays=1)
transport = W1Map(3, ["a"], settings, 0)
populations = [Population.from_groups(both, [rows]) for rows in torch.arange(800).split(400)]
try:
    train_transport(transport, *populations, TrainingOptions(
        progress=False, checkpoint_dir=sys.argv[1], checkpoint_every=100,
        callbacks=[Hold()] if "hold" in sys.argv else []))
except KeyboardInterrupt:
    raise SystemExit(7)
torch.save([p.detach() for p in transport.parameters()], sys.argv[2])
"""


def command(folder, *words):
    return [sys.executable, "-c", textwrap.dedent(SCRIPT), str(folder), *map(str, words)]


def run_script(folder, weights):
    return subprocess.run(command(folder, weights), timeout=300, check=False).returncode


@contextmanager
def held(folder):
    """A process that has written checkpoints and holds still in the midst of its fit."""
    with subprocess.Popen(
        command(folder, "none.pt", "hold"), stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            while "held" not in (line := process.stdout.readline()):
                assert line, "The process ended before its fit was held."
            assert list(folder.glob("*.ckpt"))
            yield process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    assert run_script(folder / "run", folder / "plain.pt") == 0
    return torch.load(folder / "plain.pt", weights_only=True)


@pytest.mark.parametrize(("kill", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 7)])
def test_a_killed_process_resumes_bit_for_bit(tmp_path, kill, code, uninterrupted):
    with held(tmp_path / "run") as process:
        process.send_signal(kill)
        assert process.wait(60) == code
    assert run_script(tmp_path / "run", tmp_path / "resumed.pt") == 0
    resumed = torch.load(tmp_path / "resumed.pt", weights_only=True)
    assert all(torch.equal(one, other) for one, other in zip(resumed, uninterrupted, strict=True))


@pytest.mark.parametrize("name", ["ray_1_step.ckpt", "run.json", ".lock", "folds", "folds/1/x"])
def test_links_in_the_folder_are_refused(tmp_path, name):
    precious, folder = tmp_path / "precious", tmp_path / "run"
    (folder / name).parent.mkdir(parents=True)
    precious.write_text("mine")
    settings = W1Settings.from_preset("fast", **QUICK, n_rays=1)
    (folder / name).symlink_to(precious)
    for resume in (True, False):
        options = TrainingOptions(progress=False, checkpoint_dir=folder, resume=resume)
        with pytest.raises(ValueError, match=f"holds the symbolic link '.*{name}'"):
            fit(settings, options=options)
    assert precious.read_text() == "mine"
    assert [path.name for path in folder.iterdir()] == [name.split("/")[0]]


def test_the_folder_itself_may_be_a_link(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "run")
    settings = W1Settings.from_preset("fast", **QUICK, n_rays=1)
    fit(settings, options=TrainingOptions(progress=False, checkpoint_dir=tmp_path / "link"))
    names = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert names == ["ray_1_potential.ckpt", "ray_1_step.ckpt", "run.json"]


class Meanwhile(pl.Callback):
    """Do something while a fit is running."""

    def __init__(self, what):
        self.what = what

    def on_fit_start(self, trainer, module):
        self.what()


def test_two_fits_in_one_folder(tmp_path):
    settings = W1Settings.from_preset("fast", **QUICK, n_rays=1)
    options = TrainingOptions(progress=False, checkpoint_dir=tmp_path)

    def second():
        with pytest.raises(OSError, match="Another fit is running in checkpoint_dir"):
            fit(settings, options=options)

    callbacks = [Meanwhile(second)]
    first = TrainingOptions(progress=False, checkpoint_dir=tmp_path, callbacks=callbacks)
    alone, _ = fit(settings)
    both, _ = fit(settings, options=first)
    assert torch.equal(alone(torch.ones(1, 3, 3)), both(torch.ones(1, 3, 3)))
    # Once it is over another may continue it.
    fit(settings, options=options)
    assert not (tmp_path / ".lock").exists()


@pytest.mark.slow
def test_a_second_process_is_told_at_once(tmp_path):
    with held(tmp_path / "run"):
        second = subprocess.run(
            command(tmp_path / "run", tmp_path / "none.pt"),
            capture_output=True,
            text=True,
            check=False,
        )
    assert "Error: Another fit is running in checkpoint_dir" in second.stderr.splitlines()[-1]


def test_the_other_processes_of_a_fit_do_not_ask_for_the_folder(tmp_path, monkeypatch):
    from lightning.pytorch.utilities.rank_zero import rank_zero_only

    settings = W1Settings.from_preset("fast", **QUICK, n_rays=1)
    options = TrainingOptions(progress=False, checkpoint_dir=tmp_path)

    def second():
        monkeypatch.setattr(rank_zero_only, "rank", 1)
        with claimed(options, lambda: json.loads((tmp_path / "run.json").read_text()), []):
            pass
        monkeypatch.setattr(rank_zero_only, "rank", 0)

    callbacks = [Meanwhile(second)]
    fit(
        settings,
        options=TrainingOptions(progress=False, checkpoint_dir=tmp_path, callbacks=callbacks),
    )


def test_what_a_killed_process_left_is_removed(tmp_path):
    (tmp_path / "0123456789abcdef.partial").mkdir()
    (tmp_path / "0123456789abcdef.partial" / "new").write_text("cut short")
    settings = W1Settings.from_preset("fast", **QUICK, n_rays=1)
    fit(settings, options=TrainingOptions(progress=False, checkpoint_dir=tmp_path))
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".ckpt", ".ckpt", ".json"]


def test_a_full_disk_names_the_checkpoint(tmp_path):
    settings = W1Settings.from_preset("fast", **QUICK, n_rays=1)
    common = {"progress": False, "checkpoint_dir": tmp_path, "checkpoint_every": 100}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    class Fill(pl.Callback):
        def on_train_batch_start(self, trainer, module, batch, index):
            if module.block == 1:
                resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))

    try:
        with pytest.raises(OSError, match=r"ray_1_potential.ckpt' was not written \(.*still there"):
            fit(settings, options=TrainingOptions(**common, callbacks=[Fill()]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    plain, _ = fit(settings)
    resumed, _ = fit(settings, options=TrainingOptions(**common))
    x = torch.randn(1, 10, 3)
    assert torch.equal(plain(x), resumed(x))


def test_a_folder_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("mine")
    settings = W1Settings.from_preset("fast", **QUICK, n_rays=1)
    options = TrainingOptions(progress=False, checkpoint_dir=tmp_path / "file" / "inside")
    with pytest.raises(OSError, match="inside' cannot be written to"):
        fit(settings, options=options)


@pytest.mark.parametrize("content", ["[]", "{", "null"])
def test_a_description_of_no_run(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    settings = W1Settings.from_preset("fast", **QUICK, n_rays=1)
    with pytest.raises(ValueError, match=r"run\.json' .*pass resume=False to start again"):
        fit(settings, options=TrainingOptions(progress=False, checkpoint_dir=tmp_path))


@pytest.mark.parametrize("early", [True, False])
def test_other_files_in_the_folder_are_left_alone(tmp_path, early):
    (tmp_path / "precious.ckpt").write_text("mine")
    settings = W1Settings.from_preset("fast", **QUICK)
    options = TrainingOptions(progress=False, checkpoint_dir=tmp_path, resume=early)
    with pytest.raises(ValueError, match="no checkpoints of ours; name an empty folder"):
        fit(settings, options=options)
    assert (tmp_path / "precious.ckpt").read_text() == "mine"


def test_a_truncated_checkpoint_is_named(tmp_path):
    settings = W1Settings.from_preset("fast", **QUICK, n_rays=1)
    options = TrainingOptions(progress=False, checkpoint_dir=tmp_path)
    fit(settings, options=options)
    path = tmp_path / "ray_1_step.ckpt"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"ray_1_step.ckpt' is truncated or foreign"):
        fit(settings, options=options)


def test_a_limit_that_stops_the_trainer_is_said_and_resumed(tmp_path):
    settings = W1Settings.from_preset("fast", **QUICK, n_rays=1)
    plain, _ = fit(settings)
    common = {"progress": False, "checkpoint_dir": tmp_path, "checkpoint_every": 100}
    limited = TrainingOptions(**common, trainer_kwargs={"max_time": {"seconds": 0}})
    with pytest.raises(RuntimeError, match="stopped in ray 1 potential after 0 of 200 steps"):
        fit(settings, options=limited)
    resumed, _ = fit(settings, options=TrainingOptions(**common))
    x = torch.randn(1, 10, 3)
    assert torch.equal(plain(x), resumed(x))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_epochs": 3}, "max_epochs cannot be set"),
        ({"n_rayz": 3}, "n_rayz: neither an option of rayot"),
    ],
)
def test_arguments_of_the_trainer(arguments, message):
    settings = W1Settings.from_preset("fast", **QUICK)
    with pytest.raises(ValueError, match=message):
        fit(settings, options=TrainingOptions(progress=False, trainer_kwargs=arguments))


def test_a_problem_that_stops_early_does_not_wait_for_its_neighbour():
    settings = W1Settings.from_preset("fast", potential_steps=1500, step_steps=100, n_rays=1)
    options = TrainingOptions(progress=False, early_stopping=True, early_stopping_patience=1)
    both, source, target = cells()
    alone, _ = fit(settings, names=("a",), options=options)
    x = both[None, source]
    beside = []
    for other in (target, source):
        transport = W1Map(3, ("a", "b"), settings, 0)
        populations = [
            Population.from_groups(both, [source, source]),
            Population.from_groups(both, [target, other]),
        ]
        train_transport(transport, *populations, options)
        potential = transport.ray(0).potential(transport.standardise(x).expand(2, -1, -1))[0]
        beside.append((potential - potential.mean()).detach())
    torch.testing.assert_close(*beside)
    # One network and a stack of two round differently, and an adversary makes more of it.
    expected = alone.ray(0).potential(alone.standardise(x))[0]
    assert (beside[0] - (expected - expected.mean())).norm() < 0.05 * beside[0].norm()


def test_a_problem_with_bad_cells_stops_and_the_others_go_on():
    settings = W1Settings.from_preset("paper", **QUICK)
    both, source, target = cells()
    spoiled = torch.cat([both, torch.full((30, 3), torch.nan)])
    transport = W1Map(3, ("good", "bad"), settings, 0)
    populations = [
        Population.from_groups(spoiled, [source, torch.arange(800, 830)]),
        Population.from_groups(spoiled, [target, target]),
    ]
    train_transport(transport, *populations, TrainingOptions(progress=False))
    alone, _ = fit(settings, names=("good",))
    x = torch.randn(1, 10, 3)
    assert torch.isfinite(transport(x.expand(2, -1, -1))[0]).all()
    directions = [
        each.ray(0).direction(x.expand(len(each.names), -1, -1))[0][0]
        for each in (transport, alone)
    ]
    assert float((directions[0] * directions[1]).sum(-1).mean()) > 0.9


def test_a_loss_that_is_not_finite_names_where():
    settings = W1Settings.from_preset("paper", **QUICK)
    both, source, target = cells()
    both[:200] = torch.inf
    with pytest.raises(FloatingPointError, match=r"'a' became .* in ray 1 potential, by step 100"):
        fit(settings, data=(both, source, target))


def test_a_fit_works_outside_the_main_thread():
    failures = []

    def work():
        try:
            fit(W1Settings.from_preset("fast", **QUICK, n_rays=1))
        except ValueError as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not failures


def test_lightning_costs_less_than_a_twentieth():
    """Time of this thread outside the blocks, as a share of the whole fit."""
    inside = []

    class Clock(pl.Callback):
        def on_train_batch_start(self, *arguments):
            self.start = time.thread_time()

        def on_train_batch_end(self, *arguments):
            inside.append(time.thread_time() - self.start)

    settings = W1Settings.from_preset("paper", potential_steps=500, step_steps=500)
    start = time.thread_time()
    fit(settings, options=TrainingOptions(progress=False, callbacks=[Clock()]))
    whole = time.thread_time() - start
    assert sum(inside) > 0.95 * whole


def test_the_critic_says_how_far_moved_cells_are_from_the_target():
    """By the dual: never more than the distance itself, which a 1-Lipschitz function bounds."""
    settings = W1Settings.from_preset("adversarial", potential_steps=300, step_steps=300, n_rays=1)
    transport, fitted = fit(settings, data=cells(n=2000, d=3, shift=3.0))
    left = fitted.history["ray 1 step"]["step_loss"]
    assert (left < 3.0).all()
    assert abs(left[-1]) < 0.2
    x = torch.randn(1, 1000, 3, generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        moved = transport(x) - x
    # As near as by the energy distance, where a discriminator overshoots and comes back.
    assert torch.allclose(moved.mean(1), torch.tensor([[3.0, 0.0, 0.0]]), atol=0.2)


def test_a_game_for_the_wasserstein_distance_keeps_the_order_along_a_ray():
    """Steps set out at the mean length, so that cells behind do not overtake those in front."""
    settings = W1Settings.from_preset("adversarial", potential_steps=200, n_rays=1)
    draws = torch.Generator().manual_seed(0)
    line = torch.cat([torch.rand(1000, 1, generator=draws), torch.zeros(1000, 1)], dim=1)
    both = torch.cat([line, line + torch.tensor([2.0, 0.0])])
    transport, _ = fit(settings, data=(both, *torch.arange(2000).split(1000)))
    with torch.no_grad():
        moved = transport(line[None])[0, :, 0]
    before, after = (values.argsort().argsort().float() for values in (line[:, 0], moved))
    assert float(torch.corrcoef(torch.stack([before, after]))[0, 1]) > 0.95
    assert torch.allclose(moved, line[:, 0] + 2, atol=0.3)
