"""R objects as numpy, pandas and scipy know them."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import rdata
from scipy import sparse


def read_rda(path: Path) -> Any:  # noqa: ANN401
    """The one object that an ``.rda`` file holds."""
    with _quiet():
        (value,) = rdata.read_rda(path).values()
    return value


def read_rds(path: Path) -> Any:  # noqa: ANN401
    """The object of an ``.rds`` file, whatever the file is called."""
    with _quiet():
        return rdata.read_rds(path)


def cells_by_features(matrix: SimpleNamespace) -> sparse.csr_matrix:
    """Transpose a sparse matrix of R's package Matrix, features x cells, to cells x features."""
    n_features, n_cells = matrix.Dim
    if hasattr(matrix, "p"):  # dgCMatrix: its columns are our rows
        return sparse.csr_matrix((matrix.x, matrix.i, matrix.p), shape=(n_cells, n_features))
    return sparse.csr_matrix((matrix.x, (matrix.j, matrix.i)), shape=(n_cells, n_features))


def strings(values: Any) -> np.ndarray:  # noqa: ANN401
    """An R character vector or factor as an array of Python strings."""
    return np.asarray(values).astype(str).astype(object)


def _quiet() -> warnings.catch_warnings:
    # rdata warns of each S4 class that it turns into a plain namespace, which is what we want.
    return warnings.catch_warnings(action="ignore", category=UserWarning)
