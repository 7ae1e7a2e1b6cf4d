"""One class a method, with scvi-tools' life cycle: set up, train, predict, save, load."""

from typing import TYPE_CHECKING

from rayot._lazy import attach
from rayot.model.methods import METHODS

if TYPE_CHECKING:
    from rayot.model.additive import Additive
    from rayot.model.biolord import Biolord
    from rayot.model.celltype_shift import CellTypeShift
    from rayot.model.cinemaot import CinemaOT
    from rayot.model.conditional_w1ot import ConditionalW1OT
    from rayot.model.cpa import CPA
    from rayot.model.discrete_ot import DiscreteOT
    from rayot.model.fixed_step import FixedStep
    from rayot.model.gaussian_ot import GaussianOT
    from rayot.model.genot import GENOT
    from rayot.model.identity import Identity
    from rayot.model.mean_shift import MeanShift
    from rayot.model.modality_genot import ModalityGENOT
    from rayot.model.nearest import Nearest
    from rayot.model.otcfm import OTCFM
    from rayot.model.prediction import Prediction
    from rayot.model.quantile_map import QuantileMap
    from rayot.model.ridge import Ridge
    from rayot.model.scgen import ScGen
    from rayot.model.screen import Screen
    from rayot.model.w1ot import W1OT
    from rayot.model.w2ot import W2OT

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "ConditionalW1OT": "conditional_w1ot",
        "ModalityGENOT": "modality_genot",
        "Prediction": "prediction",
        "Screen": "screen",
        **{method: file for file, method in METHODS.items()},
    },
)
