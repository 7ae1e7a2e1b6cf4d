"""Vectors of drugs and of genes: what they say, what they refuse, and models that take them."""

import sys

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from mudata import MuData
from scipy import sparse

import rayot as rt

SMILES = {
    "control": "CS(C)=O",
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "caffeine": "Cn1cnc2c1c(=O)n(C)c(=O)n2C",
    "ethanol": "CCO",
    "nicotine": "CN1CCC[C@H]1c1cccnc1",
}
GENES = ["control", "gene_0", "gene_1", "gene_2", "gene_3", "gene_4"]


def screen(names, n_genes=12):
    """Cells of a control and of other conditions, with a split."""
    data = rt.datasets.simulated_screen(
        len(names) - 1, n_cells=40, n_genes=n_genes, inactive=0, seed=0
    )
    data.obs["perturbation"] = data.obs["perturbation"].cat.rename_categories(names)
    rt.pp.split(data)
    return data


@pytest.fixture
def drugs():
    return screen(["control", "aspirin", "caffeine", "nicotine", "aspirin+nicotine"])


@pytest.fixture
def genes():
    return screen([*GENES, "gene_0+gene_1"])


@pytest.fixture
def rdkit():
    return pytest.importorskip("rdkit")


def containers(data, tmp_path):
    """The same cells, by every way to hold them, as arguments of a function."""
    dense, column = data.copy(), data.copy()
    dense.X = data.X.toarray()
    column.X = sparse.csc_matrix(data.X)
    larger = ad.concat([data, data[:5].copy()], merge="same")
    larger.obs_names_make_unique()
    data.write_h5ad(tmp_path / "cells.h5ad")
    other = data[:, :2].copy()
    return {
        "dense": {"adata": dense},
        "csc": {"adata": column},
        "view": {"adata": larger[: data.n_obs]},
        "backed": {"adata": ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")},
        "lazy": {"adata": ad.experimental.read_lazy(tmp_path / "cells.h5ad")},
        "mudata": {"adata": MuData({"rna": data, "other": other}), "modality": "rna"},
    }


def written(arguments, name):
    data = arguments["adata"]
    return (data.mod["rna"] if "modality" in arguments else data).uns[name]


def fingerprints(data, smiles=SMILES, **options):
    rt.pp.fingerprints(data, smiles, **options)
    return data.uns["fingerprints"]


def test_fingerprints_are_those_of_rdkit(drugs, rdkit):
    from rdkit import Chem
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    table = fingerprints(drugs, radius=3, n_bits=256)
    # A drug that no cell was exposed to has a vector, the control and the combination have none.
    assert list(table.index) == ["aspirin", "caffeine", "ethanol", "nicotine"]
    assert (table.dtypes == np.float32).all()
    assert list(table.columns[:2]) == ["0", "1"]
    generator = GetMorganGenerator(radius=3, fpSize=256, includeChirality=True)
    for name, row in table.iterrows():
        molecule = Chem.MolFromSmiles(SMILES[name])
        np.testing.assert_array_equal(row, generator.GetCountFingerprintAsNumPy(molecule))


@pytest.mark.parametrize(
    ("smiles", "other", "same"),
    [
        ("CCO", "OCC", True),
        ("CN1CCC[C@H]1c1cccnc1", "Cl.CN1CCC[C@H]1c1cccnc1.Cl", True),
        ("CC(=O)Oc1ccccc1C(=O)O", "[Na+].CC(=O)Oc1ccccc1C(=O)[O-]", True),
        ("CN", "CN.O=S(=O)(O)O", True),
        ("CCCCCC", "CCCCCCC", False),
        ("CN1CCC[C@H]1c1cccnc1", "CN1CCC[C@@H]1c1cccnc1", False),
        ("F/C=C/F", "F/C=C\\F", False),
    ],
)
def test_which_structures_are_the_same(rdkit, smiles, other, same):
    given = {"aspirin": smiles, "nicotine": other, "caffeine": SMILES["caffeine"]}
    data = screen(["control", "aspirin", "caffeine", "nicotine"])
    if same:
        with pytest.warns(UserWarning, match=r"cannot tell apart: 'aspirin', 'nicotine'\."):
            table = fingerprints(data, given)
    else:
        table = fingerprints(data, given)
    assert np.array_equal(table.loc["aspirin"], table.loc["nicotine"]) == same


def test_a_column_says_the_same_as_a_mapping(drugs, rdkit):
    expected = fingerprints(drugs).drop("ethanol")
    drugs.obs["smiles"] = drugs.obs["perturbation"].astype(object).map(SMILES)
    pd.testing.assert_frame_equal(fingerprints(drugs, "smiles"), expected)
    # Of a mixture the combination would have the larger part alone.
    both = drugs.obs["perturbation"] == "aspirin+nicotine"
    drugs.obs.loc[both, "smiles"] = f"{SMILES['aspirin']}.{SMILES['nicotine']}"
    pd.testing.assert_frame_equal(fingerprints(drugs, "smiles"), expected)
    pd.testing.assert_frame_equal(fingerprints(drugs, pd.Series(SMILES)).drop("ethanol"), expected)


def test_names_with_a_plus(rdkit):
    data = screen(["control", "Ca2++", "Na+ blocker", "aspirin+control", "aspirin+nicotine"])
    given = {name: SMILES[name] for name in ("aspirin", "nicotine")}
    given |= {"Ca2++": "[Ca+2]", "Na+ blocker": "CCN(CC)CC(=O)Nc1c(C)cccc1C"}
    assert list(fingerprints(data, given).index) == ["Ca2++", "Na+ blocker", "aspirin", "nicotine"]
    data.obs["smiles"] = (
        data.obs["perturbation"].astype(object).map({**given, "aspirin+control": SMILES["aspirin"]})
    )
    both = data.obs["perturbation"] == "aspirin+nicotine"
    assert "aspirin" in fingerprints(data[~both].copy(), "smiles").index
    with pytest.raises(ValueError, match=r"1 of 4 conditions have no SMILES.*: 'nicotine': None;"):
        fingerprints(data, "smiles")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"aspirin": "aspirin", "nicotine": None, "caffeine": " "},
            r"3 of 3 .* 'aspirin': 'aspirin', 'caffeine': '', 'nicotine': None; give each",
        ),
        ({"ethanol": ""}, r"1 of 4 conditions have no SMILES that RDKit can read: 'ethanol': ''"),
        ({"caffeine": "CC(C)(C)(C)C"}, r"1 of 3 .*'caffeine': 'CC\(C\)\(C\)\(C\)C'"),
        ({f"drug_{k}": "?" for k in range(6)}, r"6 of 9 .*'drug_4': '\?', …; give each"),
    ],
)
def test_what_rdkit_cannot_read_is_listed(drugs, rdkit, changes, message, capfd):
    with pytest.raises(ValueError, match=message):
        fingerprints(drugs, {**SMILES, "ethanol": None, **changes})
    assert "fingerprints" not in drugs.uns
    assert capfd.readouterr() == ("", "")


