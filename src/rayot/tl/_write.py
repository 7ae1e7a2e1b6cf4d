"""Writing what a fitted model says into an AnnData, all at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix

import rayot
from rayot._public import warn
from rayot.data import checks
from rayot.data.fitted import is_result, is_translation
from rayot.data.keys import Key
from rayot.data.matrix import dense, row_chunks
from rayot.data.split import Split

if TYPE_CHECKING:
    from rayot.model.method import Method


def write_result(
    adata: AnnData,
    model: Method,
    key: str,
    *,
    write_genes: bool,
    clip: bool | str,
    copy: bool,
    check: Callable[[], None],
) -> None:
    """Transport every source cell and write the key family; nothing is written if that fails.

    Parameters
    ----------
    adata
        The object the model was fitted on.
    model
        A trained model.
    key
        Name of the key family.
    write_genes, clip
        As in :meth:`rayot.model.W1OT.predict`.
    copy
        Whether to write to a copy, which becomes ``model.adata``.
    check
        Raises an error if nothing may be written after all.
    """
    rows = model.data.rows(adata, model.source_key)
    planar = model.module.centre.shape[-1] == 2
    prediction = model.transport(
        adata,
        rows,
        write_genes=write_genes,
        write_representation=planar or model.representation.name is not None,
        clip=clip,
    )
    result: dict[str, Any] = {
        Key.result.source: model.source_key,
        Key.result.target: model.target_key,
        Key.result.groupby: model.data.groupby,
        Key.result.method: model.method,
        Key.result.params: plain(model.parameters()),
        Key.result.version: rayot.__version__,
        Key.result.seed: model.seed,
        Key.result.history: curves(model.history),
        Key.result.diagnostics: dict(model.diagnostics),
        Key.result.share_clipped: prediction.share_clipped,
        Key.result.scale: model.data.scale,
        Key.result.split: _kept(model.split),
    }
    places = {
        Key.result.layer: model.data.layer,
        Key.result.use_rep: model.data.use_rep,
        Key.result.split_key: model.data.split_key,
        Key.result.dose_key: model.data.dose_key,
        Key.result.dose: model.dose,
    }
    result |= {name: value for name, value in places.items() if value is not None}
    if model.predictive_sd is not None:
        result[Key.result.predictive_sd] = model.predictive_sd
    if planar:
        assert prediction.representation is not None
        corners = _corners(adata, model, prediction.representation)
        grid = model._potential_grid(corners)
        if grid is not None:
            result[Key.result.potential_grid] = grid
    members = model.problems.n_seeds > 1 and model.spread_of_genes
    if prediction.genes is not None and members:
        result[Key.result.member_means] = _member_means(adata, model, rows, clip)
    n_obs = adata.n_obs
    obs = {name: _scatter(values, rows, n_obs) for name, values in prediction.obs(key).items()}
    weights = model._matched_mass(adata)
    if weights is not None:
        obs[Key.obs.weight(key)] = weights
    moved = None
    if model.representation.name is not None:
        assert prediction.representation is not None
        moved = _scatter(prediction.representation, rows, n_obs)
    layers = {
        name: _scatter(values, rows, n_obs)
        for name, values in (
            (Key.layers.predicted(key), prediction.genes),
            (Key.layers.spread(key), prediction.genes_sd),
        )
        if values is not None
    }
    if model.problems.strata:
        result[Key.result.strata] = model.strata_summary(prediction.combined)
    new = model.new_strata(adata, rows, prediction)
    if len(new.get("names", ())):
        result[Key.result.unseen_strata] = new
        if model.experts is not None:
            result[Key.result.experts] = model.experts.columns()
    check()
    if copy:
        adata = adata.to_memory() if adata.isbacked else adata.copy()
        model._adata = adata
    elif adata.is_view:
        # Assigning to a view would copy it with a warning; scanpy's verbs copy it silently.
        adata._init_as_actual(adata.copy())
    forget(adata, key)
    for name, values in obs.items():
        adata.obs[name] = values
    if moved is not None:
        adata.obsm[Key.obsm.predicted(key)] = moved
    for name, values in layers.items():
        adata.layers[name] = values
    adata.uns[Key.uns.result(key)] = result


def _kept(split: Split) -> dict[str, Any]:
    """What a map keeps of its split, as plain values."""
    return plain(
        {
            Key.split.holdout: split.holdout,
            Key.split.control: split.control,
            Key.split.hash: split.hash,
            Key.split.training_cells: split.training_cells,
        }
    )


def curves(history: dict[str, pd.DataFrame]) -> dict[str, dict[str, np.ndarray]]:
    """Training curves as plain arrays."""
    return {
        phase: {"step": table.index.to_numpy(), **{n: table[n].to_numpy() for n in table}}
        for phase, table in history.items()
    }


def forget(adata: AnnData, key: str) -> None:
    """Remove what an earlier fit of this name wrote, of which a new one may write only a part."""
    if not _is_ours(adata.uns.get(Key.uns.result(key))):
        return
    columns = Key.obs.of_map(key)
    # Lazy columns cannot be deleted one by one, and their .columns have no order.
    adata.obs = adata.obs[[name for name in adata.obs if name not in columns]]
    for slot, names in (
        (adata.obsm, (Key.obsm.predicted(key),)),
        (adata.layers, (Key.layers.predicted(key), Key.layers.spread(key))),
    ):
        for name in names:
            if name in slot:
                del slot[name]


def asked_copy(copy: bool | None) -> bool:
    """Whether a verb writes to a copy; whoever says so is told of what does the same."""
    if copy is None:
        return False
    warn(
        "copy= will be removed in the next release; fit adata.copy(), or adata.to_memory() of "
        "cells on disk, which does the same.",
        FutureWarning,
    )
    return copy


def _is_ours(value: Any) -> bool:  # noqa: ANN401
    return is_result(value) or is_translation(value)


def check_key(adata: AnnData, key: str, copy: bool) -> None:
    """Raise a ValueError if results cannot be written under this name.

    An earlier result of the same name is replaced; anything else that has it is kept.
    """
    if not copy:
        checks.writable(adata)
    if _is_ours(adata.uns.get(Key.uns.result(key))):
        return
    taken = [
        f"{slot}[{name!r}]"
        for slot, name, held in (
            ("uns", Key.uns.result(key), adata.uns),
            *(("obs", name, adata.obs.columns) for name in Key.obs.of_map(key)),
            ("layers", Key.layers.predicted(key), adata.layers),
            ("layers", Key.layers.spread(key), adata.layers),
            ("obsm", Key.obsm.predicted(key), adata.obsm),
        )
        if name in held
    ]
    if taken:
        raise ValueError(
            f"key_added={key!r} would overwrite {', '.join(taken)}, which is no result of a map; "
            "choose another name."
        )


def _member_means(
    adata: AnnData, model: Method, rows: np.ndarray, clip: bool | str
) -> dict[str, np.ndarray]:
    """What members predict for held-out source cells, or for all where none were held out."""
    split_key = model.data.split_key
    if split_key is not None:
        is_test = checks.labels(adata, split_key) == Key.obs.test
        rows = rows[is_test[rows]] if is_test[rows].any() else rows
    types = np.full(len(rows), "", dtype=object)
    if Key.obs.cell_type in adata.obs.columns:
        types = checks.labels(adata, Key.obs.cell_type, rows)
    names, groups, sizes = np.unique(types.astype(str), return_inverse=True, return_counts=True)
    return {
        Key.member_means.values: model._member_means(adata, rows, groups, clip),
        Key.member_means.genes: np.asarray(model.data.var_names, dtype=str),
        Key.member_means.groups: names,
        Key.member_means.n_cells: sizes,
    }


def _scatter(values: np.ndarray | csr_matrix, rows: np.ndarray, n_obs: int) -> np.ndarray:
    """Values of some rows among all, the others NaN: dense, as a NaN is not sparse."""
    full = np.full((n_obs, *values.shape[1:]), np.nan, dtype=np.float32)
    full[rows] = dense(values)
    return full


def _corners(adata: AnnData, model: Method, predicted: np.ndarray) -> np.ndarray:
    """Lowest and highest coordinates of all cells, (2, 2)."""
    rows = np.concatenate(
        [model.data.rows(adata, name) for name in (model.source_key, model.target_key)]
    )
    blocks = [predicted, *(dense(model._encode(adata, chunk)[0]) for chunk in row_chunks(rows))]
    low = np.min([block.min(0) for block in blocks], axis=0)
    high = np.max([block.max(0) for block in blocks], axis=0)
    return np.stack([low, high])


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """Values that every version of AnnData can write: tuples become arrays, None is left out."""
    return {
        name: _array(value) if isinstance(value, tuple) else value
        for name, value in values.items()
        if value is not None
    }


def _array(values: tuple[Any, ...]) -> np.ndarray:
    """Values as an array, of texts where there are none."""
    return np.asarray(values) if values else np.zeros(0, dtype=str)
