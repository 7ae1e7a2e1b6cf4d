"""How far predictions are from what each cell would have become, where a simulation knows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rayot.data.keys import Key
from rayot.model.scored_cells import expression, read_held_out, read_maps

if TYPE_CHECKING:
    from anndata import AnnData


def counterfactual_distance(
    adata: AnnData, key: str | Sequence[str], *, n_top_genes: int = 50
) -> pd.DataFrame:
    """Mean Euclidean distance from predicted cells to their own counterfactuals.

    Scores of populations do not see cells that are exchanged with each other; this one does. All
    test cells of the source are used, on the genes of :func:`rayot.tl.evaluate`.

    Parameters
    ----------
    adata
        Cells with the fitted maps and ``layers["counterfactual"]``. It is not changed.
    key
        Name of a fitted map, or of several between the same conditions with the same split.
    n_top_genes
        How many genes to compare cells on.

    Returns
    -------
    One row a method: each key, ``identity``, ``mean shift`` and, with
    ``layers["second_counterfactual"]``, ``another draw``: what is left when all but chance is
    known. Columns ``distance``, and ``of identity``, the same as a share of that of doing nothing.

    Raises
    ------
    KeyError
        If a map was not fitted, or there is no counterfactual.
    ValueError
        If several maps do not compare, or fewer than two cells of a kind are there.

    Examples
    --------
    >>> import anndata as ad, numpy as np
    >>> from rayot.tl._counterfactual import counterfactual_distance
    >>> adata = ad.AnnData(np.random.default_rng(0).gamma(2, size=(80, 5)))
    >>> adata.obs["perturbation"] = np.repeat(["control", "drug"], 40)
    >>> adata.obs["split"] = np.tile(["train", "test"], 40)
    >>> adata.layers["counterfactual"] = adata.X + 3
    >>> adata.layers["w1ot"] = adata.X + 2
    >>> adata.uns["w1ot"] = dict(
    ...     source="control", target="drug", groupby="perturbation", split_key="split"
    ... )
    >>> counterfactual_distance(adata, "w1ot").loc["w1ot", "of identity"].round(3)
    np.float64(0.333)
    """
    if Key.layers.counterfactual not in adata.layers:
        raise KeyError(
            f"adata.layers has no {Key.layers.counterfactual!r}; only simulated cells have one."
        )
    cells = read_held_out(adata, read_maps(adata, key), n_top_genes=n_top_genes)
    columns = adata.var_names.get_indexer(cells.features)
    own = expression(adata, Key.layers.counterfactual, cells.rows, columns)
    methods = {
        name: values for name, values in cells.methods().items() if name != Key.table.observed
    }
    if Key.layers.second_counterfactual in adata.layers:
        methods[Key.table.another_draw] = expression(
            adata, Key.layers.second_counterfactual, cells.rows, columns
        )
    table = pd.DataFrame(
        {
            Key.table.distance: {
                name: np.linalg.norm(values - own, axis=1).mean()
                for name, values in methods.items()
            }
        }
    )
    identity = table.loc[Key.table.identity, Key.table.distance]
    table[Key.table.of_identity] = table[Key.table.distance] / identity
    table.index.name = Key.table.method
    return table
