import anndata as ad
import numpy as np
import pandas as pd
import pytest

import rayot as rt


def test_lines_are_the_columns_in_the_order_of_the_levels():
    table = pd.DataFrame(
        {"coverage": [0.8, 0.4], "coverage by sampling alone": [0.3, 0.1]}, index=[0.9, 0.5]
    )
    ax = rt.pl.calibration(table, show=False)
    drawn = {line.get_label(): line.get_xydata() for line in ax.get_lines()}
    np.testing.assert_allclose(drawn["ensemble"], [[0.5, 0.4], [0.9, 0.8]])
    np.testing.assert_allclose(drawn["by sampling alone"], [[0.5, 0.1], [0.9, 0.3]])
    with pytest.raises(KeyError, match=r"no column 'coverage by sampling alone'; .*tl.calibration"):
        rt.pl.calibration(table[["coverage"]])


def test_a_kept_table_without_a_column_is_told_like_one_that_is_passed():
    table = pd.DataFrame({"coverage": [0.7], "width": 1.0, "n_points": 50}, index=[0.8])
    adata = ad.AnnData(np.eye(2))
    adata.uns["calibration"] = table
    for source in (table, adata):
        with pytest.raises(KeyError, match="no column 'coverage by sampling alone'"):
            rt.pl.calibration(source, show=False)
