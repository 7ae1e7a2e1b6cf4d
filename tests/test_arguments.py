"""Bad arguments of every public function: each is one sentence of ours, before anything is done.

Cases are made from the signatures, so that a new parameter is covered, or the table says that it is
not.
"""

import inspect
import traceback
from functools import partial
from pathlib import Path

import anndata as ad
import matplotlib.pyplot as plt
import mudata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import rayot as rt
from rayot import _arguments as arguments
from rayot._public import checks_of
from rayot.model.methods import METHODS

SOURCE, TARGET = "control", "perturbed"
NAN, INF = float("nan"), float("inf")
OURS = Path(rt.__file__).parent

BY_TYPE = {
    "int": [None, True, 1.5, -3, NAN, INF, "1", "", [], {}, np.array([1, 2])],
    "float": [None, True, NAN, INF, "0.1", [], {}, 1j],
    "bool": [None, 0, 1, "yes", [], NAN],
    "str": [None, "", 5, True, NAN, [], {}],
    "str | Path": [None, "", 5, [], True],
    "Sequence[str]": [None, 5, [5], True],
    "Iterable[str]": [None, 5, [5], ["nonsense"]],
    "dict[str, Any]": [None, 5, "x", {5: 1}],
    "pd.DataFrame": [None, 5, "x", np.eye(2), pd.Series([1.0])],
    "AnnData": [5, "x", np.eye(2)],
    "AnnData | MuData": [None, 5, "x", np.eye(2)],
    "Predictions": [None, 5, [], {}, "absent", np.eye(3), {"method": 5}],
    "pd.DataFrame | AnnData | MuData": [None, 5, "x", np.eye(2), pd.Series([1.0])],
    "ArrayLike": [
        "x",
        5,
        [1.0, 2.0],
        [["a", "b"]],
        np.full((4, 3), np.nan),
        np.full((4, 3), 1j),
        np.ma.masked_equal(np.eye(4, 3), 0),
        sparse.csr_matrix(np.eye(4, 3)),
        np.zeros((0, 3)),
        np.zeros((4, 0)),
    ],
    "np.ndarray": [],
}
"""Values that no argument of a type takes; None only where it is not asked for."""

