"""What a few treated cells say of a stratum that the fit has not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from anndata import AnnData

from rayot.data import checks
from rayot.data.spec import DataSpec
from rayot.data.strata import MIN_STRATUM_CELLS
from rayot.model.calibration import SIDES, TURN, checked_tables, saved_tables, uniform
from rayot.model.saved import Arrays, check, check_array, check_names, grouped
from rayot.solvers import Marginals, monotone_shift

PRIOR_CELLS = 20
"""Treated cells that say as much as the prediction, where no stratum was left out of the fit."""

MOST_PRIOR_CELLS = 300
"""The same where strata that were left out are predicted as well as can be seen."""

MOST_ELEMENTS = 2**23
FEWEST_CELLS = 256
"""Bound the cells of a side that distributions are taken of."""

SPREAD_CELLS = 512
"""Predicted cells whose distances say how far apart cells are."""

TURN_OF_ADAPTATION = 1000
"""Number of its draws, beyond those of any calibration."""

REPRESENTATION, GENES, CELLS = "representation", "genes", "cells"

SAVED = list[dict[str, Any]]


@dataclass(frozen=True)
class Adaptation:
    """Monotone maps of features from what is predicted of a stratum to what its cells show.

    The distribution that a feature goes to is a mixture of the predicted one and of that of n
    treated cells. Energy distance is a squared distance of distributions (Székely & Rizzo 2013), so
    with a share w of the cells its mean from the truth is (1 − w)² D + w² V / n, where D is that of
    the prediction and V the mean distance between two cells. It is least with w = n / (n + V / D).
    How far D is for strata that a fit has not seen, those say that were left out of it.

    Attributes
    ----------
    n_cells
        Treated cells.
    share
        w.
    maps
        By space, of each feature the predicted distribution and the one it goes to.
    cells
        (n,) uint64, ascending, hashes of the names of the treated cells.
    """

    n_cells: int
    share: float
    maps: Mapping[str, tuple[Marginals, Marginals]]
    cells: np.ndarray

    @classmethod
    def of(
        cls,
        predicted: Mapping[str, np.ndarray],
        observed: Mapping[str, np.ndarray],
        weights: tuple[np.ndarray, np.ndarray],
        error: float,
        hashes: np.ndarray,
    ) -> Adaptation:
        """Adapt to treated cells.

        Parameters
        ----------
        predicted, observed
            By space, cells (n, d) float32: as control cells of the stratum are predicted, and
            treated ones of it.
        weights
            (n,) of both.
        error
            D, in the space of the map; NaN where it is not known.
        hashes
            (n,) of the names of treated cells, ascending.
        """
        n_cells = len(weights[1])
        prior = _prior_cells(predicted[REPRESENTATION], error)
        # How many cells of equal weight say as much (Kish 1965).
        n_alike = weights[1].sum() ** 2 / np.square(weights[1]).sum()
        share = float(n_alike / (n_alike + prior))
        maps = {}
        for space, cells in predicted.items():
            before, after = (
                Marginals.of(
                    torch.from_numpy(np.ascontiguousarray(values)),
                    torch.from_numpy(of.astype(np.float64)),
                )
                for values, of in zip((cells, observed[space]), weights, strict=True)
            )
            maps[space] = before, after.mixture(before, torch.full_like(before.zero, share))
        return cls(n_cells, share, maps, hashes)

    def __call__(
        self, space: str, values: np.ndarray, cells: np.ndarray, names: np.ndarray, seed: int
    ) -> np.ndarray:
        """Predicted features (n, d) as the stratum has them.

        Parameters
        ----------
        space, values
            What is predicted.
        cells, names, seed
            Names of cells and features and a seed, which key the draws that part equal values.
        """
        draws = uniform(cells, names, seed + TURN_OF_ADAPTATION * TURN)
        before, after = self.maps[space]
        values = np.ascontiguousarray(values, dtype=np.float32)
        # Other cells have values beyond those that the tables know.
        return monotone_shift(
            before, after, torch.from_numpy(values), torch.from_numpy(draws)
        ).numpy()


def adapted(
    adaptations: Mapping[str, Adaptation],
    space: str,
    values: np.ndarray,
    strata: np.ndarray | None,
    cells: np.ndarray,
    names: np.ndarray,
    seed: int,
) -> np.ndarray:
    """Predicted features (n, d) of cells, of which some are of strata that were adapted to.

    Parameters
    ----------
    adaptations
        By stratum.
    space, values, cells, names, seed
        As in :class:`Adaptation`.
    strata
        (n,) stratum of each cell; None where it is not known.
    """
    if strata is None:
        return values
    for stratum, adaptation in adaptations.items():
        own = np.flatnonzero(strata == stratum)
        if len(own):
            values = values.copy()
            values[own] = adaptation(space, values[own], cells[own], names, seed)
    return values


def rows_to_adapt_with(
    adata: AnnData,
    data: DataSpec,
    source: str,
    target: str,
    dose: float | None,
    stratum: str,
    seen: Sequence[str],
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a stratum's control and treated cells, of any split, without those of weight zero.

    Parameters
    ----------
    adata, data
        The cells.
    source, target, dose
        Their conditions, and the dose of treated ones; None where there are none.
    stratum
        Name of the stratum.
    seen
        Strata of the fit.

    Raises
    ------
    KeyError
        If a column is missing.
    ValueError
        If there are no strata, the fit has seen this one, or it has no cells to adapt with.
    """
    if data.strata_key is None or data.groupby is None:
        raise ValueError(
            "The model was fitted without strata_key, so it knows no groups to adapt to; fit a "
            "method that takes strata_key, the column of obs with patients, batches or cell types."
        )
    if stratum in seen:
        raise ValueError(
            f"The fit has seen cells of {stratum!r}; adapt to a stratum that it has not seen, or "
            "fit again with the further cells."
        )
    own = checks.in_category(adata, data.strata_key, stratum)
    conditions = checks.labels(adata, data.groupby)
    treated = conditions == target
    if dose is not None and data.dose_key is not None:
        treated &= np.isclose(checks.numbers(adata, data.dose_key), dose)
    sides = [np.flatnonzero(own & of) for of in (conditions == source, treated)]
    source_rows, target_rows = (rows[data.weights(adata, rows) > 0] for rows in sides)
    wanted = ((source, source_rows, MIN_STRATUM_CELLS), (target, target_rows, 1))
    for condition, rows, least in wanted:
        if len(rows) < least:
            at_dose = "" if condition == source or dose is None else f" at dose {dose:g}"
            raise ValueError(
                f"{stratum!r} has {len(rows)} cells of {condition!r}{at_dose} in "
                f"adata.obs[{data.groupby!r}]; a model is adapted with {MIN_STRATUM_CELLS} cells "
                f"of {source!r} at least, whose prediction is compared with one or more of "
                f"{target!r}."
            )
    return source_rows, target_rows


