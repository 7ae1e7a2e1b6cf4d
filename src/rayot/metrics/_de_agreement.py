"""Whether a prediction finds the genes that observed cells show to respond."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

from rayot import _arguments as arguments
from rayot._public import public

FDR = 0.05
"""False discovery rate below which a gene is significant."""

COLUMNS = ("q_value", "change")

Genes = NDArray[np.bool_]

_number_of_genes = partial(arguments.whole_number, least=1)


@public()
def de_overlap(
    predicted: pd.DataFrame, observed: pd.DataFrame, *, n: int | None = None, fdr: float = FDR
) -> float:
    """Share of the observed top genes that are among the predicted top genes.

    Significant genes of each side are ordered by the size of their change. Of the first k of both,
    the number in common over k, where k is ``n`` or the number of significant observed genes,
    whichever is less: cell-eval's ``overlap_at_N``, and with ``n=None`` the "differential
    expression score" of the Virtual Cell Challenge.

    Parameters
    ----------
    predicted, observed
        Tables of :func:`differential_expression` of the same genes, or of another test with columns
        ``q_value`` and ``change``.
    n
        Number of top genes; None takes all significant observed ones.
    fdr
        False discovery rate below which a gene is significant.

    Returns
    -------
    Between 0 and 1 (best); 0 where nothing is significant in the prediction, NaN where nothing is
    in the observed cells.

    Raises
    ------
    ValueError
        If the tables have other genes or lack a column.

    References
    ----------
    Roohani et al. (2025), Virtual Cell Challenge.

    Examples
    --------
    >>> import pandas as pd
    >>> from rayot.metrics import de_overlap
    >>> observed = pd.DataFrame({"q_value": [0.01, 0.01, 0.9], "change": [2.0, 1.0, 0.0]})
    >>> predicted = pd.DataFrame({"q_value": [0.01, 0.9, 0.01], "change": [1.0, 1.0, 3.0]})
    >>> de_overlap(predicted, observed)
    0.5
    """
    predicted, observed = _same_genes(predicted, observed)
    of_observed = _top(observed, fdr)
    k = min(n or len(of_observed), len(of_observed))
    if k == 0:
        return float("nan")
    return len(np.intersect1d(of_observed[:k], _top(predicted, fdr)[:k])) / k


@public()
def de_direction_match(
    predicted: pd.DataFrame, observed: pd.DataFrame, *, fdr: float = FDR
) -> float:
    """Share of the significant observed genes whose predicted change has the same sign.

    Parameters
    ----------
    predicted, observed, fdr
        As in :func:`de_overlap`.

    Returns
    -------
    Between 0 and 1 (best); a predicted change of zero has no sign and does not match. NaN where
    nothing is significant in the observed cells.

    Raises
    ------
    ValueError
        If the tables have other genes or lack a column.

    Examples
    --------
    >>> import pandas as pd
    >>> from rayot.metrics import de_direction_match
    >>> observed = pd.DataFrame({"q_value": [0.01, 0.01], "change": [2.0, -1.0]})
    >>> de_direction_match(observed.assign(change=[1.0, 1.0]), observed)
    0.5
    """
    predicted, observed = _same_genes(predicted, observed)
    of_observed = _significant(observed, fdr)
    signs = [np.sign(side["change"].to_numpy()[of_observed]) for side in (predicted, observed)]
    return _share(signs[0] == signs[1])


@public()
def de_spearman_lfc(predicted: pd.DataFrame, observed: pd.DataFrame, *, fdr: float = FDR) -> float:
    """Spearman correlation of the changes of the significant observed genes.

    Parameters
    ----------
    predicted, observed, fdr
        As in :func:`de_overlap`.

    Returns
    -------
    Between −1 and 1 (best). NaN where fewer than two observed genes are significant, or their
    changes are all the same.

    Raises
    ------
    ValueError
        If the tables have other genes or lack a column.

    Examples
    --------
    >>> import pandas as pd
    >>> from rayot.metrics import de_spearman_lfc
    >>> observed = pd.DataFrame({"q_value": [0.01] * 3, "change": [2.0, -1.0, 1.0]})
    >>> de_spearman_lfc(observed.assign(change=[9.0, 0.0, 1.0]), observed).__round__(6)
    1.0
    """
    predicted, observed = _same_genes(predicted, observed)
    of_observed = _significant(observed, fdr)
    sides = [side["change"].to_numpy()[of_observed] for side in (predicted, observed)]
    if of_observed.sum() < 2 or any(np.ptp(side) == 0 for side in sides):
        return float("nan")
    return float(stats.spearmanr(*sides).statistic)


@public()
def de_precision(predicted: pd.DataFrame, observed: pd.DataFrame, *, fdr: float = FDR) -> float:
    """Share of the genes significant in the prediction that are so in the observed cells.

    Parameters
    ----------
    predicted, observed, fdr
        As in :func:`de_overlap`.

    Returns
    -------
    Between 0 and 1 (best); NaN where nothing is significant in the prediction, or in the observed
    cells.

    Raises
    ------
    ValueError
        If the tables have other genes or lack a column.

    Examples
    --------
    >>> import pandas as pd
    >>> from rayot.metrics import de_precision
    >>> observed = pd.DataFrame({"q_value": [0.01, 0.9], "change": [2.0, 0.0]})
    >>> de_precision(observed.assign(q_value=0.01), observed)
    0.5
    """
    found, true = _both_significant(predicted, observed, fdr)
    return _share(true[found]) if true.any() else float("nan")


@public()
def de_recall(predicted: pd.DataFrame, observed: pd.DataFrame, *, fdr: float = FDR) -> float:
    """Share of the genes significant in the observed cells that are so in the prediction.

    Parameters
    ----------
    predicted, observed, fdr
        As in :func:`de_overlap`.

    Returns
    -------
    Between 0 and 1 (best); NaN where nothing is significant in the observed cells.

    Raises
    ------
    ValueError
        If the tables have other genes or lack a column.

    Examples
    --------
    >>> import pandas as pd
    >>> from rayot.metrics import de_recall
    >>> observed = pd.DataFrame({"q_value": [0.01, 0.01], "change": [2.0, 1.0]})
    >>> de_recall(observed.assign(q_value=[0.01, 0.9]), observed)
    0.5
    """
    found, true = _both_significant(predicted, observed, fdr)
    return _share(found[true])


@public()
def de_pr_auc(predicted: pd.DataFrame, observed: pd.DataFrame, *, fdr: float = FDR) -> float:
    """Average precision: the area under the curve of precision against recall.

    Genes are ordered by the q-value of the prediction; the significant observed ones are to be
    found.

    Parameters
    ----------
    predicted, observed, fdr
        As in :func:`de_overlap`.

    Returns
    -------
    Between 0 and 1 (best); by chance the share of significant genes. NaN where none or all genes
    are significant in the observed cells.

    Raises
    ------
    ValueError
        If the tables have other genes or lack a column.

    Examples
    --------
    >>> import pandas as pd
    >>> from rayot.metrics import de_pr_auc
    >>> observed = pd.DataFrame({"q_value": [0.01, 0.9], "change": [2.0, 0.0]})
    >>> de_pr_auc(observed, observed), de_pr_auc(observed.iloc[::-1].reset_index(), observed)
    (1.0, 0.5)
    """
    true, order = _to_be_found(predicted, observed, fdr)
    return float(average_precision_score(true, order)) if 0 < true.mean() < 1 else float("nan")


@public()
def de_roc_auc(predicted: pd.DataFrame, observed: pd.DataFrame, *, fdr: float = FDR) -> float:
    """Area under the ROC curve: how often a significant observed gene comes before another one.

    Genes are ordered by the q-value of the prediction.

    Parameters
    ----------
    predicted, observed, fdr
        As in :func:`de_overlap`.

    Returns
    -------
    Between 0 and 1 (best); 0.5 by chance. NaN where none or all genes are significant in the
    observed cells.

    Raises
    ------
    ValueError
        If the tables have other genes or lack a column.

    Examples
    --------
    >>> import pandas as pd
    >>> from rayot.metrics import de_roc_auc
    >>> observed = pd.DataFrame({"q_value": [0.01, 0.9], "change": [2.0, 0.0]})
    >>> de_roc_auc(observed, observed), de_roc_auc(observed.assign(q_value=1.0), observed)
    (1.0, 0.5)
    """
    true, order = _to_be_found(predicted, observed, fdr)
    return float(roc_auc_score(true, order)) if 0 < true.mean() < 1 else float("nan")


def _same_genes(
    predicted: pd.DataFrame, observed: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both tables in the order of the genes of the observed one."""
    for table, name in ((predicted, "predicted"), (observed, "observed")):
        if missing := [column for column in COLUMNS if column not in table]:
            raise ValueError(
                f"The {name} tests have no column {missing[0]!r}; pass a table of "
                "rayot.metrics.differential_expression."
            )
        if not table.index.is_unique:
            raise ValueError(f"The {name} tests have a gene more than once.")
    if set(predicted.index) != set(observed.index):
        raise ValueError(
            f"predicted has tests of {len(predicted)} genes and observed of {len(observed)}, which "
            "are not the same; test the genes that both have."
        )
    return predicted.loc[observed.index], observed


def _significant(tests: pd.DataFrame, fdr: float) -> Genes:
    return np.asarray(tests["q_value"].to_numpy(dtype=np.float64) < fdr)


def _both_significant(
    predicted: pd.DataFrame, observed: pd.DataFrame, fdr: float
) -> tuple[Genes, Genes]:
    predicted, observed = _same_genes(predicted, observed)
    return _significant(predicted, fdr), _significant(observed, fdr)


def _top(tests: pd.DataFrame, fdr: float) -> NDArray[np.intp]:
    """Positions of the significant genes, the largest change first."""
    size = np.abs(tests["change"].to_numpy(dtype=np.float64))
    order = np.argsort(-size, kind="stable")
    return order[_significant(tests, fdr)[order]]


def _to_be_found(
    predicted: pd.DataFrame, observed: pd.DataFrame, fdr: float
) -> tuple[Genes, NDArray[np.float64]]:
    """Which genes are significant in observed cells, and how sure the prediction is of each."""
    predicted, observed = _same_genes(predicted, observed)
    return _significant(observed, fdr), -predicted["q_value"].to_numpy(dtype=np.float64)


def _share(values: Genes) -> float:
    return float(values.mean()) if values.size else float("nan")