BY_NAME = {
    "adata": [None, 5, "cells.h5ad", pd.DataFrame({"a": [1]}), np.eye(3)],
    "mdata": [None, 5, "cells.h5mu", ad.AnnData(np.eye(3))],
    "clip": [None, 1, "always", NAN, []],
    "control": [None, [], {}, NAN, "", "nonsense"],
    "devices": [0, "all", NAN, {}],
    "accelerator": ["abacus", 5, None, ""],
    "dose": [0, -1, NAN, INF, "1", True],
    "target_dose": [0, -1, NAN, INF, "1", True, 1.0],
    "target_time": [0, -1, NAN, INF, "1", True, 1.0],
    "early_stopping_patience": [0, -1, 1.5, True, None],
    "groupby": [None, "", 5, "nonsense", []],
    "key_added": [None, "", 5, "a/b", "a\0b", ".", "..", "__a", "\ud800", []],
    "layer": ["", 5, "nonsense"],
    "use_rep": ["", "nonsense"],
    "split_key": ["", 5, "nonsense"],
    "strata_key": ["", 5, "nonsense", "perturbation"],
    "weights_key": ["", 5, "nonsense", "perturbation"],
    "covariate_keys": ["", 5, [5], "nonsense", ["nonsense"], "perturbation"],
    "dose_key": ["", 5, "nonsense", "perturbation"],
    "time_key": ["", 5, "nonsense", "perturbation"],
    "embedding_key": ["", 5, "nonsense", {"nonsense": "x"}],
    "stratify": ["", 5, "nonsense"],
    "holdout": [5, "cell_type", {"cell_type": "type_0"}, {"nonsense": ["B"]}, {"cell_type": 5}, {}],
    "unit": [5, "nonsense", [5], {}],
    "test": [5, "t-test", "", None],
    "modality": [5, "", "rna"],
    "perturbations": [5, "perturbed", ["nonsense"], ["control"], []],
    "perturbation": [5, "", NAN, "nonsense"],
    "plan_kwargs": [5, "x", {"nonsense": 1}, {"seed": 1}, {"n_components": 1}, {5: 1}],
    "callbacks": [5, "x", [5]],
    "preset": ["", 5, "best"],
    "strata": [None, 5, "", "all"],
    "small_strata": [None, 5, "", "keep"],
    "small_perturbations": [None, 5, "", "keep"],
    "method": [None, 5, "", "magic", "cpa"],
    "source_key": [None, [], {}, NAN, "", "nonsense", TARGET],
    "target_key": [[], {}, NAN, "", "nonsense", SOURCE],
    "target": [[], {}, NAN, "", "nonsense", SOURCE],
    "of": [None, 5, "", "median"],
    "levels": [None, 5, [], [0], [1.0], [NAN], ["a"], [True]],
    "cell_mask": [5, "x", [True], np.ones(3, bool), np.ones(240), pd.Series([True, False])],
    "genes": [5, [5], "nonsense", ["gene_0", "nonsense"], []],
    "key": [None, 5, "", "nonsense", []],
    "missing_genes": [None, 5, "", "median", True, ["zero"]],
    "time": [-1, 1.5, NAN, INF, "1", True],
    "times": [5, "ab", (5,), (7, 0), (1, 1), (0, NAN), ("0", 1), None],
    "name": [[], {}, NAN, ""],
    "metrics": [5, [5], "nonsense", ["l2", "nonsense"]],
    "ax": [5, "x", [5]],
    "save": [5, [5]],
    "color": ["", 5, "nonsense"],
    "basis": ["", 5, "nonsense"],
    "size": [0, -1, NAN, "1", True],
    "hidden": [0, [0], [1.5], "x", None, [True]],
    "test_limits": [5, (5,), (10, 5), (0, 5), (1.5, 2), "ab", None, (True, 2)],
    "representation": [],
    "show": ["yes", 5, []],
    "trainer_kwargs": [{"nonsense": 1}, {"precision": "bf16-mixed"}, {"max_epochs": 3}],
    "fused_keys": [5, ["a"], ["nonsense", "nonsense"]],
    "source_modality": ["", 5, "nonsense"],
    "target_modality": ["", 5, "nonsense"],
    "source_rep": ["", 5, "nonsense"],
    "target_rep": ["", 5, "nonsense"],
    "gammas": [0, [], [-1.0], [NAN], [1j], "x", np.eye(2)],
    "labels": [["a"], 5, np.zeros((4, 2))],
    "true_labels": [["a"], 5, np.zeros((4, 2))],
    "distance": [None, 5, "", "l3"],
    "neighbours": [5.0, [0], [], "x", [True], None],
    "doses": [0, [0], [NAN], "x", []],
    "dim": [3, None, True, "2"],
    "funnels": [3, None, True, "4"],
    "seed": [None, True, 1.5, -1, 2**32, NAN, "0", []],
    "write": ["", 5, "x.csv", "absent/x.h5ad"],
    "dir_path": ["", 5, None],
    "names": [5, [5], "nonsense"],
    "smiles": [None, 5, "", "nonsense", [], ["CCO"]],
    "source": [None, 5, "", "nonsense", np.eye(2), pd.DataFrame([[1.0]], index=["nonsense"])],
}
"""Values that an argument of this name does not take, whatever its type."""

OF_TWO_POPULATIONS = (
    "coefficient_of_determination",
    "correlation_error",
    "energy_distance",
    "energy_distance_test",
    "l2",
    "l2_sd",
    "mean_difference_error",
    "mmd",
    "r2",
    "sinkhorn_divergence",
    "sliced_wasserstein1",
    "spread_error",
    "wasserstein1",
    "wasserstein2",
)
"""Metrics that take predicted and observed cells alone."""

FREE = {
    "data",  # what setup_anndata returned
    "model",  # of another package
    "rows",
    "observed",  # of metrics.way, numbers that may be missing
    "identity",
    "options",
}
"""Arguments that are not looked at."""