def drawn_of(rows: np.ndarray, n_genes: int, seed: int) -> np.ndarray:
    """Ascending rows of the cells of a side that distributions are taken of."""
    most = max(FEWEST_CELLS, MOST_ELEMENTS // n_genes)
    return np.sort(np.random.default_rng([seed, most]).permutation(rows)[:most])


def adapted_strata(adaptations: Mapping[str, Adaptation]) -> dict[str, np.ndarray]:
    """Strata that were adapted to, as columns with a row for each."""
    return {
        "names": np.asarray(list(adaptations), dtype=str),
        "n_cells": np.asarray([each.n_cells for each in adaptations.values()], dtype=np.int64),
        "share": np.asarray([each.share for each in adaptations.values()], dtype=np.float64),
    }


def _prior_cells(predicted: np.ndarray, error: float) -> float:
    """V / D, by predicted cells, which are many."""
    if not np.isfinite(error):
        return PRIOR_CELLS
    chosen = np.linspace(0, len(predicted), min(len(predicted), SPREAD_CELLS), endpoint=False)
    spread = float(torch.pdist(torch.from_numpy(predicted[chosen.astype(np.intp)])).mean())
    return min(spread / max(error, 1e-12), MOST_PRIOR_CELLS)


def to_arrays(adaptations: Mapping[str, Adaptation]) -> Arrays:
    """What is saved: tables of all strata as one array for each space and side."""
    spaces = next(iter(adaptations.values())).maps if adaptations else ()
    cells = {f"{CELLS}.{number}": of.cells for number, of in enumerate(adaptations.values())}
    return cells | saved_tables(
        {
            f"{space}.{side}": [of.maps[space][number] for of in adaptations.values()]
            for space in spaces
            for number, side in enumerate(SIDES)
        }
    )


def to_json(adaptations: Mapping[str, Adaptation]) -> SAVED:
    """What is saved beside :func:`to_arrays`, as plain values."""
    return [
        {"name": name, "n_cells": each.n_cells, "share": each.share}
        for name, each in adaptations.items()
    ]


def from_saved(
    values: SAVED, arrays: Arrays, seen: Sequence[str], sizes: Mapping[str, int]
) -> dict[str, Adaptation]:
    """Inverse of :func:`to_json` and :func:`to_arrays`.

    Parameters
    ----------
    values, arrays
        What was saved.
    seen
        Strata of the fit.
    sizes
        Features of each space.

    Raises
    ------
    ValueError
        If they do not fit together.
    """
    for number, value in enumerate(values):
        check(value, {"name": str, "n_cells": int, "share": float}, f"strata.adapted[{number}]")
        if not (value["n_cells"] >= 1 and 0 < value["share"] < 1):
            raise ValueError(f"strata.adapted[{number}] has numbers that are out of range.")
    names = [value["name"] for value in values]
    checks.unique([*names, *seen], "strata.adapted, with the strata of the fit,")
    tables: dict[str, list[tuple[Marginals, ...]]] = {}
    groups = grouped(arrays, ".", [CELLS, *sizes] if values else [])
    cells = groups.pop(CELLS, {})
    check_names(cells, map(str, range(len(values))), "the arrays of adaptation.cells")
    for name, hashes in cells.items():
        check_array(hashes, f"adaptation.cells.{name}", (hashes.size,), np.uint64)
    for space, of_space in groups.items():
        sides = grouped(of_space, ".", SIDES)
        shape = len(names), sizes[space]
        tables[space] = [
            checked_tables(sides[side], f"adaptation.{space}.{side}", shape) for side in SIDES
        ]
    return {
        value["name"]: Adaptation(
            value["n_cells"],
            value["share"],
            {space: (before[n], after[n]) for space, (before, after) in tables.items()},
            cells[str(n)],
        )
        for n, value in enumerate(values)
    }
