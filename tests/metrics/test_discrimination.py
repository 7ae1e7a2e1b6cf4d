import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import rankdata

from rayot.metrics import centroid_accuracy, discrimination_score

NAMES = [f"gene{i}" for i in range(8)]


@pytest.fixture
def profiles():
    generator = np.random.default_rng(0)
    observed = generator.normal(size=(8, 12))
    predicted = observed + generator.normal(size=(8, 12))
    genes = [*NAMES, "a", "b", "c", "d"]
    return [pd.DataFrame(each, index=NAMES, columns=genes) for each in (predicted, observed)]


@pytest.fixture
def control():
    return np.random.default_rng(1).normal(size=(20, 12))


def test_centroid_accuracy_by_ranks(profiles):
    ranks = [rankdata(row)[p] for p, row in enumerate(cdist(*profiles))]
    expected = 1 - (np.array(ranks) - 1) / 7
    np.testing.assert_allclose(centroid_accuracy(*profiles), expected)
    euclidean = discrimination_score(
        *profiles, np.zeros((1, 12)), distance="l2", leave_out_target=False
    )
    np.testing.assert_allclose(euclidean, expected)


@pytest.mark.parametrize(
    ("distance", "scipys"), [("l1", "cityblock"), ("l2", "euclidean"), ("cosine", "cosine")]
)
def test_target_genes_are_left_out_by_name(profiles, control, distance, scipys):
    predicted, observed = (each.to_numpy() - control.mean(axis=0) for each in profiles)
    expected = []
    for p in range(8):
        kept = np.arange(12) != p
        row = cdist(predicted[[p]][:, kept], observed[:, kept], scipys)[0]
        expected.append(1 - (rankdata(row)[p] - 1) / 7)
    table = pd.DataFrame(control, columns=profiles[0].columns)
    got = discrimination_score(*profiles, table, distance=distance)
    np.testing.assert_allclose(got, expected)
    assert got.index.tolist() == NAMES


def test_a_perfect_target_gene_is_no_merit(control):
    observed = pd.DataFrame(np.zeros((8, 12)), index=NAMES, columns=[*NAMES, "a", "b", "c", "d"])
    observed.iloc[range(8), range(8)] = -5.0
    with_target = discrimination_score(observed, observed, control, leave_out_target=False)
    assert (with_target == 1).all()
    observed += np.random.default_rng(0).normal(size=(8, 12)) / 100
    predicted = observed.sample(frac=1, random_state=0).set_axis(NAMES)
    predicted.iloc[range(8), range(8)] = -5.0
    assert discrimination_score(predicted, observed, control).mean() < 0.9


def test_ties_have_the_mean_rank():
    same = np.ones((5, 3))
    assert centroid_accuracy(same, same).tolist() == [0.5] * 5
    assert discrimination_score(same, same, np.zeros((1, 3))).tolist() == [0.5] * 5


def test_chance_does_not_depend_on_the_number_of_perturbations():
    generator = np.random.default_rng(0)
    for n in (2, 10, 200):
        values = [centroid_accuracy(*generator.normal(size=(2, n, 3))).mean() for _ in range(40)]
        assert np.mean(values) == pytest.approx(0.5, abs=0.06)


def test_a_change_of_zero_has_no_angle(control):
    observed = np.eye(4, 12)
    predicted = np.eye(4, 12)
    predicted[1] = control.mean(axis=0)
    got = discrimination_score(predicted, observed, control, distance="cosine")
    assert np.isnan(got).tolist() == [False, True, False, False]


def test_profiles_are_checked(profiles, control):
    predicted, observed = profiles
    with pytest.raises(ValueError, match="must be the same cells"):
        centroid_accuracy(predicted, observed.rename(index={"gene0": "other"}))
    with pytest.raises(ValueError, match="columns are not the same features"):
        centroid_accuracy(predicted, observed.rename(columns={"a": "other"}))
    with pytest.raises(ValueError, match="8 and observed 7 profiles"):
        centroid_accuracy(predicted.to_numpy(), observed.to_numpy()[:7])
    with pytest.raises(ValueError, match="distance must be one of"):
        discrimination_score(predicted, observed, control, distance="l3")