@pytest.fixture(scope="module")
def fitted():
    """Cells with a split, components, a fitted map, an ensemble, and a screen; and their models."""
    import scanpy as sc

    adata = rt.datasets.simulated(n_cells=120, n_genes=30, seed=0)
    sc.pp.pca(adata, n_comps=5)
    rt.pp.split(adata)
    quick = {"preset": "fast", "max_steps": 5, "batch_size": 16, "show_progress_bar": False}
    models = {
        "w1ot": rt.tl.w1ot(adata, SOURCE, TARGET, n_seeds=2, **quick),
        "cpa": rt.tl.cpa(adata, SOURCE, TARGET, **quick),
        "genot": rt.tl.genot(adata, SOURCE, TARGET, **quick),
        "screen": rt.tl.screen(adata, SOURCE, fdr=None, **quick),
        "conditional": rt.tl.conditional_w1ot(adata, SOURCE, **quick),
    }
    adata.obsm["X_umap"] = np.asarray(adata.obsm["X_pca"])[:, :2].copy()
    labels = np.where(adata.obs["perturbation"] == SOURCE, SOURCE, TARGET)
    other = np.flatnonzero(labels == TARGET)
    labels = labels.astype(object)
    labels[other[::3]], labels[other[1::3]] = "perturbed+other", "other"
    adata.obs["combination"] = pd.Categorical(labels)
    genes = np.where(labels == SOURCE, SOURCE, np.resize(["gene_0", "gene_1"], len(labels)))
    adata.obs["knocked_out"] = pd.Categorical(genes)
    adata.uns["screen"]["displacement"] = np.ones((2, 4, 30), np.float32)
    adata.uns["screen"]["table"] = pd.concat([adata.uns["screen"]["table"]] * 2)
    rt.tl.similarity(adata)
    return adata, models


def table_of(adata):
    return rt.tl.log_fold_change(adata, "w1ot"), rt.tl.evaluate(adata, "w1ot", metrics=["l2"])


