"""One line for what a user can put right, and what the command costs before it does anything."""

import os
import signal
import subprocess
import sys
import time

import anndata as ad
import numpy as np
import pytest

import rayot as rt
from rayot.cli import _command, main
from rayot.cli import fit as fit_file

FIT = ["--source", "control", "--target", "drug"]


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["fit", "--help"]])
def test_help_and_version_import_nothing_heavy(arguments):
    script = (
        "import sys; from rayot.cli import main; "
        f"code = main({arguments}); "
        "heavy = {'anndata', 'numpy', 'pandas', 'torch', 'scanpy', 'lightning'}; "
        "sys.exit(code or bool(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout


def test_who_reads_no_further_is_told_nothing_more():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "rayot", "fit", "--help"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_python_m_rayot_knows_every_command():
    done = subprocess.run(
        [sys.executable, "-m", "rayot", "--help"], capture_output=True, text=True, check=True
    )
    commands = (
        "adapt",
        "datasets",
        "demo",
        "evaluate",
        "fit",
        "gather",
        "predict",
        "report",
        "screen",
    )
    assert all(f"│ {name} " in done.stdout for name in commands)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--target", "drugs"], "no category 'drugs'"),
        (["--target", "drug", "--groupby", "drug"], "'drug'"),
        (["--target", "drug", "--layer", "x"], "'x'"),
        (
            ["--target", "drug", "--strata-maps", "separate"],
            "--strata-maps separate needs --strata,",
        ),
        (["--target", "drug", "--set", "n_stepz=3"], "n_stepz"),
        (["--target", "drug", "--modality", "rna"], "--modality rna is for a MuData"),
        (["--target", "drug", "--validation-size", "2"], "--validation-size must be"),
    ],
)
def test_what_a_user_can_put_right_is_one_line(cells, rayot, tmp_path, arguments, sentence):
    arguments = ["--source", "control", *arguments, "--quiet", "--out", tmp_path / "m"]
    done = rayot("fit", cells, *arguments)
    assert done.code == 1
    assert done.out == ""
    assert done.err.startswith("rayot fit: ")
    assert sentence in done.err
    assert done.err.count("\n") == 1
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--source", "control"], "--target is missing, which w1ot needs."),
        ([*FIT, "--dose", "dose"], "w1ot takes no --dose; cpa, biolord, conditional_w1ot do."),
        ([*FIT, "--set", "width"], "a setting is name=value, found 'width'."),
        ([*FIT, "--method", "w3ot"], "'w3ot' is not one of"),
        ([*FIT, "--sead", "3"], "No such option '--sead'"),
    ],
)
def test_wrong_usage_exits_with_two(cells, rayot, tmp_path, arguments, sentence):
    done = rayot("fit", cells, *arguments, "--out", tmp_path / "m")
    assert done.code == 2
    assert sentence in done.err.replace("option:", "option").replace(": --sead", " '--sead'")


def test_files_that_cannot_be_read(cells, model, rayot, tmp_path):
    out = tmp_path / "out.h5ad"
    text = tmp_path / "text.h5ad"
    text.write_text("no cells")
    broken = tmp_path / "broken" / "model.json"
    broken.parent.mkdir()
    broken.write_text("{")
    for arguments, sentence in (
        (["predict", model, tmp_path / "no.h5ad", out], "There is no file"),
        (["predict", model, tmp_path / "cells.csv", out], "Cells are read from .h5ad"),
        (["predict", model, text, out], "cannot be read as .h5ad"),
        (["predict", tmp_path, cells, out], "holds no model"),
        (["predict", broken.parent, cells, out], "describes no model of rayot"),
        (["predict", model, cells, out, "--target", "x"], "leave --target out"),
        (["fit", cells, *FIT, "--out", model], "pass --overwrite to replace it"),
        (["evaluate", cells, model, "--out", cells], "pass --overwrite to replace it"),
    ):
        done = rayot(*arguments)
        assert done.code == 1, arguments
        assert sentence in done.err
        assert not out.exists()


def test_values_that_are_not_finite(cells, rayot, tmp_path):
    adata = ad.read_h5ad(cells)
    adata.X = adata.X.toarray()
    adata.X[0, 0] = np.nan
    adata.write_h5ad(tmp_path / "nan.h5ad")
    done = rayot("fit", tmp_path / "nan.h5ad", *FIT, "--out", tmp_path / "m")
    assert done.code == 1
    assert "NaN" in done.err


def test_errors_that_are_ours_keep_their_traceback(cells, monkeypatch, tmp_path):
    def fail(path, backed):
        raise AssertionError("a bug")

    monkeypatch.setattr(fit_file, "read_cells", fail)
    with pytest.raises(AssertionError):
        main(["fit", str(cells), *FIT, "--out", str(tmp_path / "m")])


def test_every_option_of_a_fit_is_an_argument_of_some_verb():
    import inspect

    verbs = [getattr(rt.tl, name) for name in dir(rt.tl)]
    known = {name for verb in verbs for name in inspect.signature(verb).parameters}
    own = {"cells", "method", "backed", "out", "overwrite", "help"}
    assert {parameter.name for parameter in fit_file.command.params} - own <= known


def test_threads_are_those_of_torch():
    script = (
        "from rayot.cli import main; import sys; "
        "main(['datasets', 'list', '--quiet', '--threads', '1']); "
        "import torch; sys.exit(torch.get_num_threads() != 1)"
    )
    several = {**os.environ, "OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}
    assert subprocess.run([sys.executable, "-c", script], env=several).returncode == 0


def test_json_has_null_for_what_is_not_finite():
    values = {"a": float("nan"), "b": [np.float32(1.5), np.inf], "c": np.int64(2), "d": True}
    assert _command._plain(values) == {"a": None, "b": [1.5, None], "c": 2, "d": True}


def test_an_interrupt_is_a_line(cells, tmp_path):
    arguments = ["fit", str(cells), *FIT, "--max-steps", "1000000", "--out", str(tmp_path / "m")]
    running = subprocess.Popen(
        [sys.executable, "-m", "rayot", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        # A shell lets what it starts in the background ignore the signal, and so do its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert "reading" in running.stderr.readline()
        assert "fitting" in running.stderr.readline()
        time.sleep(1)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == 130
    assert (out, err.splitlines()[-1][:18]) == ("", "rayot: interrupted")
    assert "Traceback" not in err
    assert not (tmp_path / "m").exists()
