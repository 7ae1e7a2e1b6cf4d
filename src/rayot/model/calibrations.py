"""Distributions of genes for each of many perturbations, in bounded memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import joblib
import numpy as np
from anndata import AnnData
from tqdm.auto import tqdm

from rayot.data.spec import DataSpec
from rayot.model import calibrating
from rayot.model.calibration import LARGEST, Calibration
from rayot.model.fitted_map import FittedMap
from rayot.model.saved import Arrays
from rayot.model.training_sample import (
    SAMPLE_CELLS,
    SampledCells,
    TrainingSample,
    has_zeros,
    sampled_cells,
    sampled_rows,
)
from rayot.representation import Representation
from rayot.train.threads import threads_for

logger = logging.getLogger(__name__)

COPIED_CELLS = 2**17
FEWEST_CELLS = 256
"""Bound what a model keeps of the cells of all perturbations until it is fitted."""


@dataclass(frozen=True)
class CellsOfPerturbations:
    """Training cells that genes of many perturbations are calibrated by.

    Attributes
    ----------
    adata, data
        The cells, and where their expression is.
    representation
        What will be asked of them.
    groups
        Of each perturbation rows of source and target, by stratum; ``""`` is the only one without
        strata.
    seed
        Keys the draws.
    most
        Cells of each side of a perturbation that are drawn.
    """

    adata: AnnData
    data: DataSpec
    representation: Representation
    groups: Mapping[str, Mapping[str, Sequence[np.ndarray]]]
    seed: int
    most: int = SAMPLE_CELLS

    def copy(self) -> CellsOfPerturbations:
        """The cells that will be drawn, apart from the user's object.

        Of a side no more than :data:`COPIED_CELLS` together are aimed at, but for
        :data:`FEWEST_CELLS` of each perturbation, which are always taken.
        """
        most = min(self.most, max(FEWEST_CELLS, COPIED_CELLS // len(self.groups)))
        drawn = {}
        for name, strata in self.groups.items():
            sides = sampled_rows(list(strata.values()), self.seed, most)
            drawn[name] = dict(zip(strata, zip(*sides, strict=True), strict=True))
        rows = np.unique(
            np.concatenate(
                [
                    np.concatenate(of)
                    for of_condition in drawn.values()
                    for of in of_condition.values()
                ]
            )
        )
        groups = {
            name: {
                stratum: [np.searchsorted(rows, side) for side in sides]
                for stratum, sides in of.items()
            }
            for name, of in drawn.items()
        }
        cells = sampled_cells(self.adata, self.data, rows, self.representation)
        return replace(self, adata=cells, groups=groups, most=most)

    def calibrates(self, decode: str) -> bool:
        """Whether genes may be calibrated, as :meth:`TrainingSample.calibrates` says of each."""
        expression = self.data.expression(self.adata, np.arange(self.adata.n_obs))
        return decode == "calibrated" or has_zeros(expression)

    def calibrations(
        self,
        decode: str,
        model_of: Callable[[str], FittedMap],
        bar: tqdm,
        n_jobs: int | None = None,
        *,
        largest: int | None = None,
        parts_of_others: bool = False,
    ) -> Iterator[tuple[str, Calibration]]:
        """The calibration of each perturbation whose genes are to be calibrated.

        Control cells are read once for all perturbations that share them. The bar is moved by each.

        Parameters
        ----------
        decode
            As in :class:`rayot.solvers.Settings`.
        model_of
            The fitted model of a perturbation, without calibration.
        bar
            Of progress.
        n_jobs
            Threads, as joblib counts them; None is one.
        largest
            Bytes that they take together, at most; None is
            :data:`rayot.model.calibration.LARGEST`.
        parts_of_others
            Whether the perturbations are parts of combinations, see
            :func:`rayot.model.calibrating.calibrate`.
        """
        largest = LARGEST if largest is None else largest
        bar.set_description("calibrating", refresh=False)
        bar.set_postfix_str("", refresh=False)
        bar.reset(len(self.groups))

        def calibration(name: str, sample: TrainingSample) -> tuple[str, Calibration | None, int]:
            if not sample.calibrates(decode):
                return name, None, 0
            of_perturbation = calibrating.calibrate(
                model_of(name), sample, part_of_others=parts_of_others
            )
            within = of_perturbation.within(largest // len(self.groups))
            return name, within, len(of_perturbation.genes) - len(within.genes)

        parallel = joblib.Parallel(
            n_jobs, require="sharedmem", return_as="generator", pre_dispatch="n_jobs"
        )
        calls = (joblib.delayed(calibration)(*sample) for sample in self._samples())
        # One thread each, and the user's setting as it was when all have ended.
        left_out = {}
        with threads_for(0):
            for name, of_perturbation, n_left_out in parallel(calls):
                bar.update()
                left_out[name] = n_left_out
                if of_perturbation is not None:
                    yield name, of_perturbation
        if n_most := max(left_out.values(), default=0):
            logger.warning(
                "Distributions of genes are kept in %d MB. In %d of %d conditions those that "
                "change least certainly keep their values, up to %d genes of %r; fit fewer genes "
                "or conditions to have all.",
                largest // 1_000_000,
                np.count_nonzero(list(left_out.values())),
                len(self.groups),
                n_most,
                max(left_out, key=lambda name: left_out[name]),
            )

    def _samples(self) -> Iterator[tuple[str, TrainingSample]]:
        """Training cells of each perturbation."""
        control: dict[bytes, SampledCells] = {}
        for name, strata in self.groups.items():
            source, target = sampled_rows(list(strata.values()), self.seed, self.most)
            names = tuple(strata) if "" not in strata else ()
            key = np.concatenate([*source, list(map(len, source))]).tobytes()
            if key not in control:
                control = {key: self._sampled(source, names)}
            yield name, TrainingSample(control[key], self._sampled(target, names))

    def _sampled(self, rows: Sequence[np.ndarray], strata: tuple[str, ...]) -> SampledCells:
        return SampledCells.of(self.adata, self.data, rows, self.representation, strata)


def to_arrays(calibrations: Mapping[str, Calibration]) -> Arrays:
    """What is saved of each, by the name of its perturbation."""
    return {
        f"{name}/{part}": value
        for name, calibration in calibrations.items()
        for part, value in calibration.arrays().items()
    }


def from_arrays(
    arrays: Arrays, strata: Mapping[str, Sequence[str]], n_genes: int, seed: int
) -> dict[str, Calibration]:
    """Inverse of :func:`to_arrays`; a file of 0.1.0 has none.

    Parameters
    ----------
    arrays
        What was saved.
    strata
        Names of the strata of each perturbation that was fitted.
    n_genes, seed
        As in :meth:`Calibration.from_arrays`.

    Raises
    ------
    ValueError
        If they are of other perturbations, or not whole.
    """
    groups: dict[str, Arrays] = {}
    for name, value in arrays.items():
        perturbation, _, part = name.rpartition("/")
        groups.setdefault(perturbation, {})[part] = value
    if unknown := sorted(set(groups) - set(strata)):
        raise ValueError(f"it has distributions of {unknown}, which were not fitted.")
    return {
        name: Calibration.from_arrays(of_name, strata[name], n_genes, seed)
        for name, of_name in groups.items()
    }
