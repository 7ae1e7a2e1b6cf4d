"""What every method shares: cells in, prediction out, save and load."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from mudata import MuData
from scipy import sparse
from scvi.model.base import BaseModelClass

import rayot
from rayot._docs import shared
from rayot.data import checks
from rayot.data.keys import Key
from rayot.data.matrix import dense, row_chunks
from rayot.data.modality import modality_of
from rayot.data.spec import DataSpec
from rayot.model import files
from rayot.model.prediction import Prediction
from rayot.representation import Representation
from rayot.representation.resolve import representation_from_saved
from rayot.solvers import Population, SparseCells, TransportMap


class TransportModel(BaseModelClass):
    """A map from one condition to another on scvi-tools' life cycle.

    scvi-tools' AnnDataManager is left out: it refuses views and objects on disk, writes to the
    user's object, keeps it alive and saves a pickle. A :class:`~rayot.data.spec.DataSpec` takes
    its place.
    """

    module: TransportMap
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
            Genes are found by name, in any order; no condition or split column is needed.
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

    @abstractmethod
    def settings_json(self) -> dict[str, Any]:
        """Arguments of the method, as plain values."""

    def parameters(self) -> dict[str, Any]:
        """Everything that was chosen for this fit, as plain values."""
        return {**self.settings_json(), **self.training_}

    def save(self, dir_path: str | Path, overwrite: bool = False) -> None:
        """Save to a folder: JSON and safetensors, nothing that can run code on load.

        Parameters
        ----------
        dir_path
            Folder, made if it does not exist.
        overwrite
            Whether a saved model there may be replaced.

        Raises
        ------
        RuntimeError
            If the model is not trained.
        FileExistsError
            If the folder exists and may not be overwritten.
        """
        self._check_if_trained(warn=False, message="Train the model before it is saved.")
        arrays = {
            f"module.{name}": value.detach().cpu().numpy()
            for name, value in self.module.state_dict().items()
        }
        for name, value in self.representation.arrays().items():
            arrays[f"representation.{name}"] = value
        history = {}
        for phase, table in self.history.items():
            history[phase] = list(map(str, table.columns))
            arrays[f"history.{phase}"] = table.reset_index().to_numpy(dtype=np.float64)
        values = {
            "model": type(self).__name__,
            "version": rayot.__version__,
            "source_key": self.source_key,
            "target_key": self.target_key,
            "seed": self.seed,
            "problems": self.module.names,
            "data": self.data.to_json(),
            "representation": self.representation.to_json(),
            "settings": self.settings_json(),
            "training": self.training_,
            "diagnostics": self.diagnostics_,
            "history": history,
        }
        files.write(dir_path, values, arrays, overwrite)

    @classmethod
    def load(cls, dir_path: str | Path, *, representation: Representation | None = None) -> Self:
        """Load a saved model; no AnnData is needed.

        Parameters
        ----------
        dir_path
            Folder that :meth:`save` wrote.
        representation
            The representation the model was fitted in, for one that is saved on its own (scVI).

        Raises
        ------
        FileNotFoundError
            If the folder holds no saved model.
        ValueError
            If the files are of another method or format, foreign or truncated.
        """
        values, arrays = files.read(dir_path, cls.__name__)
        try:
            return cls._restore(values, arrays, representation)
        except (KeyError, TypeError, RuntimeError) as error:
            raise ValueError(
                f"The files in {str(dir_path)!r} do not fit together ({error}); they were changed "
                "after they were saved."
            ) from error

    @classmethod
    def _restore(
        cls,
        values: dict[str, Any],
        arrays: dict[str, np.ndarray],
        representation: Representation | None,
    ) -> Self:
        groups: dict[str, dict[str, np.ndarray]] = {}
        for name, value in arrays.items():
            group, _, rest = name.partition(".")
            groups.setdefault(group, {})[rest] = value
        saved = values["representation"]
        if representation is None:
            representation = representation_from_saved(saved, groups.get("representation", {}))
        elif representation.to_json() != saved:
            raise ValueError(
                f"The model was fitted in the representation {saved}, found "
                f"{representation.to_json()}."
            )
        model = cls._from_saved(values, representation)
        model.module.load_state_dict(
            {name: torch.from_numpy(value) for name, value in groups["module"].items()}
        )
        model.history_ = {
            phase: pd.DataFrame(
                groups["history"][phase][:, 1:],
                columns=columns,
                index=pd.Index(groups["history"][phase][:, 0].astype(int), name="step"),
            )
            for phase, columns in values["history"].items()
        }
        model.training_ = values["training"]
        model.diagnostics_ = values["diagnostics"]
        model.is_trained_ = True
        return model

    @classmethod
    @abstractmethod
    def _from_saved(cls, values: dict[str, Any], representation: Representation) -> Self:
        """An untrained model with the shape of a saved one."""
