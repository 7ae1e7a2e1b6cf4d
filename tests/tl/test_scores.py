"""Verbs that score write their table to ``uns`` and return it; the figure of the name draws it."""

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from mudata import MuData

import rayot as rt

READ = {"h5ad": ad.read_h5ad, "zarr": ad.read_zarr}
FEWER = {
    "evaluate": {"metrics": ["l2"]},
    "log_fold_change": {"genes": ["gene_0", "gene_1"]},
    "calibration": {"levels": [0.8]},
}
"""Options that make another table."""

SLOTS = ("obs", "var", "obsm", "varm", "layers", "uns")

pytestmark = pytest.mark.parametrize("name", FEWER)


@pytest.fixture(scope="module")
def fitted():
    adata = rt.datasets.simulated(150, 40)
    rt.pp.split(adata)
    options = {"preset": "fast", "n_seeds": 2, "max_steps": 5, "show_progress_bar": False}
    rt.tl.w1ot(adata, "control", "perturbed", **options)
    return adata


@pytest.fixture
def adata(fitted):
    return fitted.copy()


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def score(name, adata, **options):
    return getattr(rt.tl, name)(adata, **options)


def draw(name, source, **options):
    """What a figure shows: the coordinates of its lines and points."""
    axes = np.atleast_1d(getattr(rt.pl, name)(source, show=False, **options))
    points = [np.asarray(part.get_offsets()) for ax in axes for part in ax.collections]
    return points + [line.get_xydata() for ax in axes for line in ax.get_lines()]


def contents(adata):
    return {slot: list(getattr(adata, slot)) for slot in SLOTS}


def test_the_table_is_written_and_nothing_else(adata, name):
    before, values = contents(adata), adata.X.copy()
    table = score(name, adata)
    pd.testing.assert_frame_equal(adata.uns[name], table)
    assert contents(adata) == {**before, "uns": [*before["uns"], name]}
    assert (adata.X != values).nnz == 0
    first = float(table.iloc[0, 0])
    table.iloc[0, 0] = 77.0
    assert adata.uns[name].iloc[0, 0] == first


def test_the_next_call_replaces_it_and_another_name_keeps_both(adata, name):
    options = FEWER[name]
    score(name, adata)
    whole = adata.uns[name]
    score(name, adata, key_added="mine", **options)
    pd.testing.assert_frame_equal(adata.uns[name], whole)
    table = score(name, adata, **options)
    assert table.shape != whole.shape
    pd.testing.assert_frame_equal(adata.uns[name], table)
    pd.testing.assert_frame_equal(adata.uns["mine"], table)
    with pytest.raises(ValueError, match=rf"several tl.{name} tables, '{name}', 'mine'"):
        draw(name, adata)
    assert draw(name, adata, key="mine")


def test_a_table_is_no_map(adata, name):
    score(name, adata)
    assert rt.get.predicted(adata).n_obs == (adata.obs["perturbation"] == "control").sum()
    with pytest.raises(KeyError, match=rf"no fitted map '{name}' .*fitted maps found: 'w1ot'\."):
        rt.get.predicted(adata, name)


@pytest.mark.parametrize("suffix", READ)
def test_files_keep_it_for_the_figure(adata, name, suffix, tmp_path):
    # A name that is also one of a column, which a table in a file cannot have.
    adata.var_names.name = "observed"
    table = score(name, adata)
    adata.var_names.name = None
    path = tmp_path / f"cells.{suffix}"
    getattr(adata, f"write_{suffix}")(path)
    again = READ[suffix](path)
    pd.testing.assert_frame_equal(again.uns[name], table, check_names=False, check_dtype=False)
    for found, expected in zip(draw(name, again), draw(name, table), strict=True):
        np.testing.assert_array_equal(found, expected)
    lazy = ad.experimental.read_lazy(path)
    assert len(draw(name, lazy)) == len(draw(name, table))
    pd.testing.assert_frame_equal(score(name, again), table, check_names=False)


def test_what_is_no_table_of_the_verb_is_kept(adata, name):
    for other in ("w1ot", "links"):
        adata.uns["links"] = pd.DataFrame({"source": ["A"], "target": ["B"]})
        before = contents(adata)
        with pytest.raises(ValueError, match=rf"overwrite uns\['{other}'\], .*rayot.tl.{name};"):
            score(name, adata, key_added=other)
        assert contents(adata) == before
        assert adata.uns["links"].shape == (1, 2)


def test_a_call_that_fails_changes_nothing(adata, name):
    table = score(name, adata)
    before = contents(adata)
    few = adata[(adata.obs["split"] == "train") | (adata.obs["perturbation"] == "control")].copy()
    with pytest.raises(ValueError, match="cells of 'perturbed'"):
        score(name, few)
    assert contents(few) == before
    pd.testing.assert_frame_equal(few.uns[name], table)


def test_a_view_keeps_none_and_stays_one(adata, name):
    view = adata[:]
    table = score(name, view)
    assert view.is_view
    assert contents(view) == contents(adata)
    with pytest.raises(KeyError, match=rf"no tl.{name} table .*tl.{name}, but not to a view, w"):
        draw(name, view)
    assert draw(name, table)


def test_without_a_table_the_verb_that_writes_one_is_named(adata, name):
    with pytest.raises(KeyError, match=rf"no tl.{name} table in .*; rayot.tl.{name} writes one"):
        draw(name, adata)
    table = score(name, adata)
    with pytest.raises(KeyError, match=rf"'other' in .*; tl.{name} tables found: '{name}'"):
        draw(name, adata, key="other")
    with pytest.raises(ValueError, match="key and modality are for an AnnData"):
        draw(name, table, key=name)


def test_of_a_mudata_the_modality_has_it(adata, name):
    both = MuData({"rna": adata, "other": adata[:, :5].copy()})
    table = score(name, both, modality="rna")
    pd.testing.assert_frame_equal(both["rna"].uns[name], table)
    assert name not in both["other"].uns
    assert name not in both.uns
    for found, expected in zip(draw(name, both, modality="rna"), draw(name, table), strict=True):
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(KeyError, match=f"no tl.{name} table"):
        draw(name, both, modality="other")
    with pytest.raises(ValueError, match="Name the modality"):
        draw(name, both)
