"""A screen in one stack: what moves, what stays, and that no map feels its neighbours."""

import re
import shutil
import time

import anndata as ad
import joblib
import lightning.pytorch as pl
import numpy as np
import pandas as pd
import pytest
import torch

import rayot as rt
from rayot.data.matrix import dense
from rayot.model import Screen, chunk_fit, screen_fit
from rayot.model.methods import METHODS

QUICK = {"show_progress_bar": False, "max_steps": 60, "batch_size": 64, "n_folds": 1}
CHUNKED = {**QUICK, "max_memory": 0.001}
"""One map a chunk, which is not cross-fitted."""


@pytest.fixture(scope="module")
def cells():
    """Six perturbations, of which three do something."""
    return rt.datasets.simulated_screen(6, n_cells=100, n_genes=30, n_controls=300, seed=1)


@pytest.fixture(scope="module")
def screen(cells):
    return rt.tl.screen(cells, "control", key_added="once", **QUICK)


@pytest.fixture(scope="module")
def chunked(cells):
    """A screen whose problems do not fit into one chunk."""
    return rt.tl.screen(cells.copy(), "control", **CHUNKED)


@pytest.fixture
def at_start(monkeypatch):
    """Does something with each stack of maps before it is trained, and lists them."""
    original = pl.Trainer.fit

    def do(what):
        stacks = []

        def fit(trainer, module, *rest, **options):
            if not stacks or stacks[-1] is not module.stack:
                stacks.append(module.stack)
                what(module.stack)
            return original(trainer, module, *rest, **options)

        monkeypatch.setattr(pl.Trainer, "fit", fit)
        return stacks

    return do


def control(cells, n=50):
    return cells[(cells.obs["perturbation"] == "control").to_numpy()][:n].copy()


def test_only_perturbations_with_an_effect_move_cells(cells, screen):
    table = cells.uns["once"]["table"]
    assert table.loc[table["detectable"], "perturbation"].tolist() == cells.uns["active"]
    start = control(cells)
    for name in screen:
        moved = np.abs(screen.predict(start, name).to_df().to_numpy() - start.X.toarray()).max()
        assert (moved > 0.1) == (name in cells.uns["active"])
    still = table.loc[~table["detectable"]]
    assert (still["strength"] == 0).all()
    assert still["reason"].str.startswith("There is no detectable effect").all()
    assert (still["certificate"] == "no effect").all()
    assert "no effect" not in set(table.loc[table["detectable"], "certificate"])
    assert {screen[name].diagnostics["certificate"] for name in still["perturbation"]} == {
        "no effect"
    }
    assert screen.problems["perturbation"].tolist() == cells.uns["active"]


def test_a_screen_says_what_it_is_and_takes_former_words(cells, screen):
    first, words, following = repr(screen).splitlines()
    assert first == "Screen by w1ot from 'control', seed 0"
    assert words.startswith("perturbations: ") and "3 no effect" in words
    assert following.startswith("next: at(target), predict(cells, target)")
    name = cells.uns["active"][0]
    expected = screen.predict(control(cells), name).to_df()
    assert screen.is_trained and screen.adata is None
    assert screen.at(name).predict(control(cells)).to_df().equals(expected)
    with pytest.warns(FutureWarning, match="perturbation= is target= now"):
        found = screen.predict(control(cells), perturbation=name)
    assert found.to_df().equals(expected)


def test_a_long_screen_says_at_the_start_how_long_it_takes(cells, caplog, at_start):
    """By fits that are cut short, which change nothing, and only where somebody listens."""
    options = {"fdr": None, "perturbations": cells.uns["active"], **CHUNKED}

    def slow(stack):
        """A twentieth of a second a step, where there are few."""
        steps = stack.settings.potential_steps
        time.sleep(0.05 * steps if steps < 10 else 0)

    fitted = at_start(slow)
    silent = rt.tl.screen(cells.copy(), "control", **options)
    assert [stack.settings.potential_steps for stack in fitted] == [60] * 3
    fitted.clear()
    with caplog.at_level("INFO", "rayot"):
        told = rt.tl.screen(cells.copy(), "control", **options)
    assert [stack.settings.potential_steps for stack in fitted] == [1, 9] + [60] * 3
    (said,) = re.findall(r"Fitting 3 maps will take about 00:(\d\d)\.", caplog.text)
    # Of 60 steps each, and of what else a fit takes.
    assert 6 <= int(said) <= 20
    pd.testing.assert_frame_equal(silent.table, told.table)
    for name in told:
        maps = silent[name].module.state_dict(), told[name].module.state_dict()
        assert all(torch.equal(maps[0][part], maps[1][part]) for part in maps[0])


