"""Predictions of any tool, scored beside their controls."""

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy.sparse import csr_matrix

import rayot as rt
from rayot.metrics import METRICS
from rayot.tl._prediction_scores import DEFAULTS, OF_MANY

FEW = ["r2", "mmd"]
N_GENES = 120
CONTROLS = ["identity", "perturbed mean", "observed", "interpolated duplicate"]


def counts_of(generator, n, change):
    return generator.poisson(3 * np.exp(change), size=(n, N_GENES)).astype(np.float32)


def changes():
    """Log fold changes of two drugs, which share those of ten genes."""
    both = np.zeros((2, N_GENES))
    both[:, :10] = 1.0
    both[0, 10:20], both[1, 20:30] = 1.2, -1.5
    return both


def annotated(counts, labels, prefix="cell"):
    adata = ad.AnnData(csr_matrix(np.log1p(counts)))
    adata.var_names = [f"gene{i}" for i in range(N_GENES)]
    adata.obs_names = [f"{prefix}{i}" for i in range(len(labels))]
    adata.obs["perturbation"] = pd.Categorical(labels)
    adata.obs["cell_type"] = np.where(np.arange(len(labels)) % 2, "B", "T")
    return adata


@pytest.fixture
def real():
    generator = np.random.default_rng(0)
    parts = [counts_of(generator, 120, change) for change in (0, *changes())]
    return annotated(np.concatenate(parts), np.repeat(["control", "drug A", "drug B"], 120))


@pytest.fixture
def good():
    """Other draws of the same distributions."""
    generator = np.random.default_rng(1)
    parts = [counts_of(generator, 70, change) for change in changes()]
    return annotated(np.concatenate(parts), np.repeat(["drug A", "drug B"], 70), "predicted")


@pytest.fixture
def shift(real):
    """Control cells moved by the difference of the means."""
    parts = []
    control = real[real.obs["perturbation"] == "control"].X.toarray()
    for drug in ("drug A", "drug B"):
        mean = real[real.obs["perturbation"] == drug].X.toarray().mean(axis=0)
        parts.append(control + mean - control.mean(axis=0))
    adata = ad.AnnData(np.concatenate(parts), var=pd.DataFrame(index=real.var_names))
    adata.obs["perturbation"] = np.repeat(["drug A", "drug B"], 120)
    return adata


def values(table, column="value"):
    return table.pivot_table(index="method", columns="metric", values=column, observed=True)


def evaluate(real, predicted, control="control", metrics=FEW, **options):
    return rt.tl.evaluate_predictions(real, predicted, control, metrics=metrics, **options)


def test_rows_and_columns(real, good, shift):
    table = rt.tl.evaluate_predictions(real, {"good": good, "shift": shift}, "control")
    assert table.columns.tolist() == [
        "perturbation",
        "method",
        "metric",
        "value",
        "way",
        "n_cells",
        "status",
        "reason",
    ]
    assert table["method"].unique().tolist() == ["good", "shift", *CONTROLS]
    assert table["metric"].unique().tolist() == [*DEFAULTS, *OF_MANY]
    assert len(table) == 2 * 6 * (len(DEFAULTS) + len(OF_MANY))
    assert set(table["perturbation"]) == {"drug A", "drug B"}
    # Half of the control and of each drug is 60.
    assert set(table["n_cells"]) == {60}
    assert set(table["status"]) <= {"scored", "undefined"}


def test_a_good_prediction_is_as_good_as_the_truth_and_a_shift_only_in_the_mean(real, good, shift):
    table = rt.tl.evaluate_predictions(real, {"good": good, "shift": shift}, "control")
    ways = values(table, "way")
    for metric in ("mmd", "energy_distance", "r2", "de_recall"):
        assert ways.loc["good", metric] > 0.9
        assert abs(ways.loc["interpolated duplicate", metric] - 1) < 0.25
    assert ways.loc["shift", "r2"] > 0.95
    assert ways.loc["shift", "spread_error"] < ways.loc["good", "spread_error"] - 0.2
    # The mean of the other drug has the genes that both change.
    assert 0.2 < ways.loc["perturbed mean", "pearson_delta"] < 0.9
    scores = values(table)
    assert scores.loc["good", "centroid_accuracy"] == 1
    assert scores.loc["identity", "centroid_accuracy"] == 0.5
    assert scores.loc["good", "de_precision"] > 0.8 > scores.loc["shift", "de_precision"]