def calls(adata, models):
    """Each public function with arguments that it takes, by its name."""
    changes, scores = table_of(adata)
    pair = {"adata": adata, "source_key": SOURCE, "target_key": TARGET, "show_progress_bar": False}
    found = {f"tl.{name}": (getattr(rt.tl, name), pair) for name in METHODS}
    combined = {**pair, "groupby": "combination", "target_key": "perturbed+other"}
    for name in ("additive", "nearest", "ridge"):
        found[f"tl.{name}"] = getattr(rt.tl, name), combined
    arrays = {"predicted": np.ones((4, 3)), "observed": np.eye(4, 3)}
    with_control = {**arrays, "control": np.ones((4, 3))}
    for name in OF_TWO_POPULATIONS:
        found[f"metrics.{name}"] = getattr(rt.metrics, name), arrays
    reference = {**arrays, "reference": np.eye(12, 3)}
    weights = {"weights": np.ones(3)}
    tests = rt.metrics.differential_expression(np.ones((4, 3)), np.ones((4, 3)))
    for name in rt.metrics.__all__:
        if name.startswith("de_"):
            both = {"predicted": tests, "observed": tests}
            found[f"metrics.{name}"] = getattr(rt.metrics, name), both
    found |= {
        "metrics.pearson_delta": (rt.metrics.pearson_delta, reference),
        "metrics.pearson_delta_systema": (rt.metrics.pearson_delta_systema, reference),
        "metrics.weighted_mse": (rt.metrics.weighted_mse, {**arrays, **weights}),
        "metrics.weighted_r2_delta": (rt.metrics.weighted_r2_delta, {**reference, **weights}),
        "metrics.centroid_accuracy": (rt.metrics.centroid_accuracy, arrays),
        "metrics.discrimination_score": (rt.metrics.discrimination_score, with_control),
        "metrics.knn_enrichment": (rt.metrics.knn_enrichment, {**arrays, "neighbours": [2]}),
        "metrics.differential_weights": (
            rt.metrics.differential_weights,
            {"cells": np.eye(4, 3), "others": np.ones((4, 3))},
        ),
        "metrics.differential_expression": (
            rt.metrics.differential_expression,
            {"cells": np.eye(4, 3), "control": np.ones((4, 3))},
        ),
    }
    paired = {"translated": np.eye(4, 3), "truth": np.eye(4, 3)}
    labels = {"labels": list("abab"), "true_labels": list("abab"), "k": 1}
    for name in ("transport_rays", "markers", "umap", "diagnostics", "history"):
        found[f"pl.{name}"] = getattr(rt.pl, name), {"adata": adata, "key": "w1ot", "show": False}
    for name in dir(rt.datasets):
        if name not in rt.datasets.available().index and name != "available":
            found[f"datasets.{name}"] = getattr(rt.datasets, name), {}
    found["datasets.w1_benchmark"] = rt.datasets.w1_benchmark, {"dim": 2, "funnels": 4}
    drawn = {"show": False}
    w1ot, screen, conditional = (models[name] for name in ("w1ot", "screen", "conditional"))
    new = {"adata": adata[:3].copy()}
    table = pd.DataFrame(
        {
            "perturbation": list("ABAB"),
            "method": ["map", "map", "identity", "identity"],
            "metric": "mmd",
            "value": [0.1, 0.2, 0.3, 0.5],
        }
    )
    for name in ("rank_methods", "summarise"):
        found[f"metrics.{name}"] = getattr(rt.metrics, name), {"scores": table}
    for name in ("benchmark", "benchmark_ranks"):
        found[f"pl.{name}"] = getattr(rt.pl, name), {"scores": table, "show": False}
    ends = pd.concat([table, table[2:].assign(method="observed", value=0.0)])
    found["pl.benchmark_effects"] = (
        rt.pl.benchmark_effects,
        {"scores": ends, "metric": "mmd", "show": False},
    )
    return found | {
        "metrics.compare_methods": (
            rt.metrics.compare_methods,
            {"scores": table, "method": "map"},
        ),
        "tl.screen": (
            rt.tl.screen,
            {"adata": adata, "control": SOURCE, "show_progress_bar": False},
        ),
        "tl.conditional_w1ot": (
            rt.tl.conditional_w1ot,
            {"adata": adata, "control": SOURCE, "show_progress_bar": False},
        ),
        "tl.translate": (
            rt.tl.translate,
            {
                "mdata": mudata.MuData({"rna": adata.copy(), "atac": adata[:, :5].copy()}),
                "source_modality": "rna",
                "target_modality": "atac",
                "show_progress_bar": False,
            },
        ),
        "tl.evaluate": (rt.tl.evaluate, {"adata": adata, "key": "w1ot"}),
        "tl.evaluate_predictions": (
            rt.tl.evaluate_predictions,
            {"real": adata, "predicted": adata, "control": SOURCE},
        ),
        "tl.log_fold_change": (rt.tl.log_fold_change, {"adata": adata, "key": "w1ot"}),
        "tl.calibration": (rt.tl.calibration, {"adata": adata, "key": "w1ot"}),
        "tl.similarity": (rt.tl.similarity, {"adata": adata, "key": "screen"}),
        "tl.transport": (rt.tl.transport, {"adata": adata, "model": w1ot}),
        "pp.split": (rt.pp.split, {"adata": adata}),
        "pp.check_split": (rt.pp.check_split, {"adata": adata}),
        "pp.pca": (rt.pp.pca, {"adata": adata.copy(), "n_comps": 3}),
        "pp.folds": (rt.pp.folds, {"adata": adata.copy()}),
        "pp.autoencoder": (rt.pp.autoencoder, {"adata": adata, "show_progress_bar": False}),
        "pp.fingerprints": (rt.pp.fingerprints, {"adata": adata, "smiles": {"perturbed": "CCO"}}),
        "pp.gene_vectors": (
            rt.pp.gene_vectors,
            {"adata": adata, "groupby": "knocked_out", "n_components": 2},
        ),
        "get.predicted": (rt.get.predicted, {"adata": adata, "key": "w1ot"}),
        "pl.evaluate": (rt.pl.evaluate, {"table": scores, **drawn}),
        "pl.calibration": (rt.pl.calibration, {"table": rt.tl.calibration(adata, "w1ot"), **drawn}),
        "pl.log_fold_change": (rt.pl.log_fold_change, {"table": changes, **drawn}),
        "pl.screen": (rt.pl.screen, {"adata": adata, **drawn}),
        "pl.similarity": (rt.pl.similarity, {"adata": adata, **drawn}),
        "metrics.log_fold_change": (
            rt.metrics.log_fold_change,
            {"cells": np.eye(4, 3), "control": np.ones((4, 3))},
        ),
        "metrics.log_fold_change_error": (rt.metrics.log_fold_change_error, with_control),
        "metrics.instability": (
            rt.metrics.instability,
            {"first": np.ones((4, 3)), "second": np.eye(4, 3)},
        ),
        "metrics.score": (rt.metrics.score, with_control),
        "metrics.get_metrics": (rt.metrics.get_metrics, {}),
        "metrics.foscttm": (rt.metrics.foscttm, paired),
        "metrics.label_transfer_accuracy": (
            rt.metrics.label_transfer_accuracy,
            {**paired, **labels},
        ),
        "model.W1OT.predict": (w1ot.predict, new),
        "model.W1OT.transport": (w1ot.transport, {**new, "rows": np.arange(3)}),
        "model.W1OT.train": (w1ot.train, {"show_progress_bar": False}),
        "model.W1OT.save": (w1ot.save, {"dir_path": "never"}),
        "model.W1OT.load": (rt.model.W1OT.load, {"dir_path": "absent"}),
        "model.W1OT.setup_anndata": (rt.model.W1OT.setup_anndata, {"adata": adata}),
        "model.W1OT.at": (w1ot.at, {"time": 0.5}),
        "model.CPA.at": (models["cpa"].at, {}),
        "model.CPA.setup_anndata": (rt.model.CPA.setup_anndata, {"adata": adata}),
        "model.GENOT.predict": (models["genot"].predict, new),
        "model.Screen.predict": (screen.predict, {**new, "target": TARGET}),
        "model.Screen.at": (screen.at, {"target": TARGET}),
        "model.Screen.save": (screen.save, {"dir_path": "never"}),
        "model.Screen.load": (rt.model.Screen.load, {"dir_path": "absent"}),
        "model.ConditionalW1OT.predict": (conditional.predict, {**new, "target": TARGET}),
        "model.ConditionalW1OT.at": (conditional.at, {"target": TARGET}),
    }


