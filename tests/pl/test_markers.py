import numpy as np

import rayot as rt
from rayot.pl._markers import MARKERS


def test_markers_stand_in_order_on_cells_and_on_their_images(planar):
    ax = rt.pl.markers(planar, show=False)
    points = np.array([part.get_offsets()[0] for part in ax.collections[3:]])
    starts, ends = points[::2], points[1::2]
    assert len(starts) == len(MARKERS) == 5
    assert (np.diff(starts[:, 0]) > 0).all()
    np.testing.assert_allclose(ends - starts, [[3, 1]] * 5, rtol=1e-5)
    ranks = np.searchsorted(np.sort(planar.X[:40, 0]), starts[:, 0])
    assert ranks.tolist() == [4, 12, 20, 28, 36]


def test_arrows_are_named(planar):
    ax = rt.pl.markers(planar, show=False)
    assert [arrow.get_label() for arrow in ax.patches] == list(MARKERS)
