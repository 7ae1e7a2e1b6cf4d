"""Sum of the shifts of a combination's parts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rayot._docs import shared
from rayot.model.profiles import ProfileMethod
from rayot.solvers.profiles import PredictedShift, additive_shift


@shared
class Additive(ProfileMethod):
    """A combination as the sum of the mean shifts of its parts.

    A baseline without training: control + A + B, hard to beat on double perturbations
    (Ahlmann-Eltze, Huber & Anders 2025). Names of parts are joined by ``+``.

    Parameters
    ----------
    {method}

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.simulated_screen(n_perturbations=4, n_genes=30)
    >>> names = ["control", "A", "B", "A+B", "B+C"]
    >>> adata.obs["perturbation"] = adata.obs["perturbation"].cat.rename_categories(names)
    >>> data = rt.model.Additive.setup_anndata(adata)
    >>> model = rt.model.Additive(adata, data, "control", "A+B")
    >>> model.train()
    >>> model.predict(adata[:5]).shape
    (5, 30)
    """

    def _predicted_shift(
        self,
        target: str,
        shifts: Mapping[str, np.ndarray],
        vectors: Mapping[str, np.ndarray],
        control: np.ndarray,
    ) -> PredictedShift:
        """Sum over the parts."""
        return PredictedShift(additive_shift(target, shifts))
