"""Wasserstein-2 transport between Gaussians."""

from __future__ import annotations

from rayot._docs import shared
from rayot.model.method import Method
from rayot.solvers.gaussian import GaussianMap


@shared
class GaussianOT(Method):
    """The affine map between two Gaussians, in closed form.

    A baseline without training: means and covariances are matched, and nothing else. See
    :class:`rayot.solvers.GaussianSettings`.

    Parameters
    ----------
    {method}

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.moons(n_samples=200)
    >>> model = rt.model.GaussianOT(
    ...     adata, rt.model.GaussianOT.setup_anndata(adata), "control", "perturbed"
    ... )
    >>> model.train()
    >>> model.predict(adata[:5]).shape
    (5, 2)
    """

    stack_type = GaussianMap
