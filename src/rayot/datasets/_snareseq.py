"""Expression and chromatin of the same cells."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import anndata as ad
import mudata
import numpy as np
import pandas as pd

from rayot.data.keys import Key
from rayot.datasets._download import fetch
from rayot.datasets._registry import registry


def snareseq() -> mudata.MuData:
    """Expression and open chromatin of the same cells of four lines (SNARE-seq, Chen et al. 2019).

    The pairing of the cells is known, so a translation between the modalities can be scored.
    Nothing was perturbed.

    Returns
    -------
    MuData of 1,047 cells with the modalities

    - "rna": ``X`` dense float32, 10 principal components;
    - "atac": ``X`` dense float32, 19 cisTopic topics with rows of unit length;
      ``layers["topic_counts"]``: the values of the source;

    each with ``obs["cell_type"]`` (BJ, GM, H1, K562), ``uns["source"]`` and
    ``uns["x_description"]``.

    Raises
    ------
    OSError
        If a file is not cached and cannot be downloaded.
    ValueError
        If a downloaded file does not have the expected hash.

    References
    ----------
    Chen S, Lake BB, Zhang K. Nat Biotechnol 37:1452-1457 (2019); files of Demetci P et al., SCOT.

    Examples
    --------
    >>> import rayot as rt
    >>> rt.datasets.snareseq().shape  # doctest: +SKIP
    (1047, 29)
    """
    entry = registry()["snareseq"]
    paths = fetch(entry)
    components = np.load(paths["scot_SNAREseq_rna_feat.npy"], allow_pickle=False)
    topics = np.load(paths["scot_SNAREseq_atac_feat.npy"], allow_pickle=False)
    about = pd.read_csv(paths["scot_SNAREseq_metadata.txt"], sep="\t")
    obs = pd.DataFrame({Key.obs.cell_type: about["CellType"].to_numpy()}, index=about["Barcode"])
    obs.index.name = None
    rna = ad.AnnData(components, obs=obs, var=_numbered("PC", components.shape[1]))
    atac = ad.AnnData(
        topics / np.linalg.norm(topics, axis=1, keepdims=True),
        obs=obs,
        var=_numbered("topic", topics.shape[1]),
        layers={"topic_counts": topics},
    )
    with as_it_was(), columns_stay():
        both = mudata.MuData({"rna": entry.sign(rna, "rna"), "atac": entry.sign(atac, "atac")})
        both.obs[Key.obs.cell_type] = rna.obs[Key.obs.cell_type]
    return both


def columns_stay() -> AbstractContextManager[object]:
    """No column moves from a modality to all of them; mudata before 0.4 has to be told."""
    set_options = getattr(mudata, "set_options", None)
    return nullcontext() if set_options is None else set_options(pull_on_update=False)


@contextmanager
def as_it_was() -> Iterator[None]:
    """Give Python's random numbers and the root logger back as they were.

    mudata draws names of columns by the former, and its messages set the latter up.
    """
    state, handlers = random.getstate(), list(logging.root.handlers)
    try:
        yield
    finally:
        random.setstate(state)
        for handler in set(logging.root.handlers) - set(handlers):
            logging.root.removeHandler(handler)


def _numbered(stem: str, n: int) -> pd.DataFrame:
    return pd.DataFrame(index=[f"{stem}{i + 1}" for i in range(n)])
