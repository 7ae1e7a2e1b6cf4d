"""Scanpy's rank-sum test of each gene, on arrays."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from rayot._public import public
from rayot.metrics._cells import Cells, as_cells, in_one_order
from rayot.metrics._log_fold_change import PSEUDOCOUNT, log_fold_change

BLOCK_GENES = 500
"""Genes whose cells are ranked at once."""


@public()
def differential_expression(
    cells: ArrayLike,
    control: ArrayLike,
    *,
    log1p: bool | None = True,
    tie_correct: bool = False,
    pseudocount: float = PSEUDOCOUNT,
) -> pd.DataFrame:
    """Wilcoxon rank-sum test of each gene against control cells.

    Scores and p-values are those of ``scanpy.tl.rank_genes_groups(method="wilcoxon")``, by the
    normal approximation, without correction for ties unless asked for. How many genes are found
    depends on the number of cells: test as many predicted cells as observed ones, against the same
    control cells. Predictions of too little spread make all genes significant.

    Parameters
    ----------
    cells, control
        Expression, shapes (n, d) and (k, d), of at least two cells each. Names of genes are those
        of a table's columns.
    log1p
        Changes are log2 fold changes of means, see :func:`log_fold_change`: True of expression that
        is log(1 + x), False of amounts. None takes differences of means, on whatever scale.
    tie_correct
        Whether the variance is corrected for ties, of which sparse genes have many.
    pseudocount
        As in :func:`log_fold_change`.

    Returns
    -------
    One row a gene: ``score`` (the standardised rank sum), ``p_value``, ``q_value`` (Benjamini and
    Hochberg over these genes) and ``change``. A gene that is constant has score 0 and p-value 1.

    Raises
    ------
    ValueError
        If the arrays are not cells by features, differ in their features, are not finite, or have a
        single cell, or control cells are not on the scale that ``log1p`` says.

    References
    ----------
    Wolf et al. (2018), SCANPY.

    Examples
    --------
    >>> import numpy as np
    >>> from rayot.metrics import differential_expression
    >>> control = np.random.default_rng(0).gamma(2, size=(40, 3))
    >>> tests = differential_expression(control + [0, 0, 3], control, log1p=False)
    >>> (tests["q_value"] < 0.05).tolist()
    [False, False, True]
    """
    tables = [each for each in (cells, control) if isinstance(each, pd.DataFrame)]
    cells, control = in_one_order((cells, "cells"), (control, "control"))
    first, second = as_cells(cells, "cells", at_least=2), as_cells(control, "control", at_least=2)
    if log1p is None and first.shape[1] == second.shape[1]:
        change = first.mean(axis=0) - second.mean(axis=0)
    else:
        change = log_fold_change(
            first, second, log1p=bool(log1p), pseudocount=pseudocount, min_expressed=0.0
        )
    score = np.concatenate(
        [
            _rank_sum_scores(first[:, part], second[:, part], tie_correct)
            for start in range(0, first.shape[1], BLOCK_GENES)
            for part in [slice(start, start + BLOCK_GENES)]
        ]
    )
    p_value = 2 * stats.norm.sf(np.abs(score))
    return pd.DataFrame(
        {
            "score": score,
            "p_value": p_value,
            "q_value": stats.false_discovery_control(p_value),
            "change": change,
        },
        index=tables[0].columns if tables else None,
    )


def _rank_sum_scores(first: Cells, second: Cells, tie_correct: bool) -> Cells:
    """Rank sums of the first population, standardised by their null distribution: (d,)."""
    n, m = len(first), len(second)
    # Sorting and searching are several times as fast as ranking all cells.
    pairs = zip(np.sort(first.T, axis=1), np.sort(second.T, axis=1), strict=True)
    below = [
        control.searchsorted(cells, "left").sum() + control.searchsorted(cells, "right").sum()
        for cells, control in pairs
    ]
    # A cell's rank counts those below, and half of those that are equal.
    rank_sum = np.array(below, dtype=np.float64) / 2 - n * m / 2
    variance = np.full(first.shape[1], n * m * (n + m + 1) / 12)
    if tie_correct:
        ranks = stats.rankdata(np.concatenate([first, second]), axis=0)
        variance *= [stats.tiecorrect(of_gene) for of_gene in ranks.T]
    return np.divide(rank_sum, np.sqrt(variance), out=np.zeros_like(rank_sum), where=variance > 0)