def test_a_perturbation_alone_in_its_chunk_is_fitted_as_by_w1ot(cells):
    name = cells.uns["active"][0]
    adata = cells.copy()
    alone = rt.tl.screen(adata, "control", perturbations=[name], **QUICK)[name]
    single = rt.tl.w1ot(adata, "control", name, preset="fast", n_seeds=1, **QUICK)
    start = control(cells)
    np.testing.assert_array_equal(
        alone.predict(start).to_df().to_numpy(), single.predict(start).to_df().to_numpy()
    )
    assert alone.diagnostics == single.diagnostics


def test_small_groups_are_cross_fitted_as_by_w1ot(cells, tmp_path):
    """Alone, beside each other, or as a single map: the same figures, bit for bit."""
    names = cells.uns["active"][:2]
    control_ = np.flatnonzero(cells.obs["perturbation"] == "control")
    rows = [np.flatnonzero(cells.obs["perturbation"] == name)[:45] for name in names]
    adata = cells[np.concatenate([control_, *rows])].copy()
    options = {**QUICK, "n_folds": 3}
    folder = tmp_path / "chunks"
    both = rt.tl.screen(adata, "control", checkpoint_dir=folder, **options)
    assert len(list(folder.iterdir())) == 1
    for name in names:
        single = rt.tl.w1ot(adata, "control", name, preset="fast", n_seeds=1, **options)
        alone = rt.tl.screen(adata, "control", perturbations=[name], **options)[name]
        assert single.diagnostics["n_folds"] == 3
        assert single.diagnostics["n_cells"] == 45
        assert alone.diagnostics == single.diagnostics
        assert both[name].diagnostics == single.diagnostics
    assert single.training_["n_folds"] == 3


def test_displacement_is_the_mean_move_of_each_type(cells, screen):
    found = cells.uns["once"]["displacement"]
    types = cells.uns["once"]["cell_types"]
    assert found.shape == (6, 1 + len(types), 30)
    name = cells.uns["active"][1]
    start = control(cells, 300)
    # In the space of the map, where genes are not calibrated.
    moves = screen.predict(start, name).obsm["X_w1ot"] - start.X.toarray()
    row = list(screen).index(name)
    np.testing.assert_allclose(found[row, 0], moves.mean(0), atol=1e-4)
    of_type = (start.obs["cell_type"] == types[1]).to_numpy()
    np.testing.assert_allclose(found[row, 2], moves[of_type].mean(0), atol=1e-4)


def test_saved_and_loaded_it_predicts_the_same(cells, screen, tmp_path):
    screen.save(tmp_path / "screen")
    loaded = Screen.load(tmp_path / "screen")
    pd.testing.assert_frame_equal(loaded.table, screen.table)
    pd.testing.assert_frame_equal(loaded.problems, screen.problems)
    start = control(cells)
    for name in screen:
        expected = screen.predict(start, name).to_df().to_numpy()
        np.testing.assert_array_equal(loaded.predict(start, name).to_df().to_numpy(), expected)


@pytest.mark.parametrize("older", [False, True])
def test_what_an_earlier_version_called_good_without_an_effect(
    cells, screen, older, tmp_path, saved_folder
):
    screen.save(tmp_path / "screen")
    folder = saved_folder(tmp_path / "screen")
    values = folder.values
    words = ["good" if word == "no effect" else word for word in values["table"]["certificate"]]
    assert words.count("good") >= 3
    values["table"]["certificate"] = words
    folder.sign(values)
    if older:
        folder.downgrade()
    loaded = Screen.load(tmp_path / "screen")
    pd.testing.assert_frame_equal(loaded.table, screen.table)


def test_the_result_survives_a_file(cells, screen, tmp_path):
    cells.write_h5ad(tmp_path / "cells.h5ad")
    read = ad.read_h5ad(tmp_path / "cells.h5ad").uns["once"]
    assert read["table"]["perturbation"].tolist() == list(screen)
    assert read["table"]["detectable"].dtype == bool


