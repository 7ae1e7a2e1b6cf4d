"""Wasserstein-2 optimal transport (Makkuva et al. 2020; Bunne et al. 2023)."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Self

from rayot._docs import shared
from rayot._public import public
from rayot.model.method import Method
from rayot.solvers.w2 import W2Map


@shared
class W2OT(Method):
    """Wasserstein-2 optimal transport from one condition to another.

    Cells move along the gradient of a convex potential, T(x) = ∇ψ(x) (Chen et al. 2025, equation
    8), an input convex neural network that plays a minimax game with that of the way back
    (OT-ICNN, Makkuva et al. 2020; CellOT, Bunne et al. 2023). See
    :class:`rayot.solvers.W2Settings`.

    Parameters
    ----------
    {method}

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.moons(n_samples=200)
    >>> model = rt.model.W2OT(adata, rt.model.W2OT.setup_anndata(adata), "control", "perturbed")
    >>> model.train(max_steps=10, show_progress_bar=False)
    >>> model.predict(adata[:5]).shape
    (5, 2)
    """

    stack_type = W2Map
    module: W2Map

    @public()
    def back(self) -> Self:
        """The map from the target back to the source, ∇φ, with all verbs of this one.

        Returns
        -------
        A model of its own; this one stays as it is. Genes are not calibrated, and it has no
        figures of its own, as those of the fit judge the way there; cells go all of their way.

        Raises
        ------
        RuntimeError
            If the model is not trained.
        ValueError
            If strata have maps of their own: how these are combined is known for source cells.
        """
        self._check_trained("Train the model before it predicts.")
        if self.problems.separate:
            raise ValueError(
                "Maps of separate strata are combined by source cells, so there is no way back; "
                "fit with strata='balanced'."
            )
        model = copy.copy(self)
        model.source_key, model.target_key = self.target_key, self.source_key
        model.problems = replace(self.problems, target=self.source_key)
        module = model.module = copy.deepcopy(self.module)
        there, back = module.forward_potential, module.backward_potential
        module.forward_potential, module.backward_potential = back, there
        # How far to go was found for the way there.
        module.strength.fill_(1.0)
        model._sides = model._sample = model.calibration = model.experts = None
        model.training_distance = model.unseen = model.source_mean = None
        model.data = replace(self.data, time=None, times=None, time_name=None)
        model.adaptations = {}
        reason = (
            "The fit was judged by the way from source to target. Try cells of the source: "
            "rayot.tl.evaluate scores the way back by them."
        )
        model.diagnostics_ = [{"certificate": "check", "reason": reason}] * len(self.problems)
        return model
