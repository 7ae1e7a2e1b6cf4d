"""Whether genes, scaling or components were computed on cells that are for testing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rayot.data import checks
from rayot.data.keys import Key
from rayot.data.matrix import chunk_rows, expression_of, row_chunks

if TYPE_CHECKING:
    from anndata import AnnData

N_COMPONENTS = 10
"""Leading components that are looked at; the last ones of a truncated decomposition are rough."""
EXACT = 0.05
"""Largest relative residual of components of the very cells they were computed from."""
TIMES = 4
"""Figures of the cells that something was computed from fit so many times better than others."""

Status = Literal["leak", "clean", "unknown", "told"]
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Finding:
    """What was found out about one step before the fit.

    Attributes
    ----------
    check
        Name of the step.
    status
        ``"leak"``: test cells took part; ``"clean"``: training cells alone did; ``"unknown"``:
        it cannot be told; ``"told"``: a fact that may be as it is wanted.
    reason
        One sentence.
    """

    check: str
    status: Status
    reason: str


@dataclass(frozen=True)
class _Moments:
    """Sums over some cells."""

    n: int
    mean: Vector
    sd: Vector
    mean_amount: Vector
    products: Vector
    """Of the covariance matrix with the components, (genes, components)."""


def leaks(adata: AnnData, split_key: str, layer: str | None = None) -> Iterator[Finding]:
    """Compare what scanpy left with what it would have left of all cells, and of training cells.

    Parameters
    ----------
    adata
        Cells with ``obs[split_key]``. Their expression is read once, block by block.
    split_key
        Column with "train" and "test".
    layer
        Expression that genes and components were computed from.
    """
    is_train = checks.labels(adata, split_key) == Key.obs.train
    loadings = _loadings(adata)
    every, training = (
        _moments(adata, layer, rows, loadings)
        for rows in (np.arange(adata.n_obs), np.flatnonzero(is_train))
    )
    yield _genes(adata, every, training)
    yield _scaling(every, training)
    yield _components(loadings, every, training)


def _loadings(adata: AnnData) -> Vector | None:
    """Leading components of ``varm``, (genes, components); None without."""
    if Key.varm.loadings not in adata.varm:
        return None
    loadings = np.asarray(adata.varm[Key.varm.loadings], dtype=np.float64)[:, :N_COMPONENTS]
    return np.where(np.isfinite(loadings), loadings, 0.0)


def _moments(
    adata: AnnData, layer: str | None, rows: NDArray[np.intp], loadings: Vector | None
) -> _Moments:
    total, squares, amounts = np.zeros((3, adata.n_vars))
    components = np.zeros((adata.n_vars, 0)) if loadings is None else loadings
    products, scores = np.zeros_like(components), np.zeros(components.shape[1])
    for chunk in row_chunks(rows, chunk_rows(adata.n_vars)):
        block = expression_of(adata, layer, chunk).astype(np.float64)
        squared = block.power(2) if isinstance(block, sparse.csr_matrix) else block**2
        with np.errstate(over="ignore"):
            # Of what is no logarithm this overflows, and then matches nothing.
            amount = block.expm1() if isinstance(block, sparse.csr_matrix) else np.expm1(block)
        for sums, values in ((total, block), (squares, squared), (amounts, amount)):
            sums += np.asarray(values.sum(0)).ravel()
        projected = block @ components
        products += block.T @ projected
        scores += projected.sum(0)
    n, mean = len(rows), total / len(rows)
    with np.errstate(invalid="ignore"):
        variance = np.maximum(squares / n - mean**2, 0) * n / max(1, n - 1)
        mean_amount = amounts / n
    # C V = Σ x xᵀ V − n m mᵀ V. Genes that were masked out of the components say nothing of them.
    products = (products - np.outer(mean, scores)) / max(1, n - 1)
    products[~components.any(axis=1)] = 0
    return _Moments(n, mean, np.sqrt(variance), mean_amount, products)


def _verdict(check: str, what: str, of_all: float, of_training: float, exact: float) -> Finding:
    """Which cells something was computed from, by how far it is from what they would give."""
    figures = f"{of_all:.1e} from all cells, {of_training:.1e} from training cells"
    if of_all < exact and of_all * TIMES < of_training:
        return Finding(
            check, "leak", f"{what} of all cells, those for testing among them ({figures})."
        )
    if of_training < exact and of_training * TIMES < of_all:
        return Finding(check, "clean", f"{what} of training cells ({figures}).")
    return Finding(
        check, "unknown", f"{what} of other cells, or in another way than scanpy's ({figures})."
    )


def _components(loadings: Vector | None, every: _Moments, training: _Moments) -> Finding:
    """Components V of cells with covariance C fulfil C V = V Λ."""
    if loadings is None:
        return Finding("components", "unknown", f"varm[{Key.varm.loadings!r}] is not there.")
    used = loadings.any(axis=1)

    def residual(cells: _Moments) -> float:
        eigenvalues = (loadings * cells.products).sum(0)
        rest = np.linalg.norm(cells.products[used] - loadings[used] * eigenvalues, axis=0)
        # The largest eigenvalue is the unit: small ones are found less exactly.
        return float(np.max(rest) / max(np.max(np.abs(eigenvalues)), 1e-300))

    return _verdict(
        "components", "Components are those", residual(every), residual(training), EXACT
    )


def _scaling(every: _Moments, training: _Moments) -> Finding:
    """``scanpy.pp.scale`` leaves means of zero and standard deviations of one."""

    def distance(cells: _Moments) -> float:
        varying = cells.sd > 0
        if not varying.any():
            return float("inf")
        # Medians, as scaled values may have been cut off.
        return float(
            np.median(np.abs(cells.mean[varying])) + np.median(np.abs(cells.sd[varying] - 1))
        )

    distances = distance(every), distance(training)
    if min(distances) > EXACT:
        return Finding("scaling", "clean", "Genes are not scaled to mean 0 and variance 1.")
    return _verdict("scaling", "Genes have mean 0 and variance 1", *distances, EXACT)


def _genes(adata: AnnData, every: _Moments, training: _Moments) -> Finding:
    """``scanpy.pp.highly_variable_genes`` leaves the means that it compared genes by."""
    if Key.var.highly_variable not in adata.var or Key.var.means not in adata.var:
        return Finding(
            "genes", "unknown", "var does not say by which cells genes were selected, if at all."
        )
    means = adata.var[Key.var.means].to_numpy(dtype=np.float64)

    def distance(cells: _Moments) -> float:
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            known = (cells.mean, cells.mean_amount, np.log1p(cells.mean_amount))
            gaps = [
                float(np.nanmedian(np.abs(of_cells - means) / (np.abs(means) + 1e-12)))
                for of_cells in known
            ]
        return min((gap for gap in gaps if np.isfinite(gap)), default=float("inf"))

    return _verdict(
        "genes", "Genes were selected by means", distance(every), distance(training), EXACT
    )
