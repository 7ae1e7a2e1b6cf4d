"""Doses and covariates of cells, which joint methods learn from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData

from rayot.data import checks
from rayot.data.conditions import covariates_name


def covariates_of(adata: AnnData, covariate_keys: Sequence[str], rows: np.ndarray) -> np.ndarray:
    """Covariate of each cell as text, (n,) object: of several columns, their combination.

    Raises
    ------
    KeyError
        If there is no such column.
    ValueError
        If a value is missing.
    """
    columns = [checks.labels(adata, name, rows) for name in covariate_keys]
    for name, values in zip(covariate_keys, columns, strict=True):
        if n_missing := int((values == "").sum()):
            raise ValueError(
                f"adata.obs[{name!r}] is missing for {n_missing} of the {len(rows)} cells; fill "
                "it, or fit without it, see covariate_keys."
            )
    if len(columns) == 1:
        return columns[0]
    return np.array(list(map(covariates_name, zip(*columns, strict=True))), dtype=object)


def covariate_codes(
    adata: AnnData, covariate_keys: Sequence[str], rows: np.ndarray, covariates: Sequence[str]
) -> np.ndarray:
    """Number of each cell's covariate among the known ones, (n,) int64.

    Raises
    ------
    KeyError
        If there is no such column.
    ValueError
        If a value is missing, or not known.
    """
    values = covariates_of(adata, covariate_keys, rows)
    codes = pd.Index(covariates).get_indexer(values)
    if (codes < 0).any():
        unknown = sorted(set(values[codes < 0]))
        raise ValueError(
            f"adata.obs[{' / '.join(covariate_keys)!r}] has "
            f"{', '.join(map(repr, unknown[:10]))}, which no training cell has; the model knows "
            f"{', '.join(map(repr, covariates))}. Fit without it, see covariate_keys."
        )
    return codes.astype(np.int64)


def log_doses_of(adata: AnnData, dose_key: str, rows: np.ndarray) -> np.ndarray:
    """Decimal logarithm of the dose of treated cells, (n,) float32.

    Raises
    ------
    KeyError
        If there is no such column.
    ValueError
        If a dose is no number above 0.
    """
    doses = checks.numbers(adata, dose_key, rows)
    bad = ~(np.isfinite(doses) & (doses > 0))
    if bad.any():
        raise ValueError(
            f"adata.obs[{dose_key!r}] is '{_first(adata, dose_key, rows[bad])}' for one of "
            f"{int(bad.sum())} treated training cells without a dose above 0, of which the "
            "logarithm is taken; give each its dose, in one unit."
        )
    return np.log10(doses).astype(np.float32)


def _first(adata: AnnData, name: str, rows: np.ndarray) -> object:
    """Value of the first of some cells in a column."""
    return checks.column(adata, name).iloc[rows[0]]
