"""What holds of every model: pairs, profiles, joint methods, many conditions, screens, modalities.

Each is constructed and fitted once. What a method finds is tested elsewhere.
"""

import json
from dataclasses import dataclass
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from mudata import MuData

import rayot as rt
from rayot.model.methods import METHODS

PROFILES = ("nearest", "additive", "ridge")
OTHERS = {"conditional": "ConditionalW1OT", "screen": "Screen", "modality": "ModalityGENOT"}
WITHOUT_STEPS = {
    *("cinemaot", "scgen", "discrete_ot", "gaussian_ot", "quantile_map", "mean_shift"),
    *("celltype_shift", "identity", *PROFILES),
}
"""Methods, on coordinates of the cells, that are found in one step, so that nothing is watched."""

SEVERAL = ("conditional", "screen")
"""Kinds that predict several targets, with a row of figures for each."""

KINDS = [*METHODS, *OTHERS]
STEPS = {"max_steps": 3, "show_progress_bar": False}
SMALL = {"batch_size": 32, "n_folds": 1}


@pytest.fixture(scope="module")
def cells():
    """A control, two drugs and both together, in two cell types."""
    found = rt.datasets.simulated_screen(
        3, n_cells=40, n_controls=40, n_genes=12, n_cell_types=2, inactive=0.0
    )
    found.obs["perturbation"] = found.obs["perturbation"].cat.rename_categories(
        ["control", "A", "B", "A+B"]
    )
    sc.pp.pca(found, n_comps=4)
    return found


def new(kind, cells, seed=0):
    """A model that is not trained."""
    if kind == "modality":
        rna, atac = ad.AnnData(cells.X.toarray()), ad.AnnData(np.array(cells.obsm["X_pca"]))
        rna.var_names = cells.var_names
        both = MuData({"rna": rna[:60].copy(), "atac": atac[:60].copy()})
        sizes = {"width": 8, "integration_steps": 3}
        return rt.model.ModalityGENOT(both, "rna", "atac", seed=seed, **sizes)
    if kind == "conditional":
        data = rt.model.ConditionalW1OT.setup_anndata(cells)
        return rt.model.ConditionalW1OT(cells, data, "control", seed=seed)
    if kind == "screen":
        data = rt.model.W1OT.setup_anndata(cells)
        return rt.model.Screen(cells, data, "control", seed=seed, preset="fast")
    method = getattr(rt.model, METHODS[kind])
    data = method.setup_anndata(cells, use_rep="X_pca")
    target = "A+B" if kind in PROFILES else "A"
    return method(cells, data, "control", target, seed=seed)


def train(kind, model):
    options = {name: SMALL[name] for name in SMALL if kind in METHODS or name == "batch_size"}
    if kind == "screen":
        options = {"n_folds": 1, "fdr": None}
    model.train(**STEPS, **options)


def predict(kind, model, cells, **options):
    """What becomes of cells, with the target named where there are several."""
    target = ("A",) if kind in SEVERAL else ()
    return model.predict(cells, *target, **options)


def bare(kind, cells):
    """Cells with nothing but their genes, and the type that joint methods ask for."""
    kept = cells[:9].copy()
    known = ["cell_type"] if kind in ("cpa", "biolord") else []
    return ad.AnnData(kept.X, obs=kept.obs[known], var=kept.var[[]])


def unchanged(found, before):
    """Check that cells hold what they held, to the last entry."""
    pd.testing.assert_frame_equal(found.to_df(), before.to_df())
    for table in ("obs", "var"):
        pd.testing.assert_frame_equal(getattr(found, table), getattr(before, table))
    for slot in ("obsm", "varm", "obsp", "uns"):
        np.testing.assert_equal(dict(getattr(found, slot)), dict(getattr(before, slot)))
    # Among the layers newer versions of anndata count X.
    assert list(found.layers) == list(before.layers)
    for name in filter(None, before.layers):
        pd.testing.assert_frame_equal(found.to_df(layer=name), before.to_df(layer=name))


@dataclass
class Case:
    """A fitted model, what it said before it was fitted, and the cells it predicts."""

    kind: str
    model: Any
    untrained: Any
    cells: ad.AnnData

    def predict(self, cells, model=None):
        return predict(self.kind, self.model if model is None else model, cells)

    def load(self, folder):
        return type(self.model).load(folder)


