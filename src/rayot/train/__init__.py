"""Lightning modules that fit solvers, in blocks of steps; no AnnData."""

from rayot.train.conditional_runner import train_conditional
from rayot.train.options import TrainingOptions
from rayot.train.runner import train_transport

__all__ = ["TrainingOptions", "train_conditional", "train_transport"]
