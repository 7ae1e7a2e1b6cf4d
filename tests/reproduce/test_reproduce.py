"""Experiments of the paper: what they measure, that they go on, and that published figures stay."""

import numpy as np
import pandas as pd
import pytest
import stand_in
import torch

import rayot as rt
from rayot.datasets._min_funnels import MinFunnels
from rayot.reproduce import _figure2, _figure3, _figure4, _supplement1, _supplement3
from rayot.reproduce._cell_sets import SETS
from rayot.reproduce._table import COLUMNS, QUICK, beside_paper, published

QUIET = {"quick": True, "show_progress_bar": False}


@pytest.fixture(scope="session")
def archive(tmp_path_factory):
    """An archive of the form of CellOT's, under another name."""
    path = stand_in.write_archive(tmp_path_factory.mktemp("archive"))
    return path.rename(path.with_name("cells.zip"))


def test_differences_are_of_the_same_data_alone():
    found = pd.DataFrame(
        {
            "data": ["a", "b", "c"],
            "method": "w1ot",
            "metric": "r2",
            "paper": [0.5, 0.5, np.nan],
            "ours": [0.75, 0.75, 0.75],
            "seconds": 1.0,
            "note": ["", "other cells", ""],
            "comparable": [True, False, True],
        }
    )
    table = beside_paper("figure3", found, quick=False)
    assert tuple(table.columns) == COLUMNS
    np.testing.assert_array_equal(table["difference"], [0.25, np.nan, np.nan])
    assert table["note"].tolist() == ["", "other cells", ""]
    assert beside_paper("figure3", found, quick=True)["note"].str.startswith(QUICK).all()


@pytest.mark.parametrize(
    ("name", "row", "expected"),
    [
        ("figure2", {"data": "bookshelf"}, {"paper": 1}),
        ("figure3", {"panel": "3a", "method": "w1ot"}, {"r2": 0.936, "l2": 0.283, "mmd": 0.0032}),
        ("figure3", {"panel": "3c", "method": "w2ot"}, {"r2": 0.212, "l2": 4.152, "mmd": 0.1064}),
        ("figure4", {"metric": "largest speedup"}, {"paper": 4.5}),
        ("supplement1", {"dimension": 256, "funnels": 128, "groups": 4}, {"cosine": 0.33}),
        ("supplement3", {"method": "w1ot"}, {"error": 0.0106}),
    ],
)
def test_published_figures(name, row, expected):
    table = published(name)
    (found,) = table[(table[list(row)] == pd.Series(row)).all(axis=1)].to_dict("records")
    for column, value in expected.items():
        assert found[column] == pytest.approx(value, abs=0.005 if column == "cosine" else 1e-9)


def test_the_toy_sets(tmp_path, monkeypatch):
    monkeypatch.setattr(_figure2, "N_TRAINING", 600)
    table = rt.reproduce.figure2(tmp_path, seeds=[1], **QUIET)
    assert tuple(table.columns) == COLUMNS
    assert table["metric"].value_counts().to_dict() == {
        "energy_distance": 4,
        "order": 1,
        "inner_to_inner": 1,
    }
    assert table["paper"].count() == 2
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "table.csv"), table)
    assert (tmp_path / "figure2.png").stat().st_size > 10_000


class Truth(torch.nn.Module):
    """The potential that a pair was made of."""

    def __init__(self, pair):
        super().__init__()
        self.centres, self.biases = map(torch.from_numpy, (pair.centres, pair.biases))

    def forward(self, points):
        distances = (points[..., None, :] - self.centres).norm(dim=-1)
        return -(distances + self.biases).min(-1).values


def test_the_true_potential_has_the_best_scores():
    pair = MinFunnels.drawn(32, 8)
    found = _supplement1.score(pair, Truth(pair), 1)
    assert found["cosine"] == pytest.approx(1, abs=1e-3)
    assert found["l2"] == pytest.approx(0, abs=1e-3)
    source, target = (draw(20_000, np.random.default_rng(0)) for draw in (pair.source, pair.target))
    truth = pair.potential(source).mean() - pair.potential(target).mean()
    assert found["w1"] == pytest.approx(truth, rel=0.02)


def test_a_potential_learns_and_its_settings_are_the_papers(tmp_path):
    few, more = (_supplement1.measure(32, 2, 4, 0, steps) for steps in (5, 60))
    assert more["cosine"] > few["cosine"] > 0
    assert more["w1_error"] < few["w1_error"]
    assert (_supplement1.STEPS, _supplement1.BATCH, _supplement1.BETAS) == (10_000, 256, (0.5, 0.5))


def test_what_is_done_is_not_done_again(tmp_path, monkeypatch):
    asked = []

    def measure(method, dimension, iterations):
        if len(asked) == 3:
            raise KeyboardInterrupt
        asked.append((method, dimension))
        return {_figure4.SECONDS: 10.0 * dimension * (2 if method == "w2ot" else 1)}

    monkeypatch.setattr(_figure4, "measure", measure)
    options = {"dimensions": [2, 4], "show_progress_bar": False}
    with pytest.raises(KeyboardInterrupt):
        rt.reproduce.figure4(tmp_path, **options)
    done = asked.copy()
    asked.clear()
    table = rt.reproduce.figure4(tmp_path, **options)
    assert not set(asked) & set(done)
    assert len(asked) + len(done) == 4
    speedup = table.set_index("metric").loc[["smallest speedup", "largest speedup"]]
    assert speedup["ours"].tolist() == [2, 2]
    assert speedup["difference"].tolist() == [-0.5, -2.5]
    with pytest.raises(ValueError, match=r"another quick \(False, now True\); name another folder"):
        rt.reproduce.figure4(tmp_path, quick=True, **options)


