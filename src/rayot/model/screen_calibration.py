"""Distributions of genes for every perturbation of a screen, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from rayot.model.calibration import Calibration
from rayot.model.training_sample import SampledCells, TrainingSample, sampled_rows

if TYPE_CHECKING:
    from rayot.model.screen import Screen
    from rayot.model.screen_cells import ScreenCells

LARGEST = 2**26
"""Bytes of the distributions of a screen, at most."""

FEWEST_QUANTILES = 8
"""Quantiles of a gene that are kept, at least."""


def calibrations(screen: Screen, cells: ScreenCells) -> Iterator[tuple[str, Calibration]]:
    """The calibration of each perturbation that was fitted, where the screen has any.

    Control cells are read once for all perturbations that share them.
    """
    decode, representation = screen.settings.decode, screen.representation
    wanted = decode == "calibrated" or (decode == "auto" and cells.nonnegative)
    if not wanted or not representation.has_decoder:
        return
    control: dict[bytes, SampledCells] = {}
    for name in screen.stack.problems:
        source, target = sampled_rows(list(cells.groups[name].values()), screen.seed)
        key = np.concatenate([*source, list(map(len, source))]).tobytes()
        if key not in control:
            control = {key: SampledCells.of(cells.adata, screen.data, source, representation)}
        treated = SampledCells.of(cells.adata, screen.data, target, representation)
        sample = TrainingSample(control[key], treated)
        if decode == "calibrated" or sample.sparse:
            yield name, Calibration.of(screen.uncalibrated(name), sample)


def bounded(
    calibrations: Mapping[str, Calibration], largest: int = LARGEST
) -> dict[str, Calibration]:
    """The same in so many bytes: without strata where these are too many, then coarser."""
    found = dict(calibrations)
    if sum(each.n_bytes for each in found.values()) > largest:
        found = {name: each.pooled() for name, each in found.items()}
    total = sum(each.n_bytes for each in found.values())
    if total > largest:
        share = largest / total
        found = {
            name: each.coarser(max(FEWEST_QUANTILES, int(share * each.n_quantiles) - 2))
            for name, each in found.items()
        }
    return found
