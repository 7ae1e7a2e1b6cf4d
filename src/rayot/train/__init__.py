"""Lightning modules that fit solvers, in blocks of steps; no AnnData."""

from rayot.train.options import TrainingOptions
from rayot.train.runner import train_transport

__all__ = ["TrainingOptions", "train_transport"]
