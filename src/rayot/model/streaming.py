"""Predictions block by block, and into a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from rayot.data.files import check_new_file, unchanged, whole_file
from rayot.data.keys import Key
from rayot.data.matrix import chunk_rows, row_chunks
from rayot.data.writing import open_cells, open_writer
from rayot.model.prediction import Columns, Prediction, predicted_obs

if TYPE_CHECKING:
    from rayot.model.base import TransportModel

BLOCK_ROWS = 1024
"""Cells that are predicted at once: with larger matrices memory is split by what stays of each
block, and grows; with smaller ones prediction is slower."""


def predictions(
    model: TransportModel,
    adata: AnnData,
    rows: np.ndarray,
    write_genes: bool,
    write_representation: bool,
    clip: bool | str,
) -> Iterator[Prediction]:
    """Predict successive blocks of cells, each as large as memory for its matrices allows.

    Parameters
    ----------
    model
        A trained model.
    adata, rows, write_genes, write_representation, clip
        As in :meth:`rayot.model.base.TransportModel.transport`.
    """
    model._check_trained("Train the model before it predicts.")
    widest = max(len(model.data.var_names), model.representation.n_features)
    size = min(BLOCK_ROWS, chunk_rows(widest * len(model.problems)))
    for chunk in row_chunks(rows, size):
        start, moves, decoder = model.move(adata, chunk, clip)
        moved = start + moves.mean.numpy()
        found: dict[str, Any] = {}
        if model.training_distance is not None:
            found["distance"] = model.training_distance(start)
        if moves.spread is not None:
            found["spread"] = moves.spread.numpy()
        several = len(moves.maps) > 1
        if several:
            found["step_sd"] = moves.maps.norm(dim=2).std(0).numpy()
        if write_genes and decoder is not None:
            genes, found["n_clipped"] = decoder.genes(moves.in_terms("mean"))
            found["genes"] = sparse.csr_matrix(genes) if decoder.is_sparse else genes
            if several and model.spread_of_genes:
                spread = decoder.spread(moves)
                found["genes_sd"] = sparse.csr_matrix(spread) if decoder.is_sparse else spread
        yield Prediction(
            representation=moved if write_representation else None,
            step=moves.mean.norm(dim=1).numpy(),
            potential=None if moves.potential is None else moves.potential.numpy(),
            combined=moves.combined,
            **found,
        )


def check_target(
    model: TransportModel,
    adata: AnnData,
    path: str | Path,
    overwrite: bool,
    write_genes: bool,
    n_cells: int,
) -> Path:
    """Raise if so many predictions cannot be written there.

    See :func:`rayot.data.files.check_new_file`.
    """
    width = 0
    if write_genes and model.representation.has_decoder:
        # Of calibrated genes most may be zero, which take no room.
        if not model._calibrations_by_term:
            spread = model.spread_of_genes and len(model.problems) > 1
            width += len(model.data.var_names) * (2 if spread else 1)
    if model.representation.name is not None:
        width += model.representation.n_features
    return check_new_file(path, overwrite, 4 * width * n_cells, adata)


def predict_to_file(
    models: Mapping[str, TransportModel],
    adata: AnnData,
    rows: np.ndarray,
    path: Path,
    write_genes: bool,
    clip: bool | str,
    key: str,
    *,
    several: bool,
    labelled: bool = False,
    overwrite: bool = False,
) -> AnnData:
    """Write predictions of some cells by each model, whole or not at all, and open the file.

    Parameters
    ----------
    models
        Trained models of one screen by perturbation, or a single one by any name. They may be made
        as they are asked for.
    adata, rows
        Cells to predict.
    path
        The new file, checked by :func:`check_target`.
    write_genes, clip, key
        As in :meth:`rayot.model.W1OT.predict`.
    several
        Whether any model has several maps, whose spread is written; it is NaN where there is one.
    labelled
        Whether the column of the conditions, and the names of cells, say by which model.
    overwrite
        Whether predictions of that name may be replaced.
    """
    names = list(models)
    first = models[names[0]]
    with_genes = write_genes and first.representation.has_decoder
    var = pd.DataFrame(index=pd.Index(first.data.var_names)) if with_genes else None
    obs = predicted_obs(adata, rows, key, first.data.groupby, first.target_key)
    if labelled:
        obs = by_perturbation(obs, names, first.data.groupby)
    columns = Columns(len(obs))
    with (
        whole_file(path, overwrite) as partial,
        unchanged(adata),
        open_writer(partial, obs, var) as writer,
    ):
        # On genes the representation would be the same matrix again.
        represented = first.representation.name is not None
        for name in names:
            model = models[name]
            for part in predictions(model, adata, rows, write_genes, represented, clip):
                if several:
                    part = part.with_spread()
                for entry, block in (
                    ("X", part.genes),
                    (f"layers/{Key.layers.spread(key)}", part.genes_sd),
                    (f"obsm/{Key.obsm.predicted(key)}", part.representation),
                ):
                    if block is not None:
                        writer.append(entry, block)
                columns.append(part)
        prediction = columns.prediction()
        uns = first._result(adata, rows, prediction, key) if not labelled else {}
        writer.finish(prediction.obs(key), uns)
    return open_cells(path)


def by_perturbation(obs: pd.DataFrame, names: Sequence[str], groupby: str | None) -> pd.DataFrame:
    """The cells once for each perturbation, which ``obs[groupby]`` then names as predicted."""
    assert groupby is not None
    repeated = pd.concat([obs] * len(names))
    which, labels = np.repeat(names, len(obs)), list(map(Key.obs.predicted, names))
    repeated[groupby] = pd.Categorical(np.repeat(labels, len(obs)), categories=labels)
    repeated.index = [f"{cell}-{name}" for cell, name in zip(repeated.index, which, strict=True)]
    return repeated
