"""Without a key, what reads a map or a screen takes the only one there is, and never guesses."""

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from mudata import MuData

import rayot as rt

SOURCE, TARGET = "control", "perturbed"
OF_SCORES = ["tl.calibration", "tl.evaluate", "tl.log_fold_change"]
OF_MAPS = [
    *(
        f"pl.{name}"
        for name in ("diagnostics", "history", "markers", "potential", "transport_rays", "umap")
    ),
    *OF_SCORES,
    "get.predicted",
]
OF_SCREENS = ["pl.screen", "pl.similarity", "tl.similarity"]
LACKING = {
    "pl.history": "The map 'x' has no 'history'",
    "pl.potential": "The map 'x' has no 'potential_grid'",
    "tl.calibration": "The map 'x' is no ensemble",
}
"""What functions say of a map that was not trained step by step."""

FOREIGN = {
    "neighbors": {"params": {"method": "umap"}, "connectivities_key": "connectivities"},
    "umap": {"params": {"a": 0.5, "b": 1.5}},
    "walk": {"source": 1, "target": np.array(["a", "b"]), "groupby": 3},
    "pathway": {"source": "A", "target": "B"},
    "links": pd.DataFrame({"source": ["A"], "target": ["B"], "groupby": ["C"]}),
    "experiment": {"control": 5, "table": "1", "displacement": "1"},
    # What rayot itself writes beside maps and screens.
    "x_umap": {"fingerprint": "1", "seed": 0},
    "genot": {"source_modality": "rna", "target_modality": "atac", "seed": 0},
    "conditional_w1ot": {"control": SOURCE, "groupby": "perturbation", "history": {}, "seed": 0},
    "split": {"holdout": np.zeros(0, dtype=str)},
}


def call(name, adata, **options):
    room, verb = name.split(".")
    drawn = {"show": False} if room == "pl" else {}
    return getattr(getattr(rt, room), verb)(adata, **drawn, **options)


def fit(method, **options):
    adata = rt.datasets.moons(200)
    rt.pp.split(adata)
    adata.obsm["X_umap"] = adata.X.copy()
    fitted = getattr(rt.tl, method)
    fitted(adata, SOURCE, TARGET, key_added="x", show_progress_bar=False, **options)
    adata.uns.update(FOREIGN)
    return adata


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def ensemble():
    """Cells with one map that all functions can read, among entries that are none."""
    return fit("w1ot", preset="fast", n_seeds=2, max_steps=5)


@pytest.fixture
def mapped(ensemble):
    return ensemble.copy()


@pytest.fixture
def screened():
    """Cells with one screen, which was compared, among entries that are none."""
    names = ["a", "b", "c"]
    adata = ad.AnnData(np.zeros((2, 2)), uns=dict(FOREIGN))
    adata.uns["x"] = {
        "control": SOURCE,
        "table": pd.DataFrame({"perturbation": names, "energy_distance": 1.0, "detectable": True}),
        "displacement": np.eye(3, dtype=np.float32)[:, None],
    }
    rt.tl.similarity(adata)
    return adata


@pytest.fixture
def found(request, name):
    """What a function reads, its kind and the verb that writes one."""
    if name in OF_SCREENS:
        return request.getfixturevalue("screened"), "screen", "rayot.tl.screen"
    return request.getfixturevalue("mapped"), "fitted map", "rayot.tl.w1ot"


@pytest.mark.parametrize("name", OF_MAPS + OF_SCREENS)
def test_the_only_one_is_taken_as_if_it_were_named(found, name):
    adata, _, _ = found
    before = {slot: list(getattr(adata, slot)) for slot in ("uns", "obs", "obsm", "layers")}
    taken, named = call(name, adata), call(name, adata, key="x")
    if isinstance(taken, pd.DataFrame):
        pd.testing.assert_frame_equal(taken, named)
    # The table of scores is no map, and does not get in the way of the second call.
    before["uns"] += [name.split(".")[1]] if name in OF_SCORES else []
    assert {slot: list(getattr(adata, slot)) for slot in before} == before


@pytest.mark.parametrize("name", OF_MAPS)
def test_a_map_of_another_method_is_taken(name):
    adata = fit("mean_shift")
    if name not in LACKING:
        assert call(name, adata) is not None
        return
    with pytest.raises((KeyError, ValueError), match=LACKING[name]):
        call(name, adata)


@pytest.mark.parametrize("name", OF_MAPS + OF_SCREENS)
def test_of_several_one_has_to_be_named(found, name):
    adata, kind, _ = found
    adata.uns["y"] = adata.uns["x"]
    with pytest.raises(ValueError, match=rf"several {kind}s, 'x', 'y'; name one .* key='x'\.$"):
        call(name, adata)
    assert call(name, adata, key="x") is not None


@pytest.mark.parametrize("name", OF_MAPS + OF_SCREENS)
def test_where_there_is_none_the_verb_that_writes_one_is_named(found, name):
    adata, kind, writer = found
    del adata.uns["x"]
    with pytest.raises(KeyError, match=rf"There is no {kind} in adata\.uns; {writer}.* writes one"):
        call(name, adata)
    with pytest.raises(KeyError, match=rf"There is no {kind} 'x' in adata\.uns; {writer}"):
        call(name, adata, key="x")


@pytest.mark.parametrize("name", OF_MAPS + OF_SCREENS)
def test_a_name_that_is_none_of_its_kind_lists_those_that_are(found, name):
    adata, kind, _ = found
    for other in ("y", "walk", "experiment"):
        with pytest.raises(KeyError, match=rf"no {kind} '{other}' .*; {kind}s found: 'x'\."):
            call(name, adata, key=other)


@pytest.mark.parametrize("name", ["tl.calibration", "tl.evaluate", "get.predicted", *OF_SCREENS])
def test_of_a_mudata_the_modality_is_looked_at(found, name):
    adata, kind, _ = found
    other = adata.copy()
    del other.uns["x"]
    both = MuData({"rna": adata, "atac": other})
    assert call(name, both, modality="rna") is not None
    with pytest.raises(KeyError, match=f"There is no {kind} in"):
        call(name, both, modality="atac")


@pytest.mark.parametrize("name", OF_MAPS)
def test_views_and_files_are_read_alike(mapped, name, tmp_path):
    view = mapped[:]
    assert call(name, view) is not None
    assert view.is_view
    mapped.write_h5ad(tmp_path / "cells.h5ad")
    backed = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    try:
        assert call(name, backed) is not None
    finally:
        backed.file.close()


def test_scores_are_those_of_the_map_or_of_several_or_of_a_model(mapped):
    assert rt.tl.evaluate(mapped, metrics=["l2"]).index[0] == "x"
    model = rt.tl.mean_shift(mapped, SOURCE, TARGET, show_progress_bar=False)
    several = rt.tl.evaluate(mapped, ["x", "mean_shift"], metrics=["l2"])
    assert several.index[:2].tolist() == ["x", "mean_shift"]
    assert rt.tl.evaluate(mapped, model, metrics=["l2"]).index[0] == "mean_shift"
    with pytest.raises(ValueError, match="several fitted maps, 'x', 'mean_shift'"):
        rt.tl.evaluate(mapped)
    with pytest.raises(TypeError, match="key lists NoneType"):
        rt.tl.evaluate(mapped, [None])
