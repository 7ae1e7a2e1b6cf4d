"""What every method shares: cells in, prediction out, save and load."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from anndata import AnnData
from mudata import MuData
from scipy import sparse

from rayot._docs import shared
from rayot.data import checks
from rayot.data.keys import Key
from rayot.data.matrix import dense, row_chunks
from rayot.data.modality import modality_of
from rayot.data.spec import DataSpec
from rayot.model.persistence import PersistentModel
from rayot.model.prediction import Prediction
from rayot.representation import Representation
from rayot.solvers import Population, SparseCells


class TransportModel(PersistentModel):
    """A map from one condition to another on scvi-tools' life cycle.

    scvi-tools' AnnDataManager is left out: it refuses views and objects on disk, writes to the
    user's object, keeps it alive and saves a pickle. A :class:`~rayot.data.spec.DataSpec` takes
    its place.
    """

    decode: str = "direct"

    def __init__(
        self,
        data: DataSpec,
        source_key: str,
        target_key: str,
        representation: Representation,
        seed: int,
    ) -> None:
        super().__init__(registry={"model_name": type(self).__name__, "field_registries": {}})
        self.data = data
        self.source_key = source_key
        self.target_key = target_key
        self.representation = representation
        self.seed = seed
        self.training_: dict[str, Any] = {}
        self.diagnostics_: list[dict[str, float]] = []
        self._model_summary_string = (
            f"{type(self).__name__}: {source_key} to {target_key} in "
            f"{representation.name or 'genes'}, {representation.n_features} dimensions"
        )

    @classmethod
    @shared
    def setup_anndata(
        cls,
        adata: AnnData | MuData,
        *,
        groupby: str = Key.obs.perturbation,
        layer: str | None = None,
        use_rep: str | None = None,
        split_key: str | None = Key.obs.split,
        modality: str | None = None,
        allow_counts: bool = False,
    ) -> DataSpec:
        """Check where a model finds its cells, and write nothing to ``adata``.

        Parameters
        ----------
        {adata}
        {groupby}
        {layer}
        {use_rep}
        {split_key}
        {modality}
        {allow_counts}

        Returns
        -------
        The description that the model is constructed with.

        Raises
        ------
        KeyError
            If a column, layer or representation is missing.
        ValueError
            If the split has no training cells, or there is no expression to work on.
        """
        return DataSpec.from_anndata(
            modality_of(adata, modality),
            groupby=groupby,
            layer=layer,
            use_rep=use_rep,
            split_key=split_key,
            allow_counts=allow_counts,
        )

    @property
    def diagnostics(self) -> dict[str, float]:
        """Held-out figures of the fitted map, see :func:`rayot.solvers.diagnostics.diagnostics`."""
        self._check_if_trained(warn=False, message="Train the model first.")
        return self.diagnostics_[0]

    def _training_cells(self, adata: AnnData) -> tuple[Population, Population]:
        """Training cells of source and target in the space of the map."""
        rows = [
            self.data.training_rows(adata, category)
            for category in (self.source_key, self.target_key)
        ]
        both = np.concatenate(rows)
        lowest = np.inf
        blocks = []
        for chunk in row_chunks(both):
            encoded, expression = self._encode(adata, chunk)
            blocks.append(encoded)
            if expression is not None:
                lowest = min(lowest, float(expression.min()))
        self.data = replace(self.data, nonnegative=lowest >= 0)
        cells: torch.Tensor | SparseCells
        if sparse.issparse(blocks[0]):
            cells = SparseCells.from_scipy(sparse.vstack(blocks, format="csr"))
        else:
            cells = torch.from_numpy(np.ascontiguousarray(np.concatenate(blocks)))
        order = torch.arange(len(both))
        source, target = order.split([len(rows[0]), len(rows[1])])
        return Population.from_groups(cells, [source]), Population.from_groups(cells, [target])

    def _encode(
        self, adata: AnnData, rows: np.ndarray
    ) -> tuple[np.ndarray | sparse.csr_matrix, np.ndarray | sparse.csr_matrix | None]:
        """Cells in the space of the map, and their expression where the space has genes."""
        expression = None
        if self.representation.has_decoder:
            expression = self.data.expression(adata, rows)
        return self.representation.encode(adata, rows, expression), expression

    def _check_cells(self, adata: AnnData, rows: np.ndarray) -> None:
        """Raise a ValueError if cells cannot be encoded, before anything is computed."""
        if self.representation.has_decoder:
            self.data.check_expression(adata, rows)
            return
        columns = [str(number) for number in range(self.representation.n_features)]
        blocks = (self._encode(adata, chunk)[0] for chunk in row_chunks(rows))
        checks.finite(blocks, columns, f"adata.obsm[{self.representation.name!r}]")

    @torch.no_grad()
    def transport(
        self,
        adata: AnnData,
        rows: np.ndarray,
        *,
        write_genes: bool = True,
        clip: bool | str = "auto",
    ) -> Prediction:
        """Predict cells of an AnnData, as arrays.

        Parameters
        ----------
        adata
            Cells with the genes of the model, in any order.
        rows
            (n,) row numbers of the cells to predict.
        write_genes
            Whether to decode to genes.
        clip
            ``"auto"``: negative predictions are set to zero if the training cells had none;
            True always, False never.
        """
        self._check_if_trained(warn=False, message="Train the model before it predicts.")
        checks.clip_option(clip)
        write_genes = write_genes and self.representation.has_decoder
        at_zero = self.data.nonnegative if clip == "auto" else bool(clip)
        parts: list[list[np.ndarray]] = []
        n_clipped = 0
        for chunk in row_chunks(rows):
            encoded, expression = self._encode(adata, chunk)
            start = dense(encoded)
            cells = torch.from_numpy(start)[None].to(self.module.centre.device)
            moved = self.module(cells)[0].cpu().numpy()
            potential = self.module.potential(cells)[0].cpu().numpy()
            part = [moved, np.linalg.norm(moved - start, axis=1), potential]
            if write_genes:
                genes = self._genes(start, moved, expression, adata, chunk)
                if at_zero:
                    n_clipped += int((genes < 0).sum())
                    np.maximum(genes, 0, out=genes)
                part.append(genes)
            parts.append(part)
        arrays = [np.concatenate(each) for each in zip(*parts, strict=True)]
        predicted = arrays[3] if write_genes else None
        share = n_clipped / predicted.size if predicted is not None else 0.0
        return Prediction(predicted, arrays[0], arrays[1], arrays[2], share)

    def _genes(
        self,
        start: np.ndarray,
        moved: np.ndarray,
        expression: np.ndarray | sparse.csr_matrix | None,
        adata: AnnData,
        rows: np.ndarray,
    ) -> np.ndarray:
        decoded = self.representation.decode(moved, adata, rows)
        if self.decode == "direct" or self.representation.name is None:
            return np.array(decoded, dtype=np.float32)
        assert expression is not None
        # The cell's own genes plus the decoded change keep what the representation lost.
        change = decoded - self.representation.decode(start, adata, rows)
        return np.asarray(change + dense(expression), dtype=np.float32)

    @shared
    def predict(
        self,
        adata: AnnData | MuData,
        *,
        modality: str | None = None,
        write_genes: bool = True,
        clip: bool | str = "auto",
        key: str = "w1ot",
    ) -> AnnData:
        """Predict the response of every cell of ``adata``, seen in training or not.

        Parameters
        ----------
        {adata}
            Genes are found by name, in any order; no condition or split column is needed. Cells
            are encoded from their genes as in training, whatever ``obsm`` holds; only a
            representation without a decoder is read from there.
        {modality}
        {write_genes}
        {clip}
        key
            Names the entries of the returned object.

        Returns
        -------
        An AnnData of the predicted cells: ``X`` (predicted expression, float32), ``obs`` of the
        cells with ``obs[key + "_step"]`` and ``obs[key + "_potential"]``, and
        ``obsm["X_" + key]``. ``adata`` is not changed.

        Raises
        ------
        RuntimeError
            If the model is not trained.
        ValueError
            If genes are missing (they are listed) or values are NaN.
        """
        cells = modality_of(adata, modality)
        if cells.n_obs == 0:
            raise ValueError("adata has no cells to predict.")
        rows = np.arange(cells.n_obs)
        checks.clip_option(clip)
        self._check_cells(cells, rows)
        prediction = self.transport(cells, rows, write_genes=write_genes, clip=clip)
        return prediction.to_anndata(cells, rows, self.data.var_names, key)
