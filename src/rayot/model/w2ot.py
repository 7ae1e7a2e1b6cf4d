"""Wasserstein-2 optimal transport (Makkuva et al. 2020; Bunne et al. 2023)."""

from __future__ import annotations

from rayot._docs import shared
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
