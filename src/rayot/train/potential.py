"""Training of a ray's potential: maximise the Kantorovich-Rubinstein dual."""

import torch
from torch import Tensor

from rayot.nn import Potential
from rayot.solvers import dual_value, generator, unbalanced_dual_value
from rayot.train.block import apply_gradients
from rayot.train.carried import CarriedCells
from rayot.train.held_out import HeldOut
from rayot.train.ray import RayTraining


class PotentialTraining(RayTraining):
    """Maximise E f(source) − E f(target) over 1-Lipschitz f (paper, equation 13)."""

    part = "potential"
    monitor = "validation_dual"
    monitor_sign = 1
    distances = frozenset({"dual"})

    @property
    def n_steps(self) -> int:
        """Steps of the whole phase."""
        return self.settings.potential_steps

    def learning_rates(self) -> tuple[float, float]:
        """First and last learning rate."""
        return self.settings.potential_lr, self.settings.potential_lr_end

    @property
    def module(self) -> Potential:
        """Potential of this ray."""
        return self.transport.ray(self.ray).potential

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Adam on the potential of this ray."""
        return [self.adam(self.module, self.settings.potential_betas)]

    def on_fit_start(self) -> None:
        """Carry the source cells through the rays that are done."""
        super().on_fit_start()
        if self.block == 0 and self.module.n_start_cells:
            self.module.start_at(self._start_cells(self.module.n_start_cells))
        self.carried = CarriedCells(self.transport, self.source, self.ray, False)
        self.held_out = HeldOut(self.transport, *self.validation, self.ray, False)

    def optimise(self, step: int) -> dict[str, Tensor]:
        """One step on a batch of source and a batch of target cells."""
        self.module.anneal(step / self.n_steps, self.stopping.active)
        source_positions, target_positions = next(self.draws)
        (source,) = self.carried.take(source_positions)
        (target,) = self.targets.take(target_positions)
        values = self.module(torch.cat([source, target], dim=1))
        dual = self._dual(*values.split(source.shape[1], dim=1))
        apply_gradients(-dual.sum(), self.trained, self.adams[0])
        return {"dual": dual.detach()}

    def _dual(
        self,
        source: Tensor,
        target: Tensor,
        source_weights: Tensor | None = None,
        target_weights: Tensor | None = None,
    ) -> Tensor:
        if not self.settings.unbalanced:
            return dual_value(source, target, source_weights, target_weights)
        unmatched = self.settings.unmatched_source, self.settings.unmatched_target
        return unbalanced_dual_value(source, target, *unmatched, source_weights, target_weights)

    def _start_cells(self, n: int) -> Tensor:
        """Target cells (P, n, d) in the rays' units, none twice while there are others."""
        firsts, sizes = self.target.problem_offsets[:-1].tolist(), self.target.sizes.tolist()
        positions = []
        for name, first, size in zip(self.transport.names, firsts, sizes, strict=True):
            order = torch.randperm(size, generator=generator(self.seed, name, self.name, "start"))
            positions.append(first + order[torch.arange(n) % size])
        return self.targets.take(torch.stack(positions).to(self.device))[0]

    def validate(self) -> dict[str, Tensor]:
        """Dual on the cells set apart: a lower bound of W1, up to sampling."""
        with torch.no_grad():
            weights = self.module.weights()
            values = [
                self.module(cells, weights)
                for cells in (self.held_out.source[0], self.held_out.target)
            ]
            dual = self.held_out.score(self._dual, *values)
        return {"validation_dual": self.transport.in_data_units(dual)}