def test_five_genes_are_doubled_in_half_of_the_cells(real_data):
    adata, genes = _supplement3.doubled_cells(0)
    original = rt.datasets.kang18()[adata.obs_names, adata.var_names].X.toarray()
    treated = (adata.obs["perturbation"] == "doubled").to_numpy()
    counts, before = np.expm1(adata.X), np.expm1(original)
    np.testing.assert_allclose(counts[treated][:, genes], 2 * before[treated][:, genes], rtol=1e-4)
    np.testing.assert_array_equal(adata.X[~treated], original[~treated])
    assert len(genes) == 5
    assert abs(treated.mean() - 0.5) < 0.01


def test_doing_nothing_has_the_error_of_doing_nothing(real_data, tmp_path):
    options = {"methods": ["identity", "w1ot"], "seeds": [0]}
    table = rt.reproduce.supplement3(tmp_path, **options, **QUIET)
    ours = table.set_index(["method", "metric"])["ours"]
    assert ours["identity", "error"] == 1
    assert ours["identity", "others"] == 0
    assert table["difference"].isna().all()
    assert table["note"].str.contains("stands in for 4i").all()


def test_the_papers_cells_out_of_an_archive(archive, tmp_path):
    table = rt.reproduce.figure3(tmp_path, data=[archive], panels=["3a"], methods=["w1ot"], **QUIET)
    assert set(table["experiment"]) == {"figure3a"}
    assert table["ours"].notna().all()
    of = table.set_index(["method", "metric"])
    assert of.loc[("w1ot", "mmd"), "paper"] == 0.0032
    observed = of.loc[("observed", "l2")]
    assert observed["difference"] == pytest.approx(observed["ours"] - 0.204, abs=1e-4)
    assert [path.name for path in tmp_path.glob("*.png")] == ["3a_four_i.png"]


@pytest.mark.slow
def test_panels_of_a_held_out_line_and_of_genes(archive, tmp_path):
    options = {"data": [archive], "panels": ["3c", "4b"], "methods": ["scgen", "cpa"]}
    table = rt.reproduce.figure3(tmp_path, **options, **QUIET)
    assert table["experiment"].value_counts().to_dict() == {"figure3c": 15, "figure4b": 15}
    assert table["ours"].notna().all()


def test_other_cells_are_marked(real_data, tmp_path):
    options = {"data": ["papalexi21"], "panels": ["4b", "3c"], "methods": ["w1ot"]}
    table = rt.reproduce.figure3(tmp_path, **options, **QUIET)
    # It has no groups that could be held out.
    assert set(table["experiment"]) == {"figure4b"}
    assert table["note"].str.contains("stands in for sciplex3").all()
    assert table["difference"].isna().all()
    assert table["paper"].notna().sum() == 9


def test_groups_that_are_held_out_change_with_the_seed():
    adata = rt.datasets.simulated(n_cells=600, n_genes=20)
    cells, panel = SETS["kang18"], _figure3.PANELS["3c"]
    groups = []
    for seed in range(3):
        obs = _figure3.prepared(adata, cells, panel, seed).obs
        (group,) = obs.loc[obs["split"] == "test", "cell_type"].unique()
        assert not (obs.loc[obs["split"] == "train", "cell_type"] == group).any()
        groups.append(group)
    assert len(set(groups)) > 1
    with pytest.raises(ValueError, match="no group with 50 cells of every condition"):
        _figure3.prepared(adata[::20].copy(), cells, panel, 0)


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("figure2", {"seeds": []}, "seeds must be at least one whole number"),
        ("figure2", {"seeds": "01"}, "seeds must be several whole numbers, found '01'"),
        ("figure4", {"dimensions": [0]}, "dimensions must be a whole number of at least 1"),
        ("supplement1", {"funnels": [3]}, "funnels must be powers of two, found 3."),
        ("supplement1", {"groups": [3]}, "groups must be divisors of 64"),
        (
            "supplement3",
            {"methods": ["w3ot"]},
            "methods must be some of identity, w1ot, w2ot, scgen, biolord, cpa, found 'w3ot'.",
        ),
        ("figure3", {"panels": ["3d"]}, "panels must be some of 3a, 3b, 3c, 4b, found '3d'."),
        ("figure3", {"data": ["kang"]}, "data must be four_i, sciplex3"),
        ("figure3", {"data": ["no.h5ad"]}, "data must be a file that exists, found 'no.h5ad'."),
    ],
)
def test_bad_arguments_are_one_sentence(tmp_path, name, options, sentence):
    with pytest.raises(ValueError) as caught:
        getattr(rt.reproduce, name)(tmp_path / "out", **options)
    assert sentence in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_files_of_another_form(tmp_path):
    (tmp_path / "a.zip").write_text("no archive")
    (tmp_path / "b.h5ad").write_text("no cells")
    rt.datasets.moons(n_samples=20).write_h5ad(tmp_path / "c.h5ad")
    for name, sentence in (
        ("a.zip", "is no zip archive"),
        ("b.h5ad", "cannot be read as .h5ad"),
        ("c.h5ad", r"should name their treatment in obs\['drug'\]"),
    ):
        with pytest.raises(ValueError, match=sentence):
            rt.reproduce.figure3(tmp_path / "out", data=[tmp_path / name], **QUIET)
