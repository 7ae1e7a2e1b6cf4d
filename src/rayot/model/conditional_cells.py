"""Training cells of each condition, and of its control."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np
from anndata import AnnData

from rayot.data import checks
from rayot.data.condition_columns import groups_of
from rayot.data.conditions import Condition, covariates_name
from rayot.data.keys import Key
from rayot.data.spec import DataSpec

logger = logging.getLogger(__name__)


def columns_of(
    adata: AnnData, groupby: str, covariate_keys: str | Sequence[str] | None, dose_key: str | None
) -> list[str]:
    """Columns of the perturbations and of the covariates, checked to be there and to differ."""
    covariate_keys = [covariate_keys] if isinstance(covariate_keys, str) else covariate_keys or ()
    columns = [groupby, *covariate_keys]
    for name in (*columns, *([] if dose_key is None else [dose_key])):
        checks.column(adata, name)
    if len({*columns, dose_key}) <= len(columns):
        raise ValueError(
            f"groupby ({groupby!r}), covariate_keys ({list(covariate_keys)}) and dose_key or "
            f"time_key ({dose_key!r}) must be different columns."
        )
    return columns


def by_exposure(
    groups: Mapping[Condition, tuple[np.ndarray, np.ndarray]],
) -> dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Rows of source and target, by what cells were exposed to, then by what cells they are."""
    by_name: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = {}
    for condition, rows in groups.items():
        by_name.setdefault(condition.exposure.name, {})[covariates_name(condition.covariates)] = (
            rows
        )
    return by_name


def training_groups(
    adata: AnnData,
    data: DataSpec,
    control: str,
    columns: list[str],
    dose_key: str | None,
    min_cells: int,
    *,
    is_time: bool = False,
) -> dict[Condition, tuple[np.ndarray, np.ndarray]]:
    """Training rows of source and target of each condition that has enough of both."""
    if min_cells < 4:
        raise ValueError(f"min_cells must be at least 4, found {min_cells!r}.")
    sources = groups_of(adata, data.training_rows(adata, control), columns)
    of_control = {key[1:]: rows for key, rows in sources.items()}
    training = ~checks.in_category(adata, columns[0], control)
    if data.split_key is not None:
        training &= checks.labels(adata, data.split_key) == Key.obs.train
    targets = groups_of(adata, np.flatnonzero(training), columns, dose_key, is_time=is_time)
    kept, lacking = {}, []
    for key, rows in targets.items():
        condition = Condition.of(key, with_dose=dose_key is not None)
        source = of_control.get(condition.covariates, np.empty(0, dtype=int))
        if min(len(source), len(rows)) < min_cells:
            lacking.append(f"{condition.name!r} ({len(rows)} of it, {len(source)} of its control)")
        else:
            kept[condition] = source, rows
    if lacking:
        shown = ", ".join(lacking[:10]) + (", …" if len(lacking) > 10 else "")
        message = f"{len(lacking)} conditions have fewer than {min_cells} training cells: {shown}"
        if not kept:
            raise checks.TooFewCells(f"{message}; no condition is left to learn from.")
        logger.warning("%s; they are left out of the fit.", message)
    if not kept:
        raise ValueError(
            f"adata.obs[{columns[0]!r}] has no training cells of a condition beside {control!r}."
        )
    return kept
