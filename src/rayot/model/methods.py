"""The methods by name: the one place where a method is registered."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rayot.model.method import Method

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


def method_of(name: str) -> type[Method]:
    """Class of a method.

    Raises
    ------
    ValueError
        If there is no such method.
    """
    if name not in METHODS:
        raise ValueError(f"method must be one of {sorted(METHODS)}, found {name!r}.")
    return getattr(import_module(f"rayot.model.{name}"), METHODS[name])
