"""Principal components as scanpy leaves them."""

from __future__ import annotations

from typing import Any

import numpy as np
from anndata import AnnData
from scipy import sparse

from rayot._public import warn
from rayot.data.keys import Key
from rayot.data.matrix import embedding_rows
from rayot.data.spec import DataSpec
from rayot.representation.base import Expression, Representation

SAMPLE_ROWS = 2000
TOLERANCE = 1e-2


def loadings_of(use_rep: str) -> str:
    """Entry of ``varm`` with the loadings of these components, named as scanpy names it."""
    return Key.varm.loadings if use_rep == Key.obsm.pca else use_rep


class PCA(Representation):
    """The space of ``obsm["X_pca"]`` with its loadings ``varm["PCs"]``.

    scanpy does not keep the mean that it subtracted. It is recovered from the cells: with loadings
    W, scores are x W + o, and o is the mean of what is left of the scores; the way back is
    z Wᵀ + b with b the mean of what z Wᵀ leaves of the genes.

    Parameters
    ----------
    name
        Entry of ``obsm``.
    loadings
        W, (genes, d).
    score_offset
        o, (d,).
    gene_offset
        b, (genes,).
    """

    kind = "pca"

    def __init__(
        self, name: str, loadings: np.ndarray, score_offset: np.ndarray, gene_offset: np.ndarray
    ) -> None:
        self.name = name
        self.loadings = np.ascontiguousarray(loadings, dtype=np.float32)
        self.score_offset = np.asarray(score_offset, dtype=np.float32)
        self.gene_offset = np.asarray(gene_offset, dtype=np.float32)

    @classmethod
    def is_in(cls, adata: AnnData, use_rep: str | None) -> bool:
        """Where ``varm`` has the loadings."""
        return use_rep is not None and loadings_of(use_rep) in adata.varm

    @classmethod
    def from_anndata(cls, adata: AnnData, spec: DataSpec, rows: np.ndarray) -> PCA:
        """Recover the offsets from training cells.

        Parameters
        ----------
        adata
            Has the scores in ``obsm`` and the loadings in ``varm``.
        spec
            Names the scores and the expression they were computed from.
        rows
            (n,) row numbers of the training cells.

        Raises
        ------
        ValueError
            If the scores are not the expression times the loadings, up to an offset.
        """
        name = spec.use_rep
        assert name is not None
        loadings = loadings_of(name)
        weights = embedding_rows(adata.varm[loadings], np.arange(adata.n_vars)).astype(np.float64)
        n_sample = min(SAMPLE_ROWS, len(rows))
        sample = np.sort(np.random.default_rng(0).choice(rows, n_sample, replace=False))
        expression = spec.finite_expression(adata, sample)
        scores = embedding_rows(adata.obsm[name], sample).astype(np.float64)
        if scores.shape[1] != weights.shape[1]:
            raise ValueError(
                f"adata.obsm[{name!r}] has {scores.shape[1]} components and "
                f"adata.varm[{loadings!r}] {weights.shape[1]}; compute both with scanpy.pp.pca."
            )
        n_left = int((weights == 0).all(1).sum())
        if n_left:
            warn(
                f"adata.varm[{loadings!r}] says nothing of {n_left} of {len(weights)} genes, so "
                "they are predicted as they are before the perturbation. To predict them, compute "
                "the components from all genes, scanpy.pp.pca(adata, mask_var=None); to leave them "
                "out, keep the others alone, adata[:, adata.var['highly_variable']].copy()."
            )
        left = scores - expression @ weights
        score_offset = left.mean(0)
        error = np.abs(left - score_offset).max()
        if not error <= TOLERANCE * max(scores.std(), 1e-12):
            raise ValueError(
                f"adata.obsm[{name!r}] is not the expression times adata.varm[{loadings!r}] plus "
                f"an offset (largest difference {error:.3g}); compute it again with scanpy.pp.pca "
                "on the same matrix, or copy it under another name to work without a decoder."
            )
        mean = np.asarray(expression.mean(0), dtype=np.float64).ravel()
        return cls(name, weights, score_offset, mean - scores.mean(0) @ weights.T)

    @property
    def n_features(self) -> int:
        """Number of components."""
        return self.loadings.shape[1]

    def encode(self, adata: AnnData, rows: np.ndarray, expression: Expression) -> np.ndarray:
        """Scores x W + o."""
        if sparse.issparse(expression):
            return np.asarray(expression @ self.loadings) + self.score_offset
        return expression @ self.loadings + self.score_offset

    def decode(self, cells: np.ndarray, adata: AnnData, rows: np.ndarray) -> np.ndarray:
        """Expression z Wᵀ + b."""
        return cells @ self.loadings.T + self.gene_offset

    def change(self, moves: np.ndarray) -> np.ndarray:
        """Change of the expression, m Wᵀ."""
        return np.asarray(moves @ self.loadings.T, dtype=np.float32)

    def arrays(self) -> dict[str, np.ndarray]:
        """Loadings and offsets."""
        return {
            "loadings": self.loadings,
            "score_offset": self.score_offset,
            "gene_offset": self.gene_offset,
        }

    @classmethod
    def from_saved(cls, values: dict[str, Any], arrays: dict[str, np.ndarray]) -> PCA:
        """Inverse of :meth:`to_json` and :meth:`arrays`."""
        return cls(values["name"], **arrays)

    @classmethod
    def shapes(
        cls, values: dict[str, Any], n_genes: int, n_features: int
    ) -> dict[str, tuple[int, ...]]:
        """Shapes of :meth:`arrays`."""
        return {
            "loadings": (n_genes, n_features),
            "score_offset": (n_features,),
            "gene_offset": (n_genes,),
        }
