"""The cells that a prediction is scored on, and those it is compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from rayot._public import warn
from rayot.data import checks
from rayot.data.fitted import WrittenMap
from rayot.data.keys import Key
from rayot.data.matrix import chunk_rows, dense, expression_of, row_chunks
from rayot.data.moments import moments_of, top_genes
from rayot.data.scale import Scale, find_scale, scale_named
from rayot.model.one_map import map_of, one_map

if TYPE_CHECKING:
    from anndata import AnnData

    from rayot.model import ConditionalW1OT, Screen
    from rayot.model.method import Method

LOOKED_AT = 2000
"""Cells whose values show the scale of maps that did not keep it."""

Cells = NDArray[np.float64]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class HeldOutExpression:
    """Expression of held-out cells, predicted and observed, on the same features.

    Attributes
    ----------
    features
        Names of the d features.
    rows
        Rows of ``adata`` that the source cells are, shape (n,).
    control
        Source cells as they are, shape (n, d): also the prediction of the identity.
    truth
        Target cells, shape (m, d).
    observed
        Other target cells, from training: the best a prediction can hope for. It is empty where
        there are none of the kind asked for.
    shift
        Mean of the target minus mean of the source training cells, shape (d,).
    predicted
        Of each map, where it sends the cells of ``control``, shape (n, d).
    """

    features: pd.Index
    rows: Rows
    control: Cells
    truth: Cells
    observed: Cells
    shift: Cells
    predicted: dict[str, Cells]

    def methods(self) -> dict[str, Cells]:
        """Every population to be compared with the truth: the maps first, then the references."""
        return {
            **self.predicted,
            Key.table.identity: self.control,
            Key.table.mean_shift: self.control + self.shift,
            Key.table.observed: self.observed,
        }


@dataclass(frozen=True)
class _Split:
    """Row numbers of each kind of cell, ascending."""

    source_train: Rows
    target_train: Rows
    source_test: Rows
    truth: Rows
    observed: Rows


def read_maps(adata: AnnData, key: str | Sequence[str] | None) -> list[WrittenMap]:
    """Fitted maps of these names, or the only one there is, checked to answer the same question.

    Raises
    ------
    KeyError
        If a map was not fitted or has not written its predicted expression.
    ValueError
        If there are several and none is named, or those that are named differ in source, target,
        grouping, split or layer.
    """
    names = [key] if key is None or isinstance(key, str) else _distinct(key)
    maps = [WrittenMap.read(adata, name) for name in names]
    for fitted in maps:
        fitted.check(adata)
        fitted.require_predicted_expression(adata)
        for field in ("source", "target", "groupby", "split_key", "layer", "dose"):
            first, other = getattr(maps[0], field), getattr(fitted, field)
            if first != other:
                raise ValueError(
                    f"The maps {maps[0].key!r} and {fitted.key!r} differ in {field} ({first!r} and "
                    f"{other!r}), so their scores do not compare; evaluate them one by one."
                )
    return maps


def read_one_map(
    adata: AnnData,
    key: str | Method | Screen | ConditionalW1OT | None,
    perturbation: str | None = None,
) -> tuple[Method | None, list[WrittenMap]]:
    """A map by its name, or by the model that holds it, which is then returned beside it.

    Raises
    ------
    KeyError, ValueError
        As :func:`read_maps`, and if a perturbation is named of one map, or none of a screen.
    TypeError
        If it is neither a name nor a fitted model.
    """
    if key is not None and not isinstance(key, str):
        model = one_map(key, perturbation)
        return model, [map_of(adata, model)]
    if perturbation is not None:
        raise ValueError(
            f"perturbation is {perturbation!r}, and a map that was written is of one; pass the "
            "fitted screen in the place of its name."
        )
    return None, read_maps(adata, key)


def _distinct(keys: Sequence[str]) -> list[str]:
    """Names of several maps, each once and at least one."""
    if not keys:
        raise ValueError("key is an empty list; name at least one fitted map.")
    if foreign := [type(name).__name__ for name in keys if not isinstance(name, str)]:
        raise TypeError(
            f"key lists {foreign[0]}; several maps are scored by their names, a model alone."
        )
    return list(dict.fromkeys(keys))


def read_held_out(
    adata: AnnData,
    maps: Sequence[WrittenMap],
    *,
    features: Sequence[str] | None = None,
    n_top_genes: int = 50,
    n_cells: int | None = None,
    cell_mask: ArrayLike | None = None,
    seed: int = 0,
    predict: Callable[[Rows, Rows], Cells] | None = None,
) -> HeldOutExpression:
    """Take the cells and features to be scored out of ``adata``.

    Parameters
    ----------
    adata
        With the fitted maps. It is not changed, and only the cells and columns needed become dense.
    maps
        Maps between the same conditions, of the same split.
    features
        Names of ``adata.var_names``; by default the ``n_top_genes`` genes that differ most.
    n_top_genes
        How many differentially expressed genes to take.
    n_cells
        Subsample all populations to one size, of at most this; None keeps all cells.
    cell_mask
        Which cells may be scored, shape (n_obs,), bool.
    seed
        Seed of the subsampling.
    predict
        Predicts expression (n, d) for rows (n,) of ``adata`` and columns (d,), instead of layers.
    """
    generator = np.random.default_rng(seed)
    transported = _transported(adata, maps) if predict is None else np.ones(adata.n_obs, dtype=bool)
    split = _split(adata, maps[0], transported, cell_mask, generator)
    layer = maps[0].layer
    before, after = moments_of(adata, layer, (split.source_train, split.target_train))
    if features is None:
        columns = top_genes(before, after, n_top_genes)
    else:
        columns = _columns(adata, features)
    source, truth, observed = split.source_test, split.truth, split.observed
    if n_cells is not None:
        sizes = [len(rows) for rows in (source, truth, observed) if len(rows)]
        size = min(n_cells, *sizes)
        source, truth, observed = (
            np.sort(generator.choice(rows, size, replace=False)) if len(rows) else rows
            for rows in (source, truth, observed)
        )
    return HeldOutExpression(
        features=adata.var_names[columns],
        rows=source,
        control=expression(adata, layer, source, columns),
        truth=expression(adata, layer, truth, columns),
        observed=expression(adata, layer, observed, columns),
        shift=(after.mean - before.mean)[columns],
        predicted={
            fitted.key: expression(adata, Key.layers.predicted(fitted.key), source, columns)
            if predict is None
            else predict(source, columns)
            for fitted in maps
        },
    )


def known_scale(adata: AnnData, fitted: WrittenMap) -> Scale:
    """The scale that a map was fitted on, or that its cells have; a warning says if none is known.

    Maps of other origin did not keep it.
    """
    scale = scale_named(fitted.scale or "")
    if fitted.scale is None:
        rows = np.flatnonzero(fitted.is_source(adata) | fitted.is_target(adata))[:LOOKED_AT]
        scale = find_scale(expression_of(adata, fitted.layer, rows), adata.uns)
    if not scale.is_known:
        where = "adata.X" if fitted.layer is None else f"adata.layers[{fitted.layer!r}]"
        warn(
            f"{where} is on a scale that is not known (centred, of proteins, regressed on "
            "something), so means are compared by their differences and not by their ratios."
        )
    return scale


def _halves(
    cells: NDArray[np.bool_], generator: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Two halves: other observed cells must not be the very cells they are compared with."""
    candidates = np.flatnonzero(cells)
    half = generator.permutation(candidates)[: len(candidates) // 2]
    second = np.isin(np.arange(len(cells)), half)
    return cells & ~second, second


def _split(
    adata: AnnData,
    fitted: WrittenMap,
    transported: NDArray[np.bool_],
    cell_mask: ArrayLike | None,
    generator: np.random.Generator,
) -> _Split:
    is_source, is_target = fitted.is_source(adata), fitted.is_target(adata)
    if not fitted.has_dose(adata):
        warn(
            f"The map {fitted.key!r} predicts dose {fitted.dose:g} of {fitted.target!r}, which no "
            f"cell in adata.obs[{fitted.dose_key!r}] has; it is scored against cells of all doses."
        )
    scored = mask_of(adata, cell_mask)
    transported = transported & is_source
    if fitted.split_key is not None and fitted.split_key in adata.obs.columns:
        masks = _by_column(adata, fitted, is_source, is_target, scored)
        held_out = f"with {Key.obs.test!r} in obs[{fitted.split_key!r}]"
        if fitted.split.is_trained_on(adata) is not None:
            held_out += ", not in the fit,"
    else:
        warn(
            f"The map {fitted.key!r} has no column of train and test cells, so it is scored on "
            "cells that it was fitted on; split the cells first to see how it generalises."
        )
        everything = np.ones(adata.n_obs, dtype=bool)
        masks = _Masks(everything, everything, is_target, scored & is_target, None)
        held_out = "in adata"
    source_train, source_test = is_source & masks.source_train, is_source & masks.source_test
    truth, observed = masks.truth, masks.observed
    if observed is None:
        truth, observed = _halves(truth, generator)
    split = _Split(
        source_train=np.flatnonzero(source_train),
        target_train=np.flatnonzero(masks.target_train),
        source_test=np.flatnonzero(scored & transported & source_test),
        truth=np.flatnonzero(truth),
        # A single other cell is no population.
        observed=np.flatnonzero(observed) if observed.sum() > 1 else np.empty(0, dtype=np.intp),
    )
    n_missing = int((scored & source_test).sum()) - len(split.source_test)
    if n_missing:
        warn(
            f"{n_missing} cells of {fitted.source!r} {held_out} were not transported (their rows "
            "are NaN) and are left out of the scores."
        )
    for rows, what in (
        (split.source_test, f"transported cells of {fitted.source!r} {held_out}"),
        (split.truth, f"cells of {fitted.target!r} {held_out}"),
        (split.source_train, f"training cells of {fitted.source!r}"),
        (split.target_train, f"training cells of {fitted.target!r}"),
    ):
        if len(rows) < 2:
            raise ValueError(f"There are {len(rows)} {what} to score with; at least 2 are needed.")
    return split


@dataclass(frozen=True)
class _Masks:
    """Which cells are of each kind, (n_obs,) bool.

    Attributes
    ----------
    source_train, source_test
        Where source cells are for training, and to be transported.
    target_train
        Cells that genes and the mean shift come from.
    truth
        Target cells to be compared with.
    observed
        Those of training; None where there are none, as what is predicted was held out whole.
    """

    source_train: NDArray[np.bool_]
    source_test: NDArray[np.bool_]
    target_train: NDArray[np.bool_]
    truth: NDArray[np.bool_]
    observed: NDArray[np.bool_] | None


def _by_column(
    adata: AnnData,
    fitted: WrittenMap,
    is_source: NDArray[np.bool_],
    is_target: NDArray[np.bool_],
    scored: NDArray[np.bool_],
) -> _Masks:
    """By the column of train and test cells, and by what the map was fitted on."""
    assert fitted.split_key is not None
    labels = checks.labels(adata, fitted.split_key)
    is_train, is_test = labels == Key.obs.train, labels == Key.obs.test
    known_control = np.zeros(adata.n_obs, dtype=bool)
    if fitted.split.control == fitted.source:
        # Training has seen these source cells, but not what becomes of their group.
        known_control = is_source & fitted.split.is_known_control(adata, fitted.groupby, is_test)
    trained_on = fitted.split.is_trained_on(adata)
    if trained_on is not None:
        candidates = scored & is_test & (is_source | is_target) & ~known_control
        _warn_of_training_cells(fitted, candidates & trained_on)
        is_test &= ~trained_on
    truth = scored & is_target & is_test
    # Of what was taken out of adata after the fit it cannot be said that the fit had not seen it.
    is_told = fitted.dose is not None or fitted.split.has_all_training_cells(adata)
    if is_told and not (is_target & is_train).any():
        # The same holds of all source cells where a condition is left out, if none is for testing.
        own = is_source & is_test & ~known_control
        source_test = own if own.any() else is_source & (is_train | is_test | known_control)
        learned = _learned_instead(adata, fitted, is_train)
        return _Masks(is_train, source_test, learned & is_train, truth, None)
    return _Masks(
        is_train & ~known_control,
        is_test | known_control,
        is_target & is_train & ~known_control,
        truth,
        None if fitted.split.holdout else scored & is_target & is_train,
    )


def _learned_instead(
    adata: AnnData, fitted: WrittenMap, is_train: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Cells that stand for a target of which training has none: (n_obs,) bool.

    Those of its other doses, or those of all other perturbations.
    """
    at_any_dose = fitted.is_target_at_any_dose(adata)
    if (at_any_dose & is_train).any():
        return at_any_dose
    return ~fitted.is_source(adata) & (checks.labels(adata, fitted.groupby) != "")


def _warn_of_training_cells(fitted: WrittenMap, trained: NDArray[np.bool_]) -> None:
    """Say that cells are for testing by their column which the map was fitted on."""
    if trained.any():
        warn(
            f"{int(trained.sum())} cells with {Key.obs.test!r} in obs[{fitted.split_key!r}] are "
            f"training cells of the map {fitted.key!r}: it was adapted with them, or the split was "
            "drawn anew after the fit. They are left out of the scores."
        )


def mask_of(adata: AnnData, cell_mask: ArrayLike | None) -> NDArray[np.bool_]:
    """Which cells may be scored, (n_obs,).

    Raises
    ------
    ValueError
        If it is not one bool a cell, or a Series that lacks a cell.
    """
    if cell_mask is None:
        return np.ones(adata.n_obs, dtype=bool)
    if isinstance(cell_mask, pd.Series):
        return _mask_by_name(adata, cell_mask)
    mask = np.asarray(cell_mask)
    if mask.dtype != bool or mask.shape != (adata.n_obs,) or np.ma.is_masked(cell_mask):
        raise ValueError(
            f"cell_mask has dtype {mask.dtype} and shape {mask.shape}; "
            f"it needs one bool a cell, shape ({adata.n_obs},)."
        )
    return mask


def _mask_by_name(adata: AnnData, mask: pd.Series) -> NDArray[np.bool_]:
    """A mask whose cells are found by their names, in whatever order and company."""
    names = adata.obs_names
    if not mask.index.equals(names):
        if not (mask.index.is_unique and names.is_unique):
            raise ValueError(
                "cell_mask is a Series in another order than the cells, and a name is there twice, "
                "so its cells cannot be told; call adata.obs_names_make_unique()."
            )
        if len(missing := names.difference(mask.index, sort=False)):
            raise ValueError(
                f"cell_mask has no entry for {len(missing)} of {len(names)} cells, {missing[0]!r} "
                "among them; index it by adata.obs_names, or pass an array in their order."
            )
        mask = mask.loc[names]
    values = mask.to_numpy(dtype=object)
    if not all(isinstance(value, bool | np.bool_) for value in values):
        raise ValueError(
            f"cell_mask has dtype {mask.dtype} and {int(mask.isna().sum())} missing values; it "
            "needs True or False for each cell."
        )
    return values.astype(bool)


def _transported(adata: AnnData, maps: Sequence[WrittenMap]) -> NDArray[np.bool_]:
    """Which cells every map has a prediction of."""
    transported = np.ones(adata.n_obs, dtype=bool)
    for fitted in maps:
        first = adata[:, :1].layers[Key.layers.predicted(fitted.key)]
        first = first.compute() if hasattr(first, "compute") else first
        values = first.toarray() if hasattr(first, "toarray") else first
        transported &= np.isfinite(np.asarray(values)[:, 0])
    return transported


def _columns(adata: AnnData, features: Sequence[str]) -> Rows:
    positions = adata.var_names.get_indexer_for(pd.Index(features))
    if len(positions) == 0 or (positions < 0).any():
        missing = [name for name in features if name not in adata.var_names]
        cause = f"{missing[0]!r} is not in adata.var_names" if missing else "the list is empty"
        raise KeyError(f"Genes to be scored need to be names of adata.var_names; {cause}.")
    return positions


def expression(adata: AnnData, layer: str | None, rows: Rows, columns: Rows) -> Cells:
    """Expression (n, d) of a few cells and columns; rows of a matrix on disk are read alone."""
    size = chunk_rows(adata.n_vars)
    blocks = [
        dense(expression_of(adata, layer, chunk)[:, columns]) for chunk in row_chunks(rows, size)
    ]
    return np.concatenate([np.empty((0, len(columns))), *blocks])
