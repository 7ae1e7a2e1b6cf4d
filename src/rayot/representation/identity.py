"""The expression itself."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from anndata import AnnData

from rayot.data.spec import DataSpec
from rayot.representation.base import Expression, Representation


class Identity(Representation):
    """The map works on genes; nothing is encoded or decoded.

    Parameters
    ----------
    n_genes
        Number of genes.
    """

    kind = "identity"
    name = None
    saved: ClassVar[dict[str, Any]] = {"name": None, "n_genes": int}

    def __init__(self, n_genes: int) -> None:
        self.n_genes = n_genes

    @classmethod
    def is_in(cls, adata: AnnData, use_rep: str | None) -> bool:
        """Where no space is named."""
        return use_rep is None

    @classmethod
    def from_anndata(cls, adata: AnnData, spec: DataSpec, rows: np.ndarray) -> Identity:
        """All genes of the expression."""
        return cls(len(spec.var_names))

    @property
    def n_features(self) -> int:
        """Number of genes."""
        return self.n_genes

    def encode(self, adata: AnnData, rows: np.ndarray, expression: Expression) -> Expression:
        """The expression, sparse if it is."""
        return expression

    def decode(self, cells: np.ndarray, adata: AnnData, rows: np.ndarray) -> np.ndarray:
        """The cells."""
        return cells

    def to_json(self) -> dict[str, Any]:
        """Plain values of a saved model."""
        return {**super().to_json(), "n_genes": self.n_genes}

    @classmethod
    def from_saved(cls, values: dict[str, Any], arrays: dict[str, np.ndarray]) -> Identity:
        """Inverse of :meth:`to_json`."""
        return cls(values["n_genes"])
