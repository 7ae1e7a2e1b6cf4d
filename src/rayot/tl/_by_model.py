"""A fitted model in the place of what it would have written to an AnnData."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rayot.data.fitted import WrittenMap
from rayot.data.matrix import dense

if TYPE_CHECKING:
    from anndata import AnnData

    from rayot.model.fitted_map import FittedMap


def map_of(adata: AnnData, model: FittedMap) -> WrittenMap:
    """A fitted model, named as if it had been written to ``adata``.

    Raises
    ------
    KeyError, ValueError
        If ``adata`` has no such conditions.
    """
    assert model.data.groupby is not None
    fitted = WrittenMap(
        key=model.method,
        source=model.source_key,
        target=model.predicted_condition,
        groupby=model.data.groupby,
        use_rep=model.data.use_rep,
        layer=model.data.layer,
        split=model.split,
        scale=model.data.scale,
        dose_key=model.data.dose_key,
        dose=model.dose,
    )
    fitted.check(adata)
    return fitted


def predicted_by(
    model: FittedMap,
    adata: AnnData,
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    missing_genes: Literal["error", "zero", "mean"] = "error",
) -> NDArray[np.float64]:
    """Expression (n, d) of some genes, as a model predicts it for a few cells.

    Raises
    ------
    KeyError
        If the model does not know a gene, or has no way to genes.
    """
    wanted = adata.var_names[columns]
    positions = pd.Index(model.data.var_names).get_indexer(wanted)
    if (positions < 0).any():
        raise KeyError(f"The model was not fitted on the gene {wanted[positions < 0][0]!r}.")
    genes = model.transport(
        adata, rows, write_representation=False, missing_genes=missing_genes
    ).genes
    if genes is None:
        raise KeyError(
            f"The model works in obsm[{model.data.use_rep!r}], which has no way back to genes, so "
            "its predictions cannot be scored in genes."
        )
    return dense(genes[:, positions]).astype(np.float64)
