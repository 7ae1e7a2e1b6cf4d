"""The methods by name: the one place where a method is registered.

A class is imported when it is asked for by name, so that a file of one method imports no other.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rayot.solvers import Stack

METHODS = {
    "w1ot": "W1OT",
    "w2ot": "W2OT",
    "genot": "GENOT",
    "otcfm": "OTCFM",
    "cinemaot": "CinemaOT",
    "scgen": "ScGen",
    "cpa": "CPA",
    "biolord": "Biolord",
    "fixed_step": "FixedStep",
    "discrete_ot": "DiscreteOT",
    "gaussian_ot": "GaussianOT",
    "quantile_map": "QuantileMap",
    "mean_shift": "MeanShift",
    "celltype_shift": "CellTypeShift",
    "nearest": "Nearest",
    "additive": "Additive",
    "ridge": "Ridge",
    "identity": "Identity",
}
"""Name of each verb, and of its class, whose file has the name of the verb."""


def class_of(name: str) -> Any:  # noqa: ANN401
    """Class of a method.

    Raises
    ------
    ValueError
        If there is no such method.
    """
    if name not in METHODS:
        raise ValueError(f"method must be one of {sorted(METHODS)}, found {name!r}.")
    return getattr(import_module(f"rayot.model.{name}"), METHODS[name])


def stack_of(name: str) -> type[Stack]:
    """Maps of a method, which know its settings."""
    return class_of(name).stack_type


def verb_of(kind: type) -> str:
    """Name of the verb of a class, or of the first of its parents that has one."""
    names = {of_class: name for name, of_class in METHODS.items()}
    return next(names[base.__name__] for base in kind.__mro__ if base.__name__ in names)
