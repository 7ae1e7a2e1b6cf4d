import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pytest

import rayot as rt
from rayot.data.keys import Key
from rayot.solvers import CERTIFICATES


def lengths(ax):
    return [bar.get_width() for bar in ax.patches]


def test_bars_are_the_figures(planar):
    distance, exact, way = rt.pl.diagnostics(planar, show=False)
    assert lengths(distance) == [4.0, 0.04, 0.02]
    assert lengths(exact) == [3.4, 0.6, 0.5]
    assert lengths(way) == [3.2, 3.0]
    labels = [text.get_text() for text in distance.get_yticklabels()]
    assert labels == ["source", "predicted", "other target"]
    assert exact.get_title() == "exact W₁ of 15 cells"
    assert [text.get_text() for text in way.texts] == ["3.2", "3"]


def test_the_floor_is_a_line(planar):
    distance, _, way = rt.pl.diagnostics(planar, show=False)
    assert [line.get_xdata()[0] for line in distance.get_lines()] == [0.02, 0]
    assert [line.get_xdata()[0] for line in way.get_lines()] == [0]


def test_the_title_is_the_certificate(planar):
    figure = rt.pl.diagnostics(planar, show=False)[0].get_figure()
    assert figure.get_suptitle() == "good: 1% of the distance to held-out target cells is left."
    # A caller's figure keeps its own title.
    figure, axes = plt.subplots(1, 3)
    figure.suptitle("mine")
    rt.pl.diagnostics(planar, ax=axes)
    assert figure.get_suptitle() == "mine"
    assert axes[0].get_title() == "good: energy distance"


def test_each_word_has_a_colour_of_its_own(planar):
    colors = set()
    for word in CERTIFICATES:
        planar.uns["w1ot"]["diagnostics"]["certificate"] = word
        figure = rt.pl.diagnostics(planar, show=False)[0].get_figure()
        assert figure.get_suptitle().startswith(f"{word}: ")
        colors.add(figure._suptitle.get_color())
        plt.close(figure)
    assert len(colors) == 4


def test_cell_types_have_a_panel(planar):
    planar.uns["w1ot"]["diagnostics"] |= {"changed_type": 0.25, "floor_changed_type": 0.1}
    axes = rt.pl.diagnostics(planar, show=False)
    assert len(axes) == 4
    assert lengths(axes[3]) == [0.25, 0.1]
    assert [text.get_text() for text in axes[3].texts] == ["25%", "10%"]


def test_a_method_without_a_bound_has_its_step_alone(planar):
    planar.uns["w1ot"]["diagnostics"]["held_out_dual"] = float("nan")
    way = rt.pl.diagnostics(planar, show=False)[2]
    assert [text.get_text() for text in way.get_yticklabels()] == ["mean step"]
    assert lengths(way) == [3.2]


def test_figures_that_are_missing_are_a_question_mark(planar):
    planar.uns["w1ot"]["diagnostics"] |= {
        "floor_energy_distance": float("nan"),
        "residual_energy_distance": -0.1,
    }
    ax = rt.pl.diagnostics(planar, show=False)[0]
    assert [text.get_text() for text in ax.texts] == ["4", "-0.1", "?"]
    assert ax.get_xlim()[0] < -0.1
    assert len(ax.get_lines()) == 1


def test_a_map_without_diagnostics(planar):
    del planar.uns["w1ot"]["diagnostics"]["reason"]
    with pytest.raises(KeyError, match=r"has no 'reason' in adata.uns\['w1ot'\].*fit it again"):
        rt.pl.diagnostics(planar)
    del planar.uns["w1ot"]["diagnostics"]
    with pytest.raises(KeyError, match="fit it again"):
        rt.pl.diagnostics(planar)


@pytest.mark.parametrize("with_types", [True, False])
def test_every_fit_writes_what_is_drawn(cells, quick, tmp_path, with_types):
    if not with_types:
        del cells.obs["cell_type"]
    rt.tl.w1ot(cells, "control", "perturbed", **{**quick, "max_steps": 2})
    cells.write_h5ad(tmp_path / "cells.h5ad")
    read = ad.read_h5ad(tmp_path / "cells.h5ad")
    axes = rt.pl.diagnostics(read, show=False)
    assert len(axes) == (4 if with_types else 3)
    names = {name for name in vars(Key.diagnostics) if not name.startswith("_")}
    assert names <= set(read.uns["w1ot"]["diagnostics"])
    assert np.isfinite(lengths(axes[0])).all()
