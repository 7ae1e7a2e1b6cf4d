"""Compositional perturbation autoencoder (Lotfollahi et al. 2023)."""

from __future__ import annotations

from rayot._docs import shared
from rayot.model.joint import JointMethod
from rayot.solvers.cpa import CPAMap


@shared
class CPA(JointMethod):
    """A compositional perturbation autoencoder, fitted on all conditions at once.

    A cell's basal code, from which adversarial classifiers should not be able to read its condition
    and covariate, plus the embedding of its condition, scaled by the response to the dose, and that
    of its covariate is decoded to the cell (Lotfollahi et al. 2023). A prediction has the target's
    embedding in place of the source's. See :class:`rayot.solvers.CPASettings`.

    All training cells of ``groupby`` come along; :meth:`at` predicts other conditions and doses.

    Parameters
    ----------
    {method}

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.simulated(n_cells=200, n_genes=20)
    >>> data = rt.model.CPA.setup_anndata(adata, covariate_keys="cell_type")
    >>> model = rt.model.CPA(adata, data, "control", "perturbed")
    >>> model.train(max_steps=10, show_progress_bar=False)
    >>> model.predict(adata[:5]).shape
    (5, 20)
    """

    stack_type = CPAMap
