"""One model of many conditions that were measured at several times."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import rayot as rt
from rayot.data.conditions import Condition, Conditions
from rayot.model import ConditionalW1OT

QUICK = {"max_steps": 20, "batch_size": 64, "show_progress_bar": False}
HOURS = (3.0, 6.0, 24.0)


@pytest.fixture
def series():
    """Two drugs at three times."""
    data = rt.datasets.simulated_screen(2, n_cells=60, n_genes=20, doses=[1, 10, 100], inactive=0)
    hours = {0.0: 0.0, 1.0: 3.0, 10.0: 6.0, 100.0: 24.0}
    data.obs["hours"] = data.obs["dose"].fillna(0).astype(float).map(hours)
    del data.obs["dose"]
    return data


def fit(series, **options):
    return rt.tl.conditional_w1ot(series, "control", **{"time_key": "hours", **QUICK, **options})


@given(st.floats(0.1, 100), st.floats(0.1, 100))
def test_times_enter_as_they_are(first, second):
    seen = [Condition("A", hours, ()) for hours in HOURS]
    conditions = Conditions.learn("control", seen, ["drug"], "hours", {}, is_time=True)
    of_times = [conditions.vector(Condition("A", time, ()))[-1] for time in (first, second)]
    spread = np.std(HOURS)
    assert np.isclose(of_times[1] - of_times[0], (second - first) / spread, atol=1e-4)
    assert Conditions.from_json(conditions.to_json()) == conditions
    # Of doses it is their ratio that counts.
    doses = Conditions.learn("control", seen, ["drug"], "dose", {})
    apart = [doses.vector(Condition("A", dose, ()))[-1] for dose in (first, 2 * first)]
    assert np.isclose(apart[1] - apart[0], np.log(2) / np.std(np.log(HOURS)), atol=1e-4)


def test_a_time_between_is_predicted(series, tmp_path):
    model = fit(series)
    assert series.uns["conditional_w1ot"]["table"]["hours"].tolist() == [*HOURS, *HOURS]
    cells = series[(series.obs["perturbation"] == "control").to_numpy()].copy()
    found = {
        time: model.predict(cells, "drug_001", time=time).to_df().to_numpy() for time in (6, 12, 24)
    }
    assert not np.allclose(found[6], found[12])
    np.testing.assert_array_equal(
        found[12], model.at("drug_001", time=12).predict(cells).to_df().to_numpy()
    )
    assert "at hours 12" in str(model.at("drug_001", time=12))
    model.save(tmp_path / "model")
    loaded = ConditionalW1OT.load(tmp_path / "model")
    again = loaded.predict(cells, "drug_001", time=12).to_df().to_numpy()
    np.testing.assert_array_equal(again, found[12])
    assert loaded.conditions.is_time


def test_how_far_cells_go_is_interpolated_between_times(series):
    model = fit(series)
    strengths = np.array([0.0, 0.5, 1.0, 1.0, 1.0, 1.0], dtype=np.float32)
    model.module.strengths[:] = model.module.strengths.new_tensor(strengths)
    found = float(model._strengths(Condition("drug_000", 15.0, ()))[0, 0])
    assert np.isclose(found, 0.75)


def test_a_target_is_written_at_its_time(series):
    model = fit(series, target_key="drug_000", target_time=6)
    source = series[(series.obs["perturbation"] == "control").to_numpy()]
    expected = model.predict(source, "drug_000", time=6)
    np.testing.assert_array_equal(
        rt.get.predicted(series, "conditional_w1ot").to_df(), expected.to_df()
    )
    assert series.uns["conditional_w1ot"]["time_key"] == "hours"


def test_a_time_that_training_never_saw_is_scored(series):
    rt.pp.split(series, holdout={"hours": [6]}, groupby="perturbation", split_rest=True, seed=0)
    model = fit(series)
    scores = rt.tl.evaluate(series, model.at("drug_001", time=6), metrics=["energy_distance"])
    assert np.isfinite(scores["way_energy_distance"]).all()


def test_a_time_outside_is_warned_of(series):
    model = fit(series)
    with pytest.warns(UserWarning, match=r"Time 48 of 'drug_000' is outside the times of training"):
        model.at("drug_000", time=48)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({}, "needs a time: time_key is 'hours'"),
        ({"dose": 3}, "has no doses: dose_key is None"),
        ({"time": 0}, "time is '0.0'; times are counted from the control's"),
        ({"time": -3}, "must be finite numbers above 0"),
        ({"time": 3, "dose": 3}, "has no doses"),
    ],
    ids=["none", "dose", "zero", "negative", "both"],
)
def test_other_numbers_are_refused(series, numbers, message):
    model = fit(series)
    with pytest.raises(ValueError, match=message):
        model.at("drug_000", **numbers)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dose_key": "hours"}, "dose_key is 'hours' and time_key 'hours'"),
        ({"target_key": "drug_000"}, "target_time is None and time_key is 'hours'"),
        ({"target_time": 3}, "target_time is 3.0 without a target_key"),
        ({"target_key": "drug_000", "target_time": 3, "target_dose": 1}, "target_dose is 1"),
        ({"time_key": "days"}, "days"),
        ({"time_key": "line"}, "must be finite numbers above 0"),
    ],
    ids=["two columns", "no time", "no target", "a dose", "no column", "text"],
)
def test_what_cannot_be_is_refused_before_anything_is_fitted(series, options, message):
    series.obs["line"] = "MCF7"
    before = sorted(series.uns)
    with pytest.raises((ValueError, KeyError), match=message):
        fit(series, **options)
    assert sorted(series.uns) == before
