"""Cells on disk, or too many to be held: the same maps and predictions, from less memory."""

import os
import resource
import subprocess
import sys
import weakref

import anndata as ad
import numpy as np
import pytest
import torch
from scipy import sparse

import rayot as rt
from rayot.data.spec import DataSpec
from rayot.model.encoding import held
from rayot.solvers import SparseCells, StoredCells

SOURCE, TARGET = "control", "perturbed"


@pytest.fixture
def many(monkeypatch):
    """Let a few cells be too many to be held."""
    monkeypatch.setattr("rayot.model.components.DENSE_ELEMENTS", 100)


@pytest.fixture
def in_components(quick):
    return quick | {"plan_kwargs": {"n_components": 10}, "write_genes": False, "n_folds": 1}


def on_disk(cells, folder):
    cells.write_h5ad(folder / "cells.h5ad")
    cells.write_zarr(folder / "cells.zarr")
    return {
        "backed": ad.read_h5ad(folder / "cells.h5ad", backed="r"),
        "lazy h5ad": ad.experimental.read_lazy(folder / "cells.h5ad"),
        "lazy zarr": ad.experimental.read_lazy(folder / "cells.zarr"),
    }


@pytest.mark.parametrize("use_rep", [None, "X_pca"])
def test_cells_on_disk_predict_as_cells_in_memory(cells, in_components, many, tmp_path, use_rep):
    stored = on_disk(cells, tmp_path)
    expected = rt.tl.w1ot(cells, SOURCE, TARGET, use_rep=use_rep, **in_components)
    scores = rt.tl.evaluate(cells, expected)
    for name, adata in stored.items():
        model = rt.tl.w1ot(adata, SOURCE, TARGET, use_rep=use_rep, **in_components)
        assert "w1ot" not in adata.layers, name
        np.testing.assert_array_equal(
            rt.data.checks.column(adata, "w1ot_step"), cells.obs["w1ot_step"], err_msg=name
        )
        found = model.predict(adata, write=tmp_path / "predicted.h5ad", overwrite=True)
        np.testing.assert_array_equal(
            found.to_memory().to_df().to_numpy(),
            expected.predict(cells).to_df().to_numpy(),
            err_msg=name,
        )
        np.testing.assert_allclose(rt.tl.evaluate(adata, model), scores, rtol=1e-5)


@pytest.mark.parametrize("use_rep", [None, "X_pca"])
def test_source_cells_are_read_twice_and_target_cells_once(cells, quick, use_rep, monkeypatch):
    """Fitted, with the check in the same pass, and predicted; samples of them come beside."""
    samples = {
        "rayot.data.spec.SAMPLE_ROWS": 5,
        "rayot.data.scale.SAMPLE_CELLS": 5,
        "rayot.data.spec.SAMPLE_CELLS": 5,
        "rayot.representation.pca.SAMPLE_ROWS": 20,
        "rayot.model.training_distance.MOST_CELLS": 5,
    }
    for name, size in samples.items():
        monkeypatch.setattr(name, size)
    n_reads = np.zeros(cells.n_obs, dtype=int)
    expression = DataSpec.expression

    def counted(spec, adata, rows):
        if adata.n_obs == cells.n_obs and len(rows) > 20:
            np.add.at(n_reads, rows, 1)
        return expression(spec, adata, rows)

    monkeypatch.setattr(DataSpec, "expression", counted)
    options = quick | {"plan_kwargs": {"decode": "delta"}}
    rt.tl.w1ot(cells, SOURCE, TARGET, use_rep=use_rep, **options)
    source = (cells.obs["perturbation"] == SOURCE).to_numpy()
    held_out = (cells.obs["split"] != "train").to_numpy()
    assert (n_reads[source] == 2).all()
    assert (n_reads[~source & ~held_out] == 1).all()
    assert (n_reads[~source & held_out] == 0).all()


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_sharded_cells_are_read_and_predictions_read_back(
    cells, in_components, tmp_path, zarr_format
):
    import zarr

    with ad.settings.override(zarr_write_format=3, auto_shard_zarr_v3=True):
        cells.write_zarr(tmp_path / "cells.zarr")
    assert zarr.open_group(tmp_path / "cells.zarr")["X/data"].shards is not None
    with ad.settings.override(zarr_write_format=zarr_format):
        lazy = ad.experimental.read_lazy(tmp_path / "cells.zarr")
        model = rt.tl.w1ot(lazy, SOURCE, TARGET, **in_components)
        model.predict(lazy, write=tmp_path / "predicted.zarr")
    read = ad.read_zarr(tmp_path / "predicted.zarr")
    np.testing.assert_array_equal(read.to_df().to_numpy(), model.predict(cells).to_df().to_numpy())
    np.testing.assert_allclose(rt.tl.evaluate(lazy, model), rt.tl.evaluate(cells, model), rtol=1e-5)


