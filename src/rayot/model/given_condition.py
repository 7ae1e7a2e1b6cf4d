"""The map of one condition of a conditional model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from anndata import AnnData
from torch import Tensor

from rayot._public import public
from rayot.data import checks
from rayot.data.condition_columns import groups_of
from rayot.data.conditions import Condition, covariates_name
from rayot.model.moves import Moves, moves_of
from rayot.model.w1ot import W1OT

if TYPE_CHECKING:
    from rayot.model.calibration import Calibration
    from rayot.model.fitted_conditional import FittedConditional


class GivenCondition(W1OT):
    """A map that adds the moves of several, or reads from ``obs`` what cells it moves.

    Its ``module`` is that of the summed vector, and of the first covariates.
    """

    conditional: FittedConditional
    condition: Condition
    terms: list[Condition]
    """Those whose moves are added: the condition itself, or its parts."""
    calibrations: tuple[Calibration, ...] = ()
    """Of each term; none if one of them has no distributions."""

    @property
    def _calibrations_by_term(self) -> tuple[Calibration, ...]:
        """What calibrates each term of a move."""
        return self.calibrations

    @property
    def _covariates(self) -> list[str]:
        return [each.column for each in self.conditional.conditions.covariates]

    def _groups(self, adata: AnnData, rows: np.ndarray) -> dict[Condition, np.ndarray]:
        """Positions in ``rows`` of the cells of each combination of covariates."""
        if not self._covariates:
            return {self.condition: np.arange(len(rows))}
        for name in self._covariates:
            missing = checks.labels(adata, name, rows) == ""
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

    def _strata(self, adata: AnnData, rows: np.ndarray) -> np.ndarray | None:
        if not self._covariates:
            return None
        columns = [checks.labels(adata, name, rows) for name in self._covariates]
        return np.array(list(map(covariates_name, zip(*columns, strict=True))), dtype=object)

    def _check_cells(self, adata: AnnData, rows: np.ndarray) -> None:
        for condition in self._groups(adata, rows):
            self.conditional.conditions.vector(condition)
        super()._check_cells(adata, rows)

    def _moves(self, adata: AnnData, rows: np.ndarray, cells: Tensor) -> Moves:
        positions, parts = [], []
        for condition, members in self._groups(adata, rows).items():
            positions.append(torch.from_numpy(members))
            parts.append(self._added(condition, cells[positions[-1]]))
        return _joined(parts, torch.cat(positions).argsort())

    def _added(self, condition: Condition, cells: Tensor) -> Moves:
        """Sum of the moves of all terms, for cells of the condition's covariates."""
        terms = [each._replace(covariates=condition.covariates) for each in self.terms]
        found = [
            moves_of(self.conditional._maps_of(each), self.problems, None, cells, None)
            for each in terms
        ]
        if len(found) == 1:
            return found[0]
        mean, members, maps = (
            torch.stack([getattr(each, name) for each in found]).sum(0)
            for name in ("mean", "members", "maps")
        )
        # A sum of potentials is none: it need not be 1-Lipschitz.
        return Moves(mean, members, maps, None, found[0].combined, terms=tuple(found))

    @public()
    def save(self, dir_path: str | Path, overwrite: bool = False) -> None:
        """Raise a ValueError: the map is saved with its conditional model."""
        raise ValueError(
            "This map adds the moves of several, or reads what cells it moves from obs; save the "
            "conditional model itself."
        )


def _joined(parts: Sequence[Moves], order: Tensor) -> Moves:
    """Moves of several groups of cells as one, in another order."""
    potentials = [each.potential for each in parts if each.potential is not None]
    return Moves(
        torch.cat([each.mean for each in parts])[order],
        torch.cat([each.members for each in parts], 1)[:, order],
        torch.cat([each.maps for each in parts], 1)[:, order],
        torch.cat(potentials)[order] if potentials else None,
        np.zeros(len(order), dtype=bool),
        terms=tuple(
            _joined(of_term, order) for of_term in zip(*(each.terms for each in parts), strict=True)
        ),
    )
