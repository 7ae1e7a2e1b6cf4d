"""The getter ``get.predicted``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData

from rayot._docs import shared
from rayot._public import public
from rayot.data import checks
from rayot.data.fitted import FittedMap
from rayot.data.keys import Key
from rayot.data.modality import modality_of

if TYPE_CHECKING:
    from mudata import MuData


@public()
@shared
def predicted(
    adata: AnnData | MuData, key: str = "w1ot", *, modality: str | None = None
) -> AnnData:
    """The predicted cells as a plain AnnData, ready for scanpy.

    Parameters
    ----------
    {adata}
    key
        Name under which a map was written.
    {modality}

    Returns
    -------
    One row for each transported cell: ``X`` predicted expression, float32 (no ``X`` where the
    representation has no decoder), ``obs`` and ``var`` as in ``adata``, ``obsm["X_" + key]`` the
    predicted representation, ``uns[key]``. The column of the conditions, ``uns[key]["groupby"]``,
    says ``"predicted <target>"``, so that beside observed cells they are a group of their own.

    Raises
    ------
    KeyError
        If no map was written under ``key``; names those that were.
    ValueError
        If none of these cells was transported.

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.moons(n_samples=100)
    >>> model = rt.tl.w1ot(
    ...     adata, "control", "perturbed", preset="fast", max_steps=5, show_progress_bar=False
    ... )
    >>> rt.get.predicted(adata).shape
    (100, 2)
    >>> rt.get.predicted(adata).obs["perturbation"].cat.categories.tolist()
    ['predicted perturbed']
    """
    cells = modality_of(adata, modality)
    fitted = FittedMap.read(cells, key)
    rows = np.flatnonzero(np.isfinite(checks.numbers(cells, Key.obs.step(key))))
    if not len(rows):
        raise ValueError(f"The map {key!r} has transported none of these cells.")
    layer, representation = Key.layers.predicted(key), Key.obsm.predicted(key)
    decoded = layer in cells.layers
    obs = checks.table_of(cells).iloc[rows].copy()
    obs[fitted.groupby] = pd.Categorical([Key.obs.predicted(fitted.target)] * len(obs))
    result = AnnData(
        X=cells.layers[layer][rows] if decoded else None,
        obs=obs,
        var=cells.var.copy() if decoded else None,
    )
    if representation in cells.obsm:
        result.obsm[representation] = cells.obsm[representation][rows]
    result.uns[key] = cells.uns[key]
    return result