@pytest.mark.parametrize("strata", ["balanced", "separate"])
def test_a_map_of_coordinates_is_a_map_of_cells(cells, in_components, many, strata):
    model = rt.tl.w1ot(
        cells, SOURCE, TARGET, strata_key="cell_type", strata=strata, n_seeds=2, **in_components
    )
    components = model._components
    assert model._sides[0].cells.shape == ((cells.obs["split"] == "train").sum(), 10)
    identity = torch.eye(10)
    torch.testing.assert_close(components.basis.T @ components.basis, identity, atol=1e-5, rtol=0)
    reduced = components.reduced(model.module)
    values = {**model.module.state_dict()}
    values["centre"] = (values["centre"] - components.centre) @ components.basis
    del values["basis"]
    reduced.load_state_dict(values)
    genes = torch.from_numpy(cells.X[:7].toarray())[None].expand(len(reduced.names), -1, -1)
    coordinates = (genes - components.centre) @ components.basis
    moves = (reduced(coordinates) - coordinates) @ components.basis.T
    torch.testing.assert_close(model.module(genes) - genes, moves, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        model.module.potential(genes), reduced.potential(coordinates), atol=1e-4, rtol=1e-4
    )
    if strata == "separate":
        assert model.combination.centres.shape == (3, cells.n_vars)
        assert "w1ot_step_sd" in model.predict(cells).obs


def test_coordinates_are_those_of_all_training_cells(cells, in_components, many):
    model = rt.tl.w1ot(cells, SOURCE, TARGET, n_seeds=1, **in_components)
    for side, condition in zip(model._sides, (SOURCE, TARGET), strict=True):
        rows = model.data.training_rows(cells, condition)
        expected = cells.X[rows].toarray() - model._components.centre.numpy()
        found = side.cells[side.rows].numpy()
        np.testing.assert_allclose(found, expected @ model._components.basis.numpy(), atol=1e-4)


def test_few_cells_or_no_components_are_held_whole(cells, quick, many):
    paper = rt.tl.w1ot(cells, SOURCE, TARGET, **(quick | {"preset": "paper"}))
    assert paper._components is None
    assert paper._sides[0].cells.shape[1] == cells.n_vars


@pytest.mark.parametrize(
    "options",
    [
        {"preset": "paper", "weights_key": "mass"},
        {"use_rep": "X_mine", "plan_kwargs": {"unmatched_source": 0.1}},
        {"strata_key": "cell_type", "strata": "separate", "n_seeds": 2},
    ],
)
@pytest.mark.parametrize("kind", ["sparse", "dense"])
def test_a_scratch_file_gives_the_fit_of_memory(cells, quick, tmp_path, monkeypatch, options, kind):
    cells.obs["mass"] = np.linspace(1, 2, cells.n_obs)
    cells.obsm["X_mine"] = cells.obsm["X_pca"]
    if kind == "dense":
        cells.X = cells.X.toarray()
    few = {"max_steps": 5, "n_folds": 2, "write_genes": False}
    fit = {**quick, **few, "checkpoint_dir": tmp_path, **options}
    # Blocks of 16 cells, so that those held before it is known that they are too many are several.
    monkeypatch.setattr("rayot.data.matrix.CHUNK_ELEMENTS", 16 * cells.n_vars)
    expected = rt.tl.w1ot(cells, SOURCE, TARGET, **fit, resume=False)
    steps = cells.obs["w1ot_step"].copy()
    monkeypatch.setattr("rayot.model.encoding.HELD_BYTES", 2000)
    model = rt.tl.w1ot(cells, SOURCE, TARGET, **fit, resume=False)
    assert isinstance(model._sides[0].cells, StoredCells)
    assert model._sides[0].cells is model._sides[1].cells
    assert model.data == expected.data
    for name, values in expected.module.state_dict().items():
        assert torch.equal(model.module.state_dict()[name], values), name
    assert cells.obs["w1ot_step"].equals(steps)
    # The same cells continue a run that is over; others do not.
    rt.tl.w1ot(cells, SOURCE, TARGET, **fit)
    cells.X[:, 3] *= 2
    cells.obsm["X_mine"][:, 3] *= 2
    with pytest.raises(ValueError, match="it differs in cells"):
        rt.tl.w1ot(cells, SOURCE, TARGET, **fit)


