"""Predict how single cells respond to a perturbation, by neural optimal transport."""

from importlib.metadata import version

from rayot._lazy import attach

__version__ = version("rayot")

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        name: name
        for name in (
            "datasets",
            "get",
            "metrics",
            "model",
            "pl",
            "pp",
            "representation",
            "solvers",
            "tl",
        )
    },
)
__all__ += ["__version__"]