def test_scores_are_those_of_the_metrics(real, good):
    """All cells of the truth are in no other row, and scores can be had from them."""
    table = evaluate(real, good, metrics=["l2", "spread_error"], genes=list(real.var_names))
    scored = table[(table["perturbation"] == "drug A") & (table["method"] == "observed")]
    drug = real[real.obs["perturbation"] == "drug A"].X.toarray()
    # Halves of the same cells: their means lie about the mean of all.
    assert 0 < scored["value"].iloc[0] < 2 * np.sqrt((drug.var(axis=0) * 2 / 60).sum())


def test_names_of_predicted_cells_and_controls_of_their_own(real, good):
    renamed = good.copy()
    renamed.obs["perturbation"] = "predicted " + good.obs["perturbation"].astype(str)
    expected = evaluate(real, good)
    pd.testing.assert_frame_equal(evaluate(real, renamed), expected)
    control = real[real.obs["perturbation"] == "control"].copy()
    others = real[real.obs["perturbation"] != "control"].copy()
    pd.testing.assert_frame_equal(evaluate(others, good, control), expected)
    del control.obs["perturbation"]
    pd.testing.assert_frame_equal(evaluate(others, good, control), expected)


def test_predicted_controls_are_not_looked_at(real, good):
    wrong = real[real.obs["perturbation"] == "control"].copy()
    wrong.X = wrong.X + 3 * csr_matrix(np.ones(wrong.shape, dtype=np.float32))
    wrong.obs_names = "fake" + wrong.obs_names
    with_control = ad.concat([good, wrong])
    metrics = ["de_recall", "pearson_delta"]
    expected = evaluate(real, good, metrics=metrics)
    pd.testing.assert_frame_equal(evaluate(real, with_control, metrics=metrics), expected)


def test_orders_of_cells_and_genes_do_not_matter(real, good):
    expected = evaluate(real, good, metrics=None)
    generator = np.random.default_rng(0)
    cells, genes = generator.permutation(good.n_obs), generator.permutation(N_GENES)
    found = evaluate(real, good[cells][:, genes], metrics=None)
    pd.testing.assert_frame_equal(found, expected)
    found = evaluate(real[generator.permutation(real.n_obs)], good, metrics=None)
    pd.testing.assert_frame_equal(found, expected)


def test_the_seed_decides_the_halves(real, good):
    expected = evaluate(real, good, seed=1)
    pd.testing.assert_frame_equal(evaluate(real, good, seed=1), expected)
    assert not np.allclose(evaluate(real, good)["value"], expected["value"])


def test_nothing_is_written(real, good):
    before = real.copy(), good.copy()
    evaluate(real, good, metrics=None)
    for now, then in zip((real, good), before, strict=True):
        np.testing.assert_array_equal(now.X.toarray(), then.X.toarray())
        pd.testing.assert_frame_equal(now.obs, then.obs)
        assert list(now.uns) == list(then.uns)
        assert list(now.layers) == list(then.layers)


@pytest.mark.parametrize("kind", ["view", "backed", "lazy", "layer", "dense", "mudata"])
def test_cells_of_every_kind(real, good, kind, tmp_path):
    expected = evaluate(real, good)
    options = {}
    if kind == "view":
        real, good = real[np.arange(real.n_obs)], good[:, :]
    elif kind in ("backed", "lazy"):
        real.write_h5ad(tmp_path / "real.h5ad")
        good.write_h5ad(tmp_path / "good.h5ad")
        read = {"backed": lambda path: ad.read_h5ad(path, backed="r")}.get(kind)
        if read is None:
            pytest.importorskip("xarray")
            read = ad.experimental.read_lazy
        real, good = (read(tmp_path / f"{name}.h5ad") for name in ("real", "good"))
    elif kind == "layer":
        real.layers["log"] = real.X
        real.X = csr_matrix(real.shape, dtype=np.float32)
        options["layer"] = "log"
    elif kind == "dense":
        real.X = real.X.toarray()
    else:
        real, good = (mudata.MuData({"rna": each.copy()}) for each in (real, good))
        options["modality"] = "rna"
    found = evaluate(real, good, **options)
    pd.testing.assert_frame_equal(found, expected)


def test_a_folder_has_a_file_for_each_method(real, good, shift, tmp_path):
    expected = evaluate(real, {"good": good, "shift": shift})
    good.write_h5ad(tmp_path / "good.h5ad")
    shift.write_h5ad(tmp_path / "shift.h5ad")
    pd.testing.assert_frame_equal(evaluate(real, tmp_path), expected)
    pd.testing.assert_frame_equal(evaluate(real, str(tmp_path)), expected)


