"""Tools: fit maps, and say how good they are."""

from typing import TYPE_CHECKING

from rayot._lazy import attach

if TYPE_CHECKING:
    from rayot.tl._calibration import calibration
    from rayot.tl._evaluate import evaluate
    from rayot.tl._log_fold_change import log_fold_change
    from rayot.tl._screen import screen
    from rayot.tl._similarity import similarity
    from rayot.tl._w1ot import w1ot

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "calibration": "_calibration",
        "evaluate": "_evaluate",
        "log_fold_change": "_log_fold_change",
        "screen": "_screen",
        "similarity": "_similarity",
        "w1ot": "_w1ot",
    },
)