LATER = {
    "pl.potential",
    "metrics.describe",
    "metrics.way",
    "metrics.EnergyDistanceTest",
    "metrics.Metric",
    "metrics.METRICS",
}
"""Public names that take no arguments to get wrong, or have tests of their own."""

VALID = {
    *(
        (f"model.{name}.predict", "key", "nonsense")
        for name in ("W1OT", "Screen", "ConditionalW1OT")
    ),
    *((f"tl.{name}", "source_key", TARGET) for name in ("nearest", "ridge")),
    ("tl.screen", "n_jobs", -3),
}
"""Values of the tables above that one function takes: a new name, another condition, all but two
processors."""


def bad_values(name, parameter):
    """Values that a parameter does not take; None where it has to be something."""
    annotation = str(parameter.annotation)
    kind = annotation.removesuffix(" | None")
    values = (
        BY_NAME[name]
        if name in BY_NAME and (name, kind) != ("control", "ArrayLike")
        else BY_TYPE.get(kind)
    )
    if values is None:
        return None
    optional = annotation.endswith("| None") or parameter.default is None
    return [value for value in values if not (optional and value is None)]


def cases(function, given):
    """Pairs of a parameter and a value that it does not take."""
    for name, parameter in inspect.signature(function).parameters.items():
        values = [] if name in FREE else bad_values(name, parameter)
        assert values is not None, f"no bad values of {name}: {parameter.annotation}"
        for value in values:
            yield name, value


def snapshot(adata):
    slots = {slot: sorted(map(str, getattr(adata, slot))) for slot in ("obsm", "layers", "uns")}
    return {**slots, "obs": list(adata.obs.columns), "X": hash(adata.X.data.tobytes())}


def sentence(function, arguments):
    """What a call raises; the error must be raised by our own code, in one sentence."""
    if "trainer_kwargs" in arguments:
        arguments = {**arguments, **arguments.pop("trainer_kwargs")}
    with pytest.raises((ValueError, TypeError, KeyError, FileNotFoundError)) as caught:
        function(**arguments)
    frame = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert Path(frame.filename).is_relative_to(OURS), f"raised in {frame.filename}: {caught.value}"
    message = str(caught.value.args[0])
    assert 15 < len(message) < 700, message
    return message


def names_of_calls():
    """Names of all functions in the table, for which nothing has to be fitted."""
    own = {f"tl.{name}" for name in rt.tl.__all__}
    own |= {
        f"{room}.{n}" for room in ("pp", "get", "pl", "metrics") for n in getattr(rt, room).__all__
    }
    own |= {f"datasets.{n}" for n in rt.datasets.__all__ if n not in rt.datasets.available().index}
    own |= {
        f"model.{name}"
        for name in (
            *(f"W1OT.{verb}" for verb in ("predict", "transport", "train", "save", "load")),
            *("W1OT.setup_anndata", "W1OT.at", "CPA.at", "CPA.setup_anndata", "GENOT.predict"),
            *("Screen.predict", "Screen.at", "Screen.save", "Screen.load"),
            *("ConditionalW1OT.predict", "ConditionalW1OT.at"),
        )
    }
    return sorted(own - LATER - {"datasets.available"})


