"""An entry of obsm whose way back to genes is not known."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from anndata import AnnData

from rayot.data import checks
from rayot.data.matrix import embedding_rows
from rayot.data.spec import DataSpec, check_representation
from rayot.representation.base import Expression, Representation

logger = logging.getLogger(__name__)


class Embedding(Representation):
    """Coordinates that a user computed; predictions stay in them.

    Parameters
    ----------
    name
        Entry of ``obsm``.
    n_features
        Its number of columns.
    columns
        Their names, by which they are found again where the entry is a table; None where it was an
        array.
    """

    kind = "embedding"
    has_decoder = False
    saved: ClassVar[dict[str, Any]] = {"name": str, "n_features": int, "columns": list[str]}
    may_lack: ClassVar[tuple[str, ...]] = ("columns",)

    def __init__(self, name: str, n_features: int, columns: Sequence[str] | None = None) -> None:
        self.name = name
        self._n_features = n_features
        self.columns = None if columns is None else tuple(columns)

    @classmethod
    def is_in(cls, adata: AnnData, use_rep: str | None) -> bool:
        """Whatever is named, after all other kinds."""
        return use_rep is not None

    @classmethod
    def from_anndata(cls, adata: AnnData, spec: DataSpec, rows: np.ndarray) -> Embedding:
        """The entry of this name; a warning is logged, as it has no decoder.

        Parameters
        ----------
        adata, spec
            Where the entry is.
        rows
            Are not looked at.

        Raises
        ------
        ValueError
            If it is a table that has a column twice.
        """
        name = spec.use_rep
        assert name is not None
        logger.warning(
            "obsm[%r] has no decoder that rayot knows; predictions stay in this space and no genes "
            "are written.",
            name,
        )
        values = adata.obsm[name]
        columns = _columns(values)
        if columns is not None:
            checks.unique_names(columns, f"adata.obsm[{name!r}]", "column")
        return cls(name, values.shape[1], columns)

    @property
    def n_features(self) -> int:
        """Columns of the entry."""
        return self._n_features

    def encode(self, adata: AnnData, rows: np.ndarray, expression: Expression) -> np.ndarray:
        """Rows of the entry; of a table the columns of the fit, by their names.

        Raises
        ------
        KeyError, ValueError
            If the entry is absent, has another number of rows or columns, or lacks one of them.
        """
        assert self.name is not None
        check_representation(adata, self.name)
        values = adata.obsm[self.name]
        columns = _columns(values)
        if self.columns is not None and columns is not None and columns != self.columns:
            missing = [column for column in self.columns if column not in columns]
            if missing:
                raise ValueError(
                    f"adata.obsm[{self.name!r}] lacks the column {missing[0]!r}, which the model "
                    "was fitted on."
                )
            return embedding_rows(values[list(self.columns)], rows)
        if values.shape[1] != self.n_features:
            raise ValueError(
                f"adata.obsm[{self.name!r}] has {values.shape[1]} columns; the model was fitted on "
                f"{self.n_features}."
            )
        return embedding_rows(values, rows)

    def decode(self, cells: np.ndarray, adata: AnnData, rows: np.ndarray) -> np.ndarray:
        """There is no way back; callers ask ``has_decoder`` first."""
        raise TypeError(f"The representation {self.name!r} has no decoder.")

    def to_json(self) -> dict[str, Any]:
        """Plain values of a saved model."""
        columns = {} if self.columns is None else {"columns": list(self.columns)}
        return {**super().to_json(), "n_features": self.n_features, **columns}

    @classmethod
    def from_saved(cls, values: dict[str, Any], arrays: dict[str, np.ndarray]) -> Embedding:
        """Inverse of :meth:`to_json`."""
        columns = values.get("columns")
        if columns is not None and len(set(columns)) != values["n_features"]:
            raise ValueError(
                f"representation.columns names {len(set(columns))} columns, and there are "
                f"{values['n_features']}."
            )
        return cls(values["name"], values["n_features"], values.get("columns"))


def _columns(values: Any) -> tuple[str, ...] | None:  # noqa: ANN401
    """Names of the columns of a table; None of anything else."""
    return tuple(map(str, values.columns)) if hasattr(values, "columns") else None
