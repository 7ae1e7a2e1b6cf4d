"""Scores of predicted cells, where some metrics look at amounts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rayot.data.scale import Scale
from rayot.metrics import METRICS, differential_expression, log_fold_change_error, score

FOLD_CHANGES, DIFFERENCES = "log_fold_change_error", "mean_difference_error"

TESTS = "differential expression"
"""Kind of metrics that compare tests of each gene."""

Cells = NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """What predictions are compared with.

    Attributes
    ----------
    observed
        Perturbed cells, (m, d).
    control
        Control cells, (k, d).
    scale
        Of the expression. Log fold changes, of means and of tests, are those of amounts.
    reference, weights
        As :func:`rayot.metrics.score` takes them.
    """

    observed: Cells
    control: Cells
    scale: Scale
    reference: Cells | None = None
    weights: Cells | None = None

    def scores(self, predicted: Cells, names: Sequence[str]) -> dict[str, float]:
        """Scores of one prediction, (n, d), by the names of the metrics."""
        of_tests = [name for name in names if METRICS[name].kind == TESTS]
        special = {FOLD_CHANGES, *of_tests} if self.scale.is_known else set(of_tests)
        others = [name for name in names if name not in special]
        scores = score(
            predicted,
            self.observed,
            self.control,
            reference=self.reference,
            weights=self.weights,
            metrics=others,
        )
        if FOLD_CHANGES in names and self.scale.is_known:
            amounts = [self._amounts(cells) for cells in (predicted, self.observed, self.control)]
            scores[FOLD_CHANGES] = log_fold_change_error(*amounts, log1p=False)
        if of_tests:
            tests = self.tests(predicted)
            scores |= {
                name: float(METRICS[name].function(tests, self._observed_tests))
                for name in of_tests
            }
        return {name: scores[name] for name in names}

    def tests(self, cells: Cells) -> pd.DataFrame:
        """Differential expression of cells against control cells."""
        log1p = False if self.scale.is_known else None
        return differential_expression(
            self._amounts(cells), self._amounts(self.control), log1p=log1p
        )

    def of(self, columns: NDArray[np.intp]) -> Truth:
        """The same of some features."""
        return Truth(
            self.observed[:, columns],
            self.control[:, columns],
            self.scale,
            None if self.reference is None else self.reference[:, columns],
            None if self.weights is None else self.weights[columns],
        )

    @cached_property
    def _observed_tests(self) -> pd.DataFrame:
        return self.tests(self.observed)

    def _amounts(self, cells: Cells) -> Cells:
        """Cells on the linear scale; as they are where their scale is not known."""
        if self.scale.to_amounts is None:
            return cells
        return np.asarray(self.scale.to_amounts(cells))
