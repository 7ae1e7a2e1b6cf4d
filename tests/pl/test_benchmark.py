"""Figures of tables of scores: what is drawn is what the table says."""

import numpy as np
import pandas as pd
import pytest

import rayot as rt

METHODS = ("identity", "mean shift", "map", "observed")


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    rows = []
    for perturbation in range(15):
        effect = rng.gamma(2)
        for place, method in enumerate(METHODS):
            value = effect * (4 - place) / 4 * np.exp(0.1 * rng.normal())
            rows.append([f"p{perturbation}", method, "mmd", value])
            rows.append([f"p{perturbation}", method, "r2", 1 - 0.1 * value])
    return pd.DataFrame(rows, columns=["perturbation", "method", "metric", "value"])


def test_bars_are_means_with_stars_where_methods_differ(scores):
    axes = rt.pl.benchmark(scores, method="map", show=False)
    assert [ax.get_title() for ax in axes] == ["mmd ←", "r2 →"]
    heights = [patch.get_height() for patch in axes[0].patches]
    means = scores[scores["metric"] == "mmd"].groupby("method")["value"].mean()
    np.testing.assert_allclose(heights, means[list(METHODS)])
    assert axes[0].get_yscale() == "log" and axes[1].get_yscale() == "linear"
    assert [text.get_text() for text in axes[0].texts] == ["***", "***"]
    assert not rt.pl.benchmark(scores, show=False)[0].texts


def test_ranks_are_written_into_their_fields(scores):
    ax = rt.pl.benchmark_ranks(scores, show=False)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["map", "mean shift", "identity"]
    assert [text.get_text() for text in ax.texts[:2]] == [
        f"{value:.1f}" for value in rt.metrics.rank_methods(scores).loc["map", ["mmd", "r2"]]
    ]


def test_ways_are_drawn_against_effects(scores):
    ax = rt.pl.benchmark_effects(scores, "mmd", show=False)
    points = ax.collections[0].get_offsets()
    by = scores[scores["metric"] == "mmd"].pivot(
        index="perturbation", columns="method", values="value"
    )
    effect = by["identity"] - by["observed"]
    ways = (by["identity"] - by["map"]) / effect
    np.testing.assert_allclose(sorted(points[:, 0]), sorted(effect))
    np.testing.assert_allclose(sorted(points[:, 1]), sorted(ways))
    pooled = (by["identity"] - by["map"]).sum() / effect.sum()
    assert any(np.allclose(line.get_ydata(), pooled) for line in ax.lines)


def test_metrics_are_drawn_in_the_order_that_is_asked_for(scores, tmp_path):
    axes = rt.pl.benchmark(scores, ["r2", "mmd"], show=False, save=tmp_path / "bars.png")
    assert [ax.get_title() for ax in axes] == ["r2 →", "mmd ←"]
    assert (tmp_path / "bars.png").exists()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda t: rt.pl.benchmark(t, ["nonsense"]), "no metric 'nonsense'"),
        (lambda t: rt.pl.benchmark(t, method="nonsense"), "'nonsense'; methods found"),
        (lambda t: rt.pl.benchmark(t.drop(columns="value")), "no column 'value'"),
        (lambda t: rt.pl.benchmark_effects(t, "l2"), "no metric 'l2'"),
        (lambda t: rt.pl.benchmark_effects(t, "mmd", methods=["x"]), "no method 'x'"),
        (
            lambda t: rt.pl.benchmark_effects(t[t["method"] != "observed"], "mmd"),
            "no rows of 'observed'",
        ),
        (lambda t: rt.pl.benchmark_ranks(t.iloc[:0]), "is empty"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_tables_are_refused(scores, call, says):
    with pytest.raises((KeyError, ValueError), match=says):
        call(scores)