def test_strata_have_rows_of_their_own(real, good):
    table = evaluate(real, good, strata_key="cell_type")
    assert table.columns[1] == "stratum"
    assert set(table["stratum"]) == {"B", "T"}
    assert set(table["n_cells"]) == {30}
    one = real.obs["cell_type"] == "B"
    alone = evaluate(real[one], good[good.obs["cell_type"] == "B"])
    same = table[table["stratum"] == "B"].drop(columns="stratum").reset_index(drop=True)
    pd.testing.assert_frame_equal(same, alone)


def test_training_cells_give_genes_and_references(real, good):
    generator = np.random.default_rng(7)
    own = generator.normal(size=(12, N_GENES)) * (np.arange(N_GENES) < 40)
    parts = [counts_of(generator, 30, change) for change in (0, *own)]
    names = np.repeat(["control", *(f"known {i}" for i in range(12))], 30)
    training = annotated(np.concatenate(parts), names, "training")
    metrics = ["pearson_delta", "pearson_delta_systema", "r2"]
    table = evaluate(real, {"good": good}, metrics=metrics, training=training)
    assert set(table["status"]) == {"scored"}
    scores = values(table)
    assert scores.loc["good", "pearson_delta_systema"] > 0.7
    # What all training perturbations do on average is nothing particular.
    assert abs(scores.loc["perturbed mean", "pearson_delta_systema"]) < 0.5
    without = evaluate(real, good, metrics=metrics)
    failed = without[without["status"] == "failed"]
    assert set(failed["metric"]) == {"pearson_delta_systema"}
    assert failed["reason"].str.contains("1 profiles").all()
    alone = evaluate(real[real.obs["perturbation"] != "drug B"], good, metrics=metrics[1:2])
    assert "there are no other perturbations to count from" in set(alone["reason"])


def test_metrics_of_amounts(real, good):
    table = evaluate(real, {"good": good}, metrics=["log_fold_change_error"])
    assert values(table).loc["good", "log_fold_change_error"] < 0.2
    unknown = real.copy()
    unknown.X = unknown.X.toarray() - 1
    moved = good.copy()
    moved.X = moved.X.toarray() - 1
    with pytest.warns(UserWarning, match="scale of the expression is not known"):
        table = evaluate(unknown, moved, metrics=["log_fold_change_error", "de_recall"])
    assert table["metric"].unique().tolist() == ["mean_difference_error", "de_recall"]
    assert set(table["status"]) == {"scored"}


def test_every_metric_can_be_asked_for(real, good):
    table = evaluate(real, good, metrics=list(METRICS), n_cells=60)
    failed = table[table["status"] == "failed"]
    assert set(failed["metric"]) == {"pearson_delta_systema"}


def test_few_cells_of_a_method_are_few_of_all_rows(real, good):
    few = good[np.r_[0:15, 70:140]]
    table = evaluate(real, {"few": few, "good": good})
    assert table.groupby("perturbation")["n_cells"].unique().map(list).to_dict() == {
        "drug A": [15],
        "drug B": [60],
    }
    assert set(evaluate(real, good, n_cells=20)["n_cells"]) == {20}


def failures(real, predicted, **options):
    """Reasons of failed rows of the method "bad", by perturbation; another one is scored."""
    table = evaluate(real, predicted, **options)
    failed = table[table["status"] == "failed"]
    assert set(failed["method"]) <= {"bad"}
    assert failed["value"].isna().all()
    return failed.drop_duplicates("perturbation").set_index("perturbation")["reason"].to_dict()


@pytest.mark.parametrize("n", [0, 1, 9])
def test_too_few_predicted_cells_fail_in_their_rows(real, good, n):
    bad = good[np.r_[0:n, 70:140]].copy()
    reasons = failures(real, {"good": good, "bad": bad})
    assert reasons == {"drug A": f"{n} predicted cells of it; at least 10 are needed"}


def test_nan_fails_in_its_rows(real, good):
    bad = good.copy()
    bad.X = bad.X.toarray()
    bad.X[0, 3] = np.nan
    reasons = failures(real, {"good": good, "bad": bad}, n_cells=1500)
    assert reasons in (
        {},
        {"drug A": "NaN or infinite values in 1 of 60 cells"},
    )
    bad.X[:70, 3] = np.inf
    for check_scale in (True, False):
        reasons = failures(real, {"good": good, "bad": bad}, check_scale=check_scale)
        assert reasons == {"drug A": "NaN or infinite values in 60 of 60 cells"}


