"""Spaces for methods to work in, computed on training cells alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from anndata import AnnData

from rayot.data.components import write_components
from rayot.data.keys import Key

Space: TypeAlias = str | Callable[[AnnData, str], str | None] | None
"""An entry of ``obsm``; a function of the cells and a split, which writes one and returns its name;
or None for the expression itself."""


def principal_components(n_comps: int = 50) -> Callable[[AnnData, str], str]:
    """A space of principal components, computed on the training cells of each split.

    Parameters
    ----------
    n_comps
        Number of components; fewer where there are fewer genes or cells.

    Returns
    -------
    A function of the cells and the column of a split, which writes ``obsm["X_pca"]`` and
    ``varm["PCs"]`` and returns ``"X_pca"``, to be passed to :func:`run` among ``spaces``.

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.simulated(n_cells=100, n_genes=30)
    >>> rt.pp.split(adata)
    >>> rt.benchmark.principal_components(10)(adata, "split")
    'X_pca'
    >>> adata.obsm["X_pca"].shape
    (200, 10)
    """
    return partial(_components, n_comps=n_comps)


def _components(adata: AnnData, split_key: str, n_comps: int) -> str:
    write_components(adata, split_key, n_comps)
    return Key.obsm.pca
