"""The verb on every kind of AnnData: what it writes, what it leaves alone, what it refuses."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from mudata import MuData
from scipy import sparse

import rayot as rt

SOURCE, TARGET = "control", "perturbed"


def snapshot(adata):
    """Everything a verb could change."""
    return {
        "X": adata.X.toarray().copy() if sparse.issparse(adata.X) else np.array(adata.X),
        "obs": adata.obs.copy(),
        "var": adata.var.copy(),
        "uns": sorted(adata.uns),
        "layers": set(adata.layers),
        "obsm": sorted(adata.obsm),
        "varm": sorted(adata.varm),
    }


def unchanged(before, adata):
    after = snapshot(adata)
    np.testing.assert_array_equal(before.pop("X"), after.pop("X"))
    pd.testing.assert_frame_equal(before.pop("obs"), after.pop("obs"))
    pd.testing.assert_frame_equal(before.pop("var"), after.pop("var"))
    assert before == after


@pytest.mark.parametrize("use_rep", [None, "X_pca"])
def test_what_is_written(cells, quick, use_rep, tmp_path):
    before = snapshot(cells)
    model = rt.tl.w1ot(cells, SOURCE, TARGET, use_rep=use_rep, key_added="m", **quick)
    source = (cells.obs["perturbation"] == SOURCE).to_numpy()
    assert cells.layers["m"].dtype == np.float32
    assert np.isfinite(cells.layers["m"][source]).all()
    assert np.isnan(cells.layers["m"][~source]).all()
    assert (cells.layers["m"][source] >= 0).all()
    assert (cells.obs["m_step"][source] >= 0).all()
    assert cells.obs["m_step"][~source].isna().all()
    assert cells.obs["m_potential"][source].notna().all()
    assert ("X_m" in cells.obsm) == (use_rep is not None)
    result = cells.uns["m"]
    assert (result["source"], result["target"], result["groupby"]) == (
        SOURCE,
        TARGET,
        "perturbation",
    )
    assert result["version"] == rt.__version__
    assert 0 <= result["share_clipped"] < 1
    assert result["diagnostics"]["n_cells"] > 0
    np.testing.assert_array_equal(before["X"], cells.X.toarray())
    cells.write_h5ad(tmp_path / "cells.h5ad")
    read = ad.read_h5ad(tmp_path / "cells.h5ad")
    np.testing.assert_array_equal(read.layers["m"], cells.layers["m"])
    assert rt.tl.evaluate(read, "m").equals(rt.tl.evaluate(cells, "m"))
    assert set(model.history) == {
        f"ray {number} {part}"
        for number in range(1, model.settings.n_rays + 1)
        for part in ("potential", "step")
    }


def test_steps_are_the_lengths_of_the_moves(cells, quick):
    rt.tl.w1ot(cells, SOURCE, TARGET, use_rep="X_pca", **quick)
    source = (cells.obs["perturbation"] == SOURCE).to_numpy()
    moves = cells.obsm["X_w1ot"][source] - cells.obsm["X_pca"][source]
    np.testing.assert_allclose(
        np.linalg.norm(moves, axis=1), cells.obs["w1ot_step"][source], atol=1e-3
    )


def variants(cells, tmp_path):
    dense = cells.copy()
    dense.X = cells.X.toarray()
    double = dense.copy()
    double.X = double.X.astype(np.float64)
    column = cells.copy()
    column.X = sparse.csc_matrix(cells.X)
    layered = cells.copy()
    layered.layers["lognorm"] = cells.X.copy()
    larger = ad.concat([cells, cells[:5].copy()], merge="same")
    larger.obs_names_make_unique()
    larger.varm["PCs"] = cells.varm["PCs"]
    view = larger[: cells.n_obs]
    cells.write_h5ad(tmp_path / "cells.h5ad")
    backed = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    return {
        "dense": dense,
        "float64": double,
        "csc": column,
        "layer": layered,
        "view": view,
        "backed": backed,
    }


@pytest.mark.parametrize("use_rep", [None, "X_pca"])
def test_every_kind_of_anndata_gives_the_same_prediction(cells, quick, use_rep, tmp_path):
    others = variants(cells, tmp_path)
    # Sparse and dense products differ in their last bits, which a second ray may amplify.
    quick |= {"plan_kwargs": {"n_rays": 1}, "n_seeds": 1, "n_folds": 1}
    rt.tl.w1ot(cells, SOURCE, TARGET, use_rep=use_rep, **quick)
    for name, other in others.items():
        layer = "lognorm" if name == "layer" else None
        rt.tl.w1ot(other, SOURCE, TARGET, use_rep=use_rep, layer=layer, **quick)
        np.testing.assert_allclose(
            other.layers["w1ot"], cells.layers["w1ot"], atol=2e-3, err_msg=name
        )


def test_a_modality_of_a_mudata(cells, quick):
    mdata = MuData({"rna": cells, "other": cells[:, :3].copy()})
    rt.tl.w1ot(mdata, SOURCE, TARGET, modality="rna", **quick)
    assert "w1ot" in mdata.mod["rna"].layers
    assert "w1ot" not in mdata.mod["other"].layers
    assert rt.get.predicted(mdata, modality="rna").n_obs == 120
    assert "mmd" in rt.tl.evaluate(mdata, modality="rna")


def test_training_cells_alone_decide(cells, quick):
    first = cells.copy()
    rt.tl.w1ot(first, SOURCE, TARGET, **quick)
    second = cells.copy()
    test = (second.obs["split"] == "test").to_numpy() & (
        second.obs["perturbation"] == TARGET
    ).to_numpy()
    values = second.X.toarray()
    values[test] += 50
    second.X = sparse.csr_matrix(values)
    rt.tl.w1ot(second, SOURCE, TARGET, **quick)
    np.testing.assert_array_equal(first.layers["w1ot"], second.layers["w1ot"])


def test_copy_leaves_the_original_alone_and_warns(cells, quick):
    before = snapshot(cells)
    with pytest.warns(FutureWarning, match=r"fit adata.copy\(\)") as caught:
        model = rt.tl.w1ot(cells, SOURCE, TARGET, copy=True, **quick)
    assert caught[0].filename == __file__
    unchanged(before, cells)
    assert "w1ot" in model.adata.layers
    with pytest.warns(FutureWarning, match="copy= will be removed"):
        rt.tl.w1ot(cells, SOURCE, TARGET, copy=False, **quick)
    assert "w1ot" in cells.layers


def test_verbs_of_many_conditions_warn_of_copy_too(cells, quick_conditional):
    for fit in (rt.tl.screen, rt.tl.conditional_w1ot):
        with pytest.warns(FutureWarning, match="copy= will be removed"):
            model = fit(cells, SOURCE, copy=True, **quick_conditional)
        assert set(model.adata.uns) - set(cells.uns)


def test_without_genes_no_layer_is_written(cells, quick):
    rt.tl.w1ot(cells, SOURCE, TARGET, use_rep="X_pca", write_genes=False, **quick)
    assert "w1ot" not in cells.layers
    assert rt.get.predicted(cells).obsm["X_w1ot"].shape == (120, 5)


def test_delta_decoding_keeps_what_the_representation_lost(cells, quick):
    options = {**quick, "preset": "paper"}
    rt.tl.w1ot(
        cells,
        SOURCE,
        TARGET,
        use_rep="X_pca",
        clip=False,
        plan_kwargs={"decode": "delta"},
        **options,
    )
    source = (cells.obs["perturbation"] == SOURCE).to_numpy()
    change = cells.layers["w1ot"][source] - cells.X[source].toarray()
    moves = cells.obsm["X_w1ot"][source] - cells.obsm["X_pca"][source]
    np.testing.assert_allclose(change, moves @ cells.varm["PCs"].T, atol=1e-3)


def test_a_grid_of_the_potential_for_two_dimensions(quick):
    adata = rt.datasets.moons(n_samples=100)
    model = rt.tl.w1ot(adata, SOURCE, TARGET, **quick)
    grid = adata.uns["w1ot"]["potential_grid"]
    assert grid["values"].shape == (100, 100)
    import torch

    point = torch.tensor([[[grid["x"][3], grid["y"][70]]]])
    members = model.module.potential(point.expand(5, -1, -1))
    assert np.isclose(members.mean().item(), grid["values"][70, 3], atol=1e-5)


BAD = {
    "column": (
        lambda cells: {"groupby": "pertubation"},
        KeyError,
        r"no column 'pertubation'. Did you mean 'perturbation'",
    ),
    "source": (lambda cells: {"source_key": "ctrl"}, ValueError, r"no category 'ctrl'.*'control'"),
    "target": (
        lambda cells: {"target_key": "drug"},
        ValueError,
        "no category 'drug'",
    ),
    "equal": (lambda cells: {"target_key": SOURCE}, ValueError, "are both 'control'"),
    "representation": (
        lambda cells: {"use_rep": "X_scvi"},
        KeyError,
        r"no 'X_scvi'; it has",
    ),
    "layer": (lambda cells: {"layer": "log"}, KeyError, "adata.layers has no 'log'"),
    "counts": (
        lambda cells: {"layer": "counts"},
        ValueError,
        "holds raw counts",
    ),
    "preset": (lambda cells: {"preset": "best"}, ValueError, "found 'best'"),
    "setting": (
        lambda cells: {"plan_kwargs": {"rays": 2}},
        ValueError,
        "unknown settings",
    ),
    "clip": (lambda cells: {"clip": "yes"}, ValueError, "clip must be 'auto', True or False"),
    "steps": (lambda cells: {"max_steps": 0}, ValueError, "max_steps must be .* at least 1"),
    "folds": (lambda cells: {"n_folds": 0}, ValueError, "n_folds must be a whole number"),
    "validation": (lambda cells: {"validation_size": 1.5}, ValueError, "between 0 and 0.9"),
    "split": (lambda cells: {"split_key": "fold"}, KeyError, "no column 'fold'"),
}


@pytest.mark.parametrize("case", sorted(BAD))
def test_bad_arguments_are_named_and_change_nothing(cells, quick, case):
    make, error, message = BAD[case]
    before = snapshot(cells)
    arguments = {"source_key": SOURCE, "target_key": TARGET, **quick, **make(cells)}
    with pytest.raises(error, match=message):
        rt.tl.w1ot(cells, **arguments)
    unchanged(before, cells)


def test_too_few_training_cells_are_counted(cells, quick):
    few = cells[np.r_[0:12, 120:240]].copy()
    few.obs["split"] = "train"
    with pytest.raises(ValueError, match=r"'control'.* has 12 training cells; .* at least 20"):
        rt.tl.w1ot(few, SOURCE, TARGET, **quick)


@pytest.mark.parametrize("use_rep", [None, "X_pca", "coordinates"])
@pytest.mark.parametrize(
    ("split", "condition"), [("train", SOURCE), ("train", TARGET), ("test", SOURCE)]
)
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("kind", ["dense", "sparse"])
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_values_that_are_not_finite(
    cells, quick, split, condition, value, kind, use_rep, monkeypatch
):
    if use_rep == "coordinates":
        monkeypatch.setattr("rayot.model.components.DENSE_ELEMENTS", 100)
        quick, use_rep = quick | {"plan_kwargs": {"n_components": 10}}, None
    values = cells.X.toarray()
    row = np.nonzero((cells.obs["split"] == split) & (cells.obs["perturbation"] == condition))[0][3]
    values[row, 4] = value
    cells.X = values if kind == "dense" else sparse.csr_matrix(values)
    before = snapshot(cells)
    with pytest.raises(ValueError, match=rf"1 NaN or infinite values.*{cells.var_names[4]!r}"):
        rt.tl.w1ot(cells, SOURCE, TARGET, use_rep=use_rep, **quick)
    unchanged(before, cells)


def test_all_values_that_are_not_finite_are_counted(cells, quick):
    """Wherever they are found first: of cells to transport, of a sample, or of training cells."""
    values = cells.X.toarray()
    rows = np.flatnonzero(cells.obs["perturbation"] == SOURCE)
    assert cells.obs["split"].iloc[rows].nunique() == 2
    values[rows, 7] = np.nan
    values[rows[0], 3] = np.nan
    cells.X = values
    for use_rep in (None, "X_pca"):
        with pytest.raises(ValueError, match=f"{len(rows) + 1} NaN.*first in 'gene_3'"):
            rt.tl.w1ot(cells, SOURCE, TARGET, use_rep=use_rep, **quick)


def test_integers_are_taken_if_they_are_allowed(cells, quick):
    cells.X = sparse.csr_matrix(cells.layers["counts"], dtype=np.int64)
    rt.tl.w1ot(cells, SOURCE, TARGET, allow_counts=True, **quick)
    assert np.isfinite(rt.get.predicted(cells).to_df().to_numpy()).all()


def test_columns_and_names_that_no_file_takes_are_refused(cells, quick):
    cells.obs["mine_step"] = 1.0
    before = snapshot(cells)
    with pytest.raises(ValueError, match=r"would overwrite obs\['mine_step'\]"):
        rt.tl.w1ot(cells, SOURCE, TARGET, key_added="mine", **quick)
    with pytest.raises(ValueError, match="name the result without '/'"):
        rt.tl.w1ot(cells, SOURCE, TARGET, key_added="a/b", **quick)
    unchanged(before, cells)


def test_a_gene_that_is_there_twice_is_named(cells, quick):
    cells.var_names = ["A", "B", *cells.var_names[2:-1], "B"]
    before = snapshot(cells)
    with pytest.raises(ValueError, match=r"the gene 'B' more than once; call adata.var_names_make"):
        rt.tl.w1ot(cells, SOURCE, TARGET, **quick)
    unchanged(before, cells)


@pytest.mark.parametrize("key", ["counts", "pca"])
def test_a_name_that_is_taken_is_refused(cells, quick, key):
    before = snapshot(cells)
    with pytest.raises(ValueError, match="would overwrite"):
        rt.tl.w1ot(cells, SOURCE, TARGET, use_rep="X_pca", key_added=key, **quick)
    unchanged(before, cells)
    rt.tl.w1ot(cells, SOURCE, TARGET, use_rep="X_pca", **quick)
    rt.tl.w1ot(cells, SOURCE, TARGET, use_rep="X_pca", **quick)


def test_raw_counts_beside_a_representation_without_decoder(cells, quick):
    cells.X = cells.layers["counts"]
    cells.obsm["X_other"] = cells.obsm["X_pca"]
    rt.tl.w1ot(cells, SOURCE, TARGET, use_rep="X_other", **quick)
    assert "w1ot" not in cells.layers


def test_conditions_that_are_numbers(cells, quick):
    cells.obs["dose"] = np.where(cells.obs["perturbation"] == SOURCE, 0, 10)
    rt.tl.w1ot(cells, 0, 10, groupby="dose", **quick)
    assert rt.tl.evaluate(cells).loc["w1ot"].notna().any()


def test_cells_without_a_condition_are_none(cells, quick):
    cells.obs["drug"] = cells.obs["perturbation"].astype(object)
    cells.obs.loc[cells.obs_names[:5], "drug"] = np.nan
    with pytest.raises(ValueError, match="no category 'nan'"):
        rt.tl.w1ot(cells, "nan", TARGET, groupby="drug", **quick)


def test_the_way_of_an_unseen_cell_type_is_measured_on_that_type(cells, quick):
    cell_type = str(cells.obs["cell_type"].iloc[0])
    rt.pp.split(cells, holdout={"cell_type": [cell_type]})
    rt.tl.w1ot(cells, SOURCE, TARGET, **quick)
    table = rt.tl.evaluate(cells)
    assert table.loc["observed", "mmd"] < table.loc["identity", "mmd"]


def test_the_response_alone_of_a_cell_type_is_held_out_and_scored(cells, quick, tmp_path):
    cell_type = str(cells.obs["cell_type"].iloc[0])
    held_out = {"cell_type": [cell_type]}
    of_type = (cells.obs["cell_type"] == cell_type).to_numpy()
    source = (cells.obs["perturbation"] == SOURCE).to_numpy()
    rt.pp.split(cells, holdout=held_out, control=SOURCE)
    assert ((cells.obs["split"] == "test") == (of_type & ~source)).all()
    rt.tl.w1ot(cells, SOURCE, TARGET, strata_key="cell_type", **quick)
    table = rt.tl.evaluate(cells)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    assert rt.tl.evaluate(ad.read_h5ad(tmp_path / "cells.h5ad")).equals(table)
    # A map that leaves this type out of the fit, and is scored on it, is one that never saw it.
    rt.pp.split(cells, holdout=held_out)
    rt.tl.w1ot(cells, SOURCE, TARGET, strata_key="cell_type", **quick)
    pd.testing.assert_frame_equal(rt.tl.evaluate(cells), table)


def test_nothing_is_predicted_without_a_map(cells):
    with pytest.raises(KeyError, match="There is no fitted map in adata"):
        rt.get.predicted(cells)
