"""What a representation must answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, TypeAlias

import numpy as np
from anndata import AnnData
from scipy import sparse

from rayot.data.spec import DataSpec

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
    may_lack
        Those that it does not always have, or that files of earlier versions lack.
    reads_cells
        Whether it reads more of cells than their expression.
    """

    kind: ClassVar[str]
    has_decoder: ClassVar[bool] = True
    savable: ClassVar[bool] = True
    saved: ClassVar[dict[str, Any]] = {"name": str}
    may_lack: ClassVar[tuple[str, ...]] = ()
    reads_cells: ClassVar[bool] = False
    name: str | None

    @classmethod
    def is_in(cls, adata: AnnData, use_rep: str | None) -> bool:
        """Whether the AnnData has a space of this kind under this name.

        Not of kinds that are passed as objects.
        """
        return False

    @classmethod
    def from_anndata(cls, adata: AnnData, spec: DataSpec, rows: np.ndarray) -> Representation:
        """The space that ``spec.use_rep`` names, where :meth:`is_in` finds it.

        Parameters
        ----------
        adata, spec
            Where the space is, and the expression.
        rows
            (n,) row numbers of the training cells, which alone are looked at.

        Raises
        ------
        ValueError
            If it does not belong to the expression.
        """
        raise TypeError(f"{cls.__name__} is passed as use_rep, and not known by a name.")

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
            The object the cells come from; of a space with a decoder its genes are those of the
            model, in their order.
        rows
            (n,) their row numbers.
        expression
            (n, genes) their expression, genes in the order of the model; None where there is no
            decoder.
        """

    @abstractmethod
    def decode(self, cells: np.ndarray, adata: AnnData, rows: np.ndarray) -> np.ndarray:
        """Expression (n, genes) float32 of cells (n, d) of the space.

        Parameters
        ----------
        cells
            (n, d).
        adata, rows
            The cells they started from, for decoders that need more than the space holds; genes as
            in :meth:`encode`.
        """

    def change(self, moves: np.ndarray) -> np.ndarray | None:
        """Change (n, genes) float32 of the expression of cells that move by (n, d).

        None where it is not the same wherever they start.
        """
        return None

    def fitted_to(self, adata: AnnData, spec: DataSpec, rows: np.ndarray) -> Representation:
        """The representation for cells of this kind, which it was given without having seen them.

        Parameters
        ----------
        adata, spec
            Where the expression is.
        rows
            (n,) row numbers of the training cells.

        Raises
        ------
        ValueError
            If it does not suit the cells.
        """
        return self

    def arrays(self) -> dict[str, np.ndarray]:
        """Arrays of a saved model."""
        return {}

    def to_json(self) -> dict[str, Any]:
        """Plain values of a saved model."""
        return {"kind": self.kind, "name": self.name}

    def restored(self, saved: dict[str, Any]) -> Representation:
        """The representation as a saved model had it, which it is given for again.

        Raises
        ------
        ValueError
            If it is another one.
        """
        if self.to_json() != saved:
            raise ValueError(
                f"The model was fitted in the representation {saved}, found {self.to_json()}."
            )
        return self

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