def test_processes_give_the_bits_of_one(cells, chunked):
    with joblib.parallel_config(n_jobs=2):
        two = rt.tl.screen(cells.copy(), "control", **CHUNKED)
    for name, values in chunked.stack.state.items():
        np.testing.assert_array_equal(values, two.stack.state[name])
    pd.testing.assert_frame_equal(chunked.table, two.table)


@pytest.mark.parametrize("backend", ["multiprocessing", "threading", "one by one"])
def test_every_backend_of_joblib_gives_the_bits_of_one(cells, chunked, backend):
    """Also those that cannot hand results over one by one, as Ray's and Spark's."""

    class OneByOne(joblib.parallel.SequentialBackend):
        supports_return_generator = False

    joblib.register_parallel_backend("one by one", OneByOne)
    with joblib.parallel_config(backend=backend, n_jobs=2):
        found = rt.tl.screen(cells.copy(), "control", **CHUNKED)
    for name, values in chunked.stack.state.items():
        np.testing.assert_array_equal(values, found.stack.state[name])


def named_by(keys):
    """Methods whose name is in one of these keys."""
    return {method for method in METHODS if any(method in key for key in keys)}


@pytest.mark.parametrize("method", ["mean_shift", "gaussian_ot", "w1ot"])
def test_names_of_what_is_written_are_those_of_the_method(cells, method, tmp_path):
    options = {} if method == "mean_shift" else {"max_steps": 2}
    adata = cells.copy()
    path = tmp_path / "all.h5ad"
    found = rt.tl.screen(
        adata, "control", method=method, fdr=None, write=path, show_progress_bar=False, **options
    )
    name = found.problems["perturbation"].iloc[0]
    written = ad.read_h5ad(path)
    keys = {*filter(None, written.layers), *written.uns, *written.obs}
    assert named_by(keys) == {method}
    one = found.predict(control(cells), name)
    keys = {*one.obs, *one.obsm, *one.uns}
    assert f"{method}_step" in keys
    assert named_by(keys) == {method}


@pytest.mark.parametrize("strata", ["balanced", "separate"])
def test_strata_may_differ_between_perturbations(cells, strata, caplog):
    first, second = cells.uns["active"][:2]
    lacking = (cells.obs["perturbation"] == second) & (cells.obs["cell_type"] == "type_0")
    adata = cells[~lacking.to_numpy()].copy()
    options = {"strata_key": "cell_type", "strata": strata, "n_seeds": 2, **QUICK}
    found = rt.tl.screen(adata, "control", perturbations=[first, second], **options)
    assert "'type_0'" in caplog.text
    problems = found.problems.groupby("perturbation").size()
    expected = {"balanced": [2, 2], "separate": [6, 4]}[strata]
    assert problems[[first, second]].tolist() == expected
    predicted = found.predict(control(adata), second)
    assert np.isfinite(predicted.to_df().to_numpy()).all()
    assert "w1ot_step_sd" in predicted.obs


def test_small_perturbations_are_named(cells, caplog):
    name = cells.uns["active"][0]
    few = (cells.obs["perturbation"] == name).to_numpy(copy=True)
    few[np.flatnonzero(few)[:10]] = False
    adata = cells[~few].copy()
    with pytest.raises(ValueError, match=f"{name!r}.* 10 training cells"):
        rt.tl.screen(adata, "control", small_perturbations="raise", **QUICK)
    assert "screen" not in adata.uns
    found = rt.tl.screen(adata, "control", **QUICK)
    assert name not in found
    assert name in caplog.text


def test_the_control_is_not_transported_to_itself(cells, caplog):
    names = ["control", cells.uns["active"][0]]
    found = rt.tl.screen(cells.copy(), "control", perturbations=names, **QUICK)
    assert list(found) == names[1:]
    assert "not transported to itself" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fdr": 0.0}, "fdr must be between 0 and 1"),
        ({"max_memory": 0}, "max_memory must be"),
        ({"min_cells": 3}, "min_cells must be at least 20"),
        ({"perturbations": ["nobody"]}, "no category 'nobody'"),
        ({"perturbations": "drug_000"}, "must be a list"),
        ({"perturbations": ["control"]}, "no perturbation beside the control"),
        ({"small_perturbations": "keep"}, "small_perturbations must be one of"),
        ({"key_added": "active"}, "is no screen"),
    ],
)
def test_bad_input_is_refused(cells, options, message):
    adata = cells.copy()
    with pytest.raises(ValueError, match=message):
        rt.tl.screen(adata, "control", **{**QUICK, **options})
    assert "screen" not in adata.uns


