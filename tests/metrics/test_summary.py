"""Tables of scores: ways, ranks, intervals and tests."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from rayot.metrics import compare_methods, rank_methods, summarise

METHODS = ("identity", "map", "mean shift", "observed")


def scores(n=12, seed=0, metrics=("mmd", "r2"), methods=METHODS):
    """Scores that get better from identity to observed, with noise."""
    rng = np.random.default_rng(seed)
    rows = []
    for perturbation in range(n):
        effect = rng.gamma(2)
        for place, method in enumerate(methods):
            for metric in metrics:
                sign = -1 if metric == "mmd" else 1
                value = sign * (effect * place / len(methods) + 0.1 * rng.normal())
                rows.append(
                    [f"p{perturbation}", f"donor {perturbation % 3}", method, metric, value]
                )
    return pd.DataFrame(rows, columns=["perturbation", "donor", "method", "metric", "value"])


@given(seed=st.integers(0, 1000), factor=st.floats(0.1, 10), shift=st.floats(-5, 5))
@settings(max_examples=20, deadline=None)
def test_ways_and_ranks_do_not_feel_the_scale_nor_the_order(seed, factor, shift):
    table = scores(seed=seed)
    changed = table.sample(frac=1, random_state=seed).assign(
        value=lambda rows: factor * rows["value"] + shift
    )
    columns = ["way", "pooled way", "rank", "units"]
    first, second = (summarise(each)[columns].sort_index() for each in (table, changed))
    pd.testing.assert_frame_equal(first, second, rtol=1e-6)


def test_ends_of_the_way_are_0_and_1():
    summary = summarise(scores())
    for metric in ("mmd", "r2"):
        assert summary.loc[(metric, "identity"), "pooled way"] == pytest.approx(0)
        assert summary.loc[(metric, "observed"), "pooled way"] == pytest.approx(1)
        assert summary.loc[(metric, "map"), "way"] < summary.loc[(metric, "mean shift"), "way"]


def test_pooled_way_is_the_sum_over_the_sum():
    table = scores(metrics=["mmd"])
    wide = table.pivot(index="perturbation", columns="method", values="value")
    expected = (wide["identity"] - wide["map"]).sum() / (wide["identity"] - wide["observed"]).sum()
    row = summarise(table).loc[("mmd", "map")]
    assert row["pooled way"] == pytest.approx(expected)
    assert row["low"] < expected < row["high"]
    assert row["value"] == pytest.approx(wide["map"].mean())


def test_intervals_cover_what_they_say():
    covered = []
    for seed in range(150):
        row = summarise(scores(30, seed, ["r2"]), n_resamples=300).loc[("r2", "map")]
        covered.append(row["low"] < 1 / 3 < row["high"])
    assert 0.88 < np.mean(covered) < 0.99


def test_donors_are_the_units_where_they_are_asked_for():
    table = scores()
    by_donor = summarise(table, unit="donor")
    assert (by_donor["units"] == 3).all()
    width = by_donor["high"] - by_donor["low"]
    assert (width[("mmd", "map")] >= 0).all()


def test_small_and_large_effects_are_told_apart():
    summary = summarise(scores(40), n_bins=2)
    effects = summary.loc["mmd"].index.get_level_values("effect").unique()
    assert len(effects) == 2
    assert (summary["units"] == 20).all()
    spread = (summary["high"] - summary["low"]).loc["mmd"].xs("map", level="method")
    assert spread[effects[0]] > spread[effects[1]]


def test_what_failed_is_counted_and_not_scored():
    table = scores()
    failed = (table["method"] == "map") & (table["perturbation"] == "p0")
    table.loc[failed, "value"] = np.nan
    summary = summarise(table)
    assert summary.loc[("mmd", "map"), "units"] == 11
    assert summary.loc[("mmd", "mean shift"), "units"] == 12
    compared = compare_methods(table, "map")
    assert compared.loc[("mmd", "mean shift"), "units"] == 11


def test_a_method_that_failed_is_last_there_and_hides_nobody():
    table = scores(metrics=["mmd"])
    failed = (table["method"] == "mean shift") & table["perturbation"].isin(["p0", "p1", "p2"])
    table.loc[failed, "value"] = np.nan
    other = (table["method"] == "map") & (table["perturbation"] == "p5")
    table.loc[other, "value"] = np.nan
    ranks = rank_methods(table)["mmd"]
    assert ranks.notna().all()
    whole = rank_methods(scores(metrics=["mmd"]))["mmd"]
    assert ranks["mean shift"] > whole["mean shift"]
    assert summarise(table).loc[("mmd", "mean shift"), "rank"] == ranks["mean shift"]


def test_spaces_are_not_averaged():
    table = pd.concat([scores().assign(space=name) for name in ("genes", "components")])
    with pytest.raises(ValueError, match="of 2 spaces"):
        summarise(table)
    one = summarise(table[table["space"] == "genes"])
    pd.testing.assert_frame_equal(one, summarise(scores()))
    assert (summarise(table, unit=["perturbation", "space"])["units"] == 24).all()


def test_the_metric_picks_the_winner():
    table = scores()
    swapped = table["metric"] == "r2"
    names = {"map": "mean shift", "mean shift": "map"}
    table.loc[swapped, "method"] = table.loc[swapped, "method"].replace(names)
    ranks = rank_methods(table)
    assert ranks.loc["mean shift", "mmd"] < ranks.loc["map", "mmd"]
    assert ranks.loc["mean shift", "r2"] > ranks.loc["map", "r2"]
    assert "observed" not in ranks.index
    np.testing.assert_allclose(ranks[["mmd", "r2"]].sum(), 6)


def test_what_is_best_in_between_is_nearer_there():
    table = scores(methods=("identity", "map"), metrics=["r2"])
    table["metric"] = "knn_enrichment"
    table["value"] = np.where(table["method"] == "map", 0.4, 0.9)
    assert rank_methods(table)["mean"].to_dict() == {"map": 1, "identity": 2}
    assert summarise(table).loc[("knn_enrichment", "map"), "value"] == pytest.approx(0.1)


@pytest.mark.parametrize("seed", [0, 1])
def test_tests_are_those_of_scipy_and_statsmodels(seed):
    table = scores(seed=seed)
    compared = compare_methods(table, "map")
    wide = table[table["metric"] == "mmd"].pivot(
        index="perturbation", columns="method", values="value"
    )
    expected = stats.wilcoxon(wide["map"], wide["mean shift"]).pvalue
    assert compared.loc[("mmd", "mean shift"), "p"] == pytest.approx(expected)
    assert compared["q"].tolist() == pytest.approx(
        multipletests(compared["p"], method="fdr_bh")[1].tolist()
    )
    by_sum = compare_methods(table, "map", test="rank-sum")
    expected = stats.ranksums(wide["map"], wide["mean shift"]).pvalue
    assert by_sum.loc[("mmd", "mean shift"), "p"] == pytest.approx(expected)


def test_ahead_is_positive_for_the_better_in_every_metric():
    compared = compare_methods(scores(), "mean shift")
    assert (compared["ahead"].xs("map", level="other") > 0).all()
    back = compare_methods(scores(), "map")
    assert compared.loc[("mmd", "map"), "ahead"] == -back.loc[("mmd", "mean shift"), "ahead"]
    assert compared.loc[("mmd", "map"), "wins"] + back.loc[("mmd", "mean shift"), "wins"] == 1


def test_equal_methods_are_no_difference():
    table = scores()
    same = table[table["method"] == "map"].assign(method="twin")
    compared = compare_methods(pd.concat([table, same]), "map")
    row = compared.loc[("mmd", "twin")]
    assert (row["ahead"], row["wins"], row["p"]) == (0, 0.5, 1)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda t: summarise(t.drop(columns="metric")), "has no column 'metric'"),
        (lambda t: summarise(t, unit="nonsense"), "has no column 'nonsense'"),
        (lambda t: summarise(t.iloc[:0]), "is empty"),
        (lambda t: summarise(t.assign(metric="mmmd")), "mmmd"),
        (lambda t: summarise(t, n_bins=50), "fewer than the 50 bins"),
        (lambda t: summarise(t[t["method"] != "observed"], n_bins=2), "'observed'"),
        (lambda t: compare_methods(t, "nonsense"), "'nonsense'; methods found"),
        (lambda t: compare_methods(t, "map", test="t-test"), "signed-rank"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_tables_are_refused(call, says):
    with pytest.raises((KeyError, ValueError), match=says):
        call(scores())
