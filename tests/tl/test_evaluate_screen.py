"""Scores of screens: a row for each perturbation, method and metric, beside controls."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import rayot as rt

METRICS = ["energy_distance", "mmd", "r2", "centroid_accuracy"]
CONTROLS = {"identity", "perturbed mean", "observed", "interpolated duplicate"}


@pytest.fixture(scope="module")
def cells():
    adata = rt.datasets.simulated_screen(4, n_cells=240, n_genes=40, inactive=0)
    adata.obs["donor"] = np.where(np.arange(adata.n_obs) % 2, "first", "second")
    rt.pp.split(adata, test_size=0.4)
    return adata


@pytest.fixture(scope="module")
def screen(cells):
    return rt.tl.screen(cells, "control", method="quantile_map", show_progress_bar=False)


@pytest.fixture(scope="module")
def shifts(cells):
    return rt.tl.screen(cells, "control", method="mean_shift", show_progress_bar=False)


@pytest.fixture(scope="module")
def scores(cells, screen, shifts):
    return rt.tl.evaluate(cells, {"quantile map": screen, "mean shift": shifts}, metrics=METRICS)


def test_every_perturbation_method_and_metric_has_a_row(scores, screen):
    assert set(scores["perturbation"]) == set(screen)
    assert set(scores["method"]) == CONTROLS | {"quantile map", "mean shift"}
    assert not scores.duplicated(["perturbation", "method", "metric"]).any()
    assert (scores["status"] == "scored").all()
    assert scores.groupby("perturbation")["n_cells"].nunique().eq(1).all()


def test_scores_are_those_of_predictions_that_are_passed_by_themselves(cells, screen):
    """The same numbers as for a file of predictions, which knows nothing of the screen."""
    is_test = (cells.obs["split"] == "test").to_numpy()
    test, training = cells[is_test].copy(), cells[~is_test].copy()
    control = test[test.obs["perturbation"] == "control"].copy()
    predicted = []
    for name in screen:
        one = screen.predict(control, name)
        one.obs["perturbation"] = name
        predicted.append(one)
    stacked = ad.concat(predicted)
    by_file = rt.tl.evaluate_predictions(
        test, {"quantile_map": stacked}, "control", training=training, metrics=METRICS
    )
    own = rt.tl.evaluate(cells, screen, metrics=METRICS)
    keys = ["perturbation", "method", "metric"]
    both = own.set_index(keys)["value"], by_file.set_index(keys)["value"]
    assert set(both[0].index) == set(both[1].index)
    np.testing.assert_allclose(both[0], both[1].loc[both[0].index], rtol=1e-4, atol=1e-6)


def test_a_map_of_genes_is_ahead_of_what_knows_no_perturbation(scores):
    summary = rt.metrics.summarise(scores)
    ways = summary.loc["energy_distance", "pooled way"]
    assert ways["quantile map"] > ways["perturbed mean"]
    assert ways["interpolated duplicate"] > ways["perturbed mean"]
    ranks = rt.metrics.rank_methods(scores)
    assert (
        ranks.loc["quantile map", "centroid_accuracy"]
        < ranks.loc["perturbed mean", "centroid_accuracy"]
    )


def test_a_mapping_of_models_is_a_screen(cells, screen):
    own = rt.tl.evaluate(cells, screen, metrics=["mmd"])
    mapped = rt.tl.evaluate(cells, dict(screen), metrics=["mmd"])
    pd.testing.assert_frame_equal(own, mapped)


def test_donors_are_scored_by_themselves(cells, screen):
    scores = rt.tl.evaluate(cells, screen, metrics=["energy_distance"], replicate="donor")
    assert set(scores["donor"]) == {"first", "second"}
    summary = rt.metrics.summarise(scores, unit="donor")
    assert (summary["units"] == 2).all()
    assert not rt.metrics.summarise(scores, unit=["perturbation", "donor"]).equals(summary)


def test_defaults_name_metrics_of_all_kinds(cells, screen):
    scores = rt.tl.evaluate(cells, screen)
    kinds = {rt.metrics.METRICS[name].kind for name in set(scores["metric"])}
    assert {"mean", "distribution", "differential expression", "discrimination"} <= kinds


def test_cells_of_training_are_not_scored(cells, screen):
    adata = cells.copy()
    adata.obs["split"] = adata.obs["split"].cat.rename_categories(
        {"train": "test", "test": "train"}
    )
    with pytest.raises(ValueError, match="is for testing"):
        rt.tl.evaluate(adata, screen, metrics=["mmd"])


def test_nothing_is_written(cells, screen, tmp_path):
    before = set(cells.uns), set(cells.obs), set(cells.layers)
    rt.tl.evaluate(cells, screen, metrics=["mmd"])
    assert (set(cells.uns), set(cells.obs), set(cells.layers)) == before


def test_cells_on_disk_have_the_same_scores(cells, screen, tmp_path):
    cells.write_h5ad(tmp_path / "cells.h5ad")
    own = rt.tl.evaluate(cells, screen, metrics=["mmd", "r2"])
    backed = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    pd.testing.assert_frame_equal(own, rt.tl.evaluate(backed, screen, metrics=["mmd", "r2"]))
    backed.file.close()


@pytest.mark.parametrize(
    ("key", "kwargs", "says"),
    [
        (lambda s: {}, {}, "empty mapping"),
        (lambda s: {"a": 3}, {}, "found int"),
        (lambda s: {"identity": s}, {}, "give it another name"),
        (lambda s: next(iter(s.values())), {"replicate": "donor"}, "is for screens"),
        (lambda s: s, {"replicate": "nonsense"}, "nonsense"),
        (lambda s: s, {"metrics": ["mmmd"]}, "mmmd"),
        (lambda s: s, {"cell_mask": [True]}, "cell_mask"),
    ],
    ids=["empty", "number", "control", "map", "replicate", "metric", "mask"],
)
def test_bad_screens_are_refused(cells, screen, key, kwargs, says):
    with pytest.raises((KeyError, TypeError, ValueError), match=says):
        rt.tl.evaluate(cells, key(screen), **kwargs)


def test_screens_of_different_splits_do_not_compare(cells, screen):
    adata = cells.copy()
    rt.pp.split(adata, seed=3)
    other = rt.tl.screen(adata, "control", method="mean_shift", show_progress_bar=False)
    with pytest.raises(ValueError, match="differ in split"):
        rt.tl.evaluate(cells, {"one": screen, "two": other})
