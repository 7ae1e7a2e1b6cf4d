"""Transport problems on tensors: no AnnData, no Lightning."""

from rayot.solvers.cells import SparseCells
from rayot.solvers.certificate import certificate
from rayot.solvers.combination import Combination, choose_combination
from rayot.solvers.diagnostics import diagnostics
from rayot.solvers.dual import dual_value, matched, unbalanced_dual_value
from rayot.solvers.energy import energy_distance, energy_loss
from rayot.solvers.fold import Fold
from rayot.solvers.permutation import permutation_test
from rayot.solvers.problem import Cells, Population
from rayot.solvers.random import generator
from rayot.solvers.ray import Ray, TransportMap
from rayot.solvers.settings import PRESETS, W1Settings
from rayot.solvers.shrinkage import SIGNIFICANCE, shrink
from rayot.solvers.step import StepSize, critic_loss, generator_loss
from rayot.solvers.stored_cells import StoredCells

__all__ = [
    "PRESETS",
    "SIGNIFICANCE",
    "Cells",
    "Combination",
    "Fold",
    "Population",
    "Ray",
    "SparseCells",
    "StepSize",
    "StoredCells",
    "TransportMap",
    "W1Settings",
    "certificate",
    "choose_combination",
    "critic_loss",
    "diagnostics",
    "dual_value",
    "energy_distance",
    "energy_loss",
    "generator",
    "generator_loss",
    "matched",
    "permutation_test",
    "shrink",
    "unbalanced_dual_value",
]
