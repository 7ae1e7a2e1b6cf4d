import numpy as np
import pandas as pd
import pytest

import rayot as rt


@pytest.fixture
def table():
    generator = np.random.default_rng(0)
    observed = generator.normal(size=30) * 3
    return pd.DataFrame(
        {"observed": observed, "predicted": observed * 0.9, "mean shift": observed * 0.5},
        index=[f"gene{i}" for i in range(30)],
    )


def test_points_are_genes(table):
    ax = rt.pl.log_fold_change(table, show=False)
    mean_shift, predicted = (np.asarray(part.get_offsets()) for part in ax.collections)
    np.testing.assert_allclose(predicted, table[["observed", "predicted"]])
    np.testing.assert_allclose(mean_shift, table[["observed", "mean shift"]])
    assert ax.get_xlim() == ax.get_ylim()


def test_names_go_to_the_largest_errors_that_have_room(table):
    ax = rt.pl.log_fold_change(table, n_labels=3, show=False)
    named = [text.get_text() for text in ax.texts]
    errors = (table["predicted"] - table["observed"]).abs().sort_values(ascending=False)
    assert 0 < len(named) <= 3
    assert named[0] in errors.index[:3]
    assert rt.pl.log_fold_change(table, n_labels=0, show=False).texts[:] == []


def test_wrong_table(table):
    with pytest.raises(KeyError, match=r"no column 'predicted'; .*found: 'observed', 'mean shift'"):
        rt.pl.log_fold_change(table.drop(columns="predicted"))
