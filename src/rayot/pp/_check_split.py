"""The check ``pp.check_split``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from rayot._docs import shared
from rayot._public import public, warn
from rayot.data import checks
from rayot.data.keys import Key
from rayot.data.leaks import Finding, leaks
from rayot.data.modality import modality_of
from rayot.data.split import is_split

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@public()
@shared
def check_split(
    adata: AnnData | MuData,
    split_key: str = Key.obs.split,
    *,
    layer: str | None = None,
    modality: str | None = None,
) -> pd.DataFrame:
    """Look for test cells that took part in what was done before the fit.

    What scanpy leaves in ``adata`` fits the cells that it was computed from, and no others: the
    means of ``highly_variable_genes``, mean 0 and variance 1 of ``scale``, and the components V of
    ``pca``, which are eigenvectors of these cells' covariance, C V = V Λ. Each is compared with all
    cells and with training cells alone. Autoencoders and other embeddings cannot be told so.

    Parameters
    ----------
    adata
        Cells; they are read twice, block by block, and not changed.
    split_key
        Column of ``obs`` with "train" and "test".
    layer
        Layer of ``adata`` that genes and components were computed from; None takes ``X``.
    {modality}

    Returns
    -------
    One row a check: ``"labels"``, ``"genes"``, ``"scaling"``, ``"components"``, and ``"controls"``,
    whether control cells of what is held out are for training. ``status`` is ``"leak"``,
    ``"clean"``, ``"unknown"`` or, of what may be as it is wanted, ``"told"``; ``reason`` is a
    sentence. A leak is said by a warning, too.

    Raises
    ------
    KeyError
        If a column is missing.
    ValueError
        If no cell is for training or none for testing; says which labels there are.

    See Also
    --------
    split, folds : splits by which nothing can leak that is computed after them on training cells.

    Examples
    --------
    >>> import rayot as rt, scanpy as sc
    >>> adata = rt.datasets.simulated(n_cells=200, n_genes=60)
    >>> rt.pp.split(adata)
    >>> training = adata[adata.obs["split"] == "train"].copy()
    >>> sc.pp.pca(training, n_comps=10)
    >>> adata.varm["PCs"] = training.varm["PCs"]
    >>> rt.pp.check_split(adata).loc["components", "status"]
    'clean'
    """
    cells = modality_of(adata, modality)
    found = [_labels(cells, split_key), *leaks(cells, split_key, layer)]
    found.append(_controls(cells, split_key))
    for finding in found:
        if finding.status == "leak":
            warn(f"obs[{split_key!r}] leaks: {finding.reason} Compute them on training cells.")
    return pd.DataFrame(
        {"status": [each.status for each in found], "reason": [each.reason for each in found]},
        index=pd.Index([each.check for each in found], name="check"),
    )


def _labels(adata: AnnData, split_key: str) -> Finding:
    labels = pd.Series(checks.labels(adata, split_key)).value_counts()
    counts = {side: int(labels.get(side, 0)) for side in (Key.obs.train, Key.obs.test)}
    shown = ", ".join(f"{n} {name!r}" for name, n in labels.items())
    if min(counts.values()) == 0:
        raise ValueError(
            f"obs[{split_key!r}] must have cells with {Key.obs.train!r} and with "
            f"{Key.obs.test!r}, found {shown}."
        )
    if not adata.obs_names.is_unique:
        return Finding("labels", "unknown", "Names of cells are there twice, so no split is known.")
    others = adata.n_obs - sum(counts.values())
    reason = f"Cells: {shown}."
    return Finding("labels", "told" if others else "clean", reason)


def _controls(adata: AnnData, split_key: str) -> Finding:
    """Whether control cells of the groups that are held out are for training."""
    told = adata.uns.get(split_key)
    if not is_split(told) or not told[Key.split.holdout]:
        return Finding("controls", "unknown", "No group is known to be held out.")
    control = told.get(Key.split.control)
    if control is None:
        return Finding("controls", "clean", "No cell of what is held out is for training.")
    return Finding(
        "controls",
        "told",
        f"Cells of {str(control)!r} of what is held out are for training, as the split was asked "
        "for.",
    )
