import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.contour import QuadContourSet

import rayot as rt


def test_contours_cover_the_grid(planar):
    ax = rt.pl.potential(planar, show=False)
    filled = next(part for part in ax.collections if isinstance(part, QuadContourSet))
    assert filled.zmin == -8
    assert filled.zmax == 5
    assert (ax.get_xlim(), ax.get_ylim()) == ((-5, 8), (-5, 8))


def test_contours_of_a_potential_that_falls_along_x_are_vertical(planar):
    ax = rt.pl.potential(planar, show=False)
    lines = [part for part in ax.collections if isinstance(part, QuadContourSet)][1]
    for path in lines.get_paths():
        if len(path.vertices):
            assert np.ptp(path.vertices[:, 0]) < 1e-6


def test_rays_are_optional(planar):
    def n_rays(ax):
        return sum(isinstance(part, LineCollection) for part in ax.collections)

    assert n_rays(rt.pl.potential(planar, show=False)) == 0
    assert n_rays(rt.pl.potential(planar, n_cells=5, show=False)) == 1


def test_only_planar_maps_have_one(embedded):
    with pytest.raises(KeyError, match=r"'w1ot' has no 'potential_grid' .*w1ot_potential"):
        rt.pl.potential(embedded)
