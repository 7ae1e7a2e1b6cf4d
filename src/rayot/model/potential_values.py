"""What the potential of a fitted map says: a picture in the plane, and which mass is matched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from anndata import AnnData

from rayot.data.matrix import dense, row_chunks
from rayot.model.moves import of_own_stratum

if TYPE_CHECKING:
    from rayot.model.method import Method


def matched_mass(model: Method, adata: AnnData) -> np.ndarray | None:
    """Mass with which each cell is matched, (n_obs,) float32; None if all mass is.

    Of source and target cells it is 1 on average over training cells, and 0 for those that are
    left unmatched; of other cells NaN.
    """
    if not model.settings.unbalanced:
        return None
    mass = np.full(adata.n_obs, np.nan, dtype=np.float32)
    sides: tuple[tuple[str, Literal["source", "target"]], ...] = (
        (model.source_key, "source"),
        (model.target_key, "target"),
    )
    for condition, side in sides:
        rows = model.data.rows(adata, condition)
        mass[rows] = mass_of(model, adata, rows, side)
    return mass


@torch.no_grad()
def mass_of(
    model: Method, adata: AnnData, rows: np.ndarray, side: Literal["source", "target"]
) -> np.ndarray:
    """Mass (n,) float32 with which these cells of one side are matched."""
    found = [np.zeros(0, dtype=np.float32)]
    for chunk in row_chunks(rows):
        cells = torch.from_numpy(dense(model._encode(adata, chunk)[0]))
        mass = model.module.mass(cells[None].expand(len(model.problems), -1, -1), side)
        found.append(of_own_stratum(mass, model.problems, model._strata(adata, chunk)).numpy())
    return np.concatenate(found)


@torch.no_grad()
def potential_grid(model: Method, cells: np.ndarray, n: int = 100) -> dict[str, np.ndarray] | None:
    """Potential of the first ray on a grid around 2-D cells; None where there is none.

    Parameters
    ----------
    model
        A trained model.
    cells
        (n, 2) float32, cells that the grid must cover.
    n
        Points along each side.

    Returns
    -------
    ``x`` and ``y`` (n,), and ``values`` (n, n) with ``values[i, j]`` at (``x[j]``, ``y[i]``).
    """
    if cells.shape[1] != 2:
        return None
    low, high = cells.min(0), cells.max(0)
    margin = 0.1 * (high - low).max()
    x, y = (
        np.linspace(low[axis] - margin, high[axis] + margin, n, dtype=np.float32) for axis in (0, 1)
    )
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    stack = torch.from_numpy(points)[None].expand(len(model.module.names), -1, -1)
    values = model.module.potential(stack)
    if values is None:
        return None
    return {"x": x, "y": y, "values": values.mean(0).numpy().reshape(n, n)}