def on_another_scale(good, name):
    cells = good.X.toarray()
    change = {
        "counts": np.expm1,
        "log2": lambda values: values / np.log(2),
        "log10": lambda values: values / np.log(10),
        "smooth counts": lambda values: np.expm1(values + smooth),
        "smooth log2": lambda values: (values + smooth) / np.log(2),
    }[name]
    smooth = np.random.default_rng(0).uniform(0, 0.1, size=cells.shape)
    bad = good.copy()
    bad.X = change(cells).astype(np.float32)
    return bad


@pytest.mark.parametrize("name", ["counts", "log2", "log10", "smooth counts", "smooth log2"])
def test_another_scale_fails_in_its_rows(real, good, name):
    bad = on_another_scale(good, name)
    reasons = failures(real, {"good": good, "bad": bad})
    assert sorted(reasons) == ["drug A", "drug B"]
    assert all("observed cells are log1p; bring both" in reason for reason in reasons.values())
    assert failures(real, {"good": good, "bad": bad}, check_scale=False) == {}


def test_few_genes_that_respond_are_no_other_scale(real, good):
    """A prediction of no change is a bad one, and none on another scale."""
    control = real[real.obs["perturbation"] == "control"].copy()
    control.obs["perturbation"] = "drug A"
    drug = real.obs["perturbation"] == "drug A"
    real.X = real.X.toarray()
    real.X[drug.to_numpy(), 5] *= 8
    assert failures(real, {"good": good, "bad": control}, genes=list(real.var_names[:40])) == {
        "drug B": "0 predicted cells of it; at least 10 are needed"
    }


def test_control_cells_as_a_prediction_are_as_good_as_the_identity(real):
    """Predicted cells have the names of control cells, and are not drawn like those."""
    control = real[real.obs["perturbation"] == "control"].copy()
    control.obs["perturbation"] = "drug A"
    metrics = ["pearson_delta", "l2", "energy_distance"]
    scores = values(evaluate(real, {"none": control}, metrics=metrics))
    for metric in metrics:
        apart = scores.loc["none", metric] - scores.loc["identity", metric]
        assert abs(apart) < 0.25 * max(1, abs(scores.loc["identity", metric]))


def test_real_cells_need_to_be_finite(real, good):
    real.X = real.X.toarray()
    real.X[5, 7] = np.nan
    with pytest.raises(ValueError, match=r"of 'real' have NaN or infinite values.*'gene7'"):
        evaluate(real, good)


def test_observed_cells_need_one_scale(real, good):
    counts = real.copy()
    counts.X = csr_matrix(np.expm1(real.X.toarray()))
    sentence = "cells of 'training' are on the scale 'linear' and those of 'real' on 'log1p'"
    with pytest.raises(ValueError, match=sentence):
        evaluate(real, good, training=counts)
    with pytest.raises(ValueError, match="cells of 'control' are on the scale 'linear'"):
        evaluate(real, good, counts[counts.obs["perturbation"] == "control"])
    evaluate(real, good, training=counts, check_scale=False)


def test_smooth_predictions_are_on_the_scale(real, good):
    smooth = good.copy()
    smooth.X = 0.9 * good.X.toarray() + np.random.default_rng(0).uniform(0, 0.1, good.shape)
    assert failures(real, {"good": good, "bad": smooth}) == {}


def test_scanpys_own_note_of_the_base_is_read(real, good):
    counts = good.copy()
    counts.X = csr_matrix(np.expm1(good.X.toarray()))
    sc.pp.normalize_total(counts, target_sum=1e4)
    sc.pp.log1p(counts, base=2)
    reasons = failures(real, {"good": good, "bad": counts})
    assert all("log1p base 2" in reason for reason in reasons.values())


def test_perturbations_that_were_not_observed(real, good):
    few = real[(real.obs["perturbation"] != "drug B") | (np.arange(real.n_obs) % 10 == 0)]
    table = evaluate(few, good)
    failed = table[table["status"] == "failed"]
    assert set(failed["perturbation"]) == {"drug B"}
    assert failed["reason"].iloc[0].startswith("real has 12 cells of it; 10 in each half")
    renamed = good.copy()
    renamed.obs["perturbation"] = good.obs["perturbation"].astype(str).replace("drug B", "drug C")
    failed = evaluate(real, renamed).query("status == 'failed'")
    assert set(failed["perturbation"]) == {"drug C"}
    assert set(failed["method"]) == {"predicted"}


def test_too_few_control_cells(real, good):
    few = real[(real.obs["perturbation"] != "control") | (np.arange(real.n_obs) < 15)]
    table = evaluate(few, good)
    assert set(table["status"]) == {"failed"}
    assert table["reason"].iloc[0] == "7 control cells in a half; at least 10 are needed"


