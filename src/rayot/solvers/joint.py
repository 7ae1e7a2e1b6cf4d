"""What methods share that learn all conditions in one model, and swap one for another."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rayot._docs import shared
from rayot.solvers.attributes import Attributes
from rayot.solvers.energy import energy_distance
from rayot.solvers.phase import Batch, Phase, Score
from rayot.solvers.population import Population
from rayot.solvers.settings import NetworkSettings
from rayot.solvers.stack import Stack


@shared
@dataclass(frozen=True)
class JointSettings(NetworkSettings):
    """Settings of a model of all conditions.

    Attributes
    ----------
    {joint_settings}
    {network_settings}
    {common_settings}
    """

    conditions: tuple[str, ...] = ()
    covariates: tuple[str, ...] = ()
    dose: float | None = None
    n_latent: int = 32
    width: int = 512

    @property
    def n_conditions(self) -> int:
        """Conditions that have an embedding."""
        return max(2, len(self.conditions))

    @property
    def n_covariates(self) -> int:
        """Covariates that have an embedding."""
        return max(1, len(self.covariates))


@shared
class JointStack(Stack):
    """P models of the cells of all conditions, each a map by swapping source for target.

    A cell's code says what its condition and covariate do not; decoded with another condition it is
    the counterfactual cell.

    Parameters
    ----------
    {stack}
    """

    settings_type = JointSettings
    # Cells of further conditions are of all strata, of one that is left out too.
    leaves_out_strata = False
    settings: JointSettings
    dose_centre: Tensor
    dose_scale: Tensor

    def __init__(
        self, n_features: int, names: Sequence[str], settings: JointSettings, seed: int
    ) -> None:
        super().__init__(n_features, names, settings, seed)
        self.register_buffer("dose_centre", torch.zeros(len(self.names), 1, dtype=torch.float32))
        self.register_buffer("dose_scale", torch.ones(len(self.names), 1, dtype=torch.float32))
        # Number of the condition that cells are moved to.
        self.towards = 1

    @abstractmethod
    def encode(self, cells: Tensor) -> Tensor:
        """Codes (P, n, k) of standardised cells (P, n, r)."""

    @abstractmethod
    def reconstruct(self, codes: Tensor, attributes: Attributes) -> Tensor:
        """Mean standardised cells (P, n, r) of codes (P, n, k) with known attributes (P, n)."""

    @abstractmethod
    def phases(self) -> Sequence[JointPhase]:
        """What is trained by gradient steps, one phase after the other."""

    def fit(self, source: Population, target: Population) -> None:
        """Centre and scale of the logarithms of the doses of treated cells."""
        attributes = source.attributes
        if attributes is None or self.settings.dose is None:
            return
        doses = attributes.log_dose[attributes.condition > 0]
        self.dose_centre.fill_(float(doses.mean()))
        spread = float(doses.std())
        self.dose_scale.fill_(spread if spread > 1e-6 else 1.0)

    def standardised_dose(self, attributes: Attributes) -> Tensor:
        """Logarithms of doses with mean 0 and variance 1 over treated training cells, (P, n)."""
        return (attributes.log_dose - self.dose_centre) / self.dose_scale

    def move(self, cells: Tensor) -> Tensor:
        """Where standardised cells (P, n, r) go of which nothing else is known."""
        return self.counterfactual(cells, self._unknown(cells))

    def counterfactual(self, cells: Tensor, attributes: Attributes) -> Tensor:
        """Where standardised cells (P, n, r) with attributes (1, n) or (P, n) go.

        With ``decode="delta"`` a cell moves by what the swap changes in its reconstruction, and
        keeps what the model cannot reconstruct.
        """
        attributes = attributes.expand(*cells.shape[:2])
        codes = self.encode(cells)
        condition = torch.full_like(attributes.condition, self.towards)
        swapped = self.reconstruct(codes, replace(attributes, condition=condition))
        if self.settings.decode == "direct":
            return swapped
        own = self.reconstruct(codes, replace(attributes, condition=torch.zeros_like(condition)))
        return cells + swapped - own

    def forward(self, cells: Tensor, attributes: Attributes | None = None) -> Tensor:
        """T(x), (P, n, d), in the units of ``cells``, see :meth:`Stack.forward`."""
        standardised = self.standardise(cells)
        attributes = self._unknown(standardised) if attributes is None else attributes
        moves = self.counterfactual(standardised, attributes) - standardised
        return self.in_space(cells, moves)

    def _unknown(self, cells: Tensor) -> Attributes:
        """Attributes where there are no covariates, at the mean dose."""
        if self.settings.covariates:
            raise ValueError("The maps need the covariates of cells.")
        shape = cells.shape[:2]
        zero = torch.zeros(shape, dtype=torch.int64, device=cells.device)
        log_dose = self.dose_centre.expand(*shape)
        return Attributes(
            zero, zero, log_dose, torch.ones(shape, device=cells.device, dtype=torch.float32)
        )


class JointPhase(Phase):
    """A phase whose losses are taken on a batch of cells of all conditions at once.

    A batch has source cells, as many target cells, and as many of all other conditions.
    """

    name = "model"
    stack: JointStack

    @property
    def n_steps(self) -> int:
        """Steps of the phase."""
        return self.stack.settings.n_steps

    def others(self, source: Population) -> Population | None:
        """Training cells of all conditions but source and target; None where there are none."""
        attributes = source.attributes
        assert attributes is not None, NEEDS_ATTRIBUTES
        rows = torch.nonzero(attributes.condition >= 2)[:, 0]
        if not len(rows):
            return None
        weights = None if source.weights is None else [attributes.weight[rows]] * source.n_problems
        others = Population.from_groups(source.cells, [rows] * source.n_problems, weights=weights)
        return others.with_attributes(attributes)

    def validate(self, held_out: Batch, score: Score) -> Tensor:
        """Held-out value (P,), in the maps' units: energy distance of moved to target cells."""
        (source,), attributes = held_out.source, held_out.attributes
        assert attributes is not None, NEEDS_ATTRIBUTES
        return score(
            energy_distance, self.stack.counterfactual(source, attributes), held_out.target
        )


NEEDS_ATTRIBUTES = "A joint method needs the attributes of its cells."


def joined(batch: Batch) -> tuple[Tensor, Attributes, Tensor]:
    """All cells of a batch (P, n, r), their attributes and their rows in the store (P, n)."""
    assert batch.attributes is not None, NEEDS_ATTRIBUTES
    assert batch.rows is not None
    parts = [*batch.source, batch.target]
    if batch.others is not None:
        parts.append(batch.others)
    return torch.cat(parts, 1), batch.attributes, batch.rows
