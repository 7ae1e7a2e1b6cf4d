"""Generative entropic neural optimal transport (Klein et al. 2024)."""

from __future__ import annotations

from rayot._docs import shared
from rayot.model.method import Method
from rayot.solvers.genot import GenotMap


@shared
class GENOT(Method):
    """Samples of what a cell becomes, by flow matching on entropic couplings.

    A flow carries noise to the targets that a cell is coupled with, so that a cell has a
    distribution p(y | x) of responses (Klein et al. 2024). See
    :class:`rayot.solvers.GenotSettings`.

    Parameters
    ----------
    {method}

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.moons(n_samples=200)
    >>> model = rt.model.GENOT(adata, rt.model.GENOT.setup_anndata(adata), "control", "perturbed")
    >>> model.train(max_steps=10, show_progress_bar=False)
    >>> model.predict(adata[:5]).shape
    (5, 2)
    """

    stack_type = GenotMap
