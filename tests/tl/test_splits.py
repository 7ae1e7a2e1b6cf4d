"""Splits: what ``uns`` says is believed as far as it agrees with the cells, and refused early."""

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import rayot as rt
from rayot.model.scored_cells import read_held_out, read_maps

GENES = 25


def cells(n=120, types=("B", "NK", "T"), seed=0):
    """Control and treated cells of some types; the drug moves five genes."""
    rng = np.random.default_rng(seed)
    condition = np.repeat(["control", "drug"], n)
    kind = np.resize(types, 2 * n)
    values = rng.gamma(2, 0.5, (2 * n, GENES)).astype(np.float32)
    values[kind == types[0], :5] += 1
    values[condition == "drug", 5:10] += 1
    obs = pd.DataFrame(
        {"perturbation": pd.Categorical(condition), "cell_type": pd.Categorical(kind)},
        index=[f"cell{number}" for number in range(2 * n)],
    )
    return ad.AnnData(values, obs=obs)


def fit(adata, source="control", target="drug", **options):
    return rt.tl.mean_shift(adata, source, target, **options)


def scores(adata):
    return rt.tl.evaluate(adata, "mean_shift", metrics=["l2"])["l2"]


@pytest.fixture
def held_out():
    adata = cells()
    rt.pp.split(adata, holdout={"cell_type": ["B", "NK"]}, control="control")
    fit(adata)
    return adata


def drawn(adata, seed=0):
    test = np.random.default_rng(seed).random(adata.n_obs) < 0.2
    return pd.Categorical(np.where(test, "test", "train"))


def test_a_column_that_was_written_anew_counts_alone():
    adata = cells()
    rt.pp.split(adata, holdout={"cell_type": ["B"]}, control="control")
    adata.obs["split"] = drawn(adata)
    fit(adata)
    plain = adata.copy()
    del plain.uns["split"]
    fit(plain)
    pd.testing.assert_series_equal(scores(adata), scores(plain))
    assert not len(adata.uns["mean_shift"]["split"]["holdout"])


def test_a_split_drawn_anew_after_the_fit_does_not_score_training_cells():
    adata = cells(300)
    rt.pp.split(adata)
    fit(adata)
    before = scores(adata)
    trained = (adata.obs["split"] == "train").to_numpy()
    rt.pp.split(adata, seed=1)
    seen = int((trained & (adata.obs["split"] == "test").to_numpy()).sum())
    assert seen
    with pytest.warns(UserWarning, match=f"{seen} cells with 'test'.*drawn anew"):
        after = scores(adata)
    # Its test cells are those that both splits set apart.
    both = adata[~(trained & (adata.obs["split"] == "test").to_numpy())].copy()
    pd.testing.assert_series_equal(after.drop("observed"), scores(both).drop("observed"))
    assert after["mean_shift"] < 2 * before["mean_shift"]


def test_a_subset_and_renamed_groups_are_scored_as_before(held_out):
    expected = scores(held_out)
    renamed = held_out.copy()
    renamed.obs["cell_type"] = held_out.obs["cell_type"].cat.rename_categories({"NK": "killers"})
    pd.testing.assert_series_equal(scores(renamed), expected)
    one = held_out[held_out.obs["cell_type"] != "NK"].copy()
    only_b = cells()[held_out.obs["cell_type"] != "NK"].copy()
    rt.pp.split(only_b, holdout={"cell_type": ["B"]}, control="control")
    fit(only_b)
    assert np.isfinite(scores(one)).all()
    pd.testing.assert_series_equal(*(scores(each).drop("mean_shift") for each in (one, only_b)))


def test_a_column_of_groups_that_is_gone_is_named(held_out):
    held_out.obs = held_out.obs.rename(columns={"cell_type": "celltype"})
    with pytest.raises(KeyError, match=r"held groups of adata.obs\['cell_type'\] out"):
        scores(held_out)


def test_a_map_knows_its_split_without_uns(held_out, tmp_path):
    expected = scores(held_out)
    del held_out.uns["split"]
    pd.testing.assert_series_equal(scores(held_out), expected)
    held_out.write_h5ad(tmp_path / "cells.h5ad")
    pd.testing.assert_series_equal(scores(ad.read_h5ad(tmp_path / "cells.h5ad")), expected)
    held_out.uns["split"] = {"holdout": {"cell_type": ["T"]}, "control": "control", "seed": 0}
    pd.testing.assert_series_equal(scores(held_out), expected)