@pytest.fixture(scope="module", params=KINDS)
def case(request, cells):
    kind = request.param
    before = cells.copy()
    model, untrained = new(kind, cells), new(kind, cells)
    train(kind, model)
    # Nor is anything written to the cells of the fit.
    unchanged(cells, before)
    return Case(kind, model, untrained, bare(kind, cells))


@pytest.fixture(scope="module")
def folder(case, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model"
    case.model.save(path)
    return path


def values_of(predicted):
    """All numbers of predicted cells, by the names of cells and genes."""
    tables = {"X": predicted.to_df()}
    tables |= {name: predicted.to_df(layer=name) for name in predicted.layers}
    tables |= {
        name: pd.DataFrame(values, index=predicted.obs_names)
        for name, values in predicted.obsm.items()
    }
    return {**tables, "obs": predicted.obs.select_dtypes("number")}


def same(found, expected):
    for name, values in values_of(expected).items():
        pd.testing.assert_frame_equal(values_of(found)[name], values, check_exact=True, obj=name)


def public_names(model):
    return [name for name in dir(model) if not name.startswith("_")]


def test_before_it_is_trained_it_says_so(case, tmp_path):
    model = case.untrained
    assert not model.is_trained
    what, next_step = repr(model).splitlines()
    assert what.startswith(type(model).__name__)
    assert next_step == "not trained: call train()"
    for call in (lambda: case.predict(case.cells, model), lambda: model.save(tmp_path / "model")):
        with pytest.raises(RuntimeError, match=r"^Train the (model|screen) .*\.$"):
            call()
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("name", ["history", "figures"])
def test_what_training_finds_is_asked_for_after_it(case, name):
    if name == "figures":
        name = "table" if case.kind in SEVERAL else "diagnostics"
    with pytest.raises(RuntimeError, match=r"^Train the (model|screen) first\.$"):
        getattr(case.untrained, name)


def test_once_it_is_trained_it_says_how_good_it_is_and_what_comes_next(case):
    model = case.model
    assert model.is_trained
    said = repr(model).splitlines()
    assert said[0] == repr(case.untrained).splitlines()[0]
    assert said[-1].startswith("next: ") and "save(folder)" in said[-1]
    words = " ".join(said[1:-1])
    if case.kind in SEVERAL:
        counts = model.table["certificate"].value_counts()
        assert all(f"{n} {word}" in words for word, n in counts.items())
        assert counts.sum() == 3
    else:
        assert words.endswith("{certificate}: {reason}".format(**model.diagnostics))


def test_parameters_are_said_before_training_too(case):
    json.dumps(case.untrained.parameters())


def test_training_fills_the_history(case):
    history = case.model.history
    assert bool(history) == (case.kind not in WITHOUT_STEPS)
    last = [curves.index[-1] for curves in history.values()]
    assert max(last, default=STEPS["max_steps"]) == STEPS["max_steps"]
    for curves in history.values():
        assert curves.index.name == "step"
        assert np.isfinite(curves).all(axis=None)


def test_every_public_name_works_and_there_are_few(case):
    names = public_names(case.model)
    # Short enough to read.
    assert len(names) <= 50
    for name in names:
        getattr(case.model, name)
    assert set(names) >= {"train", "predict", "save", "load", "history", "parameters", "is_trained"}


def test_predictions_are_cells_of_the_same_names(case):
    before = case.cells.copy()
    predicted = case.predict(case.cells)
    unchanged(case.cells, before)
    features = case.model.target_names if case.kind == "modality" else case.cells.var_names
    pd.testing.assert_frame_equal(predicted.obs[list(case.cells.obs)], case.cells.obs)
    assert list(predicted.var_names) == list(features)
    for values in (predicted.X, *predicted.obsm.values(), *predicted.layers.values()):
        assert values.dtype == np.float32
    for name, numbers in values_of(predicted).items():
        assert np.isfinite(numbers).all(axis=None), name


def test_a_cells_prediction_depends_on_neither_its_place_nor_the_others(case):
    rng = np.random.default_rng(0)
    expected = values_of(case.predict(case.cells))
    rows, genes = rng.permutation(case.cells.n_obs), rng.permutation(case.cells.n_vars)
    for chosen in (case.cells[rows], case.cells[:, genes], case.cells[rows[:3], genes]):
        found = values_of(case.predict(chosen.copy()))
        for name, values in expected.items():
            pd.testing.assert_frame_equal(
                found[name].loc[chosen.obs_names], values.loc[chosen.obs_names], atol=1e-4, obj=name
            )


def test_missing_genes_are_named(case):
    gone = list(case.cells.var_names[:2])
    with pytest.raises(ValueError, match=f"lack 2 of the 12 genes .*: {gone[0]}, {gone[1]}"):
        case.predict(case.cells[:, 2:].copy())


@pytest.mark.parametrize("how", ["zero", "mean"])
def test_missing_genes_are_filled_in_where_that_is_asked_for(case, folder, cells, how):
    gone = list(case.cells.var_names[[0, 5]])
    fewer = case.cells[:, ~case.cells.var_names.isin(gone)].copy()
    with pytest.warns(UserWarning, match=f"lack 2 of the 12 genes .*: '{gone[0]}', '{gone[1]}'"):
        found = predict(case.kind, case.model, fewer, missing_genes=how)
    whole = case.cells.copy()
    values = whole.X.toarray()
    source = (
        cells[cells.obs["perturbation"] == "control"] if case.kind != "modality" else cells[:60]
    )
    by = 0 if how == "zero" else source[:, gone].X.toarray().mean(0, dtype=np.float64)
    values[:, [0, 5]] = by
    whole.X = type(whole.X)(values)
    # Means of single precision differ in their last digit.
    for name, expected in values_of(case.predict(whole)).items():
        pd.testing.assert_frame_equal(values_of(found)[name], expected, atol=1e-4, obj=name)
    (result,) = found.uns.values()
    assert (result["missing_genes"], result["n_missing_genes"]) == (how, 2)
    if case.kind != "modality":
        (column,) = found.var
        assert column.endswith("_missing") and list(found.var_names[found.var[column]]) == gone
    loaded = case.load(folder)
    with pytest.warns(UserWarning, match="lack 2 of the 12 genes"):
        same(predict(case.kind, loaded, fewer, missing_genes=how), found)


def test_equal_seeds_repeat_a_fit_bit_for_bit(case, cells):
    expected = case.predict(case.cells)
    again = new(case.kind, cells)
    train(case.kind, again)
    same(case.predict(case.cells, again), expected)
    if case.kind not in WITHOUT_STEPS:
        other = new(case.kind, cells, seed=1)
        train(case.kind, other)
        found = case.predict(case.cells, other).to_df()
        assert not np.allclose(found, expected.to_df(), atol=1e-6)


def test_what_is_saved_is_loaded_as_it_was(case, folder):
    loaded = case.load(folder)
    same(case.predict(case.cells, loaded), case.predict(case.cells))
    assert repr(loaded) == repr(case.model)
    assert json.dumps(loaded.parameters()) == json.dumps(case.model.parameters())
    assert list(loaded.history) == list(case.model.history)
    for phase, curves in case.model.history.items():
        pd.testing.assert_frame_equal(loaded.history[phase], curves, check_dtype=False)
    if case.kind in SEVERAL:
        pd.testing.assert_frame_equal(loaded.table, case.model.table)
    else:
        np.testing.assert_equal(loaded.diagnostics, case.model.diagnostics)
    for name in public_names(loaded):
        getattr(loaded, name)
    with pytest.raises(RuntimeError, match=r"training cells|trained already"):
        loaded.train()


def test_a_folder_is_replaced_only_if_that_is_asked_for(case, folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(FileExistsError, match="overwrite=True"):
        case.model.save(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    case.model.save(folder, overwrite=True)
    same(case.predict(case.cells, case.load(folder)), case.predict(case.cells))


def test_a_folder_of_another_class_is_refused(case, folder):
    own = type(case.model).__name__
    for other in {"W1OT", "GENOT", *OTHERS.values()} - {own}:
        with pytest.raises(ValueError, match=rf"model' holds a {own}, not a {other}\.$"):
            getattr(rt.model, other).load(folder)
    with pytest.raises(FileNotFoundError, match="holds no saved model"):
        case.load(folder / "absent")
