"""An entry of obsm whose way back to genes is not known."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from anndata import AnnData

from rayot.data.matrix import dense, take_rows
from rayot.data.spec import check_representation
from rayot.representation.base import Expression, Representation


class Embedding(Representation):
    """Coordinates that a user computed; predictions stay in them.

    Parameters
    ----------
    name
        Entry of ``obsm``.
    n_features
        Its number of columns.
    """

    kind = "embedding"
    has_decoder = False
    saved: ClassVar[dict[str, Any]] = {"name": str, "n_features": int}

    def __init__(self, name: str, n_features: int) -> None:
        self.name = name
        self._n_features = n_features

    @property
    def n_features(self) -> int:
        """Columns of the entry."""
        return self._n_features

    def encode(self, adata: AnnData, rows: np.ndarray, expression: Expression) -> np.ndarray:
        """Rows of the entry.

        Raises
        ------
        KeyError, ValueError
            If the entry is absent or has another number of rows or columns.
        """
        assert self.name is not None
        check_representation(adata, self.name)
        values = adata.obsm[self.name]
        if values.shape[1] != self.n_features:
            raise ValueError(
                f"adata.obsm[{self.name!r}] has {values.shape[1]} columns; the model was fitted on "
                f"{self.n_features}."
            )
        values = values.to_numpy() if hasattr(values, "to_numpy") else values
        return dense(take_rows(values, rows))

    def decode(self, cells: np.ndarray, adata: AnnData, rows: np.ndarray) -> np.ndarray:
        """There is no way back; callers ask ``has_decoder`` first."""
        raise TypeError(f"The representation {self.name!r} has no decoder.")

    def to_json(self) -> dict[str, Any]:
        """Plain values of a saved model."""
        return {**super().to_json(), "n_features": self.n_features}

    @classmethod
    def from_saved(cls, values: dict[str, Any], arrays: dict[str, np.ndarray]) -> Embedding:
        """Inverse of :meth:`to_json`."""
        return cls(values["name"], values["n_features"])
