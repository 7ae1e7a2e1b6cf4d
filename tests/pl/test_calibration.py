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
