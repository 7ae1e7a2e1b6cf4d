"""Tools: fit maps, and say how good they are."""

from typing import TYPE_CHECKING, Any

from rayot._lazy import attach
from rayot.model.methods import METHODS

if TYPE_CHECKING:
    from rayot.tl._calibration import calibration
    from rayot.tl._conditional_w1ot import conditional_w1ot
    from rayot.tl._evaluate import evaluate
    from rayot.tl._genot import genot
    from rayot.tl._log_fold_change import log_fold_change
    from rayot.tl._screen import screen
    from rayot.tl._similarity import similarity

_of_modules, _, _others = attach(
    __name__,
    {
        "calibration": "_calibration",
        "conditional_w1ot": "_conditional_w1ot",
        "evaluate": "_evaluate",
        "genot": "_genot",
        "log_fold_change": "_log_fold_change",
        "screen": "_screen",
        "similarity": "_similarity",
    },
)
__all__ = sorted({*_others, *METHODS})


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name in _others or name not in METHODS:
        return _of_modules(name)
    from rayot.tl._verb import verb

    # Kept, so that the verb is the same object each time.
    found = globals()[name] = verb(name)
    return found


def __dir__() -> list[str]:
    return __all__
