"""Life cycle of the model: set up, train, predict new cells, save and load."""

import json
import pickle

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

import rayot as rt
from rayot.model import W1OT
from rayot.model.files import FORMAT
from rayot.model.saved import with_no_effect
from rayot.solvers import worst


@pytest.fixture
def model(cells, quick):
    return rt.tl.w1ot(cells, "control", "perturbed", use_rep="X_pca", **quick)


def test_the_class_and_the_verb_agree(cells, quick):
    data = W1OT.setup_anndata(cells, use_rep="X_pca")
    model = W1OT(cells, data, "control", "perturbed", preset=quick.pop("preset"))
    with pytest.raises(RuntimeError, match="Train the model before it predicts"):
        model.predict(cells)
    model.train(**quick)
    rt.tl.w1ot(cells, "control", "perturbed", use_rep="X_pca", preset="fast", **quick)
    source = cells[cells.obs["perturbation"] == "control"]
    expected = rt.get.predicted(cells)
    found = model.predict(source)
    np.testing.assert_array_equal(found.to_df().to_numpy(), expected.to_df().to_numpy())
    np.testing.assert_array_equal(found.obsm["X_w1ot"], expected.obsm["X_w1ot"])
    assert list(found.obs_names) == list(expected.obs_names)


def test_few_cells_are_predicted_on_one_thread(model, cells):
    found = []
    for part in model.module.modules():
        part.register_forward_pre_hook(lambda *_: found.append(torch.get_num_threads()))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        model.predict(cells[:50])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert set(found) == {1}


def edit(folder, **changes):
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_files_that_cannot_be_loaded(model, tmp_path):
    folder = tmp_path / "model"
    with pytest.raises(FileNotFoundError, match="holds no saved model"):
        W1OT.load(folder)
    model.save(folder)
    edit(folder, format=99, version="9.0")
    with pytest.raises(ValueError, match=r"has format 99, written by rayot 9.0"):
        W1OT.load(folder)
    edit(folder, format=FORMAT, version="99.0")
    with pytest.raises(ValueError, match="which is newer than this version"):
        W1OT.load(folder)
    edit(folder, version=rt.__version__, model="GENOT")
    with pytest.raises(ValueError, match="holds a GENOT, not a W1OT"):
        W1OT.load(folder)
    (folder / "model.json").write_text("{}")
    with pytest.raises(ValueError, match="was not written by rayot"):
        W1OT.load(folder)
    (folder / "model.json").write_text("not json")
    with pytest.raises(ValueError, match="is not readable"):
        W1OT.load(folder)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_truncated_files(model, tmp_path, share):
    model.save(tmp_path / "model")
    path = next((tmp_path / "model").glob("arrays-*"))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match="is truncated, or was changed"):
        W1OT.load(tmp_path / "model")


def test_a_pickle_is_never_run(model, saved_folder, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "exploded"), "w"))

    model.save(tmp_path / "model")
    saved_folder(tmp_path / "model").downgrade()
    (tmp_path / "model" / "arrays.safetensors").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match="not a safetensors file"):
        W1OT.load(tmp_path / "model")
    assert not (tmp_path / "exploded").exists()


def test_the_potential_is_one_lipschitz_between_cells(cells, model):
    points = torch.from_numpy(np.asarray(cells.obsm["X_pca"], dtype=np.float32))[None]
    values = model.module.potential(points)[0].detach()
    distances = torch.cdist(points[0], points[0])
    slopes = (values[:, None] - values[None]).abs() / distances.clamp_min(1e-6)
    assert float(slopes.max()) <= 1 + 1e-3


def test_a_description_or_arrays_that_were_changed(model, saved_folder, tmp_path):
    model.save(tmp_path / "model")
    saved = saved_folder(tmp_path / "model")
    saved.edit(target_key="another")
    with pytest.raises(ValueError, match=r"model\.json' was changed after it was saved"):
        W1OT.load(tmp_path / "model")
    saved.edit(target_key="perturbed")
    W1OT.load(tmp_path / "model")
    content = bytearray(saved.arrays_file.read_bytes())
    content[-1] ^= 1
    saved.arrays_file.write_bytes(content)
    with pytest.raises(ValueError, match="safetensors' is truncated, or was changed"):
        W1OT.load(tmp_path / "model")


def test_a_map_that_could_not_be_loaded_is_not_saved(model, tmp_path):
    with torch.no_grad():
        next(model.module.parameters()).view(-1)[0] = torch.nan
    with pytest.raises(ValueError, match=r"values of .* are not finite, so nobody could load"):
        model.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_bad_option_leaves_a_fitted_model_as_it_was(cells, model):
    before = model.predict(cells[:3]).to_df().to_numpy()
    with pytest.raises(ValueError, match="validation_size"):
        model.train(validation_size=3)
    np.testing.assert_array_equal(model.predict(cells[:3]).to_df().to_numpy(), before)


def test_training_again_takes_the_presets_steps(cells):
    data = W1OT.setup_anndata(cells, use_rep="X_pca")
    settings = {"potential_steps": 150, "step_steps": 150}
    model = W1OT(cells, data, "control", "perturbed", preset="fast", **settings)
    model.train(max_steps=10, show_progress_bar=False)
    assert model.history["ray 1 step"].index[-1] == 10
    model.train(show_progress_bar=False)
    assert model.history["ray 1 step"].index[-1] == 150


def test_raw_counts_are_refused_at_prediction_too(cells, model):
    raw = ad.AnnData(cells.layers["counts"].copy(), var=cells.var)
    with pytest.raises(ValueError, match="holds raw counts"):
        model.predict(raw)


