"""Ridge regression from perturbations to their profiles."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rayot._docs import shared
from rayot.model.profiles import ProfileMethod
from rayot.solvers.profiles import ridge_shift


@shared
class Ridge(ProfileMethod):
    """A perturbation by a ridge regression on the others.

    A baseline without training by gradient steps: a bilinear model of the mean shifts
    (Ahlmann-Eltze, Huber & Anders 2025) on the vectors in ``uns[embedding_key]``, or on the parts
    that names join by ``+``.

    Parameters
    ----------
    {method}

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.simulated_screen(n_perturbations=4, n_genes=30)
    >>> names = ["control", "A", "B", "A+B", "B+C"]
    >>> adata.obs["perturbation"] = adata.obs["perturbation"].cat.rename_categories(names)
    >>> data = rt.model.Ridge.setup_anndata(adata)
    >>> model = rt.model.Ridge(adata, data, "control", "A+B")
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
    ) -> np.ndarray:
        """Prediction of the regression."""
        settings = self.settings
        size = settings.n_profiles, settings.penalty
        return ridge_shift(target, shifts, vectors, *size, control)