def test_blocks_are_let_go_once_written(monkeypatch):
    monkeypatch.setattr("rayot.model.encoding.HELD_BYTES", 3 * 200)
    made, alive = [], []

    def blocks():
        for number in range(20):
            block = np.full((10, 5), number, dtype=np.float32)
            made.append(weakref.ref(block))
            alive.append(sum(each() is not None for each in made))
            yield block

    cells = held(blocks())
    assert max(alive) <= 5
    assert cells[torch.arange(0, 200, 10)][:, 0].tolist() == list(range(20))


def test_sparse_cells_up_to_a_size_stay_in_memory(cells, quick, monkeypatch):
    monkeypatch.setattr("rayot.model.encoding.DENSE_ELEMENTS", 100)
    model = rt.tl.w1ot(cells, SOURCE, TARGET, write_genes=False, **quick)
    assert isinstance(model._sides[0].cells, SparseCells)
    monkeypatch.setattr("rayot.model.encoding.HELD_BYTES", 100)
    monkeypatch.setattr("tempfile.tempdir", "/none")
    before = cells.copy()
    with pytest.raises(OSError, match=r"temporary folder '/none'.*TMPDIR"):
        rt.tl.w1ot(cells, SOURCE, TARGET, **quick)
    assert cells.obs.equals(before.obs)


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
@pytest.mark.parametrize("use_rep", [None, "X_pca"])
def test_a_file_holds_what_predict_returns(cells, quick, tmp_path, suffix, use_rep):
    model = rt.tl.w1ot(
        cells,
        SOURCE,
        TARGET,
        use_rep=use_rep,
        strata_key="cell_type",
        strata="separate",
        n_seeds=2,
        leave_out_strata=False,
        **quick,
    )
    expected = model.predict(cells, key="new")
    path = tmp_path / f"predicted.{suffix}"
    opened = model.predict(cells, key="new", write=str(path))
    assert opened.isbacked == (suffix == "h5ad")
    found = opened.to_memory()
    np.testing.assert_array_equal(found.to_df().to_numpy(), expected.to_df().to_numpy())
    np.testing.assert_array_equal(
        found.to_df(layer="new_sd").to_numpy(), expected.to_df(layer="new_sd").to_numpy()
    )
    assert ("X_new" in found.obsm) == (use_rep is not None)
    assert sorted(found.obs) == sorted(expected.obs)
    assert found.obs["new_step"].tolist() == expected.obs["new_step"].tolist()
    assert found.var_names.tolist() == cells.var_names.tolist()
    assert found.uns["new"]["strata"]["n_combined"] == 0
    read = ad.read_h5ad if suffix == "h5ad" else ad.read_zarr
    assert read(path).shape == cells.shape
    with pytest.raises(FileExistsError, match="overwrite=True"):
        model.predict(cells, write=path)
    # What was written can be predicted again.
    again = model.predict(found, key="new", write=path, overwrite=True)
    assert list(again.obs.columns).count("new_step") == 1
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_a_file_without_genes(cells, quick, tmp_path, suffix):
    model = rt.tl.w1ot(cells, SOURCE, TARGET, **quick)
    path = tmp_path / f"predicted.{suffix}"
    found = model.predict(cells, write=path, write_genes=False)
    assert found.X is None
    assert found.shape == (cells.n_obs, 0)
    assert np.isfinite(rt.data.checks.column(found, "w1ot_step")).all()


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_a_full_disk_leaves_nothing(cells, quick, tmp_path, suffix):
    model = rt.tl.w1ot(cells, SOURCE, TARGET, **quick)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8000, limits[1]))
    try:
        with pytest.raises(OSError, match="was not written, and no part of it is left"):
            model.predict(cells, write=tmp_path / f"predicted.{suffix}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.listdir(tmp_path) == []


def test_bad_values_leave_no_file(cells, quick, tmp_path):
    model = rt.tl.w1ot(cells, SOURCE, TARGET, **quick)
    cells.X[-1, 0] = np.nan
    with pytest.raises(ValueError, match="has 1 NaN"):
        model.predict(cells, write=tmp_path / "predicted.h5ad")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kind", ["pair", "screen"])
def test_cells_that_change_while_they_are_predicted_leave_no_file(cells, quick, tmp_path, kind):
    """What was there before still is: predictions of other cells are worth nothing."""
    model = (
        rt.tl.mean_shift(cells, SOURCE, TARGET)
        if kind == "pair"
        else rt.tl.screen(cells, SOURCE, **quick)
    )
    target = () if kind == "pair" else ([TARGET],)
    backed = on_disk(cells, tmp_path)["backed"]
    written = tmp_path / "predicted.h5ad"
    expected = model.predict(backed[:5].to_memory(), *target, write=written)
    expected = expected.to_memory()
    encode = type(model.representation).encode

    class Touched(type(model.representation)):
        def encode(self, *arguments):
            (tmp_path / "cells.h5ad").touch()
            return encode(self, *arguments)

    model.representation.__class__ = Touched
    with pytest.raises(OSError, match="changed"):
        model.predict(backed, *target, write=written, overwrite=True)
    assert ad.read_h5ad(written).obs.equals(expected.obs)
    written.unlink()
    with pytest.raises(OSError, match="changed"):
        model.predict(backed, *target, write=written)
    assert not written.exists()


@pytest.mark.parametrize("kind", ["backed", "lazy zarr"])
def test_a_file_that_changes_during_a_fit(cells, quick, tmp_path, kind):
    from lightning.pytorch import Callback

    class Move(Callback):
        def on_fit_start(self, trainer, module):
            path = tmp_path / ("cells.h5ad" if kind == "backed" else "cells.zarr")
            if path.exists():
                path.rename(tmp_path / "elsewhere")

    adata = on_disk(cells, tmp_path)[kind]
    with pytest.raises(OSError, match="was moved or deleted while cells were read from it"):
        rt.tl.w1ot(adata, SOURCE, TARGET, callbacks=[Move()], **quick)
    assert "w1ot" not in adata.uns


@pytest.mark.slow
def test_memory_does_not_grow_with_the_cells(tmp_path):
    small = rt.datasets.simulated(n_cells=5000, n_genes=500, library_size=100)
    del small.layers["counts"], small.layers["counterfactual"]
    # The same cells many times over.
    large = ad.AnnData(sparse.vstack([small.X] * 6, format="csr"), var=small.var)
    small.write_h5ad(tmp_path / "small.h5ad")
    large.write_h5ad(tmp_path / "large.h5ad")
    program = f"""
import resource
from pathlib import Path
import anndata as ad
import rayot as rt

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

folder = Path({str(tmp_path)!r})
small = ad.read_h5ad(folder / "small.h5ad", backed="r")
model = rt.tl.w1ot(
    small, {SOURCE!r}, {TARGET!r}, preset="fast", max_steps=10, write_genes=False,
    show_progress_bar=False,
)
model.predict(small, write=folder / "first.h5ad")
before = peak()
large = ad.read_h5ad(folder / "large.h5ad", backed="r")
model.predict(large, write=folder / "second.h5ad")
print((peak() - before) * 1024)
"""
    output = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout
    assert int(output) < 0.2 * 4 * large.n_obs * large.n_vars
