"""Generative entropic neural optimal transport (Klein et al. 2024)."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
from anndata import AnnData
from mudata import MuData
from torch import Tensor

from rayot._docs import shared
from rayot._public import public
from rayot.model.method import Method
from rayot.model.moves import Moves
from rayot.solvers.genot import GenotMap, GenotSettings


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
    >>> predicted = model.predict(adata[:5], n_samples=20)
    >>> predicted.shape, bool((predicted.obs["genot_sd"] > 0).all())
    ((5, 2), True)
    """

    stack_type = GenotMap
    module: GenotMap
    settings: GenotSettings

    @public()
    def predict(
        self,
        adata: AnnData | MuData,
        *,
        n_samples: int | None = None,
        **options: Any,  # noqa: ANN401
    ) -> AnnData:
        """Predict the response of every cell of ``adata``, seen in training or not.

        Parameters
        ----------
        adata
            Cells with the genes of the model, in any order.
        n_samples
            Samples of p(y | x) that the prediction of a cell is the mean of; None takes the
            setting.
        **options
            As in :meth:`rayot.model.W1OT.predict`.

        Returns
        -------
        As :meth:`rayot.model.W1OT.predict`. Of several samples also ``obs[key + "_sd"]``, how far
        those of one cell spread: the root mean square of their standard deviation over the
        features of the space of the map; of an ensemble, over its members too.

        Raises
        ------
        RuntimeError, ValueError, OSError
            As :meth:`rayot.model.W1OT.predict`.
        """
        if n_samples is None:
            return super().predict(adata, **options)
        self._check_trained("Train the model before it predicts.")
        model = copy.copy(self)
        model.module = copy.copy(self.module)
        model.settings = replace(self.settings, n_samples=n_samples)
        model.settings.check()
        model.module.settings = replace(self.module.settings, n_samples=n_samples)
        return super(GENOT, model).predict(adata, **options)

    def _moves(self, adata: AnnData, rows: np.ndarray, cells: Tensor) -> Moves:
        """Moves with the spread of their samples."""
        moves = super()._moves(adata, rows, cells)
        n_samples = self.module.settings.n_samples
        if n_samples == 1:
            return moves
        stack = cells[None].expand(len(self.problems), -1, -1)
        variance = self.module.samples(stack, n_samples).var(0, unbiased=False)
        return replace(moves, spread=variance.mean((0, 2)).sqrt())
