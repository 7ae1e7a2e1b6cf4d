"""The report of a table of scores."""

import numpy as np
import pandas as pd
import pytest

import rayot as rt
from rayot.reporting._blocks import shown


def test_tables_are_those_of_the_functions(scores, page, tmp_path):
    seen = page(rt.report(scores, tmp_path / "report.html"))
    summary = rt.metrics.summarise(scores).loc["mmd"]
    table = seen.table("mmd, smaller is better").set_index("method")
    assert list(table.index) == list(summary.index)
    assert list(table["pooled way"]) == [shown(value) for value in summary["pooled way"]]
    tests = rt.metrics.compare_methods(scores, "map")
    table = seen.table("map against the others")
    assert list(table["other"]) == list(tests.index.get_level_values("other"))
    assert list(table["q"]) == [shown(value) for value in tests["q"]]
    assert "https://" not in seen.source
    assert "http://" not in seen.source
    assert all(len(each["alt"]) > 20 for each in seen.all("img"))
    assert len(seen.all("img")) == 2 + 1 + 1


def test_what_failed_is_there_with_its_reason(scores, page, tmp_path):
    seen = page(rt.report(scores, tmp_path / "report.html"))
    table = seen.table("1 failed")
    assert table.loc[0].tolist() == ["drug 3 & co", "other <b>", "ValueError: x < 0 & y"]
    done = scores[scores["status"] == "done"]
    seen = page(rt.report(done, tmp_path / "done.html"))
    assert "None failed." in seen.sections["failed"]


@pytest.mark.parametrize("method", ["mean shift", "other <b>"])
def test_the_method_that_is_compared_can_be_named(scores, page, tmp_path, method):
    seen = page(rt.report(scores, tmp_path / "report.html", method=method))
    assert f"{method} against the others" in seen.captions


def test_units_may_be_others(scores, page, tmp_path):
    scores = scores.rename(columns={"perturbation": "donor"})
    seen = page(rt.report(scores, tmp_path / "report.html", unit="donor"))
    assert "Values of donor are taken as independent" in seen.sections["compared"]


def test_a_single_method_has_no_effects_and_no_tests(scores, page, tmp_path):
    alone = scores[scores["method"] == "map"]
    seen = page(rt.report(alone, tmp_path / "report.html"))
    assert (
        "This cannot be shown: The scores in 'energy_distance' have no rows of 'identity'"
        in (seen.sections["effects"])
    )
    assert "no other method" in seen.sections["tests"]


def test_the_table_is_not_changed_and_the_file_is_the_same(scores, tmp_path):
    before = scores.copy()
    first, second = (
        rt.report(scores, tmp_path / name).read_text(encoding="utf-8").split("</time>")[1]
        for name in ("first.html", "second.html")
    )
    assert first == second
    pd.testing.assert_frame_equal(scores, before)


def test_the_table_of_maps_of_one_pair(page, tmp_path):
    names = ["w1ot", "identity", "mean shift", "observed"]
    values = {"mmd": [0.1, 1.0, 0.5, 0.0], "way_energy_distance": [0.4, 0, 0.5, 1], "n_cells": 20}
    table = pd.DataFrame(values, index=pd.Index(names, name="method"))
    seen = page(rt.report(table, tmp_path / "report.html"))
    assert "comes 40% of the way" in seen.sections["scores"]
    assert "not ahead of the mean shift" in seen.sections["scores"]


@pytest.mark.parametrize(
    ("change", "arguments", "error", "sentence"),
    [
        (lambda table: table.drop(columns="value"), {}, KeyError, "no column 'value'"),
        (lambda table: table.drop(columns="perturbation"), {}, KeyError, "'perturbation'"),
        (lambda table: table.iloc[:0], {}, ValueError, "is empty"),
        (lambda table: table.assign(value=np.nan), {}, ValueError, "no value that is a number"),
        (lambda table: table.assign(metric="magic"), {}, ValueError, "magic"),
        (lambda table: pd.DataFrame({"n_cells": [5]}), {}, ValueError, "no row 'identity'"),
        (lambda table: table, {"method": "w3ot"}, ValueError, "No score is of 'w3ot'"),
        (lambda table: table, {"unit": "donor"}, KeyError, "no column 'donor'"),
        (lambda table: table, {"key": "w1ot"}, ValueError, "key is for cells"),
        (lambda table: table, {"modality": "rna"}, ValueError, "modality is for cells"),
    ],
)
def test_bad_tables_are_one_sentence(scores, tmp_path, change, arguments, error, sentence):
    with pytest.raises(error, match=sentence):
        rt.report(change(scores), tmp_path / "report.html", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_numbers_are_short():
    values = [0.12345, -2.0, 12345.6, 1e-7, float("nan"), np.int64(1200), True, None, np.ones(2)]
    texts = ["0.123", "−2", "12346", "1.0e−07", "—", "1,200", "yes", "none", "1, 1"]
    assert [shown(value) for value in values] == texts
