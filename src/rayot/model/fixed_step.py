"""A fixed step size along a Wasserstein-1 potential (Milne et al. 2022)."""

from __future__ import annotations

from rayot._docs import shared
from rayot.model.method import Method
from rayot.solvers.fixed_step import FixedStepMap


@shared
class FixedStep(Method):
    """Cells that all go equally far along the rays of a Wasserstein-1 potential.

    A baseline of :class:`rayot.model.W1OT`: the step size is the dual value of the potential
    (Milne et al. 2022). See :class:`rayot.solvers.W1Settings`.

    Parameters
    ----------
    {method}

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.moons(n_samples=200)
    >>> model = rt.model.FixedStep(
    ...     adata, rt.model.FixedStep.setup_anndata(adata), "control", "perturbed"
    ... )
    >>> model.train(max_steps=10, show_progress_bar=False)
    >>> model.predict(adata[:5]).shape
    (5, 2)
    """

    stack_type = FixedStepMap
