"""Ridge regression from perturbations to their profiles."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rayot._docs import shared
from rayot.model.profiles import ProfileMethod
from rayot.solvers.profiles import PredictedShift, kernel_shift, ridge_shift


@shared
class Ridge(ProfileMethod):
    """A perturbation by a ridge regression on the others.

    A baseline without training by gradient steps: a bilinear model of the mean shifts
    (Ahlmann-Eltze, Huber & Anders 2025) on the vectors in ``uns[embedding_key]``, or on the parts
    that names join by ``+``. With the setting ``kernel="rbf"``, or ``"tanimoto"`` of fingerprints,
    it is a Gaussian process (Rasmussen & Williams 2006), or the mean of the others where vectors do
    not predict these. ``model.predictive_sd`` and ``uns[key]["predictive_sd"]`` say how sure the
    mean of each gene is.

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
    ) -> PredictedShift:
        """Prediction of the regression."""
        settings = self.settings
        if settings.kernel != "linear":
            return kernel_shift(target, shifts, vectors, settings.kernel, self.seed)
        size = settings.n_profiles, settings.penalty
        return ridge_shift(target, shifts, vectors, *size, control)
