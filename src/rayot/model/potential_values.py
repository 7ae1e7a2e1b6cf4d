"""What the potential of a fitted map says: a picture in the plane, and which mass is matched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from anndata import AnnData

from rayot.data.matrix import dense, row_chunks
from rayot.model.moves import of_own_stratum

if TYPE_CHECKING:
    from rayot.model.w1ot import W1OT


@torch.no_grad()
def matched_mass(model: W1OT, adata: AnnData) -> np.ndarray | None:
    """Mass with which each cell is matched, (n_obs,) float32; None if all mass is.

    Of source and target cells it is 1 on average over training cells, and 0 for those that are
    left unmatched; of other cells NaN.
    """
    if not model.settings.unbalanced:
        return None
    mass = np.full(adata.n_obs, np.nan, dtype=np.float32)
    module = model.module
    for condition, share, sign, limits in (
        (model.source_key, model.settings.unmatched_source, 1, module.highest_source),
        (model.target_key, model.settings.unmatched_target, -1, module.lowest_target),
    ):
        for rows in row_chunks(model.data.rows(adata, condition)):
            cells = torch.from_numpy(dense(model._encode(adata, rows)[0]))
            values = module.potential(cells[None].expand(len(module.names), -1, -1))
            matched = (sign * values <= sign * limits).float()
            matched = of_own_stratum(matched, model.problems, model._strata(adata, rows))
            mass[rows] = matched.numpy() / (1 - share)
    return mass


@torch.no_grad()
def potential_grid(model: W1OT, cells: np.ndarray, n: int = 100) -> dict[str, np.ndarray] | None:
    """Potential of the first ray on a grid around 2-D cells; None in other dimensions.

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
    values = model.module.potential(stack).mean(0)
    return {"x": x, "y": y, "values": values.numpy().reshape(n, n)}
