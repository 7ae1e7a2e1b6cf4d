"""What every figure promises."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from matplotlib.axes import Axes
from mudata import MuData

import rayot as rt

TABLE = pd.DataFrame(
    {"mmd": [0.01, 0.1, 0.005], "way_mmd": [0.9, 0.0, 1.0], "n_cells": 10},
    index=["w1ot", "identity", "observed"],
)
FOLD_CHANGES = pd.DataFrame(
    {"observed": [1.0, -1.0], "predicted": [0.8, -0.2], "mean shift": [0.5, -0.5]},
    index=["A", "B"],
)
CALIBRATION = pd.DataFrame(
    {"coverage": [0.4, 0.8], "coverage by sampling alone": [0.1, 0.3]}, index=[0.5, 0.9]
)
SCORES = pd.DataFrame(
    {
        "perturbation": list("ABC") * 3,
        "method": np.repeat(["map", "identity", "observed"], 3),
        "metric": "energy_distance",
        "value": [0.2, 0.3, 0.1, 1.0, 2.0, 3.0, 0.1, 0.1, 0.1],
    }
)
SCORES = pd.concat([SCORES, SCORES.assign(metric="mmd")])
FROM_ADATA = ["transport_rays", "markers", "potential", "umap", "history", "diagnostics"]
OF_SCREENS = ["screen", "similarity"]
OF_SCORES = ["benchmark", "benchmark_effects", "benchmark_ranks"]
OF_TABLES = ["evaluate", "log_fold_change", "calibration", *OF_SCORES]
EVERY = [*FROM_ADATA, *OF_SCREENS, *OF_TABLES]


@pytest.fixture
def draw(planar):
    """Draw a figure by its name."""
    planar.obsm["X_umap"] = planar.X
    names = ["a", "b", "c"]
    planar.uns["screen"] = {
        "control": "control",
        "table": pd.DataFrame({"perturbation": names, "energy_distance": 1.0, "detectable": True}),
        "displacement": np.eye(3, dtype=np.float32)[:, None],
        "similarity": {
            "names": names,
            "cosine": np.eye(3),
            "linkage": np.array([[0, 1, 1, 2], [3, 2, 1, 3]], dtype=float),
        },
    }
    inputs = {"evaluate": TABLE, "log_fold_change": FOLD_CHANGES, "calibration": CALIBRATION}
    inputs |= dict.fromkeys(OF_SCORES, SCORES)
    return lambda name, **options: getattr(rt.pl, name)(inputs.get(name, planar), **options)


@pytest.fixture
def settings():
    """scanpy's settings, put back afterwards."""
    before = sc.settings.autoshow, sc.settings.figdir
    yield sc.settings
    sc.settings.autoshow, sc.settings.figdir = before


def n_panels(name):
    return {"history": 2, "evaluate": 2, "diagnostics": 3, "benchmark": 2}.get(name)


def test_every_public_figure_is_tested():
    assert sorted(EVERY) == rt.pl.__all__


@pytest.mark.parametrize("name", EVERY)
def test_returns_axes(draw, name):
    axes = draw(name, show=False)
    if n_panels(name):
        assert len(axes) == n_panels(name)
        assert all(isinstance(panel, Axes) for panel in axes)
    else:
        assert isinstance(axes, Axes)


@pytest.mark.parametrize("name", EVERY)
def test_given_axes_are_used_and_no_figure_is_opened(draw, name):
    figure = plt.Figure()
    ax = figure.subplots(1, n_panels(name) or 1)
    axes = draw(name, ax=ax)
    assert (list(axes) == list(ax)) if n_panels(name) else (axes is ax)
    assert plt.get_fignums() == []


@pytest.mark.parametrize("name", EVERY)
def test_shown_figures_return_nothing(draw, name, settings, monkeypatch):
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(name))
    assert draw(name, show=True) is None
    settings.autoshow = True
    assert draw(name) is None
    settings.autoshow = False
    assert draw(name) is not None
    assert shown == [name, name]


@pytest.mark.parametrize("name", EVERY)
def test_saves_where_scanpy_would_or_to_a_path(draw, name, settings, tmp_path):
    settings.figdir = tmp_path / "figures"
    draw(name, show=False, save="_mine.png")
    draw(name, show=False, save=tmp_path / "here.svg")
    assert (tmp_path / "figures" / f"{name}_mine.png").stat().st_size > 1000
    assert (tmp_path / "here.svg").stat().st_size > 1000
    draw(name, show=False, save=str(tmp_path / "text.png"))
    assert (tmp_path / "text.png").stat().st_size > 1000


@pytest.mark.parametrize("name", EVERY)
def test_a_path_without_its_folder_is_refused_before_anything_is_drawn(draw, name, tmp_path):
    for path in (tmp_path / "absent" / "x.png", str(tmp_path / "absent" / "x.png")):
        with pytest.raises(FileNotFoundError, match="absent' does not exist; make it first"):
            draw(name, show=False, save=path)
    for folder in (tmp_path, f"{tmp_path}/"):
        with pytest.raises(ValueError, match=r"names the folder .*; name a file in it"):
            draw(name, show=False, save=folder)
    assert plt.get_fignums() == []


@pytest.mark.parametrize("name", FROM_ADATA)
def test_a_modality_is_drawn_as_its_cells_are(draw, planar, name):
    draw(name, show=False)
    data = MuData({"rna": planar, "other": planar[:10].copy()})
    drawn = getattr(rt.pl, name)(data, modality="rna", show=False)
    assert drawn is not None
    with pytest.raises((KeyError, ValueError), match="modality"):
        getattr(rt.pl, name)(data, show=False)


def test_the_former_name_of_evaluate_works(draw):
    with pytest.warns(FutureWarning, match="is rayot.pl.evaluate now"):
        assert len(rt.pl.evaluation(TABLE, show=False)) == 2


@pytest.mark.parametrize("name", FROM_ADATA)
def test_nothing_is_written(draw, planar, name):
    before = planar.copy()
    draw(name, show=False)
    for slot in ("uns", "obs", "obsm", "layers", "obsp"):
        assert list(getattr(planar, slot)) == list(getattr(before, slot))


@pytest.mark.parametrize("name", FROM_ADATA)
def test_unknown_key_names_what_exists(draw, name):
    with pytest.raises(KeyError, match=r"no fitted map 'other' .*fitted maps found: 'w1ot'"):
        draw(name, key="other")


@pytest.mark.parametrize("name", ["history", "evaluate", "diagnostics"])
def test_wrong_number_of_axes(draw, name):
    with pytest.raises(ValueError, match=f"ax has 1 axes; this figure has {n_panels(name)} panels"):
        draw(name, ax=plt.Figure().subplots())
