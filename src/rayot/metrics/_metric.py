"""What a metric is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import pandas as pd
from numpy.typing import ArrayLike

from rayot.metrics._cells import as_pair
from rayot.metrics._differential_expression import differential_expression

Need: TypeAlias = Literal["control", "reference", "weights", "perturbations"]

NEEDS: dict[Need, str] = {
    "control": "control cells",
    "reference": "the mean profiles of training perturbations",
    "weights": "a weight for each feature",
    "perturbations": "the mean profiles of several perturbations",
}
"""What a metric may need beside the predicted and the observed cells, in words."""


@dataclass(frozen=True)
class Metric:
    """One way to compare predicted with observed cells.

    Attributes
    ----------
    name
        Name in tables and arguments.
    kind
        ``mean`` compares mean profiles, ``spread`` standard deviations and correlations,
        ``distribution`` whole populations, ``differential expression`` what tests of each gene
        find, ``discrimination`` many perturbations with each other.
    direction
        Whether ``higher`` or ``lower`` values are better, or those nearest to ``best``.
    best
        Value of a perfect prediction.
    formula
        Definition, with X the predicted and Y the observed cells, C the control cells.
    description
        What it sees and what it does not.
    function
        Takes what is predicted, what is observed and then, in their order, what it ``needs``. Of
        the kind ``differential expression`` both are tables of :func:`differential_expression`.
    source
        Who defined it, or who reports it.
    needs
        ``control`` cells, ``reference`` profiles of training perturbations, ``weights`` of
        features, or ``perturbations``: what is predicted and observed are then the mean profiles of
        many, and each has a value.
    by_default
        Whether it is scored where no metrics are named.
    """

    name: str
    kind: Literal["mean", "spread", "distribution", "differential expression", "discrimination"]
    direction: Literal["higher", "lower", "nearest"]
    best: float
    formula: str
    description: str
    function: Callable[..., float] | Callable[..., pd.Series]
    source: str = ""
    needs: tuple[Need, ...] = ()
    by_default: bool = False

    @property
    def needs_control(self) -> bool:
        """Whether control cells are asked for."""
        return "control" in self.needs

    @property
    def of_perturbations(self) -> bool:
        """Whether profiles of many perturbations are compared, each of which has a value."""
        return "perturbations" in self.needs

    def __call__(
        self,
        predicted: ArrayLike,
        observed: ArrayLike,
        control: ArrayLike | None = None,
        reference: ArrayLike | None = None,
        weights: ArrayLike | None = None,
    ) -> float | pd.Series:
        """Score ``predicted`` against ``observed``, with what the metric needs.

        Raises
        ------
        ValueError
            If what it needs is missing, or the arrays cannot be compared.
        """
        given = {"control": control, "reference": reference, "weights": weights}
        needed = [need for need in self.needs if need in given]
        for need in needed:
            if given[need] is None:
                raise ValueError(
                    f"The metric {self.name!r} needs {NEEDS[need]}; pass them as {need}."
                )
        if self.kind == "differential expression":
            assert control is not None
            as_pair(predicted, observed, at_least=2)
            tests = (differential_expression(cells, control) for cells in (predicted, observed))
            return self.function(*tests)
        return self.function(predicted, observed, *(given[need] for need in needed))
