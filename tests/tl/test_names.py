"""Names that mean something to us: of problems, of combinations, of results, of columns."""

import inspect

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rayot as rt
from rayot._combinations import parts_of

SOURCE, TARGET = "control", "perturbed"


@pytest.mark.parametrize("verb", ["w1ot", "w2ot", "screen"])
def test_strata_whose_maps_would_share_draws_are_refused(cells, quick, verb):
    """Member 2 of the stratum "a" and member 1 of "a / 2" have one name, which keys the draws."""
    cells.obs["batch"] = np.resize(["a", "a / 2"], cells.n_obs)
    targets = () if verb == "screen" else (TARGET,)
    options = {"n_seeds": 2, "strata_key": "batch", "strata": "separate", **quick}
    with pytest.raises(ValueError, match=r"named 'perturbed / a / 2'.*; rename"):
        getattr(rt.tl, verb)(cells, SOURCE, *targets, **options)
    assert verb not in cells.uns
    one = getattr(rt.tl, verb)(cells, SOURCE, *targets, **{**options, "n_seeds": 1})
    assert one is not None


@given(st.lists(st.text("AB ", min_size=1, max_size=3), min_size=1, max_size=4))
def test_parts_are_those_that_were_joined(parts):
    parts = [part.strip() for part in parts if part.strip()]
    if parts:
        assert parts_of("+".join(parts)) == parts
        assert parts_of(" + ".join(parts)) == parts


def test_a_plus_that_joins_nothing_is_a_letter():
    for odd in ("A+", "+A", "A++B", "+", "++", " + ", "Ca2+ + B"):
        assert parts_of(odd) == [odd]
    assert parts_of("CD4+ T") == ["CD4", "T"]
    assert parts_of("A+", control="A") == ["A+"]
    assert parts_of("A+A", control="A") == ["A+A"]


@pytest.mark.parametrize("name", ["A+", "+A", "A++B", "Ca2+", "A + ", "/", "a.b", "é", "a b"])
def test_perturbations_of_any_name_are_fitted_and_written(
    cells, quick, quick_conditional, name, tmp_path
):
    labels = np.where(cells.obs["perturbation"] == SOURCE, SOURCE, name)
    cells.obs["perturbation"] = pd.Categorical(labels)
    conditional = rt.tl.conditional_w1ot(cells, SOURCE, target_key=name, **quick_conditional)
    found = conditional.predict(cells[:3].copy(), name).to_df()
    assert np.isfinite(found).all(axis=None)
    conditional.save(tmp_path / "conditional")
    again = rt.model.ConditionalW1OT.load(tmp_path / "conditional")
    pd.testing.assert_frame_equal(again.predict(cells[:3].copy(), name).to_df(), found)
    screen = rt.tl.screen(cells, SOURCE, fdr=None, **quick)
    assert list(screen) == [name]
    screen.save(tmp_path / "screen")
    loaded = rt.model.Screen.load(tmp_path / "screen")
    np.testing.assert_array_equal(
        loaded.predict(cells[:3].copy(), name).to_df().to_numpy(),
        screen.predict(cells[:3].copy(), name).to_df().to_numpy(),
    )
    for suffix in ("h5ad", "zarr"):
        path = tmp_path / f"cells.{suffix}"
        getattr(cells, f"write_{suffix}")(path)
        again = (ad.read_h5ad if suffix == "h5ad" else ad.read_zarr)(path)
        assert again.uns["screen"]["table"]["perturbation"].tolist() == [name]


@pytest.mark.parametrize("verb", ["cpa", "biolord", "conditional_w1ot", "w1ot", "screen"])
@pytest.mark.parametrize("argument", ["covariate_keys", "dose_key", "strata_key", "weights_key"])
def test_one_column_has_one_meaning(cells, quick_conditional, verb, argument):
    function = getattr(rt.tl, verb)
    of_one = ("cpa", "biolord", "w1ot")
    if argument not in inspect.signature(function).parameters:
        with pytest.raises((TypeError, ValueError), match=argument):
            function(cells, SOURCE, *[TARGET] * (verb in of_one), **{argument: "perturbation"})
        return
    value = ["perturbation"] if argument == "covariate_keys" else "perturbation"
    with pytest.raises(ValueError, match="perturbation"):
        function(
            cells, SOURCE, *[TARGET] * (verb in of_one), **{argument: value}, **quick_conditional
        )
    assert verb not in cells.uns


@pytest.mark.parametrize("key", ["X_pca", "X_scVI", "highly", "neighbors"])
def test_an_autoencoder_replaces_nothing_of_the_users(cells, key):
    if key.startswith("X_"):
        cells.obsm[key] = np.ones((cells.n_obs, 3))
    else:
        cells.uns[key] = {"of": "the user"}
    before = cells.copy()
    with pytest.raises(ValueError, match=f"key_added='{key}' would overwrite"):
        rt.pp.autoencoder(cells, key_added=key, max_steps=1, show_progress_bar=False)
    assert set(cells.uns) == set(before.uns)
    for name in before.obsm:
        np.testing.assert_array_equal(cells.obsm[name], before.obsm[name])
    options = {"n_latent": 2, "hidden": (4,), "max_steps": 100, "show_progress_bar": False}
    for seed in (0, 1):
        rt.pp.autoencoder(cells, seed=seed, **options)
    assert cells.uns["X_autoencoder"]["seed"] == 1
