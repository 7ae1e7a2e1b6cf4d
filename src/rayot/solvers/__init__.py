"""Transport problems on tensors: no AnnData, no Lightning."""

from rayot.solvers.cells import SparseCells
from rayot.solvers.dual import dual_value
from rayot.solvers.energy import energy_distance, energy_loss
from rayot.solvers.problem import Population
from rayot.solvers.random import generator
from rayot.solvers.ray import Ray, TransportMap
from rayot.solvers.settings import PRESETS, W1Settings
from rayot.solvers.step import StepSize, critic_loss, generator_loss

__all__ = [
    "PRESETS",
    "Population",
    "Ray",
    "SparseCells",
    "StepSize",
    "TransportMap",
    "W1Settings",
    "critic_loss",
    "dual_value",
    "energy_distance",
    "energy_loss",
    "generator",
    "generator_loss",
]