def test_a_condition_has_one_smiles(drugs):
    drugs.obs["smiles"] = drugs.obs["perturbation"].astype(object).map(SMILES)
    drugs.obs.iloc[np.flatnonzero(drugs.obs["perturbation"] == "caffeine")[0], -1] = "CCO"
    message = r"'caffeine' has several SMILES in adata.obs\['smiles'\], such as 'CCO' and 'Cn1"
    with pytest.raises(ValueError, match=message):
        fingerprints(drugs, "smiles")
    with pytest.raises(ValueError, match=r"'aspirin' has several SMILES in smiles, .*'C' and 'CC'"):
        fingerprints(drugs, {"aspirin": "C", "aspirin+control": "CC"})
    with pytest.raises(KeyError, match=r"no column 'smile'. Did you mean 'smiles'"):
        fingerprints(drugs, "smile")


def test_without_rdkit_one_is_told_what_to_install(drugs, monkeypatch):
    monkeypatch.setitem(sys.modules, "rdkit", None)
    with pytest.raises(ImportError, match=r"needs RDKit.*pip install 'rayot\[chem\]'"):
        fingerprints(drugs)


def test_fingerprints_of_every_kind_of_anndata(drugs, rdkit, tmp_path):
    drugs.obs["smiles"] = drugs.obs["perturbation"].astype(object).map(SMILES)
    kinds = containers(drugs, tmp_path)
    expected = fingerprints(drugs, "smiles").copy()
    for name, arguments in kinds.items():
        rt.pp.fingerprints(smiles="smiles", **arguments)
        found = written(arguments, "fingerprints")
        pd.testing.assert_frame_equal(found, expected, obj=name)
    backed = kinds["backed"]["adata"]
    with pytest.raises(ValueError, match="view of an object on disk, which cannot be written"):
        fingerprints(backed[:50])


