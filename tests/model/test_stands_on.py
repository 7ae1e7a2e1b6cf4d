"""What is said of predictions that training says little of."""

import warnings

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import rayot as rt
from rayot.model.stands_on import StandsOn

QUICK = {"max_steps": 5, "batch_size": 32, "show_progress_bar": False}


@pytest.fixture(scope="module")
def cells():
    found = rt.datasets.simulated_screen(
        3, n_cells=40, n_controls=60, n_genes=12, doses=[1.0, 10.0], inactive=0.0
    )
    names = found.obs["perturbation"].cat.categories
    found.obs["perturbation"] = found.obs["perturbation"].cat.rename_categories(
        dict(zip(sorted(set(names) - {"control"}), "ABC", strict=True))
    )
    found.uns["vectors"] = {
        "A": [0.0, 0, 1],
        "B": [1.0, 0, 1],
        "C": [0.0, 1, 1],
        "mixed": [0.5, 0.4, 1],
        "other": [0.3, 0.3, 3],
    }
    return found


@pytest.fixture(scope="module")
def control(cells):
    return cells[(cells.obs["perturbation"] == "control").to_numpy()].copy()


@pytest.fixture(scope="module")
def drugs(cells):
    return rt.tl.conditional_w1ot(cells.copy(), "control", embedding_key="vectors", **QUICK)


@pytest.fixture(scope="module")
def doses(cells):
    return rt.tl.conditional_w1ot(cells.copy(), "control", dose_key="dose", **QUICK)


@given(seed=st.integers(0, 999), n=st.integers(3, 8), k=st.integers(2, 12))
@settings(max_examples=40, deadline=None)
def test_mixtures_are_within_and_what_is_new_is_outside(seed, n, k):
    rng = np.random.default_rng(seed)
    known = rng.normal(size=(n, k))
    names = [f"c{number}" for number in range(n)]
    same = StandsOn.nearest(known[1], names, known)
    assert same.names[0] == "c1" and same.distance[0] == 0 and same.outside < 1e-6
    within = StandsOn.nearest(rng.dirichlet(np.ones(n)) @ known, names, known)
    assert within.outside < 1e-6
    assert list(within.distance) == sorted(within.distance)
    wider = np.column_stack([known, np.zeros(n)])
    new = StandsOn.nearest(np.append(known.mean(0), 3.0), names, wider)
    assert new.outside > 1 - 1e-6


def test_equal_vectors_are_no_combination():
    same = StandsOn.nearest(np.ones(2), ["A", "B"], np.ones((2, 2)))
    assert not same.is_combination and "Nearest to it" in same.sentence
    assert StandsOn.parts(["A", "B"]).is_combination


def test_a_combination_stands_on_its_parts(drugs, control):
    model = drugs.at("A+B")
    assert model.stands_on.names == ("A", "B") and model.stands_on.outside == 0
    assert "made of 'A' and 'B'" in model.diagnostics["reason"]
    assert "made of 'A' and 'B'" in repr(model)
    told = drugs.predict(control, "A+B").uns["conditional_w1ot"]["stands_on"]
    assert told["names"].tolist() == ["A", "B"]


def test_a_condition_with_a_vector_stands_on_its_neighbours(drugs, control, tmp_path):
    mixed, other = drugs.at("mixed"), drugs.at("other")
    assert set(mixed.stands_on.names) == {"A", "B", "C"} and mixed.stands_on.outside < 1e-5
    assert "Nearest to it are " in mixed.diagnostics["reason"]
    assert other.stands_on.outside > 0.9
    assert "nothing that training varied" in other.diagnostics["reason"]
    written = drugs.predict(control, "other", write=tmp_path / "cells.h5ad").to_memory()
    told = written.uns["conditional_w1ot"]["stands_on"]
    assert told["names"].tolist() == list(other.stands_on.names)
    with pytest.raises(ValueError, match="save the conditional model itself"):
        other.save(tmp_path / "model")
    drugs.save(tmp_path / "model")
    again = rt.model.ConditionalW1OT.load(tmp_path / "model")
    assert again.at("other").diagnostics["reason"] == other.diagnostics["reason"]


def test_what_was_in_training_stands_on_itself(drugs, control):
    model = drugs.at("A")
    assert model.stands_on is None and "not in training" not in model.diagnostics["reason"]
    assert "stands_on" not in drugs.predict(control, "A").uns.get("conditional_w1ot", {})


def test_doses_outside_those_of_training(doses):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        between = doses.at("A", dose=3.0)
        doses.at("A", dose=10.0)
    assert between.stands_on.names[0].startswith("A / ")
    for dose, name in ((0.1, "A"), (100.0, "A+B")):
        with pytest.warns(UserWarning, match=f"Dose {dose:g} of 'A' is outside.*1 to 10"):
            doses.at(name, dose=dose)


@pytest.mark.parametrize("kind", ["conditional", "pair", "screen", "screen to a file"])
def test_cells_that_are_treated_already(cells, control, drugs, kind, tmp_path):
    one = cells[(cells.obs["dose"] != 10).to_numpy() | (cells.obs["perturbation"] == "control")]
    chosen = np.flatnonzero(one.obs["perturbation"].isin(["control", "A"]))
    some = one[chosen].copy()
    n_treated = int((some.obs["perturbation"] == "A").sum())
    message = f"{n_treated} of {some.n_obs} cells are of 'A' in.*starts from 'control'"
    further = {}
    if kind == "conditional":
        predict = lambda cells, **more: drugs.predict(cells, "B", **more)  # noqa: E731
    elif kind == "pair":
        predict = rt.tl.mean_shift(cells.copy(), "control", "A").predict
    else:
        screen = rt.tl.screen(cells.copy(), "control", method="mean_shift", fdr=None)
        target = "A" if kind == "screen" else None
        predict = lambda cells, **more: screen.predict(cells, target, **more)  # noqa: E731
        if target is None:
            further = {"write": tmp_path / "cells.h5ad", "overwrite": True}
    with pytest.warns(UserWarning, match=message):
        predict(some, **further)
    unlabelled = some.copy()
    del unlabelled.obs["perturbation"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predict(control, **further)
        predict(unlabelled, **further)
