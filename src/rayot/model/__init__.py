"""One class a method, with scvi-tools' life cycle: set up, train, predict, save, load."""

from typing import TYPE_CHECKING

from rayot._lazy import attach

if TYPE_CHECKING:
    from rayot.model.prediction import Prediction
    from rayot.model.screen import Screen
    from rayot.model.w1ot import W1OT

__getattr__, __dir__, __all__ = attach(
    __name__, {"Prediction": "prediction", "Screen": "screen", "W1OT": "w1ot"}
)