def test_earlier_vectors_are_replaced_and_nothing_else(drugs, rdkit, tmp_path):
    fingerprints(drugs, n_bits=64)
    drugs.write_h5ad(tmp_path / "cells.h5ad")
    for read in (ad.read_h5ad, ad.experimental.read_lazy):
        assert fingerprints(read(tmp_path / "cells.h5ad"), n_bits=32).shape == (4, 32)
    drugs.uns["fingerprints"] = mine = pd.DataFrame([[1.0]], index=["aspirin"])
    with pytest.raises(ValueError, match=r"would overwrite uns\['fingerprints'\]"):
        fingerprints(drugs)
    assert drugs.uns["fingerprints"] is mine


def test_an_unseen_drug_is_predicted_by_its_structure(drugs, rdkit, quick_conditional):
    fingerprints(drugs, n_bits=64)
    model = rt.tl.conditional_w1ot(
        drugs, "control", embedding_key="fingerprints", **quick_conditional
    )
    predicted = model.predict(drugs[:5], "ethanol").to_df().to_numpy()
    assert np.isfinite(predicted).all()
    assert not np.array_equal(predicted, model.predict(drugs[:5], "caffeine").to_df().to_numpy())
    options = {"plan_kwargs": {"embedding_key": "fingerprints"}}
    for verb in (rt.tl.nearest, rt.tl.ridge):
        assert verb(drugs, "control", "aspirin+nicotine", **options).predict(drugs[:5]).n_obs == 5


def training_cells(data, name):
    kept = (data.obs["perturbation"] == name) & (data.obs["split"] == "train")
    return data[kept.to_numpy()].X.toarray().astype(float)


def gene_vectors(data, source="coexpression", **options):
    rt.pp.gene_vectors(data, source, **options)
    return data.uns["gene_vectors"]


def same_as_svd(table, data):
    """Compare with NumPy's decomposition, up to the signs of components."""
    cells = training_cells(data, "control")
    _, values, components = np.linalg.svd(cells - cells.mean(0), full_matrices=False)
    loadings = components.T * values / np.sqrt(len(cells) - 1)
    expected = loadings[data.var_names.get_indexer(table.index), : table.shape[1]]
    signs = np.sign((expected * table.to_numpy()).sum(0))
    np.testing.assert_allclose(table, expected * signs, atol=1e-4)


def test_coexpression_is_a_decomposition_of_untreated_cells(genes):
    table = gene_vectors(genes, n_components=4)
    assert list(table.index) == GENES[1:]
    assert (table.dtypes == np.float32).all()
    same_as_svd(table, genes)


def test_products_are_covariances_with_nearly_all_components(genes):
    table = gene_vectors(genes, n_components=11)
    cells = training_cells(genes, "control")
    covariance = np.cov(cells.T)
    _, values, _ = np.linalg.svd(cells - cells.mean(0), full_matrices=False)
    positions = [genes.var_names.get_loc(gene) for gene in table.index]
    # What is left out is the last component.
    left_out = values[11] ** 2 / (len(cells) - 1)
    error = np.abs(table @ table.T - covariance[np.ix_(positions, positions)]).to_numpy()
    assert error.max() <= left_out + 1e-5


def test_genes_that_go_together_are_near():
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(300, 2))
    values = rng.normal(0, 0.1, (300, 10)) + np.repeat(shared, 5, axis=1)
    names = np.resize(["control", "g0", "g1", "g9"], 300)
    data = ad.AnnData(np.float32(values), obs=pd.DataFrame({"perturbation": names}))
    data.obs_names, data.var_names = data.obs_names.astype(str), [f"g{k}" for k in range(10)]
    table = gene_vectors(data, n_components=2)
    near, far = (np.linalg.norm(table.loc["g0"] - table.loc[name]) for name in ("g1", "g9"))
    assert near < 0.2 * far


def test_a_response_is_the_mean_change(genes):
    # Of combinations the parts are described.
    table = gene_vectors(genes, "response", n_components=5)
    assert list(table.index) == GENES[1:]
    control = training_cells(genes, "control").mean(0)
    responses = np.stack([training_cells(genes, name).mean(0) - control for name in GENES[1:]])
    np.testing.assert_allclose(table @ table.T, responses @ responses.T, atol=1e-4)
    _, values, components = np.linalg.svd(responses, full_matrices=False)
    scores = responses @ components.T
    two = gene_vectors(genes, "response", n_components=2)
    signs = np.sign((scores[:, :2] * two.to_numpy()).sum(0))
    np.testing.assert_allclose(two, scores[:, :2] * signs, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(two, axis=0), values[:2], rtol=1e-4)


