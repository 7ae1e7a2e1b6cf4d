"""Values that are not what they look like: masked, complex, objects, tiny or huge; tables that
name a thing twice; columns of every dtype."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import rayot as rt

SOURCE, TARGET = "control", "perturbed"
QUICK = {"max_steps": 2, "show_progress_bar": False}

VERBS = {
    "w1ot": lambda adata, **options: rt.tl.w1ot(adata, SOURCE, TARGET, **QUICK, **options),
    "mean_shift": lambda adata, **options: rt.tl.mean_shift(adata, SOURCE, TARGET, **options),
    "screen": lambda adata, **options: rt.tl.screen(adata, SOURCE, **QUICK, **options),
    "conditional_w1ot": lambda adata, **options: rt.tl.conditional_w1ot(
        adata, SOURCE, **QUICK, **options
    ),
    "autoencoder": lambda adata, **options: rt.pp.autoencoder(
        adata, n_latent=2, hidden=(4,), **QUICK, **options
    ),
}


def masked(values):
    values = np.ma.masked_array(values)
    values[3, 4] = np.ma.masked
    return values


def with_complex(values):
    return values + 1j * (values > 0)


BAD = {
    "masked": (masked, "masked values"),
    "complex": (with_complex, "dtype complex"),
    "complex sparse": (lambda values: sparse.csr_matrix(with_complex(values)), "dtype complex"),
    "objects": (lambda values: values.astype(object), "dtype object"),
    "tiny": (lambda values: values * 1e-30, "at most .* in size, whose squares"),
    "huge": (lambda values: values.astype(np.float64) * 1e30, "size, whose squares"),
}


def unchanged(adata, before):
    assert adata.obs.columns.tolist() == before[0]
    assert [sorted(map(str, each)) for each in (adata.obsm, adata.layers, adata.uns)] == before[1:]


def state(adata):
    slots = (adata.obsm, adata.layers, adata.uns)
    return [adata.obs.columns.tolist(), *(sorted(map(str, each)) for each in slots)]


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("layer", [None, "other"])
def test_expression_that_is_no_real_number_is_refused(cells, kind, verb, layer):
    make, message = BAD[kind]
    values = make(cells.X.toarray())
    if layer is None:
        cells.X = values
    else:
        cells.layers[layer] = values
    before = state(cells)
    with pytest.raises(ValueError, match=message):
        VERBS[verb](cells, layer=layer)
    unchanged(cells, before)


@pytest.mark.parametrize("kind", ["masked", "complex", "objects", "tiny"])
@pytest.mark.parametrize("verb", ["w1ot", "mean_shift", "screen", "conditional_w1ot"])
def test_an_embedding_that_is_no_real_number_is_refused(cells, kind, verb):
    make, message = BAD[kind]
    cells.obsm["X_any"] = make(np.asarray(cells.obsm["X_pca"]))
    before = state(cells)
    with pytest.raises(ValueError, match=message):
        VERBS[verb](cells, use_rep="X_any")
    unchanged(cells, before)


def test_new_cells_are_looked_at_too(cells, quick):
    model = rt.tl.w1ot(cells, SOURCE, TARGET, **quick)
    for name in ("masked", "complex", "objects"):
        make, message = BAD[name]
        other = cells[:9].copy()
        other.X = make(cells[:9].X.toarray())
        with pytest.raises(ValueError, match=message):
            model.predict(other)


def test_an_embedding_table_names_each_condition_once(cells):
    cells.obs["perturbation"] = np.resize([SOURCE, TARGET, "second"], cells.n_obs)
    table = pd.DataFrame(np.eye(3, 2), index=[SOURCE, TARGET, TARGET])
    cells.uns["embeddings"] = table
    for call in (
        lambda: rt.tl.conditional_w1ot(cells, SOURCE, embedding_key="embeddings", **QUICK),
        lambda: rt.tl.nearest(cells, SOURCE, TARGET, plan_kwargs={"embedding_key": "embeddings"}),
    ):
        with pytest.raises(ValueError, match=f"several rows of {TARGET!r}"):
            call()


COLUMNS = {
    "category": lambda values: pd.Categorical(values),
    "string": lambda values: pd.array(values, dtype="string"),
    "pandas 3 string": lambda values: pd.array(values, dtype=pd.StringDtype("python", np.nan)),
    "category of strings": lambda values: pd.Categorical(pd.array(values, dtype="string")),
}


@pytest.mark.parametrize("dtype", COLUMNS)
@pytest.mark.parametrize("missing", [False, True])
def test_columns_of_every_dtype_are_the_same(cells, quick, dtype, missing, tmp_path):
    """A condition, a stratum and a split; cells without one are of no group."""
    gaps = np.arange(0, cells.n_obs, 17) if missing else []
    columns = {}
    for name in ("perturbation", "cell_type", "split"):
        values = cells.obs[name].astype(object).to_numpy().copy()
        values[gaps] = None
        columns[name] = values
    quick |= {"n_seeds": 1, "n_folds": 1, "leave_out_strata": False}
    # Columns as they are: objects.
    expected = fitted_with(cells.copy(), columns, np.asarray, quick)
    found = fitted_with(cells.copy(), columns, COLUMNS[dtype], quick)
    np.testing.assert_array_equal(found.layers["w1ot"], expected.layers["w1ot"])
    # Cells of no condition were not transported.
    assert np.isnan(found.layers["w1ot"][gaps]).all()
    pd.testing.assert_frame_equal(rt.tl.evaluate(found), rt.tl.evaluate(expected))


def fitted_with(adata, columns, convert, quick):
    for name, values in columns.items():
        adata.obs[name] = convert(values)
    adata.obs["drawn"] = 0
    del adata.obs["drawn"], adata.uns["split"]
    rt.pp.split(adata, key_added="drawn", stratify="cell_type")
    rt.tl.w1ot(adata, SOURCE, TARGET, strata_key="cell_type", **quick)
    return adata


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "boolean", "int8", "bool"])
def test_numbers_and_booleans_with_missing_values(cells, quick, dtype):
    treated = (cells.obs["perturbation"] == TARGET).astype(dtype)
    if dtype in ("Int64", "Float64", "boolean"):
        treated.iloc[::17] = pd.NA
    cells.obs["treated"] = treated
    source, target = {"Float64": (0.0, 1.0)}.get(dtype, (0, 1))
    if "bool" in dtype:
        source, target = False, True
    rt.pp.split(cells, groupby="treated", key_added="again")
    rt.tl.w1ot(cells, source, target, groupby="treated", split_key="again", **quick)
    scores = rt.tl.evaluate(cells, metrics=["l2"])
    assert np.isfinite(scores["l2"]).all()


def test_an_unwanted_column_twice_and_genes_as_text(cells, quick):
    rt.tl.w1ot(cells, SOURCE, TARGET, **quick)
    with pytest.raises((KeyError, ValueError), match="gene_0"):
        rt.tl.log_fold_change(cells[:, 1:].copy(), genes="gene_0")
    one = rt.tl.log_fold_change(cells, genes=cells.var_names[3])
    assert one.index.tolist() == [cells.var_names[3]]
    pd.testing.assert_frame_equal(one, rt.tl.log_fold_change(cells, genes=[cells.var_names[3]]))
    twice = cells.copy()
    twice.obs = pd.concat([twice.obs, twice.obs[["perturbation", "cell_type"]]], axis=1)
    for call, column in (
        (lambda: rt.tl.w1ot(twice, SOURCE, TARGET, **quick), "perturbation"),
        (lambda: rt.pp.split(twice, key_added="new"), "perturbation"),
        (
            lambda: rt.pp.split(twice, groupby="state", stratify="cell_type", key_added="new"),
            "cell_type",
        ),
        (lambda: rt.tl.evaluate(twice, metrics=["l2"]), "perturbation"),
    ):
        with pytest.raises(ValueError, match=f"the column {column!r} 2 times"):
            call()
    twice.obs = pd.concat([cells.obs, cells.obs[["cell_type"]]], axis=1)
    with pytest.raises(ValueError, match="the column 'cell_type' 2 times"):
        rt.pl.transport_rays(twice, color="cell_type", show=False)


def test_no_genes_and_no_cells(cells, quick):
    for verb in VERBS.values():
        with pytest.raises(ValueError, match="no genes"):
            verb(cells[:, :0].copy())
    model = rt.tl.w1ot(cells, SOURCE, TARGET, **quick)
    with pytest.raises((KeyError, ValueError), match="genes"):
        model.predict(cells[:, :0].copy())
    assert isinstance(cells, ad.AnnData)
