"""Observed cells in halves: what predictions are compared with, and what references are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rayot.data import checks
from rayot.data.keys import Key
from rayot.data.moments import Moments, moments_of, top_genes
from rayot.data.scale import Scale
from rayot.metrics import differential_expression, differential_weights
from rayot.model.scoring import Truth
from rayot.tl._draws import halves
from rayot.tl._predictions import Cells, Cellset, Rows


class Condition:
    """Cells of one condition in one stratum.

    Parameters
    ----------
    cells
        All observed cells.
    label, stratum
        Which of them.
    seed
        Of the halves, which follow from it and the cells' names.

    Attributes
    ----------
    first, second
        Rows of the two halves, shuffled: each begins with a sample of it.
    """

    def __init__(self, cells: Cellset, label: str, stratum: str, seed: int) -> None:
        self.cells, self.label, self.stratum = cells, label, stratum
        rows = cells.rows(label, stratum)
        self.first, self.second = halves(cells.adata.obs_names, rows, seed)

    @property
    def n(self) -> int:
        """Number of cells in the smaller half."""
        return len(self.second)

    def sample(self, rows: Rows, n: int) -> Cells:
        """Expression (n, d) of the first cells of a half."""
        return self.cells.expression(rows[:n])


def moments(cells: Cellset, groups: Sequence[Rows]) -> list[Moments]:
    """Moments of disjoint groups of cells, of the genes that are scored.

    Raises
    ------
    ValueError
        If a value is NaN or infinite.
    """
    found = [
        Moments(each.n, each.mean[cells.columns], each.variance[cells.columns])
        for each in moments_of(cells.adata, cells.layer, groups)
    ]
    for each in found:
        if not np.isfinite(each.mean).all():
            gene = cells.adata.var_names[cells.columns][~np.isfinite(each.mean)][0]
            raise checks.NotFinite(
                f"The cells of {cells.name!r} have NaN or infinite values, the first in {gene!r}; "
                "remove or impute them."
            )
    return found


@dataclass(frozen=True)
class Comparison:
    """A perturbation's truth, and the rows of controls beside the predictions.

    Attributes
    ----------
    truth
        What all rows are compared with, n cells.
    top
        Positions of the genes that respond most, found without the cells of the truth.
    controls
        Cells of each row of controls, n each.
    """

    truth: Truth
    top: NDArray[np.intp]
    controls: dict[str, Cells]


def compare(
    perturbed: Condition,
    control: Condition,
    n: int,
    *,
    n_control: int,
    learned: tuple[Moments, Moments],
    shift: Cells | None,
    others: Cells | None,
    scale: Scale,
    reference: Cells | None,
    n_top_genes: int,
) -> Comparison:
    """Read a perturbation's cells and make its rows of controls.

    Parameters
    ----------
    perturbed, control
        Its cells, and those of the control.
    n
        Cells of each row.
    n_control
        Control cells that changes are counted from, at most.
    learned
        Moments of the control and of the perturbation that genes are chosen by.
    shift
        Mean of other perturbations less that of the control, (d,); None where there are none.
    others
        Cells of other perturbations, (n, d).
    scale
        Of the expression.
    reference
        Mean profiles of other perturbations, (q, d).
    n_top_genes
        How many genes to choose.
    """
    observed = perturbed.sample(perturbed.second, n)
    # What all changes share is the error of the control's mean: the more cells, the less of it.
    against = control.sample(control.first, max(n, n_control))
    identity = control.sample(control.second, n)
    first = perturbed.sample(perturbed.first, n)
    truth = Truth(first, against, scale, reference, _weights(observed, against))
    baseline = identity if others is None else others
    controls = {
        Key.table.identity: identity,
        **({} if shift is None else {Key.table.perturbed_mean: identity + shift}),
        Key.table.observed: observed,
        Key.table.interpolated: _interpolated(observed, against, baseline),
    }
    return Comparison(truth, top_genes(*learned, n_top_genes), controls)


def _weights(observed: Cells, control: Cells) -> Cells | None:
    """Weights of genes by how clearly they differ; None where none does."""
    try:
        return np.asarray(differential_weights(observed, control))
    except ValueError:
        return None


def _interpolated(observed: Cells, control: Cells, baseline: Cells) -> Cells:
    """Other observed cells, with values of a baseline where it is not certain that a gene changes.

    The mean of a gene is about a t + (1 − a) b, with t that of these cells, b that of the baseline,
    and a one less the adjusted p-value of the gene. This share a of the cells keeps its value and
    all others take that of a baseline cell, so that zeros stay zeros and no spread is lost. The
    positive control of Miller et al. (2025), cell by cell.
    """
    q_value = differential_expression(observed, control, log1p=None)["q_value"].to_numpy()
    # Cells stand in a random order.
    place = (np.arange(len(observed)) + 0.5)[:, None] / len(observed)
    return np.where(place < 1 - q_value, observed, baseline)
