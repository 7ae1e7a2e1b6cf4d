"""Distributions of genes for every perturbation of a screen, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from tqdm.auto import tqdm

from rayot.model.calibration import LARGEST, Calibration
from rayot.model.training_sample import SampledCells, TrainingSample, may_calibrate, sampled_rows

if TYPE_CHECKING:
    from rayot.model.screen import Screen
    from rayot.model.screen_cells import ScreenCells


def calibrations(
    screen: Screen, cells: ScreenCells, bar: tqdm
) -> Iterator[tuple[str, Calibration]]:
    """The calibration of each perturbation that was fitted, where the screen has any.

    Control cells are read once for all perturbations that share them. Together they take no more
    than :data:`rayot.model.calibration.LARGEST` bytes. The bar is moved by each.
    """
    decode, representation = screen.settings.decode, screen.representation
    if not may_calibrate(decode, cells.nonnegative, representation):
        return
    names = list(screen.stack.problems)
    bar.set_description("calibrating")
    bar.reset(len(names))
    control: dict[bytes, SampledCells] = {}
    for name in names:
        source, target = sampled_rows(list(cells.groups[name].values()), screen.seed)
        key = np.concatenate([*source, list(map(len, source))]).tobytes()
        if key not in control:
            control = {key: SampledCells.of(cells.adata, screen.data, source, representation)}
        treated = SampledCells.of(cells.adata, screen.data, target, representation)
        sample = TrainingSample(control[key], treated)
        if sample.calibrates(decode):
            found = Calibration.of(screen._uncalibrated(name), sample)
            yield name, found.within(LARGEST // len(names))
        bar.update()
