"""Training of one phase of a joint method: on cells of all conditions at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rayot.solvers import Batch, JointObjective, Population
from rayot.solvers.attributes import Attributes
from rayot.train.carried import CarriedCells
from rayot.train.objective import PhaseTraining


class JointTraining(PhaseTraining):
    """A batch has source cells, as many target cells, and as many of all other conditions.

    Parameters
    ----------
    *args, **kwargs
        As in :class:`PhaseTraining`.
    """

    objective: JointObjective

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self.others = others_of(self.source)

    def populations(self) -> dict[str, Population]:
        """Whose cells a batch has, by the name that keys the draw."""
        others = {} if self.others is None else {"others": self.others}
        return {**super().populations(), **others}

    def on_fit_start(self) -> None:
        """Bring the cells of the other conditions to the device, too."""
        super().on_fit_start()
        stores = [self.carried, self.targets]
        if self.others is not None:
            self.others = self.others.on(self.device, self.source.cells)
            stores.append(CarriedCells(self.transport, self.others))
        self.stores = stores

    def on_fit_end(self) -> None:
        """Let go of what only this phase needs."""
        super().on_fit_end()
        del self.stores

    def loss(self, player: int, *positions: Tensor) -> Tensor:
        """Loss (P,) of one player on all cells of the batch."""
        cells, known, rows = [], [], []
        for store, each in zip(self.stores, positions, strict=True):
            cells.append(store.take(each)[0])
            known.append(_known(store.population.known_at(each)))
            rows.append(store.population.rows[each])
        batch = Batch(torch.cat(cells, 1), Attributes.join(known), torch.cat(rows, 1))
        return self.objective.loss(player, batch, self.generators)

    @torch.no_grad()
    def validate(self) -> dict[str, Tensor]:
        """The objective's held-out value."""
        (source,), target = self.held_out.source, self.held_out.target
        known = _known(self.held_out.known)
        found = self.objective.validate(source, known, target, self.held_out.score)
        return {self.monitor: self.transport.in_data_units(found)}


def others_of(source: Population) -> Population | None:
    """Training cells of all conditions but source and target; None where there are none."""
    known = _known(source.attributes)
    rows = torch.nonzero(known.condition >= 2)[:, 0]
    if not len(rows):
        return None
    weights = None if source.weights is None else [known.weight[rows]] * source.n_problems
    others = Population.from_groups(source.cells, [rows] * source.n_problems, weights=weights)
    return others.with_attributes(known)


def _known(attributes: Attributes | None) -> Attributes:
    assert attributes is not None, "A joint method needs the attributes of its cells."
    return attributes
