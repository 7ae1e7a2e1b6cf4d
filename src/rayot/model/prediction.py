"""What a map says of cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from rayot.data.keys import Key


@dataclass(frozen=True)
class Prediction:
    """Predicted cells as arrays.

    Attributes
    ----------
    genes
        (n, genes) float32 predicted expression; None where the representation has no decoder or
        genes were not asked for.
    representation
        (n, d) float32, T(x) in the space of the map.
    step
        (n,) float32, ‖T(x) − x‖ there.
    potential
        (n,) float32, f(x) of the first ray.
    share_clipped
        Share of the predicted values that were negative and set to zero.
    """

    genes: np.ndarray | None
    representation: np.ndarray
    step: np.ndarray
    potential: np.ndarray
    share_clipped: float

    def to_anndata(
        self, adata: AnnData, rows: np.ndarray, var_names: tuple[str, ...], key: str
    ) -> AnnData:
        """The predicted cells as a plain AnnData, with ``obs`` of the cells they came from."""
        predicted = AnnData(
            X=self.genes,
            obs=adata.obs.iloc[rows].copy(),
            var=pd.DataFrame(index=pd.Index(var_names)) if self.genes is not None else None,
        )
        predicted.obsm[Key.obsm.predicted(key)] = self.representation
        predicted.obs[Key.obs.step(key)] = self.step
        predicted.obs[Key.obs.potential(key)] = self.potential
        return predicted
