"""Splits: sizes, strata, held-out groups, keyed draws."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rayot as rt


def cells(sizes, strata=3):
    condition = np.repeat([f"c{i}" for i in range(len(sizes))], sizes)
    rng = np.random.default_rng(0)
    obs = pd.DataFrame(
        {
            "perturbation": pd.Categorical(condition),
            "cell_type": rng.choice(list("ABC")[:strata], len(condition)),
        }
    )
    obs.index = obs.index.astype(str)
    return ad.AnnData(np.zeros((len(condition), 1), np.float32), obs=obs)


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(5, 6000), min_size=1, max_size=3),
    share=st.floats(0.05, 0.5),
    stratify=st.booleans(),
)
def test_sizes_are_those_of_the_paper_where_there_are_enough_cells(sizes, share, stratify):
    adata = cells(sizes)
    rt.pp.split(adata, test_size=share, stratify="cell_type" if stratify else None)
    assert list(adata.obs["split"].cat.categories) == ["train", "test"]
    for number, size in enumerate(sizes):
        n_test = int(
            ((adata.obs["perturbation"] == f"c{number}") & (adata.obs["split"] == "test")).sum()
        )
        expected = round(share * size)
        if size >= 2000:
            expected = max(expected, 500)
        assert n_test == min(expected, 1000)


def test_strata_keep_their_share():
    adata = cells([1000, 1000])
    rt.pp.split(adata, stratify="cell_type")
    table = pd.crosstab(
        [adata.obs["perturbation"], adata.obs["cell_type"]], adata.obs["split"], normalize="index"
    )
    assert table["test"].between(0.19, 0.21).all()


def test_a_condition_that_is_added_leaves_the_others_alone():
    one, two = cells([300, 300]), cells([300, 300, 200])
    rt.pp.split(one)
    rt.pp.split(two)
    assert list(one.obs["split"]) == list(two.obs["split"][:600])
    rt.pp.split(two, seed=1)
    assert list(one.obs["split"]) != list(two.obs["split"][:600])


def test_groups_are_held_out_whole():
    adata = cells([100, 100])
    rt.pp.split(adata, holdout={"cell_type": ["B"]})
    assert ((adata.obs["split"] == "test") == (adata.obs["cell_type"] == "B")).all()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"groupby": "drug"}, KeyError, "no column 'drug'"),
        ({"stratify": "cell_typ"}, KeyError, "Did you mean 'cell_type'"),
        ({"test_size": 1.0}, ValueError, "test_size must be between 0 and 1, found 1.0"),
        ({"test_limits": (10, 5)}, ValueError, "the smaller first"),
        ({"holdout": {"cell_type": ["D"]}}, ValueError, "no category 'D'"),
        ({"holdout": {"cell_type": "B"}}, ValueError, "must be a list of groups"),
        ({"holdout": {"cell_type": ["A", "B", "C"]}}, ValueError, "leaves no cells"),
        ({"holdout": {}}, ValueError, "leaves no cells"),
        ({"control": "c0"}, ValueError, "control='c0' needs holdout"),
        ({"holdout": {"cell_type": ["B"]}, "control": "c9"}, ValueError, "no category 'c9'"),
        ({"holdout": {"perturbation": ["c0"]}, "control": "c0"}, ValueError, "other than 'c0'"),
        ({"holdout": ["B"]}, TypeError, r"holdout must name columns .* found \['B'\]"),
    ],
)
def test_bad_arguments(arguments, error, message):
    adata = cells([100, 100])
    with pytest.raises(error, match=message):
        rt.pp.split(adata, **arguments)
    assert "split" not in adata.obs


def treated(doses, dtype=np.float32):
    """A control without doses, and drugs A and B at each dose, 60 cells each."""
    conditions = [("control", 0)] + [(drug, dose) for drug in "AB" for dose in doses]
    drug, dose = (np.repeat(values, 60) for values in zip(*conditions, strict=True))
    rng = np.random.default_rng(0)
    adata = ad.AnnData(rng.gamma(2, 0.5, (len(drug), 12)).astype(np.float32))
    adata.X[drug == "A", :3] += np.log1p(dose[drug == "A"]).astype(np.float32)[:, None]
    adata.obs["perturbation"], adata.obs["dose"] = drug, pd.Series(dose).astype(dtype).array
    return adata


def is_test(adata):
    return (adata.obs["split"] == "test").to_numpy()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, int, "category", str])
@pytest.mark.parametrize("dose", [10, 10.0, np.float32(10), np.int64(10)], ids=repr)
def test_numbers_are_compared_as_numbers(dtype, dose):
    adata = treated([1, 10, 100], dtype)
    rt.pp.split(adata, holdout={"dose": [dose]})
    assert (is_test(adata) == (adata.obs["dose"].astype(float) == 10).to_numpy()).all()
    (group,) = adata.uns["split"]["holdout"]["dose"]
    assert float(group) == 10


def test_text_is_compared_as_text():
    adata = treated([1, 10])
    adata.obs["plate"] = np.where(np.arange(adata.n_obs) % 2, "1", "01")
    rt.pp.split(adata, holdout={"plate": ["1"]})
    assert (is_test(adata) == (adata.obs["plate"] == "1").to_numpy()).all()
    # In a column of numbers text can mean nothing else.
    rt.pp.split(adata, holdout={"dose": ["10"]})
    assert (is_test(adata) == (adata.obs["dose"] == 10).to_numpy()).all()


def test_a_dose_of_one_drug_is_held_out_and_the_rest_split_at_random():
    adata = treated([1, 10, 100])
    options = {"holdout": {("perturbation", "dose"): [("A", 10)]}, "test_limits": (2, 1000)}
    rt.pp.split(adata, **options)
    held = ((adata.obs["perturbation"] == "A") & (adata.obs["dose"] == 10)).to_numpy()
    assert (is_test(adata) == held).all()
    rt.pp.split(adata, **options, split_rest=True)
    assert is_test(adata)[held].all()
    rest = adata[~held]
    shares = rest.obs.groupby("perturbation")["split"].apply(lambda split: (split == "test").mean())
    np.testing.assert_allclose(shares, 0.2, atol=0.01)
    assert adata.uns["split"]["holdout"] == {"perturbation & dose": ["A & 10.0"]}


def test_the_dose_that_was_held_out_is_scored():
    adata = treated([1, 10, 100])
    rt.pp.split(
        adata,
        holdout={("perturbation", "dose"): [("A", 10)]},
        split_rest=True,
        test_limits=(2, 1000),
    )
    model = rt.tl.conditional_w1ot(
        adata, "control", dose_key="dose", max_steps=5, show_progress_bar=False
    )
    assert ("A", 10.0, ()) not in [tuple(each) for each in model.training_conditions]
    found = rt.tl.evaluate(adata, model.at("A", dose=10), metrics=["l2", "energy_distance"])
    # Half of the cells of the dose are the truth, and half another draw of it.
    assert np.isfinite(found.to_numpy(dtype=float)).all()
    assert found.loc["observed", "l2"] < found.loc["identity", "l2"]
    with_all = rt.tl.evaluate(adata, model.at("B", dose=10), metrics=["l2"])
    assert np.isfinite(with_all["l2"]).all()


def combinations(names):
    obs = pd.DataFrame({"perturbation": np.repeat(["control", *names], 30)})
    obs.index = obs.index.astype(str)
    rng = np.random.default_rng(0)
    return ad.AnnData(rng.gamma(2, 0.5, (len(obs), 10)).astype(np.float32), obs=obs)


@settings(max_examples=40, deadline=None)
@given(
    alone=st.sets(st.sampled_from("ABCDEF"), min_size=1),
    pairs=st.sets(
        st.tuples(st.sampled_from("ABCDEF"), st.sampled_from("ABCDEF")).filter(
            lambda pair: pair[0] < pair[1]
        ),
        min_size=1,
    ),
    n_seen=st.integers(0, 2),
    seed=st.integers(0, 5),
)
def test_so_many_parts_are_seen_and_no_cell_of_others_is(alone, pairs, n_seen, seed):
    names = [*sorted(alone), *("+".join(pair) for pair in sorted(pairs))]
    adata = combinations(names)
    try:
        rt.pp.split(adata, holdout=f"combo_seen{n_seen}", control="control", seed=seed)
    except ValueError as error:
        assert "can be held out with" in str(error)
        return
    table = adata.uns["split"]["perturbations"]
    assert list(table.index) == sorted(names)
    held = table.index[table["split"] == "test"]
    assert adata.uns["split"]["holdout"] == {"perturbation": list(held)}
    assert set(adata.obs["perturbation"][is_test(adata)]) == set(held)
    training = set(names) - set(held)
    assert training
    seen = {part for name in training for part in name.split("+")}
    counts = {name: sum(part in seen for part in name.split("+")) for name in names}
    assert table["parts_seen"].to_dict() == counts
    asked = [name for name in held if "+" in name and counts[name] == n_seen]
    # Cells of each part that is seen, alone, are in training; of the others there are none.
    assert any(seen & set(name.split("+")) <= training for name in asked)
    if n_seen == 2:
        assert set(asked) == set(held)


def test_combinations_are_held_out_by_seed_and_name(tmp_path):
    names = [*"ABCDEFGH", *(f"{a}+{b}" for a, b in zip("ABCDEFG", "BCDEFGH", strict=True))]
    found = []
    for seed in range(4):
        adata = combinations(names)
        rt.pp.split(adata, holdout="combo_seen2", control="control", seed=seed)
        found.append(tuple(adata.uns["split"]["holdout"]["perturbation"]))
        assert len(found[-1]) == 3
    assert len(set(found)) > 1
    shuffled = combinations(names)[::-1].copy()
    rt.pp.split(shuffled, holdout="combo_seen2", control="control", seed=0)
    assert tuple(shuffled.uns["split"]["holdout"]["perturbation"]) == found[0]
    shuffled.write_h5ad(tmp_path / "cells.h5ad")
    kept = ad.read_h5ad(tmp_path / "cells.h5ad").uns["split"]
    assert kept["rule"] == "combo_seen2"
    assert kept["perturbations"].index.name == "perturbation"
    # It is scored on the path of whatever perturbation is held out whole.
    target = found[0][0]
    model = rt.tl.additive(shuffled, "control", target)
    scores = rt.tl.evaluate(shuffled, model, metrics=["l2"])
    assert np.isfinite(scores["l2"]).all()


SMILES = {
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "benzoate": "[Na+].OC(=O)c1ccccc1",
    "toluene": "Cc1ccccc1",
    "caffeine": "Cn1cnc2c1c(=O)n(C)c(=O)n2C",
    "theophylline": "Cn1c2nc[nH]c2c(=O)n(C)c1=O",
    "ethanol": "CCO",
    "propanol": "CCCO",
    "nicotine": "CN1CCC[C@H]1c1cccnc1",
}


@pytest.mark.parametrize("seed", range(4))
def test_no_scaffold_is_on_both_sides(seed):
    pytest.importorskip("rdkit")
    adata = combinations([*SMILES, "aspirin+caffeine"])
    options = {"control": "control", "smiles": SMILES, "test_size": 0.4, "seed": seed}
    rt.pp.split(adata, holdout="scaffold", **options)
    table = adata.uns["split"]["perturbations"]
    of_drug = table["scaffold"]
    assert of_drug["aspirin"] == of_drug["benzoate"] == of_drug["toluene"] == "c1ccccc1"
    assert of_drug["ethanol"] == of_drug["propanol"] == ""
    assert of_drug["caffeine"] == of_drug["theophylline"] != of_drug["nicotine"]
    held, kept = (
        set(of_drug[(table["split"] == side) & ~table.index.str.contains("+", regex=False)])
        for side in ("test", "train")
    )
    assert held and kept and not held & kept
    drugs = table.drop("aspirin+caffeine")
    assert 1 <= (drugs["split"] == "test").sum() <= 0.4 * len(drugs)
    either = {"aspirin", "caffeine"} & set(table.index[table["split"] == "test"])
    assert (table.loc["aspirin+caffeine", "split"] == "test") == bool(either)
    adata.obs["smiles"] = adata.obs["perturbation"].map(SMILES)
    again = adata[adata.obs["perturbation"] != "aspirin+caffeine"].copy()
    rt.pp.split(again, holdout="scaffold", **{**options, "smiles": "smiles"})
    pd.testing.assert_frame_equal(again.uns["split"]["perturbations"], drugs)


def test_a_scaffold_that_is_large_is_held_out_where_there_is_no_smaller():
    pytest.importorskip("rdkit")
    names = ["aspirin", "benzoate", "toluene", "caffeine", "theophylline"]
    adata = combinations(names)
    rt.pp.split(adata, holdout="scaffold", control="control", smiles=SMILES, test_size=0.1)
    assert adata.uns["split"]["holdout"] == {"perturbation": ["caffeine", "theophylline"]}


@pytest.mark.parametrize(
    ("names", "arguments", "error", "message"),
    [
        ("A B", {"holdout": "scafold"}, ValueError, r"or be one of \('scaffold', 'combo_seen0'"),
        ("A B", {"holdout": "scaffold"}, ValueError, "needs control, the condition without"),
        ("A B", {"holdout": "scaffold", "control": "control"}, ValueError, "needs smiles"),
        (
            "A B",
            {"holdout": "combo_seen2", "control": "nobody"},
            ValueError,
            "no category 'nobody'",
        ),
        ("A B", {"holdout": "combo_seen2", "control": "control"}, ValueError, "combinations: none"),
        (
            "A A+B",
            {"holdout": "combo_seen2", "control": "control"},
            ValueError,
            r"with 2 of its parts seen: .* alone: 'A'; combinations: 'A\+B'\.",
        ),
        ("A B", {"smiles": SMILES}, ValueError, "smiles are for holdout='scaffold'"),
        ("A B", {"split_rest": True}, ValueError, "split_rest=True needs holdout"),
        (
            "aspirin toluene ethanol water x",
            {"holdout": "scaffold", "control": "control", "smiles": {**SMILES, "x": "C1CC"}},
            ValueError,
            r"2 of 5 conditions have no SMILES .*: 'water': None, 'x': 'C1CC';",
        ),
        (
            "aspirin toluene",
            {"holdout": "scaffold", "control": "control", "smiles": SMILES},
            ValueError,
            "All 2 drugs .* have one scaffold, 'c1ccccc1'",
        ),
        (
            "A B",
            {"holdout": {("perturbation", "perturbation"): [("A", "B")]}},
            ValueError,
            r"No cell has \('A', 'B'\)",
        ),
        (
            "A B",
            {"holdout": {("perturbation", "x"): ["A"]}},
            ValueError,
            "must list tuples with a group of each column, found 'A'",
        ),
        (
            "A B",
            {"holdout": {"perturbation": ["control", "A", "B"]}},
            ValueError,
            "leaves no cells",
        ),
    ],
)
def test_bad_rules(names, arguments, error, message):
    if "smiles" in arguments:
        pytest.importorskip("rdkit")
    adata = combinations(names.split())
    with pytest.raises(error, match=message):
        rt.pp.split(adata, **arguments)
    assert "split" not in adata.obs and "split" not in adata.uns


def test_drugs_of_new_scaffolds_are_scored():
    pytest.importorskip("rdkit")
    adata = combinations(list(SMILES))
    rt.pp.split(adata, holdout="scaffold", control="control", smiles=SMILES, test_size=0.3)
    rt.pp.fingerprints(adata, SMILES)
    target = adata.uns["split"]["holdout"]["perturbation"][0]
    model = rt.tl.ridge(
        adata, "control", target, plan_kwargs={"embedding_key": "fingerprints", "n_profiles": 3}
    )
    scores = rt.tl.evaluate(adata, model, metrics=["l2", "energy_distance"])
    assert np.isfinite(scores.to_numpy(dtype=float)).all()
    # Nothing of any drug that was held out was learned from.
    held = adata.obs["perturbation"].isin(adata.uns["split"]["holdout"]["perturbation"])
    trained = model.split.is_trained_on(adata)
    assert (trained == ~held.to_numpy()).all()
