"""scGen (Lotfollahi et al. 2019)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from anndata import AnnData
from mudata import MuData

from rayot._docs import shared
from rayot._public import public
from rayot.data.keys import Key
from rayot.data.modality import modality_of
from rayot.data.spec import DataSpec
from rayot.model.method import Method
from rayot.representation import Representation
from rayot.solvers import Settings
from rayot.solvers.latent_shift import LatentShiftMap, ScGenSettings


@shared
class ScGen(Method):
    """One shift of all cells in the latent space of an autoencoder.

    The shift is the difference of the mean codes of the two conditions, in which cell types count
    alike (Lotfollahi et al. 2019). A variational autoencoder is fitted on the expression of the
    training cells of both conditions, drawn in equal numbers; in a representation that is given,
    the shift is in its space. See :class:`rayot.solvers.ScGenSettings`.

    Parameters
    ----------
    {method}

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.simulated(n_cells=200, n_genes=20)
    >>> data = rt.model.ScGen.setup_anndata(adata)
    >>> model = rt.model.ScGen(adata, data, "control", "perturbed")
    >>> model.train(max_steps=10, show_progress_bar=False)
    >>> model.predict(adata[:5]).shape
    (5, 20)
    """

    stack_type = LatentShiftMap
    _verb_defaults: ClassVar[dict[str, Any]] = {"strata_key": Key.obs.cell_type}

    @classmethod
    @public()
    def setup_anndata(
        cls,
        adata: AnnData | MuData,
        *,
        strata_key: str | None = Key.obs.cell_type,
        modality: str | None = None,
        **options: Any,  # noqa: ANN401
    ) -> DataSpec:
        """Check where the model finds its cells, and write nothing to ``adata``.

        Parameters
        ----------
        adata
            Annotated data; a MuData needs ``modality``.
        strata_key
            Column of ``obs`` whose groups count alike. The default column need not exist.
        modality
            Modality of a MuData.
        **options
            As in :meth:`rayot.model.W1OT.setup_anndata`.

        Returns
        -------
        The description that the model is constructed with.

        Raises
        ------
        KeyError, ValueError
            As :meth:`rayot.model.W1OT.setup_anndata`.
        """
        cells = modality_of(adata, modality)
        groupby = options.get("groupby", Key.obs.perturbation)
        absent = strata_key not in cells.obs.columns or strata_key == groupby
        if strata_key == Key.obs.cell_type and absent:
            strata_key = None
        return super().setup_anndata(cells, strata_key=strata_key, **options)

    @classmethod
    def _adapted(cls, settings: Settings, representation: Representation) -> Settings:
        """Without an autoencoder where the cells are not in genes."""
        assert isinstance(settings, ScGenSettings)
        return settings if representation.name is None else replace(settings, n_latent=None)
