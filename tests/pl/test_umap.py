import numpy as np

import rayot as rt


def test_overlay_of_three_populations(embedded):
    ax = rt.pl.umap(embedded, show=False)
    assert [len(part.get_offsets()) for part in ax.collections] == [40, 30, 40]
    assert ax.get_xlabel() == "UMAP1"


def test_a_gene_shows_its_predicted_expression(embedded):
    embedded.layers["w1ot"][:40] = embedded.X.max()
    ax = rt.pl.umap(embedded, color="gene0", show=False)
    faces = ax.collections[2].get_facecolors()
    np.testing.assert_allclose(faces, np.tile(faces[0], (40, 1)))
