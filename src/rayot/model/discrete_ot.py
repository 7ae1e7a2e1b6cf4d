"""Discrete optimal transport between training cells."""

from __future__ import annotations

from rayot._docs import shared
from rayot.model.method import Method
from rayot.solvers.discrete import DiscreteMap


@shared
class DiscreteOT(Method):
    """Cells that move as their nearest training cell does, by a discrete coupling.

    A baseline without training: source and target cells are coupled by squared Euclidean cost. See
    :class:`rayot.solvers.DiscreteSettings`.

    Parameters
    ----------
    {method}

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.moons(n_samples=200)
    >>> model = rt.model.DiscreteOT(
    ...     adata, rt.model.DiscreteOT.setup_anndata(adata), "control", "perturbed"
    ... )
    >>> model.train()
    >>> model.predict(adata[:5]).shape
    (5, 2)
    """

    stack_type = DiscreteMap