@pytest.mark.parametrize("source", ["coexpression", "response"])
def test_test_cells_are_never_looked_at(genes, source):
    expected = gene_vectors(genes, source, n_components=3).copy()
    values = genes.X.toarray()
    values[(genes.obs["split"] == "test").to_numpy()] = np.nan
    genes.X = values
    np.testing.assert_allclose(gene_vectors(genes, source, n_components=3), expected, atol=1e-5)
    with pytest.raises(ValueError, match="NaN or infinite values"):
        gene_vectors(genes, source, n_components=3, split_key=None)
    pd.testing.assert_frame_equal(genes.uns["gene_vectors"] * 1, expected, atol=1e-5)


@pytest.mark.parametrize("source", ["coexpression", "response"])
def test_gene_vectors_of_every_kind_of_anndata(genes, source, tmp_path):
    kinds = containers(genes, tmp_path)
    genes.layers["lognorm"] = genes.X.copy()
    expected = gene_vectors(genes, source, n_components=3, layer="lognorm").copy()
    for name, arguments in kinds.items():
        rt.pp.gene_vectors(source=source, n_components=3, **arguments)
        found = written(arguments, "gene_vectors")
        pd.testing.assert_frame_equal(found, expected, atol=1e-5, obj=name)


def test_a_table_is_taken_as_it_is(genes, tmp_path):
    source = pd.DataFrame(
        [[0, 0], *np.random.default_rng(0).normal(size=(6, 2))],
        index=[*GENES, "unseen"],
        columns=[1, 2],
    )[::-1]
    source["constant"] = 1.0
    source.loc["control"] = 0.0
    table = gene_vectors(genes, source)
    assert list(table.index) == [*GENES[1:], "unseen"]
    assert list(table.columns) == ["1", "2", "constant"]
    np.testing.assert_array_equal(table, np.float32(source.loc[table.index]))
    genes.write_h5ad(tmp_path / "cells.h5ad")
    again = ad.read_h5ad(tmp_path / "cells.h5ad").uns["gene_vectors"]
    np.testing.assert_array_equal(again, table)
    # A combination may have a row of its own.
    source.loc["gene_0+gene_1"] = 2.0
    assert "gene_0+gene_1" in gene_vectors(genes, source).index


FULL = {gene: [1.0, k] for k, gene in enumerate(GENES[1:])}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({**FULL, "gene_1": [np.nan, 1]}, r"'gene_1' in source has NaN or infinite values"),
        ({**FULL, "gene_1": [1, 1e300]}, r"'gene_1' in source has NaN or infinite values"),
        ({**FULL, "gene_1": [0, 0]}, r"'gene_1' in source is all zeros"),
        ({gene: [1, 2] for gene in GENES[1:]}, r"same vector of all 5 categories"),
        ({"gene_0": [1, 2], "gene_1": [2, 1]}, r"no row of 3 of the 5 .*: 'gene_2', 'gene_3', 'ge"),
        ({}, r"not empty, found DataFrame"),
    ],
)
def test_a_table_that_describes_too_little(genes, source, message):
    table = pd.DataFrame.from_dict(source, orient="index", columns=["x", "y"])
    with pytest.raises(ValueError, match=message):
        gene_vectors(genes, table)
    assert "gene_vectors" not in genes.uns


def test_a_table_names_each_gene_and_column_once(genes):
    table = pd.DataFrame.from_dict(FULL, orient="index", columns=["x", "y"])
    with pytest.raises(ValueError, match=r"source has several rows of 'gene_0'"):
        gene_vectors(genes, pd.concat([table, table[:1]]))
    with pytest.raises(ValueError, match=r"source has the column 'x' more than once"):
        gene_vectors(genes, table.set_axis(["x", "x"], axis=1))
    with pytest.raises(ValueError, match=r"source has the column 'condition' more than once"):
        gene_vectors(genes, table.rename(columns={"x": "condition"}))


@pytest.mark.parametrize(
    ("rename", "message"),
    [
        (
            lambda k: f"ENSG{k:011d}",
            r"Here genes have Ensembl identifiers and in conditions symbols",
        ),
        # A number after the point is part of a symbol, and a version of an identifier alone.
        (lambda k: f"gene_{k}.{k}", r"5 of the 5 .*'gene_4'. Keep perturbed genes"),
        (lambda k: f"other_{k}", r"5 of the 5 .*: 'gene_0', .*'gene_4'. Keep perturbed genes"),
    ],
)
def test_genes_that_are_not_measured_are_listed(genes, rename, message):
    genes.var_names = [rename(k) for k in range(genes.n_vars)]
    with pytest.raises(ValueError, match=message):
        gene_vectors(genes, n_components=3)
    assert "gene_vectors" not in genes.uns


