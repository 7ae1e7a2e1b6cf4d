"""biolord (Piran et al. 2024)."""

from __future__ import annotations

from rayot._docs import shared
from rayot.model.joint import JointMethod
from rayot.solvers.biolord import BiolordMap


@shared
class Biolord(JointMethod):
    """Known attributes and a code for the unknown ones, fitted on all conditions at once.

    Each training cell has a learned code of what its condition, dose and covariate do not say;
    noise and a penalty keep it small (latent optimisation, Piran et al. 2024). A prediction decodes
    the code that an encoder finds for a cell with the target in place of the source. See
    :class:`rayot.solvers.BiolordSettings`.

    All training cells of ``groupby`` come along; :meth:`at` predicts other conditions and doses.

    Parameters
    ----------
    {method}

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.simulated(n_cells=200, n_genes=20)
    >>> data = rt.model.Biolord.setup_anndata(adata, covariate_keys="cell_type")
    >>> model = rt.model.Biolord(adata, data, "control", "perturbed")
    >>> model.train(max_steps=10, show_progress_bar=False)
    >>> model.predict(adata[:5]).shape
    (5, 20)
    """

    stack_type = BiolordMap
