import numpy as np
import pandas as pd
import pytest

import rayot as rt


@pytest.fixture
def table():
    return pd.DataFrame(
        {"r2": [0.9, 0.5, 1.0], "way_mmd": [0.8, 0.0, 1.0], "n_cells": [5, 5, 5]},
        index=["w1ot", "identity", "observed"],
    )


def test_dots_are_the_scores(table):
    axes = rt.pl.evaluate(table, show=False)
    assert [ax.get_title() for ax in axes] == ["r2 →", "way in\nmmd →"]
    offsets = axes[0].collections[-1].get_offsets()
    np.testing.assert_allclose(offsets, [[0.9, 0], [0.5, 1], [1.0, 2]])
    assert [text.get_text() for text in axes[0].get_yticklabels()] == table.index.tolist()


def test_first_row_is_on_top_and_observed_is_a_line(table):
    ax = rt.pl.evaluate(table, ["r2"], show=False)[0]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    assert ax.get_lines()[0].get_xdata()[0] == 1.0


def test_without_observed_cells(table):
    table.loc["observed"] = np.nan
    assert rt.pl.evaluate(table, show=False)[0].get_lines()[:] == []


def test_unknown_column(table):
    with pytest.raises(KeyError, match="no column 'l2'; columns found: 'r2', 'way_mmd'"):
        rt.pl.evaluate(table, ["l2"])
    with pytest.raises(KeyError, match="no column with scores"):
        rt.pl.evaluate(table[["n_cells"]])