def test_a_model_does_not_keep_the_users_object_alive(cells, quick):
    import gc
    import weakref

    data = cells.copy()
    model = rt.tl.w1ot(data, "control", "perturbed", **quick)
    alive = weakref.ref(data)
    del data
    gc.collect()
    assert alive() is None
    assert model.is_trained


@pytest.mark.parametrize("older", [False, True])
def test_a_model_that_was_called_good_without_an_effect(
    cells, quick, older, tmp_path, saved_folder
):
    is_source = (cells.obs["perturbation"] == "control").to_numpy()
    del cells.obs["split"]
    cells.X = cells.X.toarray()
    cells.X[~is_source] = cells.X[is_source]
    model = rt.tl.w1ot(cells, "control", "perturbed", **quick)
    assert model.diagnostics["certificate"] == "no effect"
    model.save(tmp_path / "model")
    assert W1OT.load(tmp_path / "model").diagnostics["certificate"] == "no effect"
    folder = saved_folder(tmp_path / "model")
    values = folder.values
    values["diagnostics"][0]["certificate"] = "good"
    folder.sign(values)
    if older:
        folder.downgrade()
    loaded = W1OT.load(tmp_path / "model").diagnostics_table
    pd.testing.assert_frame_equal(loaded, model.diagnostics_table)


def test_one_that_moves_cells_stays_good_when_it_is_loaded():
    moves = {"certificate": "good", "reason": "", "strength": 0.5, "mean_step": 1.0}
    assert with_no_effect(moves) == moves
    for changes in ({"strength": 0.0}, {"mean_step": 0.0}):
        assert with_no_effect({**moves, **changes})["certificate"] == "no effect"
        failed = {**moves, **changes, "certificate": "poor"}
        assert with_no_effect(failed) == failed


def test_there_is_no_effect_only_where_no_map_finds_one():
    words = ["no effect", "good", "check", "poor"]
    reports = [{"certificate": word} for word in words]
    for n in range(1, 5):
        assert worst(reports[:n])["certificate"] == words[n - 1]


def test_the_default_has_a_lipschitz_potential_and_an_adversary(cells, quick):
    chosen = {name: value for name, value in quick.items() if name != "preset"}
    model = rt.tl.w1ot(cells, "control", "perturbed", use_rep="X_pca", **chosen)
    assert (model.preset, model.settings.step) == ("adversarial", "wasserstein")
    expected = rt.tl.w1ot(
        cells, "control", "perturbed", use_rep="X_pca", **{**chosen, "preset": "adversarial"}
    )
    np.testing.assert_array_equal(
        model.predict(cells[:9]).to_df().to_numpy(), expected.predict(cells[:9]).to_df().to_numpy()
    )


@pytest.mark.parametrize(
    "options",
    [
        {"strata_key": "cell_type"},
        {"strata_key": "cell_type", "strata": "separate"},
        {"n_seeds": 2},
        {"plan_kwargs": {"unmatched_source": 0.2}},
        {"plan_kwargs": {"decode": "calibrated"}},
        {"use_rep": None},
    ],
    ids=str,
)
def test_the_adversarial_preset_works_for_all_that_presets_work_for(
    cells, quick, options, tmp_path
):
    cells.obs["cell_type"] = np.tile(["a", "b"], cells.n_obs // 2)
    options = {"use_rep": "X_pca", **quick, "preset": "adversarial", **options}
    model = rt.tl.w1ot(cells, "control", "perturbed", **options)
    source = (cells.obs["perturbation"] == "control").to_numpy()
    assert np.isfinite(cells.layers["w1ot"][source]).all()
    model.save(tmp_path / "model")
    loaded = rt.model.W1OT.load(tmp_path / "model")
    assert loaded.preset == "adversarial"
    np.testing.assert_array_equal(
        loaded.predict(cells[:9]).to_df().to_numpy(), model.predict(cells[:9]).to_df().to_numpy()
    )


def test_a_screen_takes_the_adversarial_preset_as_single_maps_do(cells, quick, tmp_path):
    options = {**quick, "preset": "adversarial", "use_rep": "X_pca"}
    screen = rt.tl.screen(cells, "control", fdr=None, **options)
    single = rt.tl.w1ot(cells, "control", "perturbed", **options)
    found = screen.predict(cells[:9], "perturbed").to_df().to_numpy()
    np.testing.assert_allclose(found, single.predict(cells[:9]).to_df().to_numpy(), atol=1e-4)
    screen.save(tmp_path / "screen")
    loaded = rt.model.Screen.load(tmp_path / "screen")
    np.testing.assert_array_equal(loaded.predict(cells[:9], "perturbed").to_df().to_numpy(), found)


def test_figures_of_a_saved_map_are_numbers(model, tmp_path, saved_folder):
    model.save(tmp_path / "model")
    folder = saved_folder(tmp_path / "model")
    values = folder.values
    values["diagnostics"][0]["p_value"] = "small"
    folder.sign(values)
    with pytest.raises(ValueError, match=r"diagnostics\[0\].p_value must be a number"):
        W1OT.load(tmp_path / "model")


@pytest.mark.parametrize("name", ["W1OT", "ConditionalW1OT", "Screen", "ModalityGENOT"])
def test_a_model_is_not_constructed_without_cells(name, cells):
    kind = getattr(rt.model, name)
    data = W1OT.setup_anndata(cells)
    pair = {"W1OT": ("control", "perturbed"), "ModalityGENOT": ("b",)}
    with pytest.raises(TypeError, match="NoneType"):
        kind(None, "a" if name == "ModalityGENOT" else data, *pair.get(name, ("control",)))
