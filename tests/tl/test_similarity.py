"""Perturbations that push cells the same way are similar, and stand together."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.cluster.hierarchy import dendrogram

import rayot as rt


@pytest.fixture
def screened():
    """Two pairs of perturbations along x and y, one that undoes a pair, one that moves nothing."""
    moves = {
        "a": (2, 0.1),
        "p": (0, 1),
        "b": (1, 0),
        "q": (0.1, 3),
        "undo": (-1, 0),
        "none": (0, 0),
    }
    displacement = np.array(list(moves.values()), dtype=np.float32)[:, None].repeat(3, axis=1)
    # The second type of "b" goes along y, and "a" has no cells of it.
    displacement[2, 2] = (0, 1)
    displacement[0, 2] = np.nan
    table = pd.DataFrame({"perturbation": list(moves), "energy_distance": 1.0, "detectable": True})
    adata = ad.AnnData(np.zeros((2, 2)))
    adata.uns["screen"] = {
        "control": "control",
        "table": table,
        "displacement": displacement,
        "cell_types": ["one", "two"],
    }
    return adata


def test_cosines_and_their_order(screened):
    table = rt.tl.similarity(screened)
    assert "none" not in table
    assert table.loc["a", "b"] == pytest.approx(2 / np.hypot(2, 0.1))
    assert table.loc["undo", "b"] == pytest.approx(-1)
    np.testing.assert_allclose(table, table.T)
    place = {name: number for number, name in enumerate(table.index)}
    assert abs(place["a"] - place["b"]) == abs(place["p"] - place["q"]) == 1
    written = screened.uns["screen"]["similarity"]
    assert written["names"].tolist() == table.index.tolist()
    np.testing.assert_array_equal(written["cosine"], table)


def test_types_are_compared_one_by_one(screened):
    table = rt.tl.similarity(screened, of="cell_type")
    # One type agrees with "p" and the other does not.
    assert table.loc["b", "p"] == pytest.approx(0.5)
    assert table.loc["a", "b"] == pytest.approx(2 / np.hypot(2, 0.1))


def test_bad_input_is_named(screened):
    with pytest.raises(KeyError, match=r"no screen 'other'.*'screen'"):
        rt.tl.similarity(screened, "other")
    with pytest.raises(ValueError, match="of must be one of"):
        rt.tl.similarity(screened, of="genes")
    screened.uns["screen"]["displacement"] = screened.uns["screen"]["displacement"][:, :1]
    with pytest.raises(ValueError, match="has no cell types"):
        rt.tl.similarity(screened, of="cell_type")
    screened.uns["screen"]["displacement"][1:] = 0
    with pytest.raises(ValueError, match=r"1 perturbations .* needs two"):
        rt.tl.similarity(screened)
    with pytest.raises(KeyError, match="were not compared"):
        rt.pl.similarity(screened)


def test_the_figure_has_the_order_of_the_table(screened):
    table = rt.tl.similarity(screened)
    ax = rt.pl.similarity(screened, show=False)
    assert [text.get_text() for text in ax.get_yticklabels()] == table.index.tolist()
    np.testing.assert_array_equal(ax.images[0].get_array(), table)


def test_the_figure_of_a_screen_says_what_is_detectable(screened):
    screened.uns["screen"]["table"].loc[3:, "detectable"] = False
    screened.uns["screen"]["table"]["energy_distance"] = [1.0, 3, 2, 0, 0, 0]
    ax = rt.pl.screen(screened, n_shown=4, show=False)
    assert [text.get_text() for text in ax.get_yticklabels()][:3] == ["p", "b", "a"]
    assert ax.get_title() == "3 of 6 perturbations have a detectable effect"
    assert [len(line.get_xdata()) for line in ax.get_lines()[:2]] == [3, 1]


def test_the_tree_stands_at_the_rows_of_the_matrix(screened):
    rng = np.random.default_rng(0)
    for _ in range(20):
        # Small whole numbers give ties.
        displacement = rng.integers(-1, 2, size=(6, 3, 2)).astype(np.float32)
        displacement[:, 0] += 2
        screened.uns["screen"]["displacement"] = displacement
        rt.tl.similarity(screened)
        tree = screened.uns["screen"]["similarity"]["linkage"]
        assert dendrogram(tree, no_plot=True)["leaves"] == list(range(6))


def test_names_with_a_slash_survive_a_file(screened, tmp_path):
    names = ["a/b", "a", "_index", "a/c", "x y", "none"]
    screened.uns["screen"]["table"]["perturbation"] = names
    screened.uns["screen"]["table"].index = screened.uns["screen"]["table"].index.astype(str)
    table = rt.tl.similarity(screened)
    for suffix in ("h5ad", "zarr"):
        path = tmp_path / f"cells.{suffix}"
        getattr(screened, f"write_{suffix}")(path)
        read = getattr(ad, f"read_{suffix}")(path)
        ax = rt.pl.similarity(read, show=False)
        assert [text.get_text() for text in ax.get_yticklabels()] == table.index.tolist()


def test_long_names_do_not_lie_under_the_legend(screened):
    table = screened.uns["screen"]["table"]
    table.loc[3:, "detectable"] = False
    table["perturbation"] += "_pomalidomide_carfilzomib_dexamethasone"
    ax = rt.pl.screen(screened, show=False)
    ax.figure.canvas.draw()
    legend = ax.get_legend().get_window_extent()
    names = [label.get_window_extent() for label in ax.get_yticklabels()]
    assert not any(legend.overlaps(name) for name in names)
