"""How far a method comes from doing nothing to being right."""

from __future__ import annotations

import numpy as np


def way(identity: float, method: float, observed: float) -> float:
    """Share of the way from the untouched source cells to other observed target cells.

    ``(identity − method) / (identity − observed)``, in any metric. It puts data sets of different
    effect sizes and metrics of different units on one scale.

    Parameters
    ----------
    identity
        Score of the source cells left as they are.
    method
        Score of the predicted cells.
    observed
        Score of other observed target cells: what a perfect prediction would get.

    Returns
    -------
    0 is no better than doing nothing, 1 as good as other observed cells; negative is worse than
    nothing, above 1 closer than other observed cells are. NaN if identity and observed score the
    same.

    Examples
    --------
    >>> from rayot.metrics import way
    >>> way(identity=0.5, method=0.25, observed=0.0)
    0.5
    """
    if identity == observed:
        return float("nan")
    return float(np.float64(identity - method) / np.float64(identity - observed))
