import anndata as ad
import numpy as np
import pandas as pd
import pytest
from mudata import MuData
from scipy import sparse

import rayot as rt
from rayot.datasets._registry import registry

REFERENCES = {
    "bodenmiller12": "bodenmiller2012_cytof_stim",
    "gbm_panobinostat": "zhao2021_gbm_panobinostat",
    "kang18": "kang2018_scgen_valid",
    "norman19": "norman2019_k562_crispra",
    "papalexi21": "papalexi2021_thp1_crispr",
    "sciplex2": "sciplex2_a549_dex",
}


def assert_same(actual, expected):
    assert set(actual.layers) == set(expected.layers)
    pairs = [(actual.X, expected.X)]
    pairs += [(actual.layers[layer], expected.layers[layer]) for layer in expected.layers]
    for ours, theirs in pairs:
        assert type(ours) is type(theirs)
        assert ours.dtype == theirs.dtype == np.float32
        if sparse.issparse(ours):
            ours, theirs = ours.toarray(), theirs.toarray()
        assert np.array_equal(ours, theirs)
    pd.testing.assert_frame_equal(actual.obs, expected.obs)
    pd.testing.assert_frame_equal(actual.var, expected.var)
    assert dict(actual.uns) == dict(expected.uns)


@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_a_loader_gives_the_reference(name, reference_dir, tmp_path):
    adata = getattr(rt.datasets, name)()
    assert_same(adata, ad.read_h5ad(reference_dir / f"{REFERENCES[name]}.h5ad"))
    assert adata.shape == registry()[name].shape
    assert "control" in adata.obs["perturbation"].cat.categories
    assert adata.obs_names.is_unique and adata.var_names.is_unique
    adata.write_h5ad(tmp_path / "again.h5ad")


def test_snareseq_gives_the_references_as_modalities(reference_dir):
    both = rt.datasets.snareseq()
    assert isinstance(both, MuData)
    assert both.shape == registry()["snareseq"].shape
    assert list(both.mod) == ["rna", "atac"]
    for modality in both.mod:
        reference = ad.read_h5ad(reference_dir / f"snareseq_{modality}.h5ad")
        assert_same(both[modality], reference)
    assert both.obs["cell_type"].equals(both["rna"].obs["cell_type"])


def test_loading_leaves_the_folder_as_it_was(real_data):
    before = sorted(path.name for path in real_data.iterdir())
    rt.datasets.sciplex2()
    assert sorted(path.name for path in real_data.iterdir()) == before


def test_each_call_gives_cells_of_its_own(real_data):
    first = rt.datasets.norman19()
    first.X.data[:] = 0
    first.uns["source"]["doi"] = "mine"
    second = rt.datasets.norman19()
    assert second.X.sum() > 0
    assert second.uns["source"]["doi"] != "mine"


def test_papalexi_controls_carry_non_targeting_guides(real_data):
    obs = rt.datasets.papalexi21().obs
    control = obs["perturbation"] == "control"
    assert obs.loc[control, "grna"].str.startswith("NT").all()
    assert not obs.loc[~control, "grna"].str.startswith("NT").any()
    assert (obs["grna_share"] >= 0.8).all()


def test_kang_counts_are_whole_numbers(real_data):
    counts = rt.datasets.kang18().layers["counts"]
    assert (counts.data >= 1).all()
    assert np.array_equal(counts.data, np.round(counts.data))
