"""Shift of the most similar other perturbation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rayot._docs import shared
from rayot.model.profiles import ProfileMethod
from rayot.solvers.profiles import PredictedShift, nearest_shift


@shared
class Nearest(ProfileMethod):
    """A perturbation as the most similar other one.

    A baseline without training: how much of a response is its own. Similarity is the cosine of the
    vectors in ``uns[embedding_key]``, or of the parts that names join by ``+``.

    Parameters
    ----------
    {method}

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.simulated_screen(n_perturbations=4, n_genes=30)
    >>> names = ["control", "A", "B", "A+B", "B+C"]
    >>> adata.obs["perturbation"] = adata.obs["perturbation"].cat.rename_categories(names)
    >>> data = rt.model.Nearest.setup_anndata(adata)
    >>> model = rt.model.Nearest(adata, data, "control", "A+B")
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
        """Shift of the nearest."""
        return PredictedShift(nearest_shift(target, shifts, vectors))
