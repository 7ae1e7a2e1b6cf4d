"""Predictions into a file, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from rayot.data.files import unchanged, whole_file
from rayot.data.keys import Key
from rayot.data.writing import open_cells, open_writer
from rayot.model.prediction import Columns, Prediction


def write_predictions(
    path: Path,
    adata: AnnData,
    parts: Iterable[Prediction],
    obs: pd.DataFrame,
    var: pd.DataFrame | None,
    key: str,
    *,
    uns_of: Callable[[Prediction], dict[str, Any]] = lambda prediction: {},
    overwrite: bool = False,
) -> AnnData:
    """Write predictions of successive cells, whole or not at all, and open the file.

    Parameters
    ----------
    path
        The new file, which may be written.
    adata
        The cells, whose file must not change meanwhile.
    parts
        Predictions of blocks of the cells, made as they are asked for.
    obs
        Of all cells, see :func:`rayot.model.prediction.predicted_obs`.
    var
        Table of the genes that are predicted; None where none are.
    key
        Name of the map.
    uns_of
        What ``uns`` says of all predictions, which have no matrices then.
    overwrite
        Whether predictions of that name may be replaced.
    """
    columns = Columns(len(obs))
    with (
        whole_file(path, overwrite) as partial,
        unchanged(adata),
        open_writer(partial, obs, var) as writer,
    ):
        for part in parts:
            for entry, block in (
                ("X", part.genes),
                (f"layers/{Key.layers.spread(key)}", part.genes_sd),
                (f"obsm/{Key.obsm.predicted(key)}", part.representation),
            ):
                if block is not None:
                    writer.append(entry, block)
            columns.append(part)
        prediction = columns.prediction()
        writer.finish(prediction.obs(key), uns_of(prediction))
    return open_cells(path)


def by_perturbation(obs: pd.DataFrame, names: Sequence[str], groupby: str) -> pd.DataFrame:
    """The cells once for each perturbation, which ``obs[groupby]`` then names as predicted."""
    repeated = pd.concat([obs] * len(names))
    which, labels = np.repeat(names, len(obs)), list(map(Key.obs.predicted, names))
    repeated[groupby] = pd.Categorical(np.repeat(labels, len(obs)), categories=labels)
    repeated.index = [f"{cell}-{name}" for cell, name in zip(repeated.index, which, strict=True)]
    return repeated
