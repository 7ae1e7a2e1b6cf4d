"""The map of one condition of a conditional model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from anndata import AnnData
from torch import Tensor

from rayot.data import checks
from rayot.data.conditions import Condition, groups_of
from rayot.model.moves import Moves, moves_of
from rayot.model.w1ot import W1OT

if TYPE_CHECKING:
    from rayot.model.conditional_w1ot import ConditionalW1OT


class GivenCondition(W1OT):
    """A map that reads from ``obs`` what cells it moves, such as their cell type."""

    conditional: ConditionalW1OT
    condition: Condition

    @property
    def _covariates(self) -> list[str]:
        return [each.column for each in self.conditional.conditions.covariates]

    def _groups(self, adata: AnnData, rows: np.ndarray) -> dict[Condition, np.ndarray]:
        """Positions in ``rows`` of the cells of each combination of covariates."""
        for name in self._covariates:
            missing = checks.column(adata, name).iloc[rows].isna()
            if missing.any():
                raise ValueError(
                    f"{int(missing.sum())} cells have no value in adata.obs[{name!r}], which the "
                    "model was fitted with; leave them out or fill it in."
                )
        found = groups_of(adata, rows, self._covariates)
        return {
            self.condition._replace(covariates=tuple(map(str, key))): np.searchsorted(rows, members)
            for key, members in found.items()
        }

    def _check_cells(self, adata: AnnData, rows: np.ndarray) -> None:
        for condition in self._groups(adata, rows):
            self.conditional.conditions.vector(condition)
        super()._check_cells(adata, rows)

    def _moves(self, adata: AnnData, rows: np.ndarray, cells: Tensor) -> Moves:
        positions, parts = [], []
        for condition, members in self._groups(adata, rows).items():
            maps = self.conditional.maps_of(condition)
            positions.append(torch.from_numpy(members))
            parts.append(moves_of(maps, self.problems, None, cells[positions[-1]], None))
        back = torch.cat(positions).argsort()
        potentials = [each.potential for each in parts if each.potential is not None]
        return Moves(
            torch.cat([each.mean for each in parts])[back],
            torch.cat([each.members for each in parts], 1)[:, back],
            torch.cat([each.maps for each in parts], 1)[:, back],
            torch.cat(potentials)[back],
            np.zeros(len(rows), dtype=bool),
        )

    def save(self, dir_path: str | Path, overwrite: bool = False) -> None:
        """Raise a ValueError: the map is saved with its conditional model."""
        raise ValueError(
            f"This map reads {self._covariates} of the cells that it moves; save the conditional "
            "model itself."
        )