@pytest.mark.parametrize("name", names_of_calls())
def test_bad_arguments_are_one_sentence_and_change_nothing(fitted, name, tmp_path, monkeypatch):
    adata, models = fitted
    monkeypatch.chdir(tmp_path)
    function, valid = calls(adata, models)[name]
    before = snapshot(adata)
    silent = []
    for parameter, value in cases(function, valid):
        if isinstance(value, str | int) and (name, parameter, value) in VALID:
            continue
        try:
            sentence(function, {**valid, parameter: value})
        except (AssertionError, pytest.fail.Exception) as error:
            silent.append(f"{parameter}={value!r}: {error}"[:300])
        plt.close("all")
    assert not silent, "\n".join(silent)
    assert snapshot(adata) == before
    assert not list(tmp_path.iterdir())


def test_every_public_function_is_in_the_table(fitted):
    adata, models = fitted
    table = calls(adata, models)
    assert sorted(table) == names_of_calls()
    n_cases = sum(1 for each in table.values() for _ in cases(*each))
    assert n_cases >= 400
    # Cases of one verb alone must not make up the number.
    assert sum(1 for _ in cases(*table["tl.w1ot"])) < 0.2 * n_cases


def test_numbers_of_numpy_are_numbers(cells, quick, tmp_path):
    numbers = {"n_seeds": 2, "seed": 3, "max_steps": 2}
    options = {**quick, **{name: np.int64(value) for name, value in numbers.items()}}
    model = rt.tl.w1ot(cells, SOURCE, TARGET, **options)
    model.save(tmp_path / "model")
    cells.write_h5ad(tmp_path / "cells.h5ad")
    plain = rt.tl.w1ot(cells, SOURCE, TARGET, **{**quick, **numbers})
    np.testing.assert_array_equal(
        plain.predict(cells[:5]).to_df().to_numpy(), model.predict(cells[:5]).to_df().to_numpy()
    )


def test_a_batch_larger_than_the_cells_is_capped(cells, quick, caplog):
    model = rt.tl.w1ot(cells, SOURCE, TARGET, **{**quick, "max_steps": 1, "batch_size": 100_000})
    assert model.training_["batch_size"] == 4096
    assert "batch_size=100000 is more than" in caplog.text


def test_a_column_of_the_mudata_alone_is_named(cells):
    both = mudata.MuData({"rna": cells, "other": cells[:, :5].copy()})
    both.obs["treatment"] = cells.obs["perturbation"].to_numpy()
    message = r"mdata.obs has the column 'treatment'.*mdata.push_obs\(\['treatment'\]\)"
    for call in (
        partial(rt.pp.split, groupby="treatment"),
        partial(rt.pp.fingerprints, smiles="treatment"),
        partial(rt.tl.w1ot, source_key=SOURCE, target_key=TARGET, groupby="treatment"),
        partial(rt.tl.cpa, source_key=SOURCE, target_key=TARGET, covariate_keys="treatment"),
        partial(rt.tl.screen, control=SOURCE, strata_key="treatment"),
        partial(rt.tl.conditional_w1ot, control=SOURCE, covariate_keys=["treatment"]),
        partial(rt.pp.split, holdout={"treatment": ["perturbed"]}),
    ):
        with pytest.raises(KeyError, match=message):
            call(both, modality="rna")
    # A split that no modality sees would let its test cells be fitted.
    del cells.obs["split"]
    both.obs["split"] = "train"
    with pytest.raises(KeyError, match=r"mdata\.obs has the column 'split'"):
        rt.tl.mean_shift(both, SOURCE, TARGET, modality="rna")


def test_a_mudata_is_refused_where_cells_are_of_one_modality(fitted):
    adata, models = fitted
    both = mudata.MuData({"rna": adata})
    with pytest.raises(TypeError, match=r"take one modality, mdata.mod\[...\]"):
        models["w1ot"].transport(both, np.arange(3))


def test_parameters_are_checked_by_name_and_type():
    def function(adata: "AnnData", n: "int | None", share: "float", seed: "int" = 0): ...  # noqa: F821

    found = checks_of(inspect.signature(function), {"share": partial(arguments.number, high=1)})
    assert set(found) == {"adata", "n", "share", "seed"}
    assert found["n"]("n", None) is None
    with pytest.raises(ValueError, match="share must be at most 1, found 2"):
        found["share"]("share", 2)
    with pytest.raises(TypeError, match="adata must be an AnnData or a MuData, found int"):
        found["adata"]("adata", 5)
    assert found["adata"]("adata", ad.AnnData(np.eye(2))) is not None
