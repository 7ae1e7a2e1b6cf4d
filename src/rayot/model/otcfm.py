"""Mini-batch optimal transport flow matching (Tong et al. 2024)."""

from __future__ import annotations

from rayot._docs import shared
from rayot.model.method import Method
from rayot.solvers.flow import FlowMap


@shared
class OTCFM(Method):
    """Flow matching on exact couplings of batches.

    A velocity field carries source to target cells; it is learned on straight lines between the
    pairs of each batch's coupling (Tong et al. 2024), as in CellFlow. See
    :class:`rayot.solvers.FlowSettings`.

    Parameters
    ----------
    {method}

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.moons(n_samples=200)
    >>> model = rt.model.OTCFM(adata, rt.model.OTCFM.setup_anndata(adata), "control", "perturbed")
    >>> model.train(max_steps=10, show_progress_bar=False)
    >>> model.predict(adata[:5]).shape
    (5, 2)
    """

    stack_type = FlowMap
