"""Predict how single cells respond to a perturbation, by neural optimal transport."""

from importlib.metadata import version
from typing import TYPE_CHECKING

from rayot._lazy import attach

if TYPE_CHECKING:
    from rayot import benchmark as benchmark
    from rayot import datasets as datasets
    from rayot import get as get
    from rayot import metrics as metrics
    from rayot import model as model
    from rayot import pl as pl
    from rayot import pp as pp
    from rayot import representation as representation
    from rayot import reproduce as reproduce
    from rayot import solvers as solvers
    from rayot import tl as tl
    from rayot.reporting._report import report as report

__version__ = version("rayot")

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        name: name
        for name in (
            "benchmark",
            "datasets",
            "get",
            "metrics",
            "model",
            "pl",
            "pp",
            "representation",
            "reproduce",
            "solvers",
            "tl",
        )
    }
    | {"report": "reporting._report"},
)
__all__ += ["__version__"]
