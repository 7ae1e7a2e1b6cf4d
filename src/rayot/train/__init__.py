"""Lightning modules that fit solvers, in blocks of steps; no AnnData."""

from rayot.train.runner import TrainingOptions, train_transport

__all__ = ["TrainingOptions", "train_transport"]
