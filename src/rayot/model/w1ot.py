"""Wasserstein-1 optimal transport (Chen et al. 2025)."""

from __future__ import annotations

from rayot._docs import shared
from rayot.model.method import Method
from rayot.solvers import W1Map


@shared
class W1OT(Method):
    """Wasserstein-1 optimal transport from one condition to another.

    A 1-Lipschitz potential f gives each cell its direction, a step size η ≥ 0 how far it goes:
    T(x) = x − η(x) ∇f(x) / ‖∇f(x)‖ (Chen et al. 2025, equation 5).

    Parameters
    ----------
    {method}

    Raises
    ------
    KeyError, ValueError
        If conditions are missing, equal or too small, values are NaN, or a setting is unknown.

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.moons(n_samples=200)
    >>> data = rt.model.W1OT.setup_anndata(adata, groupby="perturbation")
    >>> model = rt.model.W1OT(adata, data, "control", "perturbed", preset="fast")
    >>> model.train(max_steps=10, show_progress_bar=False)
    >>> model.predict(adata[:5]).shape
    (5, 2)
    """

    stack_type = W1Map
    default_preset = "adversarial"

    module: W1Map
