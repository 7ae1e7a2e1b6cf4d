"""Whether the spread of an ensemble covers what was observed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from rayot._arguments import number
from rayot._docs import shared
from rayot._public import public
from rayot.data import checks
from rayot.data.fitted import WrittenMap
from rayot.data.keys import Key
from rayot.data.modality import modality_of
from rayot.data.scores import CALIBRATION
from rayot.model.scored_cells import read_held_out, read_maps

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

Values = NDArray[np.float64]


@dataclass(frozen=True)
class _Points:
    """One entry a gene (of a cell type): the error, and the standard deviations it is held to."""

    error: Values
    spread: Values
    sampling: Values


@public()
@shared
def calibration(
    adata: AnnData | MuData,
    key: str | None = None,
    *,
    groupby: str | None = None,
    levels: Sequence[float] = (0.5, 0.8, 0.9, 0.95),
    n_top_genes: int = 200,
    modality: str | None = None,
    key_added: str = Key.uns.calibration,
) -> pd.DataFrame:
    r"""How often intervals around an ensemble's mean prediction hold the observed mean.

    For each gene the mean over held-out source cells that the ensemble predicts is compared with
    the mean of held-out target cells. The interval at a level is the predicted mean ± the normal
    quantile times :math:`\sqrt{s^2 + e^2}`: s is the standard deviation, between members, of their
    predicted mean, and e the standard error of both means, as both are of a sample of cells. Levels
    that are met say that intervals are honest; a coverage below its level, that the map errs by
    more than its members differ.

    What it does not say: members share the data and the method, so that errors that all of them
    make are not in their spread. Where sampling errors are much larger than the spread, as with few
    held-out cells, intervals hold whatever the spread is; the columns "by sampling alone", which
    leave it out, show whether that is so. And the mean of a population is judged, not the response
    of single cells, which unpaired cells do not show.

    Parameters
    ----------
    adata
        Cells with a fitted ensemble; in memory, a view, or backed.
    {key}
    groupby
        ``"cell_type"``: each gene counts once for each cell type, compared with target cells of
        that type, which a perturbation must not change. None compares the populations.
    levels
        Nominal levels of the intervals, between 0 and 1.
    n_top_genes
        Genes to judge by: those with the largest absolute t statistic between source and target
        training cells; all where there are fewer than 100. Genes without any spread are left out.
    {modality}
    {key_of_scores}

    Returns
    -------
    One row a level, with ``coverage``, the share of the intervals that hold the observed mean, and
    ``width``, their median width; both also with the sampling errors alone; and ``n_points``, the
    number of intervals. Genes are not independent, so a coverage is less sure than that number
    suggests.

    Raises
    ------
    KeyError
        If the map was not fitted, or has not written predicted expression.
    ValueError
        If there are several maps and none is named, the map is no ensemble, or none that was asked
        for (``n_seeds``), it leaves mass unmatched, cells were removed after the fit, genes were
        renamed, a level is out of range, fewer than two cells of a kind are there, or ``key_added``
        names something else. Nothing is then written.

    See Also
    --------
    evaluate : how far predictions are from held-out cells.

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.simulated(n_cells=200, n_genes=30)
    >>> rt.pp.split(adata)
    >>> model = rt.tl.w1ot(
    ...     adata,
    ...     "control",
    ...     "perturbed",
    ...     preset="fast",
    ...     max_steps=20,
    ...     n_seeds=3,
    ...     show_progress_bar=False,
    ... )
    >>> table = rt.tl.calibration(adata)
    >>> table.index.tolist(), int(table["n_points"].iloc[0])
    ([0.5, 0.8, 0.9, 0.95], 30)
    """
    levels = _levels(levels)
    adata = modality_of(adata, modality)
    CALIBRATION.check_key(adata, key_added)
    fitted = read_maps(adata, key)[0]
    points = _points(adata, fitted, _masks(adata, fitted, groupby), n_top_genes)
    rows = []
    for level in levels:
        quantile = float(stats.norm.ppf((1 + level) / 2))
        halves = quantile * np.hypot(points.spread, points.sampling), quantile * points.sampling
        coverage, by_sampling = (float((np.abs(points.error) <= half).mean()) for half in halves)
        widths = [2 * float(np.median(half)) for half in halves]
        rows.append([coverage, by_sampling, *widths, len(points.error)])
    names = Key.table
    table = pd.DataFrame(
        rows,
        index=pd.Index(levels, name=names.level),
        columns=[
            names.coverage,
            names.sampling_coverage,
            names.width,
            names.sampling_width,
            names.n_points,
        ],
    )
    CALIBRATION.write(adata, key_added, table)
    return table


def _member_means(adata: AnnData, fitted: WrittenMap) -> dict[str, np.ndarray]:
    if Key.obs.weight(fitted.key) in adata.obs:
        raise ValueError(
            f"The map {fitted.key!r} leaves mass unmatched, so the mean of its predictions is not "
            "that of the target; calibrate a map without unmatched mass."
        )
    means = adata.uns[Key.uns.result(fitted.key)].get(Key.result.member_means)
    if means is None:
        raise ValueError(
            f"The map {fitted.key!r} is no ensemble that was asked for, so no spread was kept to "
            "calibrate; fit it with n_seeds=5, and with write_genes=True."
        )
    if Key.member_means.genes not in means:
        raise ValueError(
            f"The map {fitted.key!r} did not keep which genes its members predicted; fit it again "
            "with this version of rayot."
        )
    return means


def _levels(levels: Sequence[float]) -> list[float]:
    """Levels, checked to be numbers between 0 and 1."""
    level = partial(number, low=0, high=1, open_low=True, open_high=True)
    checked = [level("levels", one) for one in np.atleast_1d(np.asarray(levels, dtype=object))]
    if not checked:
        raise ValueError("levels must be numbers between 0 and 1, found none.")
    return checked


def _positions(means: dict[str, np.ndarray], genes: pd.Index, key: str) -> np.ndarray:
    """Where genes are among those whose means were kept, by their names."""
    kept = pd.Index(np.asarray(means[Key.member_means.genes]).tolist())
    positions = kept.get_indexer(genes)
    if (positions < 0).any():
        raise ValueError(
            f"The map {key!r} was fitted without the gene {genes[positions < 0][0]!r}; calibrate "
            "with the genes that it was fitted with."
        )
    return positions


def _masks(
    adata: AnnData, fitted: WrittenMap, groupby: str | None
) -> list[tuple[list[int], np.ndarray | None]]:
    """Groups of member means that make one population, and its cells."""
    # Text that is read from zarr has NumPy's StringDType, which casts to no other.
    names = np.asarray(_member_means(adata, fitted)[Key.member_means.groups]).tolist()
    if groupby is None:
        return [(list(range(len(names))), None)]
    if groupby != Key.obs.cell_type or Key.obs.cell_type not in adata.obs:
        raise ValueError(
            f"groupby must be None or {Key.obs.cell_type!r}, a column of obs when the map was "
            f"fitted, found {groupby!r}."
        )
    labels = checks.labels(adata, Key.obs.cell_type)
    return [([number], labels == name) for number, name in enumerate(names) if name]


def _points(
    adata: AnnData,
    fitted: WrittenMap,
    masks: Sequence[tuple[list[int], np.ndarray | None]],
    n_top_genes: int,
) -> _Points:
    means = _member_means(adata, fitted)
    sizes = np.asarray(means[Key.member_means.n_cells])
    values = np.asarray(means[Key.member_means.values], dtype=np.float64)
    parts = []
    for groups, mask in masks:
        cells = read_held_out(adata, [fitted], n_top_genes=n_top_genes, cell_mask=mask)
        predicted, truth = cells.predicted[fitted.key], cells.truth
        if len(predicted) != sizes[groups].sum():
            raise ValueError(
                f"The map {fitted.key!r} was fitted with {sizes[groups].sum()} held-out source "
                f"cells, {len(predicted)} are there; calibrate before cells are removed."
            )
        members = np.average(values[:, groups], axis=1, weights=sizes[groups])
        genes = _positions(means, cells.features, fitted.key)
        variances = [side.var(axis=0, ddof=1) / len(side) for side in (predicted, truth)]
        parts.append(
            _Points(
                error=predicted.mean(0) - truth.mean(0),
                spread=members[:, genes].std(axis=0, ddof=1),
                sampling=np.sqrt(sum(variances)),
            )
        )
    joined = [
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("error", "spread", "sampling")
    ]
    varies = np.hypot(joined[1], joined[2]) > 0
    return _Points(*(figure[varies] for figure in joined))
