"""CINEMA-OT: causal matching by independent components (Dong et al. 2023)."""

from __future__ import annotations

from rayot._docs import shared
from rayot.model.method import Method
from rayot.solvers.cinema import CinemaMap


@shared
class CinemaOT(Method):
    """The effect of a treatment on each cell, matched by what the treatment does not change.

    CINEMA-OT (Dong et al. 2023): independent components that go with the treatment are set apart,
    and cells are coupled by the others, their confounders. It speaks of observed cells; a new one
    is given the effect on its nearest training control. See
    :class:`rayot.solvers.CinemaSettings`.

    Parameters
    ----------
    {method}

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.simulated(n_cells=200, n_genes=30)
    >>> model = rt.model.CinemaOT(
    ...     adata, rt.model.CinemaOT.setup_anndata(adata), "control", "perturbed"
    ... )
    >>> model.train()
    >>> model.predict(adata[:5]).shape
    (5, 30)
    """

    stack_type = CinemaMap
