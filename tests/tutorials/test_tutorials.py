"""Tutorials whose data cannot be downloaded, run on an archive of the same form."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import stand_in
from matplotlib import pyplot as plt
from scipy import sparse

import rayot as rt

FOLDER = Path(__file__).parents[2] / "tutorials"


def read(name):
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


def run(notebook):
    """Run all code cells in one namespace, and return it."""
    namespace = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), cell["id"], "exec"), namespace)
            plt.close("all")
    return namespace


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return stand_in.write_archive(tmp_path_factory.mktemp("archive"))


def test_the_stand_in_has_the_form_of_the_archive(archive):
    with zipfile.ZipFile(archive) as zipped:
        assert set(zipped.namelist()) == {
            "datasets/scrna-sciplex3/hvg-top1k.h5ad",
            "datasets/4i/8h.h5ad",
            "datasets/4i/features.txt",
        }
    sciplex3 = rt.datasets.sciplex3(archive.parent)
    assert sciplex3.n_vars == 1000 and sparse.issparse(sciplex3.X)
    assert set(sciplex3.obs["cell_type"]) == set(stand_in.LINES)
    is_control = sciplex3.obs["drug"] == "control"
    assert set(sciplex3.obs["dose"][is_control]) == {0}
    assert set(sciplex3.obs["dose"][~is_control]) == set(stand_in.DOSES)
    ranks = sciplex3.varm["marker_genes-drug-rank"]
    assert sorted(ranks["givinostat"]) == list(range(1, 1001))
    # Log-normalised: every cell has one total of amounts.
    totals = np.expm1(sciplex3.X.toarray()).sum(1)
    assert np.allclose(totals, totals[0], rtol=1e-3)

    four_i = rt.datasets.four_i(archive.parent)
    assert four_i.n_vars == 48 and isinstance(four_i.X, np.ndarray)
    assert four_i.obs["drug"].nunique() == 38
    assert not four_i.var_names.str.endswith("-sum").any()


@pytest.mark.parametrize("name", stand_in.TUTORIALS)
def test_there_is_one_banner_and_one_place_of_settings(name):
    notebook = read(name)
    shown = stand_in.on_stand_in(notebook, "somewhere")["cells"]
    added = [cell for cell in shown if cell not in notebook["cells"]]
    assert [cell["id"] for cell in added] == ["stand-in-banner", "stand-in-settings"]
    assert shown.index(added[0]) == 1
    before = shown[shown.index(added[1]) - 1]
    assert before["metadata"] == {"tags": ["parameters"]}
    settings, replaced = {}, {}
    exec("".join(before["source"]), settings)
    exec(added[1]["source"], replaced)
    assert set(settings) <= set(replaced)


@pytest.mark.slow
def test_sciplex3_runs_from_a_path(archive):
    found = run(stand_in.on_stand_in(read("sciplex3.ipynb"), str(archive.parent)))
    methods = {*found["methods"], "identity", "mean shift", "observed"}
    for scores in (found["scores"], found["out_of_distribution"]):
        assert set(scores["method"]) == methods
        assert set(scores["drug"]) == set(found["drugs"])
        assert scores[found["metrics"]].notna().all(axis=None)
    # No cell of the dose or the line that was left out was in a fit.
    cells, unseen = found["cells"], found["unseen"]
    assert set(cells.obs["split"][cells.obs["dose"] == found["left_out"]]) == {"test"}
    assert (unseen.obs["split"] == "test").equals(unseen.obs["cell_type"] == "K562")
    known = {(each.perturbation, each.dose) for each in found["conditional"].training_conditions}
    assert known and all(dose != found["left_out"] for _, dose in known)


@pytest.mark.slow
def test_four_i_runs_from_the_folder_that_the_environment_names(archive, monkeypatch):
    monkeypatch.setenv("RAYOT_DATA_DIR", str(archive.parent))
    found = run(stand_in.on_stand_in(read("four_i.ipynb"), None))
    assert set(found["scores"]["method"]) == {*found["order"]}
    assert found["scores"]["drug"].nunique() == len(stand_in.FOUR_I)
    assert found["scores"][found["metrics"]].notna().all(axis=None)
    # Drugs that share a target were drawn alike, and those that do nothing move no cell.
    similarity = found["similarity"]
    assert similarity.loc["trametinib", "dabrafenib"] > similarity.loc["trametinib", "paclitaxel"]
    idle = [name for name, target in stand_in.FOUR_I.items() if target is None]
    assert len(set(idle) & set(similarity)) <= 2
