"""Predicted against observed log fold changes, gene by gene."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rayot import metrics
from rayot._docs import shared
from rayot._public import public
from rayot.data.fitted import WrittenMap
from rayot.data.keys import Key
from rayot.data.modality import modality_of
from rayot.data.scale import LARGEST_LOGARITHM, LINEAR, LOG1P, Scale
from rayot.data.scores import LOG_FOLD_CHANGE
from rayot.metrics._log_fold_change import is_expressed
from rayot.model.one_map import predicted_by
from rayot.model.scored_cells import known_scale, read_held_out, read_one_map

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

    from rayot.model import ConditionalW1OT, Screen
    from rayot.model.method import Method


@public(key=None)
@shared
def log_fold_change(
    adata: AnnData | MuData,
    key: str | Method | Screen | ConditionalW1OT | None = None,
    genes: Sequence[str] | None = None,
    *,
    perturbation: str | None = None,
    n_top_genes: int = 50,
    log1p: bool | None = None,
    pseudocount: float = 0.01,
    min_expressed: float = 0.1,
    modality: str | None = None,
    key_added: str = Key.uns.log_fold_change,
) -> pd.DataFrame:
    """Log2 fold change of each gene against the source test cells, predicted and observed.

    All test cells are used. Means are taken of amounts, to which expression is brought back by the
    scale that was found out at the fit. Of expression on a scale that is not known (centred, or
    regressed on something, or of proteins) the differences of the means are given in their place,
    which the column ``measure`` says.

    Parameters
    ----------
    adata
        Cells with the fitted map; in memory, a view, or backed.
    key
        Name of the fitted map. None takes the only one in ``adata``. Or a fitted model, which then
        predicts the cells that are looked at; nothing need have been written.
    genes
        Name or names of ``adata.var_names``. By default those marked in
        ``adata.var["perturbed"]``, as simulated data have it, or else the ``n_top_genes`` genes
        with the largest absolute t statistic between source and target training cells.
    perturbation
        Which map of a screen or of a conditional model; None of one map.
    n_top_genes
        How many genes to take by default.
    log1p
        True for expression that is log(1 + x), False for expression on the linear scale, whatever
        was found out; None takes that.
    pseudocount
        Added to the means of amounts; see :func:`rayot.metrics.log_fold_change`.
    min_expressed
        Share of the source or of the target test cells that must express a gene; others have
        missing values, as a ratio of two pseudo-counts says nothing.
    {modality}
    {key_of_scores}

    Returns
    -------
    One row a gene. Columns ``observed``, ``predicted``, ``identity`` (zero) and ``mean shift``;
    for each of the last three ``<column> error``, the column minus observed; and ``measure``,
    "log2 fold change" or "difference of means". :func:`rayot.pl.log_fold_change` draws what was
    written.

    Raises
    ------
    KeyError
        If the map was not fitted, has not written predicted expression, or a gene is unknown.
    ValueError
        If there are several maps and none is named, fewer than two cells of a kind are there,
        ``log1p`` is True for what cannot be, or ``key_added`` names something else. Nothing is then
        written.

    Warns
    -----
    UserWarning
        If the scale of the expression is not known.

    Examples
    --------
    >>> import anndata as ad, numpy as np, rayot as rt
    >>> counts = np.random.default_rng(0).poisson(20, size=(80, 3)).astype(float)
    >>> counts[40:, 0] *= 4
    >>> adata = ad.AnnData(np.log1p(counts))
    >>> adata.obs["perturbation"] = np.repeat(["control", "drug"], 40)
    >>> adata.obs["split"] = np.tile(["train", "test"], 40)
    >>> adata.layers["w1ot"] = np.log1p(counts * np.array([2, 1, 1]))
    >>> adata.uns["w1ot"] = dict(
    ...     source="control", target="drug", groupby="perturbation", split_key="split"
    ... )
    >>> rt.tl.log_fold_change(adata)[["observed", "predicted"]].loc["0"].round().tolist()
    [2.0, 1.0]
    """
    adata = modality_of(adata, modality)
    LOG_FOLD_CHANGE.check_key(adata, key_added)
    if genes is None and Key.var.perturbed in adata.var:
        genes = adata.var_names[adata.var[Key.var.perturbed].astype(bool)].tolist() or None
    model, maps = read_one_map(adata, key, perturbation)
    predict = None if model is None else partial(predicted_by, model, adata)
    cells = read_held_out(adata, maps, features=genes, n_top_genes=n_top_genes, predict=predict)
    scale = _scale(adata, maps[0], log1p, np.concatenate([cells.truth, cells.control]))
    populations = {
        Key.table.observed: cells.truth,
        Key.table.predicted: cells.predicted[maps[0].key],
        Key.table.identity: cells.control,
        Key.table.mean_shift: cells.control + cells.shift,
    }
    table = pd.DataFrame(
        {
            name: change_of_means(population, cells.control, scale, pseudocount)
            for name, population in populations.items()
        },
        index=cells.features,
    )
    if scale.is_known:
        table[~is_expressed(cells.truth, cells.control, min_expressed)] = np.nan
    for name in (Key.table.predicted, Key.table.identity, Key.table.mean_shift):
        table[Key.table.error(name)] = table[name] - table[Key.table.observed]
    table[Key.table.measure] = Key.table.fold_change if scale.is_known else Key.table.difference
    # The name of the genes' index is the user's, and may be that of a column, which no file takes.
    LOG_FOLD_CHANGE.write(adata, key_added, table.rename_axis(index=None))
    return table


def _scale(adata: AnnData, fitted: WrittenMap, log1p: bool | None, observed: np.ndarray) -> Scale:
    """The scale that is asked for, or the one that was found out."""
    if log1p is None:
        return known_scale(adata, fitted)
    if observed.min() < 0 or (log1p and observed.max() > LARGEST_LOGARITHM):
        what = "log(1 + x)" if log1p else "amounts"
        raise ValueError(
            f"log1p={log1p} does not fit the expression, whose values from {observed.min():.3g} to "
            f"{observed.max():.3g} are no {what}; leave it out to compare means by what they are."
        )
    return LOG1P if log1p else LINEAR


def change_of_means(
    population: np.ndarray, control: np.ndarray, scale: Scale, pseudocount: float
) -> np.ndarray:
    """Log2 fold change of mean amounts, (genes,); of an unknown scale the difference of means."""
    if scale.to_amounts is None:
        return population.mean(0) - control.mean(0)
    amounts, of_control = scale.to_amounts(population), scale.to_amounts(control)
    return metrics.log_fold_change(
        amounts, of_control, log1p=False, pseudocount=pseudocount, min_expressed=0.0
    )
