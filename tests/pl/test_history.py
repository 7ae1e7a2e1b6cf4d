import numpy as np
import pytest

import rayot as rt


def test_one_panel_a_phase(planar):
    axes = rt.pl.history(planar, show=False)
    assert [ax.get_title() for ax in axes] == ["ray 1 potential", "ray 1 step"]
    assert axes[0].get_ylabel() == "dual"


def test_validation_is_strong_and_drawn_where_it_was_measured(planar):
    train, validation = rt.pl.history(planar, show=False)[0].get_lines()
    assert validation.get_linewidth() > train.get_linewidth()
    assert validation.get_xdata().tolist() == [0, 10, 20, 30, 40]
    np.testing.assert_allclose(train.get_ydata(), np.arange(50) / 50)


def test_two_losses_have_two_colours(planar):
    ax = rt.pl.history(planar, show=False)[1]
    assert len({line.get_color() for line in ax.get_lines()}) == 2
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["step loss", "critic loss"]


def test_a_loss_and_a_distance_do_not_share_an_axis(planar):
    curves = planar.uns["w1ot"]["history"]["ray 1 step"]
    curves["validation_energy_distance"] = curves["step"] / 100
    left, right = rt.pl.history(planar, show=False)[1].get_figure().axes[1:]
    assert left.get_ylabel() == "energy distance"
    assert [len(ax.get_lines()) for ax in (left, right)] == [1, 2]


def test_no_history(planar):
    del planar.uns["w1ot"]["history"]
    with pytest.raises(KeyError, match="has no 'history'"):
        rt.pl.history(planar)
