"""Lightning modules that fit solvers, in blocks of steps; no AnnData."""

from rayot.train.conditional_runner import train_conditional
from rayot.train.options import TRAINING, TrainingKeywords, TrainingOptions
from rayot.train.runner import train_transport

__all__ = [
    "TRAINING",
    "TrainingKeywords",
    "TrainingOptions",
    "train_conditional",
    "train_transport",
]
