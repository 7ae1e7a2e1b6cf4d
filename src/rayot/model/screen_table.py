"""The table of a screen: a row of each perturbation."""

from __future__ import annotations

from typing import Any, cast

import pandas as pd

from rayot.data import checks
from rayot.model import saved
from rayot.model.saved import Figure
from rayot.solvers.report import Report

FIGURES = (
    "strength",
    "mean_step",
    "held_out_dual",
    "initial_energy_distance",
    "residual_energy_distance",
    "floor_energy_distance",
)
"""Diagnostics that a screen's table has."""

TABLE = {
    "perturbation": list[str],
    "n_cells": list[int],
    "energy_distance": list[Figure],
    "p_value": list[float],
    "q_value": list[float],
    "detectable": list[bool],
    **dict.fromkeys(FIGURES, list[Figure]),
    "certificate": list[str],
    "reason": list[str],
}
"""Types of its columns."""


def still(p_value: float, q_value: float) -> Report:
    """Diagnostics of a perturbation that was not fitted."""
    return {
        "p_value": p_value,
        "q_value": q_value,
        "strength": 0.0,
        "mean_step": 0.0,
        "certificate": "no effect",
        "reason": f"There is no detectable effect (q = {q_value:.2g}); cells stay where they are.",
    }


def table_of(columns: dict[str, list[Any]]) -> pd.DataFrame:
    """The table of a saved screen."""
    n_rows = {len(values) for values in columns.values()}
    if len(n_rows) != 1:
        raise ValueError(f"the columns of its table have different lengths, {sorted(n_rows)}.")
    checks.unique(columns["perturbation"], "table.perturbation")
    rows = [
        saved.with_no_effect(cast(Report, dict(zip(columns, row, strict=True))))
        for row in zip(*columns.values(), strict=True)
    ]
    return pd.DataFrame(rows, columns=list(columns))
