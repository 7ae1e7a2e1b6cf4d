"""``rayot reproduce``: its table, its options, and its errors."""

import json

import pandas as pd
import pooch
import pytest

import rayot as rt


def test_a_table_as_text_as_json_and_in_a_folder(rayot, tmp_path):
    out = tmp_path / "results"
    options = ["--dimensions", "32", "--funnels", "2", "--groups", "1,4", "--quick", "--out", out]
    done = rayot("reproduce", "supplement1", *options)
    assert done.code == 0
    assert "GroupSort, 4 groups" in done.out and "not the paper's settings" in done.out
    again = rayot("reproduce", "supplement1", *options, "--json", "--quiet")
    assert again.err == ""
    assert again.json["quick"] is True
    table = pd.read_csv(out / "table.csv")
    assert [row["ours"] for row in again.json["table"]] == table["ours"].tolist()
    assert again.json["paths"]["table"] == str(out / "table.csv")
    assert json.dumps(again.json).count("NaN") == 0


def test_results_go_to_a_folder_of_their_own(rayot, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert rayot("reproduce", "figure4", "--dimensions", "2", "--quick", "--quiet").code == 0
    assert (tmp_path / "reproduce" / "figure4_quick" / "table.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["figure22"], "there is no experiment 'figure22'. Did you mean figure2?"),
        (["x"], "there is no experiment 'x'. There are figure2, figure3"),
        (["figure2", "--panels", "3a"], "figure2 takes no --panels."),
        (["figure2", "--stand-ins"], "figure2 takes no --data."),
        (["figure3", "--stand-ins", "--data", "kang18"], "pass one."),
        (["figure2", "--seeds", "1,x"], "seeds must be a whole number of at least 0, found 'x'."),
    ],
)
def test_wrong_usage(rayot, tmp_path, arguments, sentence):
    done = rayot("reproduce", *arguments, "--out", tmp_path / "out")
    assert done.code == 2
    assert sentence in done.err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_to(rayot, tmp_path):
    (tmp_path / "taken").write_text("")
    done = rayot("reproduce", "figure2", "--out", tmp_path / "taken")
    assert done.code == 2
    assert "nothing can be written to" in done.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--data", "absent.h5ad"], "--data must be a file that exists, found 'absent.h5ad'."),
        (["--data", "kang"], "--data must be four_i, sciplex3"),
        (["--data", "kang18", "--panels", "3a"], "--data must be cells for 3a, found 'kang18'."),
        (["--methods", "w3ot"], "--methods must be some of w1ot"),
    ],
)
def test_errors_are_one_sentence(rayot, tmp_path, arguments, sentence, monkeypatch):
    monkeypatch.setattr(rt.datasets._kang18, "fetch", lambda entry: pytest.fail("loaded"))
    done = rayot("reproduce", "figure3", *arguments, "--out", tmp_path / "out")
    assert done.code == 1
    assert sentence in done.err
    assert "Traceback" not in done.err


def test_cells_that_cannot_be_downloaded_are_one_sentence(rayot, tmp_path, monkeypatch):
    def no_network(*arguments, **options):
        raise OSError("no network")

    monkeypatch.setenv("RAYOT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(pooch, "retrieve", no_network)
    done = rayot("reproduce", "figure3", "--out", tmp_path / "out")
    assert done.code == 1
    assert "could not be downloaded (no network): download it by hand (several GB)" in done.err
    assert "Traceback" not in done.err
