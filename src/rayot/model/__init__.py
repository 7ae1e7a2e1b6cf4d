"""One class a method, with scvi-tools' life cycle: set up, train, predict, save, load."""

from typing import TYPE_CHECKING

from rayot._lazy import attach
from rayot.model.methods import METHODS

if TYPE_CHECKING:
    from rayot.model.additive import Additive as Additive
    from rayot.model.biolord import Biolord as Biolord
    from rayot.model.celltype_shift import CellTypeShift as CellTypeShift
    from rayot.model.cinemaot import CinemaOT as CinemaOT
    from rayot.model.conditional_w1ot import ConditionalW1OT as ConditionalW1OT
    from rayot.model.cpa import CPA as CPA
    from rayot.model.discrete_ot import DiscreteOT as DiscreteOT
    from rayot.model.fixed_step import FixedStep as FixedStep
    from rayot.model.gaussian_ot import GaussianOT as GaussianOT
    from rayot.model.genot import GENOT as GENOT
    from rayot.model.identity import Identity as Identity
    from rayot.model.mean_shift import MeanShift as MeanShift
    from rayot.model.modality_genot import ModalityGENOT as ModalityGENOT
    from rayot.model.nearest import Nearest as Nearest
    from rayot.model.otcfm import OTCFM as OTCFM
    from rayot.model.prediction import Prediction as Prediction
    from rayot.model.quantile_map import QuantileMap as QuantileMap
    from rayot.model.ridge import Ridge as Ridge
    from rayot.model.scgen import ScGen as ScGen
    from rayot.model.screen import Screen as Screen
    from rayot.model.w1ot import W1OT as W1OT
    from rayot.model.w2ot import W2OT as W2OT

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
