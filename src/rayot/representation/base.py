"""What a representation must answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, TypeAlias

import numpy as np
from anndata import AnnData
from scipy import sparse

Expression: TypeAlias = np.ndarray | sparse.csr_matrix


class Representation(ABC):
    """A space that a map works in: how cells get there, and how they come back to genes.

    Attributes
    ----------
    kind
        Name under which a saved model finds the class.
    name
        Entry of ``obsm``; None for the expression itself.
    has_decoder
        Whether :meth:`decode` can be called.
    savable
        Whether a saved model holds all it takes; otherwise it must be given again on load.
    saved
        Types of the fields that :meth:`to_json` has beside the kind.
    """

    kind: ClassVar[str]
    has_decoder: ClassVar[bool] = True
    savable: ClassVar[bool] = True
    saved: ClassVar[dict[str, Any]] = {"name": str}
    name: str | None

    @property
    @abstractmethod
    def n_features(self) -> int:
        """Dimension d of the space."""

    @abstractmethod
    def encode(self, adata: AnnData, rows: np.ndarray, expression: Expression) -> Expression:
        """Cells in the space, (n, d) float32.

        Parameters
        ----------
        adata
            The object the cells come from.
        rows
            (n,) their row numbers.
        expression
            (n, genes) their expression, genes in the order of the model.
        """

    @abstractmethod
    def decode(self, cells: np.ndarray, adata: AnnData, rows: np.ndarray) -> np.ndarray:
        """Expression (n, genes) float32 of cells (n, d) of the space.

        Parameters
        ----------
        cells
            (n, d).
        adata, rows
            The cells they started from, for decoders that need more than the space holds.
        """

    def arrays(self) -> dict[str, np.ndarray]:
        """Arrays of a saved model."""
        return {}

    def to_json(self) -> dict[str, Any]:
        """Plain values of a saved model."""
        return {"kind": self.kind, "name": self.name}

    @classmethod
    @abstractmethod
    def from_saved(cls, values: dict[str, Any], arrays: dict[str, np.ndarray]) -> Representation:
        """Inverse of :meth:`to_json` and :meth:`arrays`."""

    @classmethod
    def shapes(
        cls, values: dict[str, Any], n_genes: int, n_features: int
    ) -> dict[str, tuple[int, ...]]:
        """Shapes of the arrays of a saved model, none of which needs more than its file holds.

        Parameters
        ----------
        values
            What :meth:`to_json` returned.
        n_genes, n_features
            Genes of the model, and dimension of its maps' space.
        """
        return {}