def test_a_saved_model_knows_its_split(tmp_path):
    adata = cells()
    rt.pp.split(adata)
    fit(adata).save(tmp_path / "model")
    rt.pp.split(adata, seed=1)
    model = rt.model.MeanShift.load(tmp_path / "model")
    with pytest.warns(UserWarning, match="training cells of the map"):
        found = rt.tl.evaluate(adata, model, metrics=["l2"])
    with pytest.warns(UserWarning, match="training cells of the map"):
        pd.testing.assert_series_equal(found["l2"], scores(adata))


@pytest.mark.parametrize("foreign", ["80/20", np.array([0.8, 0.2]), ["train", "test"], {"a": 1}, 5])
def test_a_foreign_entry_of_uns_says_nothing(foreign):
    adata = cells()
    adata.obs["split"] = np.resize(["train", "train", "test"], adata.n_obs)
    plain = adata.copy()
    adata.uns["split"] = foreign
    fit(adata), fit(plain)
    pd.testing.assert_series_equal(scores(adata), scores(plain))


CONDITIONS = {
    "text": ("control", "drug"),
    "bool": (False, True),
    "int": (0, 1),
    "float": (0.5, 1.0),
    "numpy": (np.int64(3), np.int64(4)),
}


@pytest.mark.parametrize("kind", CONDITIONS)
@pytest.mark.parametrize("as_category", [False, True])
def test_conditions_and_groups_compare_as_text(kind, as_category):
    source, target = CONDITIONS[kind]
    adata = cells()
    treated = adata.obs["perturbation"] == "drug"
    labels = [target if each else source for each in treated]
    adata.obs["treated"] = pd.Categorical(labels) if as_category else labels
    adata.obs["patient"] = np.resize([1, 2, 3, 4], adata.n_obs)
    keys = {"groupby": "treated", "holdout": {"patient": [2]}, "control": source}
    rt.pp.split(adata, **keys)
    test = adata.obs["split"] == "test"
    assert (test == (treated & (adata.obs["patient"] == 2))).all()
    fit(adata, source, target, groupby="treated")
    found = scores(adata)
    worded = cells()
    worded.obs["treated"] = [str(each) for each in labels]
    worded.obs["patient"] = adata.obs["patient"].astype(str)
    rt.pp.split(worded, groupby="treated", holdout={"patient": ["2"]}, control=str(source))
    fit(worded, str(source), str(target), groupby="treated")
    pd.testing.assert_series_equal(found, scores(worded))
    screened = rt.tl.screen(
        adata,
        source,
        perturbations=[target],
        groupby="treated",
        method="mean_shift",
        fdr=None,
        show_progress_bar=False,
    )
    assert list(screened) == [str(target)]


@pytest.mark.parametrize(
    ("holdout", "control", "message"),
    [
        ({"patient": ["mock"]}, None, "could never be scored.*240 of 'control'"),
        ({"patient": ["mock"]}, "control", "no cells other than 'control'"),
        ({"patient": ["treated"]}, "control", "'control' and of another.*have 240 of 'drug'"),
        ({"patient": ["treated"]}, None, "two conditions .*have 240 of 'drug'"),
        ({"patient": ["mock", "treated"]}, "control", "could never be scored"),
        ({"patient": ["P9"]}, None, "no category 'P9'"),
        ({"cell_type": ["B", "Q"]}, None, "no category 'Q'"),
    ],
)
def test_groups_that_can_never_be_scored_are_refused(holdout, control, message):
    adata = unpaired()
    before = adata.obs.columns.tolist(), sorted(adata.uns)
    with pytest.raises(ValueError, match=message):
        rt.pp.split(adata, holdout=holdout, control=control)
    assert (adata.obs.columns.tolist(), sorted(adata.uns)) == before


def unpaired():
    """Two patients of one condition each, and one of both."""
    adata = cells(480)
    patient = np.resize(["both", "both"], adata.n_obs).astype(object)
    half = np.arange(adata.n_obs) % 2 == 0
    drug = (adata.obs["perturbation"] == "drug").to_numpy()
    patient[half & ~drug], patient[half & drug] = "mock", "treated"
    adata.obs["patient"] = patient
    return adata


def test_animals_of_one_condition_each_are_held_out_together():
    adata = unpaired()
    rt.pp.split(adata, holdout={"patient": ["mock", "treated"]})
    fit(adata)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # What anndata itself still uses of pandas.
        warnings.simplefilter("ignore", DeprecationWarning)
        assert scores(adata)["mean_shift"] < scores(adata)["identity"]


@pytest.mark.parametrize("key", ["perturbation", "cell_type", "mine"])
def test_what_is_not_a_split_of_ours_is_not_replaced(key):
    adata = cells()
    adata.uns["mine"] = {"notes": "of the user"}
    before = adata.copy()
    with pytest.raises(ValueError, match=f"key_added='{key}' would overwrite"):
        rt.pp.split(adata, key_added=key)
    pd.testing.assert_frame_equal(adata.obs, before.obs)
    assert adata.uns["mine"] == before.uns["mine"]
    rt.pp.split(adata)
    rt.pp.split(adata, seed=1)
    assert adata.uns["split"]["seed"] == 1


