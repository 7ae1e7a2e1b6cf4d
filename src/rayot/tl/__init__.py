"""Tools: fit maps, and say how good they are."""

from typing import TYPE_CHECKING

from rayot._lazy import attach
from rayot.model.methods import METHODS

if TYPE_CHECKING:
    # ``as``, so that type checkers show them as names of this module.
    from rayot.tl._calibration import calibration as calibration
    from rayot.tl._conditional_w1ot import conditional_w1ot as conditional_w1ot
    from rayot.tl._evaluate import evaluate as evaluate
    from rayot.tl._evaluate_predictions import evaluate_predictions as evaluate_predictions
    from rayot.tl._log_fold_change import log_fold_change as log_fold_change
    from rayot.tl._methods import additive as additive
    from rayot.tl._methods import biolord as biolord
    from rayot.tl._methods import celltype_shift as celltype_shift
    from rayot.tl._methods import cinemaot as cinemaot
    from rayot.tl._methods import cpa as cpa
    from rayot.tl._methods import discrete_ot as discrete_ot
    from rayot.tl._methods import fixed_step as fixed_step
    from rayot.tl._methods import gaussian_ot as gaussian_ot
    from rayot.tl._methods import genot as genot
    from rayot.tl._methods import identity as identity
    from rayot.tl._methods import mean_shift as mean_shift
    from rayot.tl._methods import nearest as nearest
    from rayot.tl._methods import otcfm as otcfm
    from rayot.tl._methods import quantile_map as quantile_map
    from rayot.tl._methods import ridge as ridge
    from rayot.tl._methods import scgen as scgen
    from rayot.tl._methods import w1ot as w1ot
    from rayot.tl._methods import w2ot as w2ot
    from rayot.tl._screen import screen as screen
    from rayot.tl._similarity import similarity as similarity
    from rayot.tl._translate import translate as translate
    from rayot.tl._transport import transport as transport

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        **dict.fromkeys(METHODS, "_methods"),
        "calibration": "_calibration",
        "conditional_w1ot": "_conditional_w1ot",
        "evaluate": "_evaluate",
        "evaluate_predictions": "_evaluate_predictions",
        "log_fold_change": "_log_fold_change",
        "screen": "_screen",
        "similarity": "_similarity",
        "translate": "_translate",
        "transport": "_transport",
    },
)