def test_what_is_not_known_is_an_error(genes):
    def refused(message, source="coexpression", **options):
        with pytest.raises(ValueError, match=message):
            gene_vectors(genes, source, **options)
        assert "gene_vectors" not in genes.uns

    refused(r"n_components=20 needs more genes, .* found 12 genes and 160 cells")
    refused(r"n_components=6 needs as many .* found 5 perturbations", "response", n_components=6)
    genes.layers["unexpressed"] = genes.X.toarray()
    genes.layers["unexpressed"][:, genes.var_names.get_loc("gene_3")] = 0
    refused(r"1 of the 5 .* same value .*: 'gene_3'", layer="unexpressed", n_components=3)
    genes.layers["counts"] = np.round(10 * genes.X.toarray())
    refused("holds raw counts", layer="counts", n_components=3)
    genes.obs.loc[genes.obs["perturbation"] == "gene_2", "split"] = "test"
    refused(r"1 of the 6 .* no training cells .*: 'gene_2'", "response", n_components=3)
    assert gene_vectors(genes, n_components=3).loc["gene_2"].any()
    genes.obs["perturbation"] = "control"
    with pytest.raises(ValueError, match="no condition other than 'control'"):
        gene_vectors(genes)


@pytest.mark.parametrize("source", ["coexpression", "table"])
def test_an_unseen_gene_is_predicted_by_its_vector(genes, source, quick_conditional):
    genes.obs.loc[genes.obs["perturbation"] == "gene_4", "split"] = "test"
    table = pd.DataFrame.from_dict(FULL, orient="index", columns=["x", "y"])
    gene_vectors(genes, table if source == "table" else source, n_components=3)
    model = rt.tl.conditional_w1ot(
        genes, "control", embedding_key="gene_vectors", **quick_conditional
    )
    assert "gene_4" not in set(genes.uns["conditional_w1ot"]["table"]["perturbation"])
    assert np.isfinite(model.predict(genes[:5], "gene_4").to_df()).all(axis=None)
    for verb in (rt.tl.nearest, rt.tl.ridge):
        fitted = verb(genes, "control", "gene_4", plan_kwargs={"embedding_key": "gene_vectors"})
        assert fitted.predict(genes[:5]).shape == (5, 12)


def test_an_unseen_combination_is_predicted_by_responses(genes, quick_conditional):
    gene_vectors(genes, "response", n_components=3)
    model = rt.tl.conditional_w1ot(
        genes, "control", embedding_key="gene_vectors", **quick_conditional
    )
    assert np.isfinite(model.predict(genes[:5], "gene_2+gene_3").to_df()).all(axis=None)


def test_real_knock_outs(real_data):
    data = rt.datasets.papalexi21()
    rt.pp.split(data)
    with pytest.raises(ValueError, match=r"16 of the 25 perturbed genes are not in .*: 'ATF2', "):
        gene_vectors(data)
    known = data.obs["perturbation"].isin(["control", *data.var_names])
    data = data[known.to_numpy()].copy()
    table = gene_vectors(data)
    assert table.shape == (9, 20)
    same_as_svd(table, data)
    response = gene_vectors(data, "response", n_components=9)
    lengths = np.linalg.norm(response, axis=1)
    cosine = (response @ response.T) / np.outer(lengths, lengths)
    # The receptor, its kinase and what that activates: without any of them, no interferon-γ.
    pathway = ["IFNGR2", "JAK2", "STAT1"]
    assert cosine.loc[pathway, pathway].to_numpy().min() > 0.9
    assert cosine.loc[pathway].drop(columns=pathway).to_numpy().max() < 0.6


def test_real_activations(real_data):
    data = rt.datasets.norman19()
    with pytest.raises(ValueError, match=r"13 of the 32 .* no training cells .*'BPGM'"):
        gene_vectors(data, "response")
    singles = [name for name in data.obs["perturbation"].unique() if "+" not in name]
    known = data.obs["perturbation"].map(lambda name: set(name.split("+")) <= set(singles))
    known = data[known.to_numpy()]
    # Of five combinations both parts were activated alone, too.
    assert known.obs["perturbation"].str.contains("+", regex=False).sum() == 500
    table = gene_vectors(known, "response", n_components=5)
    assert list(table.index) == sorted(set(singles) - {"control"})
    assert table.any(axis=1).all()