@pytest.mark.parametrize("strata", ["balanced", "separate"])
@pytest.mark.parametrize("verb", ["w1ot", "mean_shift", "genot", "screen"])
def test_strata_of_one_condition_each_say_what_to_do(strata, verb):
    """The usual design of animal studies: each animal is treated or it is not."""
    adata = cells()
    condition = adata.obs["perturbation"].astype(str)
    adata.obs["mouse"] = [f"{each}{number % 3}" for number, each in enumerate(condition)]
    targets = () if verb == "screen" else ("drug",)
    quick = {} if verb == "mean_shift" else {"max_steps": 2, "show_progress_bar": False}
    message = "cells of one condition alone, as animals or wells .* leave strata_key out"
    with pytest.raises(ValueError, match=message):
        getattr(rt.tl, verb)(adata, "control", *targets, strata_key="mouse", strata=strata, **quick)
    assert verb not in adata.uns


HELD_OUT = ("pp", "pp, control named", "own", "own, controls apart")


def drugs(how, n_genes=4):
    """Two drugs that add up, and both together, which are held out whole."""
    rng = np.random.default_rng(0)
    moves = {"control": (0, 0), "A": (3, 0), "B": (0, 3), "A+B": (3, 3)}
    cells, obs = [], []
    for name, move in moves.items():
        cells.append(rng.normal(5, 1, (80, n_genes)) + np.r_[move, np.zeros(n_genes - 2)])
        obs += [name] * 80
    adata = ad.AnnData(np.concatenate(cells).astype(np.float32))
    adata.obs["perturbation"] = obs
    if how.startswith("pp"):
        control = "control" if "named" in how else None
        rt.pp.split(adata, holdout={"perturbation": ["A+B"]}, control=control)
    else:
        apart = (adata.obs["perturbation"] == "control") & (np.arange(adata.n_obs) % 2 == 0)
        test = (adata.obs["perturbation"] == "A+B") | (apart & ("apart" in how))
        adata.obs["split"] = np.where(test, "test", "train")
    return adata


@pytest.mark.parametrize("how", HELD_OUT)
@pytest.mark.parametrize("verb", ["additive", "nearest", "ridge"])
def test_a_perturbation_that_was_held_out_is_scored(how, verb):
    adata = drugs(how)
    model = getattr(rt.tl, verb)(adata, "control", "A+B")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        by_name = rt.tl.evaluate(adata, verb)
        by_model = rt.tl.evaluate(adata, model)
    pd.testing.assert_frame_equal(by_name, by_model)
    n_cells = 40
    assert (by_name["n_cells"] == n_cells).all()
    assert by_name.loc["observed", "way_energy_distance"] == 1
    # The mean of the perturbed of training goes half of the way.
    assert 0.4 < by_name.loc["mean shift", "way_energy_distance"] < 0.9
    if verb == "additive":
        assert by_name.loc["additive", "way_energy_distance"] > 0.95
    changes = rt.tl.log_fold_change(adata, verb)
    assert np.isfinite(changes.select_dtypes("number").to_numpy()).all()


@pytest.mark.parametrize("how", HELD_OUT)
def test_a_condition_that_was_held_out_is_scored(how):
    adata = drugs(how)
    model = rt.tl.conditional_w1ot(adata, "control", max_steps=100, show_progress_bar=False)
    table = rt.tl.evaluate(adata, model.at("A+B"))
    assert table["way_energy_distance"].iloc[0] > 0.5


def test_training_cells_that_are_gone_do_not_make_a_perturbation_unseen():
    adata = drugs("pp")
    rt.pp.split(adata)
    model = rt.tl.mean_shift(adata, "control", "A")
    gone = (adata.obs["perturbation"] == "A") & (adata.obs["split"] == "train")
    rest = adata[~gone.to_numpy()].copy()
    for found in ("mean_shift", model):
        with pytest.raises(ValueError, match="There are 0 training cells of 'A'"):
            rt.tl.evaluate(rest, found)


def test_genes_of_a_held_out_perturbation_come_from_training():
    adata = drugs("pp", n_genes=120)
    rt.tl.additive(adata, "control", "A+B")
    # Were its own cells looked at, the last gene would be among the first two.
    adata.X[np.flatnonzero(adata.obs["perturbation"] == "A+B"), 119] += 100
    cells = read_held_out(adata, read_maps(adata, "additive"), n_top_genes=2)
    assert list(cells.features) == ["0", "1"]