def test_an_unknown_perturbation_is_hinted_at(screen):
    with pytest.raises(KeyError, match=r"Did you mean 'drug_00\d'"):
        screen["drug_01"]


def test_a_folder_that_cannot_be_written_to_is_refused_first(cells, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot be written to"):
        rt.tl.screen(cells, "control", checkpoint_dir=tmp_path / "file" / "inside", **QUICK)


def test_an_interrupted_screen_resumes(cells, chunked, tmp_path, at_start):
    options = {**CHUNKED, "checkpoint_dir": tmp_path}

    def interrupt(stack):
        if len(fitted) == 2:
            raise KeyboardInterrupt

    fitted = at_start(interrupt)
    with pytest.raises(KeyboardInterrupt):
        rt.tl.screen(cells.copy(), "control", **options)
    again = at_start(lambda stack: None)
    resumed = rt.tl.screen(cells.copy(), "control", **options)
    # All but the one that was there.
    assert again[0].names == fitted[1].names
    assert len(again) == len(chunked.problems) - 1
    for name, values in chunked.stack.state.items():
        np.testing.assert_array_equal(values, resumed.stack.state[name])
    assert all(path.name.startswith("chunk-") for path in tmp_path.iterdir())


def run_of(cells, folder, **options):
    names = cells.uns["active"][:2]
    given = {**CHUNKED, "perturbations": names, "fdr": None, **options}
    return rt.tl.screen(cells.copy(), "control", checkpoint_dir=folder, **given)


def test_a_chunk_that_is_damaged_or_anothers_is_named(cells, tmp_path, saved_folder):
    expected = run_of(cells, tmp_path)
    first, second = sorted(tmp_path.iterdir())
    moved = tmp_path / "elsewhere"
    first.rename(moved)
    shutil.copytree(second, first)
    message = r"cannot go on from '.*chunk-.*' \(.*{}.*\); delete it, or pass resume=False\."
    with pytest.raises(ValueError, match=message.format("the fit of other cells or settings")):
        run_of(cells, tmp_path)
    saved = saved_folder(first)
    values = saved_folder(moved).values
    saved.sign({**saved.values, "fit": values["fit"]})
    with pytest.raises(ValueError, match=message.format("the fit of other cells or settings")):
        run_of(cells, tmp_path)
    arrays = saved.arrays
    saved.sign({**saved.values, "fit": values["fit"], "names": values["names"]})
    arrays["state/centre"][:] = np.nan
    saved.replace_arrays(arrays)
    with pytest.raises(ValueError, match=message.format("values that are not finite")):
        run_of(cells, tmp_path)
    saved.edit(names=["x"])
    with pytest.raises(ValueError, match=message.format("changed after it was saved")):
        run_of(cells, tmp_path)
    next(first.glob("arrays-*")).unlink()
    with pytest.raises(ValueError, match=message.format("is missing|changed")):
        run_of(cells, tmp_path)
    # As the sentence says.
    again = run_of(cells, tmp_path, resume=False)
    shutil.rmtree(first)
    for other in (again, run_of(cells, tmp_path), run_of(cells, tmp_path)):
        for name, values in expected.stack.state.items():
            np.testing.assert_array_equal(values, other.stack.state[name])


def test_a_chunk_that_was_cut_short_is_fitted_again(cells, tmp_path):
    expected = run_of(cells, tmp_path)
    first = sorted(tmp_path.glob("chunk-*"))[0]
    (first / "model.json").unlink()
    (first / "0123456789abcdef.partial").mkdir()
    resumed = run_of(cells, tmp_path)
    for name, values in expected.stack.state.items():
        np.testing.assert_array_equal(values, resumed.stack.state[name])
    assert len(list(first.iterdir())) == 2


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_two_screens_in_one_folder(cells, tmp_path, monkeypatch, n_jobs):
    fit_chunks = screen_fit.fit_chunks
    told = []

    def meanwhile(*arguments):
        if not told:
            told.append(True)
            with pytest.raises(OSError, match="Another fit is running in checkpoint_dir"):
                run_of(cells, tmp_path)
        yield from fit_chunks(*arguments)

    monkeypatch.setattr("rayot.model.screen.fit_chunks", meanwhile)
    run_of(cells, tmp_path, n_jobs=n_jobs)
    assert told
    assert all(path.name.startswith("chunk-") for path in tmp_path.iterdir())


def test_links_in_the_folder_of_a_screen_are_refused(cells, tmp_path):
    (tmp_path / "mine").mkdir()
    folder = tmp_path / "chunks"
    for name in ("chunk-1", "running-1/folds"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).symlink_to(tmp_path / "mine")
        with pytest.raises(ValueError, match=f"holds the symbolic link '.*{name}'"):
            run_of(cells, folder)
        shutil.rmtree(folder)
    assert list((tmp_path / "mine").iterdir()) == []


def test_a_loss_that_is_not_finite_stops_one_problem_alone(cells, at_start):
    bad, good = cells.uns["active"][:2]

    def poison(stack):
        if bad in stack.names:
            with torch.no_grad():
                next(stack.rays[0].potential.parameters())[stack.names.index(bad)] = torch.nan

    at_start(poison)
    found = rt.tl.screen(cells.copy(), "control", **QUICK)
    table = found.table.set_index("perturbation")
    assert table.loc[bad, "certificate"] == "poor"
    assert f"{bad!r} became nan" in table.loc[bad, "reason"]
    assert np.isfinite(table.loc[good, "residual_energy_distance"])
    alone = rt.tl.screen(cells.copy(), "control", perturbations=[bad], **QUICK)
    assert alone.table["certificate"].tolist() == ["poor"]
    start = control(cells)
    np.testing.assert_array_equal(alone.predict(start, bad).to_df().to_numpy(), start.X.toarray())


def test_many_cells_are_held_in_their_components(cells, monkeypatch):
    from rayot.model import components

    monkeypatch.setattr(components, "DENSE_ELEMENTS", 1000)
    adata = cells.copy()
    options = {**QUICK, "plan_kwargs": {"n_components": 10, "decode": "delta"}}
    found = rt.tl.screen(adata, "control", **options)
    assert found.stack.state["centre"].shape[-1] == 10
    name = cells.uns["active"][0]
    start = control(cells, 300)
    moves = found.predict(start, name, clip=False).to_df().to_numpy() - start.X.toarray()
    assert np.linalg.matrix_rank(moves, tol=1e-3) <= 10
    row = list(found).index(name)
    expected = adata.uns["screen"]["displacement"][row, 0]
    np.testing.assert_allclose(moves.mean(0), expected, atol=1e-4)


def test_an_embedding_without_a_decoder_is_screened_too(cells):
    adata = cells.copy()
    adata.obsm["X_mine"] = adata.X[:, :5].toarray()
    found = rt.tl.screen(adata, "control", use_rep="X_mine", **QUICK)
    predicted = found.predict(control(adata), next(iter(found)))
    assert predicted.obsm["X_w1ot"].shape == (50, 5)
    adata.obsm["X_mine"][0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        rt.tl.screen(adata, "control", use_rep="X_mine", **QUICK)


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_all_perturbations_stream_to_one_file(cells, tmp_path, suffix):
    adata = cells.copy()
    path = tmp_path / f"predictions.{suffix}"
    options = {**QUICK, "n_seeds": 2, "write": path}
    found = rt.tl.screen(adata, "control", **options)
    read = ad.read_h5ad(path) if suffix == "h5ad" else ad.read_zarr(path)
    start = control(cells, 300)
    assert read.shape == (6 * 300, 30)
    assert read.obs["perturbation"].value_counts().tolist() == [300] * 6
    for name in found:
        part = read[(read.obs["perturbation"] == f"predicted {name}").to_numpy()]
        expected = found.predict(start, name)
        assert expected.obs["perturbation"].unique().tolist() == [f"predicted {name}"]
        np.testing.assert_array_equal(part.to_df().to_numpy(), expected.to_df().to_numpy())
        np.testing.assert_array_equal(part.obs["w1ot_step"], expected.obs["w1ot_step"])
        np.testing.assert_array_equal(
            part.to_df(layer="w1ot_sd").to_numpy(), expected.to_df(layer="w1ot_sd").to_numpy()
        )
    with pytest.raises(FileExistsError, match="overwrite=True"):
        rt.tl.screen(adata, "control", **options)
    with pytest.raises(ValueError, match="go to a file"):
        found.predict(start)


def test_cells_on_disk_give_the_screen_of_cells_in_memory(cells, screen, tmp_path):
    cells.write_h5ad(tmp_path / "cells.h5ad")
    backed = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    del backed.uns["once"]
    found = rt.tl.screen(backed, "control", **QUICK)
    pd.testing.assert_frame_equal(found.table, screen.table)
    start = control(cells)
    for name in found:
        expected = screen.predict(start, name).to_df().to_numpy()
        np.testing.assert_array_equal(found.predict(start, name).to_df().to_numpy(), expected)


def test_a_file_that_is_written_to_meanwhile_is_an_error(cells, tmp_path, at_start):
    path = tmp_path / "cells.h5ad"
    cells.write_h5ad(path)
    backed = ad.read_h5ad(path, backed="r")
    at_start(lambda stack: path.touch())
    with pytest.raises(OSError, match=r"cells\.h5ad' was changed"):
        rt.tl.screen(backed, "control", key_added="other", **QUICK)
    assert "other" not in backed.uns


def test_perturbations_with_one_and_with_several_maps_share_a_file(cells, tmp_path):
    names = cells.uns["active"][:2]
    chosen = cells.obs["perturbation"].isin(["control", *names])
    lacking = (cells.obs["perturbation"] == names[1]) & (cells.obs["cell_type"] != "type_0")
    adata = cells[(chosen & ~lacking).to_numpy()].copy()
    options = {"strata_key": "cell_type", "strata": "separate", "fdr": None, **QUICK}
    found = rt.tl.screen(adata, "control", **options)
    assert found.problems.groupby("perturbation").size()[names].tolist() == [3, 1]
    start = control(cells)
    for order in (names, names[::-1], names[:1]):
        path = tmp_path / f"{''.join(order)}.h5ad"
        found.predict(start, order, write=path)
        read = ad.read_h5ad(path)
        labels = [f"predicted {name}" for name in order]
        assert read.obs["perturbation"].unique().tolist() == labels
        for name, label in zip(order, labels, strict=True):
            part = read[(read.obs["perturbation"] == label).to_numpy()]
            expected = found.predict(start, name)
            np.testing.assert_array_equal(part.to_df().to_numpy(), expected.to_df().to_numpy())
            if name == names[0]:
                np.testing.assert_array_equal(
                    part.to_df(layer="w1ot_sd").to_numpy(),
                    expected.to_df(layer="w1ot_sd").to_numpy(),
                )
            else:
                assert np.isnan(part.to_df(layer="w1ot_sd").to_numpy()).all()


def test_displacement_is_of_cells_drawn_at_random(cells, monkeypatch):
    order = np.argsort(cells.obs["cell_type"].to_numpy(), kind="stable")
    adata = cells[order].copy()
    monkeypatch.setattr(chunk_fit, "DISPLACED_CELLS", 100)
    rt.tl.screen(adata, "control", perturbations=cells.uns["active"][:1], **QUICK)
    assert np.isfinite(adata.uns["screen"]["displacement"]).all()


def test_what_passes_a_wider_rate_may_move(cells, tmp_path):
    options = {**QUICK, "checkpoint_dir": tmp_path}
    found = rt.tl.screen(cells.copy(), "control", fdr=0.99, **options)
    table = found.table
    unsure = table.loc[table["detectable"] & (table["p_value"] > 0.05), "perturbation"]
    assert len(unsure)
    assert found.problems.set_index("perturbation").loc[unsure, "p_value"].min() > 0.05
    assert not found.table["reason"].str.startswith("There is no detectable").all()
    # What was fitted under another rate is not taken for it.
    again = rt.tl.screen(cells.copy(), "control", fdr=None, **options)
    fresh = rt.tl.screen(cells.copy(), "control", fdr=None, **QUICK)
    pd.testing.assert_frame_equal(again.problems, fresh.problems)


def test_names_that_would_be_those_of_other_maps_are_refused(cells):
    adata = cells.copy()
    first, second = cells.uns["active"][:2]
    names = {first: "A", second: "A / 2"}
    adata.obs["perturbation"] = adata.obs["perturbation"].cat.rename_categories(names)
    with pytest.raises(ValueError, match="Two maps would be named 'A / 2'"):
        rt.tl.screen(adata, "control", n_seeds=2, **QUICK)


def test_whole_numbers_name_perturbations_too(cells):
    adata = cells.copy()
    names = {name: number for number, name in enumerate(adata.obs["perturbation"].cat.categories)}
    adata.obs["perturbation"] = adata.obs["perturbation"].cat.rename_categories(names)
    found = rt.tl.screen(adata, 0, perturbations=[1, 2], **QUICK)
    assert 1 in found
    assert 0 not in found
    assert found == found
    np.testing.assert_array_equal(
        found.predict(adata[:3], 1).to_df().to_numpy(),
        found[1].predict(adata[:3]).to_df().to_numpy(),
    )


def test_options_of_the_file_are_checked_before_the_fit(cells, tmp_path):
    write = tmp_path / "predictions.h5ad"
    adata = cells.copy()
    for options, message in (({"clip": "Auto"}, "clip"), ({"write": "cells.csv"}, "h5ad or .zarr")):
        with pytest.raises(ValueError, match=message):
            rt.tl.screen(adata, "control", **{"write": write, **options, **QUICK})
    assert "screen" not in adata.uns
    assert not write.exists()


def test_a_chunk_that_fails_leaves_cells_of_strata_where_they_are(cells, at_start):
    def fail(stack):
        raise FloatingPointError("The dual became nan.")

    name = cells.uns["active"][0]
    options = {"strata_key": "cell_type", "strata": "separate", **QUICK}
    at_start(fail)
    found = rt.tl.screen(cells.copy(), "control", perturbations=[name], **options)
    start = control(cells)
    np.testing.assert_array_equal(found.predict(start, name).to_df().to_numpy(), start.X.toarray())
    assert found[name].diagnostics["certificate"] == "poor"


@pytest.fixture(scope="module")
def parts(cells):
    """The screen of `chunked`, fitted in two parts, in which what does nothing lies scattered."""
    names = [name for name in cells.obs["perturbation"].cat.categories if name != "control"]
    return [
        rt.tl.screen(cells.copy(), "control", part=part, **CHUNKED)
        for part in (names[::2], names[1::2])
    ]


def test_parts_that_are_gathered_are_the_screen_that_was_fitted_at_once(
    cells, chunked, parts, tmp_path
):
    assert [len(part) for part in parts] == [3, 3]
    Screen.gather(parts).save(tmp_path / "gathered")
    gathered = Screen.load(tmp_path / "gathered")
    control = cells[cells.obs["perturbation"] == "control"][:40]
    assert set(gathered) == set(chunked)
    for name in chunked:
        first, second = (screen.predict(control, name) for screen in (chunked, gathered))
        np.testing.assert_array_equal(dense(first.X), dense(second.X))
        pd.testing.assert_frame_equal(first.obs, second.obs)
    tables = [screen.table.set_index("perturbation").sort_index() for screen in (chunked, gathered)]
    pd.testing.assert_frame_equal(*tables)
    assert not tables[0]["detectable"].all()
    assert gathered.history.keys() == chunked.history.keys()
    for phase, curve in chunked.history.items():
        pd.testing.assert_frame_equal(curve, gathered.history[phase][list(curve)], rtol=1e-5)


def test_screens_that_are_no_parts_of_one_are_not_gathered(cells, parts):
    with pytest.raises(ValueError, match="There is no screen to gather"):
        Screen.gather([])
    with pytest.raises(ValueError, match=r"the parts of the screen"):
        Screen.gather([parts[0], parts[0]])
    other = rt.tl.screen(cells.copy(), "control", part=list(parts[1]), **CHUNKED, seed=1)
    with pytest.raises(ValueError, match="Screens 1 and 2 differ in 'seed'"):
        Screen.gather([parts[0], other])
    with pytest.raises(ValueError, match=r"no category 'drug_7'"):
        rt.tl.screen(cells.copy(), "control", part=["drug_7"], **QUICK)