def test_one_perturbation_cannot_be_told_apart(real, good):
    one = good[good.obs["perturbation"] == "drug A"]
    table = evaluate(real, one, metrics=["centroid_accuracy", "l2"])
    failed = table[table["metric"] == "centroid_accuracy"]
    assert set(failed["status"]) == {"failed"}
    assert failed["reason"].str.contains("two or more").all()
    assert "perturbed mean" in set(table["method"])


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        (lambda bad: bad[:, 5:], ValueError, r"'bad': they lack 5 of the 120 genes.*'gene0'"),
        (
            lambda bad: ad.AnnData(
                bad.X, bad.obs, pd.DataFrame(index=["gene0", *bad.var_names[:-1]])
            ),
            ValueError,
            r"'bad': they have the gene 'gene0' more than once",
        ),
        (
            lambda bad: ad.AnnData(bad.X, var=bad.var),
            KeyError,
            r"'bad': adata.obs has no column 'perturbation'",
        ),
        (
            lambda bad: ad.AnnData(bad.X, bad.obs.assign(perturbation="drug X"), bad.var),
            ValueError,
            r"'bad' have none of the perturbations of real; they are of 'drug X'",
        ),
        (lambda bad: bad.X, TypeError, r"Predictions of 'bad' must be an AnnData"),
    ],
    ids=["other genes", "a gene twice", "no column", "other perturbations", "an array"],
)
@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_predictions_that_cannot_be_read_are_errors(real, good, change, error, sentence):
    with pytest.raises(error, match=sentence):
        evaluate(real, {"good": good, "bad": change(good.copy())})


def test_genes_that_all_methods_predict(real, good):
    part = list(real.var_names[:60])
    table = evaluate(real, {"all": good, "part": good[:, :60]}, genes=part)
    scores = table.pivot_table(index=["perturbation", "metric"], columns="method", values="value")
    np.testing.assert_allclose(scores["all"], scores["part"])


@pytest.mark.filterwarnings("ignore:.* names are not unique")
def test_bad_arguments(real, good, tmp_path):
    with pytest.raises(ValueError, match="'mmmd'; did you mean 'mmd'"):
        evaluate(real, good, metrics=["mmmd"])
    with pytest.raises(ValueError, match="has no category 'ctrl'"):
        evaluate(real, good, "ctrl")
    with pytest.raises(KeyError, match="no column 'drug'"):
        evaluate(real, good, groupby="drug")
    with pytest.raises(KeyError, match="no column 'patient'"):
        evaluate(real, good, strata_key="patient")
    with pytest.raises(KeyError, match="'geneX' is not in real"):
        evaluate(real, good, genes=["gene1", "geneX"])
    with pytest.raises(ValueError, match="A method is called 'observed'"):
        evaluate(real, {"observed": good})
    with pytest.raises(ValueError, match="empty mapping"):
        evaluate(real, {})
    with pytest.raises(FileNotFoundError, match="is no folder"):
        evaluate(real, tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match=r"no file that ends in \.h5ad"):
        evaluate(real, tmp_path)
    with pytest.raises(ValueError, match="have 3 categories"):
        evaluate(real, good, real)
    with pytest.raises(KeyError, match=r"layers has no 'log'"):
        evaluate(real, good, layer="log")
    twice = real.copy()
    twice.obs_names = ["cell"] * real.n_obs
    with pytest.raises(ValueError, match="the cell 'cell' more than once"):
        evaluate(twice, good)


def test_a_mean_shift_of_real_cells_is_right_in_the_mean_alone(real_data):
    real = rt.datasets.kang18()
    control = real[real.obs["perturbation"] == "control"]
    treated = real[real.obs["perturbation"] == "IFN-beta"]
    change = np.asarray(treated.X.mean(axis=0) - control.X.mean(axis=0))
    shift = ad.AnnData(control.X.toarray() + change, var=control.var[[]])
    shift.obs["perturbation"] = "IFN-beta"
    metrics = ["r2", "mmd", "spread_error", "de_precision", "de_recall"]
    scores = values(evaluate(real, {"shift": shift}, metrics=metrics))
    assert scores.loc["shift", "r2"] > 0.99
    assert scores.loc["shift", "mmd"] > 8 * scores.loc["observed", "mmd"]
    assert scores.loc["shift", "spread_error"] > 5 * scores.loc["observed", "spread_error"]
    # All genes that move at all are found, which are nearly all.
    assert scores.loc["shift", "de_recall"] > 0.8
    assert scores.loc["shift", "de_precision"] < 0.2 < 0.7 < scores.loc["observed", "de_precision"]
