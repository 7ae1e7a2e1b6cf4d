"""The tutorials on real cells, which are stored with outputs and not run by the documentation."""

import json
from pathlib import Path

import pandas as pd
import pytest

TUTORIALS = Path(__file__).resolve().parents[2] / "tutorials"


def code_cells(name):
    path = TUTORIALS / f"{name}.ipynb"
    if not path.exists():
        pytest.skip("the tutorials are not beside the tests")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def run(name):
    """What the notebook's names are bound to after a run from top to bottom."""
    names = {}
    for cell in code_cells(name):
        exec(compile("".join(cell["source"]), f"{name}.ipynb", "exec"), names)
    return names


@pytest.fixture
def quiet(real_data):
    """Matplotlib's and pandas' settings are put back, and figures closed."""
    import matplotlib.pyplot as plt

    with plt.rc_context(), pd.option_context("display.max_colwidth", 50):
        yield
    plt.close("all")


@pytest.mark.parametrize("name", ["cytometry", "doses"])
def test_the_outputs_are_those_of_one_run(name):
    cells = code_cells(name)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {
        "display_data",
        "execute_result",
        "stream",
    }
    assert not any(output.get("name") == "stderr" for output in outputs)
    figures = [output["data"].get("image/png", "") for output in outputs if "data" in output]
    assert 0 < sum(map(len, figures)) < 1_000_000


@pytest.mark.slow
def test_cytometry_says_what_it_shows(quiet):
    names = run("cytometry")
    way = names["compared"]["way within types"].unstack()
    assert len(way) == 3
    assert (way["w1ot"] > 0.95).all()
    assert (way["w1ot"] > way[["w2ot", "scgen", "mean shift"]].max(axis=1)).all()
    assert (way["scgen"] < way["celltype_shift"] - 0.1).all()
    inner = pd.DataFrame(names["found"])
    assert (inner["within types"] > inner["all cells"] + 0.05).all()
    assert set(names["order"][-2:]) == {"B IgM+", "B IgM-"}
    assert {"NK", "CD4 T", "CD8 T"} <= set(names["order"][:5])
    assert names["strongest"][0] == "pS6"
    assert names["fast"].diagnostics["certificate"] == "good"
    found = names["adata"].uns["screen_w1ot"]["similarity"]
    cosine = pd.DataFrame(found["cosine"], found["names"], found["names"])
    assert cosine.loc["BCR/FcR-XL", "PMA/Ionomycin"] > 0.4
    assert cosine.loc["vanadate", ["BCR/FcR-XL", "PMA/Ionomycin"]].abs().max() < 0.2


@pytest.mark.slow
def test_doses_says_what_it_shows(quiet):
    names = run("doses")
    table = names["table"]
    assert table["detectable"].all()
    assert "good" not in set(table["certificate"])
    assert names["tested"]["n_cells"].eq(11).all()
    assert names["tested"]["way_mmd"].isna().all()
    left = names["figures"]["residual_energy_distance"]
    assert left["w1ot"] < left["mean_shift"] < names["figures"]["initial_energy_distance"]["w1ot"]
    assert names["figures"]["certificate"].to_dict() == {"w1ot": "check", "mean_shift": "poor"}
    means = names["left_out"].mean(axis=1)
    assert means["cells of other doses"] < 0.03
    assert means.drop("cells of other doses").min() > 0.05
    assert means["mean shift of other doses"] > means["identity"]
    bars = names["mean"]["ANGPTL4"], 2 * names["error"]["ANGPTL4"]
    assert (abs(bars[0] - 0.52) < bars[1])[names["names"][1:]].all()
