"""The demonstration: what it leaves behind, and its errors."""

import inspect
import os
import re
import subprocess
import sys

import anndata as ad
import pooch
import pytest

import rayot as rt
from rayot.cli import demo, main


@pytest.fixture
def nothing_is_loaded(monkeypatch):
    def refuse(data):
        pytest.fail(f"{data} was loaded")

    monkeypatch.setattr(demo, "_load", refuse)


@pytest.mark.parametrize("data", ["moons", pytest.param("pbmc_perturbed", marks=pytest.mark.slow)])
def test_the_demonstration_leaves_cells_scores_model_and_figures(tmp_path, capsys, data):
    arguments = ["demo", "--data", data, "--out", str(tmp_path / "demo"), "--max-steps", "3"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    for word in ("identity", "mean shift", "observed", "mean absolute error", "Written to"):
        assert word in printed
    assert ("this very cell" in printed) == (data == "pbmc_perturbed")
    folder = tmp_path / "demo"
    adata = ad.read_h5ad(folder / f"{data}.h5ad")
    assert {"paper", "adversarial", "fast"} <= set(adata.layers)
    assert rt.model.W1OT.load(folder / "model").is_trained
    assert (folder / "evaluation.csv").exists()
    figures = {path.stem for path in folder.glob("*.png")}
    assert {"transport_rays_fast", "history_paper", "history_adversarial", "evaluate"} <= figures


def test_a_condition_that_does_not_exist_is_one_sentence(tmp_path, capsys):
    arguments = ["demo", "--data", "moons", "--target", "x", "--out", str(tmp_path / "demo")]
    assert main(arguments) == 1
    assert "no category 'x'" in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()


def test_a_data_set_that_does_not_exist(capsys):
    assert main(["demo", "--data", "kang"]) == 2
    assert "'kang' is not one of" in capsys.readouterr().err


def test_data_sets_that_need_arguments_are_not_offered(capsys):
    (option,) = (option for option in demo.command.params if option.name == "data")
    offered = option.help.partition("one of ")[2]
    loaders = {name: getattr(rt.datasets, name) for name in dir(rt.datasets)}
    callable_alone = {
        name
        for name, loader in loaders.items()
        if all(
            parameter.default is not inspect.Parameter.empty
            for parameter in inspect.signature(loader).parameters.values()
        )
    }
    assert set(re.findall(r"\w+", offered)) == callable_alone - {"available"}
    assert "w1_benchmark" not in callable_alone


def test_the_version_is_printed(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"rayot {rt.__version__}\n"
    done = subprocess.run(
        [sys.executable, "-m", "rayot", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"rayot {rt.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--seed", "x"], "'--seed': seed must be a whole number of at least 0, found 'x'."),
        (["--seed", "-1"], "'--seed': seed must be a whole number of at least 0, found -1."),
        (["--seed", str(2**40)], "'--seed': seed must be a whole number from 0 to 4294967295"),
        (["--max-steps", "0"], "max_steps must be a whole number of at least 1, found 0."),
        (["--max-steps", "-3"], "max_steps must be a whole number of at least 1, found -3."),
        (["--max-steps", "1.5"], "max_steps must be a whole number of at least 1, found '1.5'."),
    ],
)
def test_bad_numbers_are_named_before_anything_is_loaded(
    capsys, nothing_is_loaded, arguments, sentence
):
    assert main(["demo", *arguments]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("below", [False, True])
def test_a_file_where_results_should_go_is_named_before_anything_is_loaded(
    tmp_path, capsys, nothing_is_loaded, below
):
    (tmp_path / "taken").write_text("")
    out = tmp_path / "taken" / "demo" if below else tmp_path / "taken"
    assert main(["demo", "--out", str(out)]) == 2
    assert (
        f"nothing can be written to {out}: {tmp_path / 'taken'} is not" in capsys.readouterr().err
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_takes_no_files_is_named_before_anything_is_loaded(
    tmp_path, capsys, nothing_is_loaded
):
    tmp_path.chmod(0o500)
    assert main(["demo", "--out", str(tmp_path / "demo")]) == 2
    assert "(Permission denied)" in capsys.readouterr().err


def test_an_error_of_the_system_is_printed_whole(tmp_path, capsys, monkeypatch):
    def fail(data):
        raise OSError(28, "No space left on device", "cells.h5ad")

    monkeypatch.setattr(demo, "_load", fail)
    assert main(["demo", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        "rayot demo: [Errno 28] No space left on device: 'cells.h5ad'\n"
    )


def test_data_that_cannot_be_downloaded_are_one_sentence(tmp_path, capsys, monkeypatch):
    def no_network(*arguments, **options):
        raise OSError("no network")

    monkeypatch.setenv("RAYOT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(pooch, "retrieve", no_network)
    assert main(["demo", "--data", "sciplex3", "--out", str(tmp_path / "demo")]) == 1
    printed = capsys.readouterr().err
    assert printed.startswith(f"rayot demo: {tmp_path / 'data'}")
    assert "could not be downloaded (no network): download it by hand (several GB)" in printed
    assert "processed_datasets_all.zip" in printed
    assert "Traceback" not in printed
    assert not (tmp_path / "demo").exists()
