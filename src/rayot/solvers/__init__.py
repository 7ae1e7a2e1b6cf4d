"""Transport problems on tensors: no AnnData, no Lightning."""

from rayot.solvers.attributes import Attributes
from rayot.solvers.biolord import BiolordMap, BiolordSettings
from rayot.solvers.cells import SparseCells
from rayot.solvers.certificate import CERTIFICATES, certificate
from rayot.solvers.cinema import CinemaMap, CinemaSettings
from rayot.solvers.combination import Combination, choose_combination
from rayot.solvers.conditional import ConditionalMap, ConditionalRay
from rayot.solvers.conditional_settings import ConditionalW1Settings
from rayot.solvers.coupling import entropic_plan, exact_plan
from rayot.solvers.cpa import CPAMap, CPASettings
from rayot.solvers.diagnostics import (
    diagnostics,
    diagnostics_left_out,
    ensemble_report,
    worst,
)
from rayot.solvers.discrete import DiscreteMap, DiscreteSettings
from rayot.solvers.dual import dual_value, matched, unbalanced_dual_value
from rayot.solvers.energy import energy_distance, energy_loss
from rayot.solvers.fixed_step import FixedStepMap, FixedStepSettings
from rayot.solvers.flow import FlowMap, FlowSettings
from rayot.solvers.fold import CombinedFold, Fold
from rayot.solvers.gaussian import GaussianMap, GaussianSettings
from rayot.solvers.genot import GenotMap, GenotSettings
from rayot.solvers.instability import instability
from rayot.solvers.joint import JointPhase, JointSettings, JointStack
from rayot.solvers.latent_shift import LatentShiftMap, ScGenSettings
from rayot.solvers.marginals import Marginals, monotone_map, monotone_shift, rank_sum_scores
from rayot.solvers.permutation import permutation_test
from rayot.solvers.phase import Batch, Phase, Player
from rayot.solvers.population import Cells, Population
from rayot.solvers.profiles import ProfileMap, ProfileSettings
from rayot.solvers.quantile import MarginalMap, QuantileSettings
from rayot.solvers.random import generator
from rayot.solvers.ray import Ray
from rayot.solvers.settings import Settings
from rayot.solvers.shift import IdentityMap, ShiftMap, ShiftSettings
from rayot.solvers.shrinkage import SIGNIFICANCE, shrink
from rayot.solvers.stack import Stack
from rayot.solvers.step import StepSize, critic_loss, generator_loss
from rayot.solvers.stored_cells import StoredCells
from rayot.solvers.w1 import W1Map
from rayot.solvers.w1_settings import W1Settings
from rayot.solvers.w2 import W2Map, W2Settings

__all__ = [
    "CERTIFICATES",
    "SIGNIFICANCE",
    "Attributes",
    "Batch",
    "BiolordMap",
    "BiolordSettings",
    "CPAMap",
    "CPASettings",
    "Cells",
    "CinemaMap",
    "CinemaSettings",
    "Combination",
    "CombinedFold",
    "ConditionalMap",
    "ConditionalRay",
    "ConditionalW1Settings",
    "DiscreteMap",
    "DiscreteSettings",
    "FixedStepMap",
    "FixedStepSettings",
    "FlowMap",
    "FlowSettings",
    "Fold",
    "GaussianMap",
    "GaussianSettings",
    "GenotMap",
    "GenotSettings",
    "IdentityMap",
    "JointPhase",
    "JointSettings",
    "JointStack",
    "LatentShiftMap",
    "MarginalMap",
    "Marginals",
    "Phase",
    "Player",
    "Population",
    "ProfileMap",
    "ProfileSettings",
    "QuantileSettings",
    "Ray",
    "ScGenSettings",
    "Settings",
    "ShiftMap",
    "ShiftSettings",
    "SparseCells",
    "Stack",
    "StepSize",
    "StoredCells",
    "W1Map",
    "W1Settings",
    "W2Map",
    "W2Settings",
    "certificate",
    "choose_combination",
    "critic_loss",
    "diagnostics",
    "diagnostics_left_out",
    "dual_value",
    "energy_distance",
    "energy_loss",
    "ensemble_report",
    "entropic_plan",
    "exact_plan",
    "generator",
    "generator_loss",
    "instability",
    "matched",
    "monotone_map",
    "monotone_shift",
    "permutation_test",
    "rank_sum_scores",
    "shrink",
    "unbalanced_dual_value",
    "worst",
]
