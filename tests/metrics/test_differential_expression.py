import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy.stats import mannwhitneyu, spearmanr
from sklearn.metrics import average_precision_score, precision_score, recall_score, roc_auc_score

from rayot.metrics import (
    METRICS,
    de_direction_match,
    de_overlap,
    de_pr_auc,
    de_precision,
    de_recall,
    de_roc_auc,
    de_spearman_lfc,
    differential_expression,
)

GENES = [f"gene{i}" for i in range(30)]


def log_cells(seed, change, n=60):
    counts = np.random.default_rng(seed).poisson(2 * np.exp(change), size=(n, 30))
    return pd.DataFrame(np.log1p(counts.astype(float)), columns=GENES)


@pytest.fixture(scope="module")
def change():
    return np.where(np.arange(30) % 3 == 0, np.linspace(-1, 1, 30), 0)


@pytest.fixture(scope="module")
def tests_of(change):
    control = log_cells(0, 0)
    observed = differential_expression(log_cells(1, change), control)
    predicted = differential_expression(log_cells(2, change + np.linspace(0, 0.4, 30)), control)
    return predicted, observed


@pytest.mark.parametrize("tie_correct", [False, True])
def test_scores_and_p_values_are_scanpys(change, tie_correct):
    cells, control = log_cells(1, change), log_cells(0, 0, n=45)
    adata = ad.AnnData(pd.concat([cells, control], ignore_index=True))
    adata.obs["side"] = np.repeat(["cells", "control"], [60, 45])
    sc.tl.rank_genes_groups(
        adata, "side", reference="control", method="wilcoxon", tie_correct=tie_correct
    )
    expected = sc.get.rank_genes_groups_df(adata, "cells").set_index("names").loc[GENES]
    got = differential_expression(cells, control, tie_correct=tie_correct)
    np.testing.assert_allclose(got["score"], expected["scores"], rtol=1e-5)
    np.testing.assert_allclose(got["p_value"], expected["pvals"], rtol=1e-4)
    np.testing.assert_allclose(got["q_value"], expected["pvals_adj"], rtol=1e-4)


def test_p_values_with_ties_are_scipys(change):
    cells, control = log_cells(1, change), log_cells(0, 0)
    expected = mannwhitneyu(cells, control, use_continuity=False, method="asymptotic").pvalue
    got = differential_expression(cells, control, tie_correct=True)
    np.testing.assert_allclose(got["p_value"], expected)


def test_a_rank_test_does_not_know_the_scale(change):
    cells, control = log_cells(1, change), log_cells(0, 0)
    amounts = differential_expression(np.expm1(cells), np.expm1(control), log1p=False)
    pd.testing.assert_frame_equal(amounts, differential_expression(cells, control))
    differences = differential_expression(cells, control, log1p=None)["change"]
    np.testing.assert_allclose(differences, cells.mean() - control.mean())


def test_blocks_of_genes_change_nothing(change, monkeypatch):
    expected = differential_expression(log_cells(1, change), log_cells(0, 0))
    monkeypatch.setattr("rayot.metrics._differential_expression.BLOCK_GENES", 7)
    got = differential_expression(log_cells(1, change), log_cells(0, 0))
    pd.testing.assert_frame_equal(got, expected)


def test_constant_genes_are_not_significant():
    tests = differential_expression(np.ones((20, 2)), np.ones((20, 2)))
    assert tests["p_value"].tolist() == [1.0, 1.0]
    assert tests["score"].tolist() == [0.0, 0.0]


def test_found_genes_against_scikit_learn(tests_of):
    predicted, observed = tests_of
    found, true = (side["q_value"] < 0.05 for side in tests_of)
    assert 3 < true.sum() < 20
    assert de_precision(predicted, observed) == precision_score(true, found)
    assert de_recall(predicted, observed) == recall_score(true, found)
    sure = -predicted["q_value"]
    assert de_pr_auc(predicted, observed) == average_precision_score(true, sure)
    assert de_roc_auc(predicted, observed) == roc_auc_score(true, sure)
    changes = [side.loc[true, "change"] for side in tests_of]
    assert de_spearman_lfc(predicted, observed) == pytest.approx(spearmanr(*changes).statistic)
    signs = np.sign(changes[0]) == np.sign(changes[1])
    assert de_direction_match(predicted, observed) == signs.mean()


@pytest.mark.parametrize("n", [None, 3, 1000])
def test_overlap_by_sets(tests_of, n):
    tops = [
        side[side["q_value"] < 0.05]["change"].abs().sort_values(ascending=False).index
        for side in tests_of
    ]
    k = min(n or 1000, len(tops[1]))
    expected = len(set(tops[0][:k]) & set(tops[1][:k])) / k
    assert de_overlap(*tests_of, n=n) == expected


def test_genes_are_found_by_name(tests_of):
    predicted, observed = tests_of
    for metric in (de_overlap, de_direction_match, de_spearman_lfc, de_precision, de_recall):
        assert metric(predicted.iloc[::-1], observed) == metric(predicted, observed)


def test_nothing_to_find_is_nan_and_nothing_found_is_zero(tests_of):
    predicted, observed = tests_of
    nothing = observed.assign(q_value=1.0)
    for metric in METRICS.values():
        if metric.kind == "differential expression":
            assert np.isnan(metric.function(predicted, nothing)), metric.name
    assert de_overlap(nothing, observed) == de_recall(nothing, observed) == 0
    assert np.isnan(de_precision(nothing, observed))


def test_tables_are_checked(tests_of):
    predicted, observed = tests_of
    with pytest.raises(ValueError, match="no column 'q_value'"):
        de_overlap(predicted.drop(columns="q_value"), observed)
    with pytest.raises(ValueError, match="of 29 genes and observed of 30"):
        de_overlap(predicted.iloc[1:], observed)
    with pytest.raises(ValueError, match="a gene more than once"):
        de_overlap(pd.concat([predicted, predicted]), observed)
    with pytest.raises(ValueError, match="at least 2"):
        differential_expression(np.ones((1, 2)), np.ones((5, 2)))
    with pytest.raises(ValueError, match="no log"):
        differential_expression(np.ones((5, 2)), np.full((5, 2), -3.0))
