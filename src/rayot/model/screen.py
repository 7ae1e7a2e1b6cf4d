"""Maps from one control to every perturbation of a screen, fitted as one stack."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from tqdm.auto import tqdm

from rayot._docs import shared
from rayot._keywords import takes
from rayot._public import public
from rayot.data.files import unchanged
from rayot.data.modality import modality_of
from rayot.data.spec import DataSpec
from rayot.data.split import names_kept
from rayot.data.strata import check_strata
from rayot.model.base import together
from rayot.model.calibration import Calibration
from rayot.model.calibrations import CellsOfPerturbations
from rayot.model.encoding import check_cells
from rayot.model.fitted_screen import FittedScreen, still
from rayot.model.methods import method_of
from rayot.model.problems import Problems, check_names
from rayot.model.screen_cells import ScreenCells
from rayot.model.screen_fit import (
    chunks_of,
    fit_chunks,
    problems_that_fit,
    test_perturbations,
)
from rayot.model.screen_persistence import FIGURES
from rayot.model.screen_stack import ScreenStack
from rayot.model.training_sample import may_calibrate
from rayot.representation import Representation, representation_of
from rayot.representation.resolve import has_decoder
from rayot.train import TRAINING, TrainingKeywords, TrainingOptions
from rayot.train.checkpoints import held

LEVEL = 0.05
"""False discovery rate at which an effect is called detectable where none is asked for."""


@shared
class Screen(FittedScreen):
    """Maps from one control to many perturbations, fitted in one stack.

    A mapping: ``screen["IFNGR1"]`` is the :class:`W1OT` of that perturbation, with all its verbs.
    A perturbation without a detectable effect was not fitted; its cells stay where they are.

    Parameters
    ----------
    adata
        Annotated data; a MuData needs ``modality``. It is let go of after :meth:`train`.
    data
        What :meth:`W1OT.setup_anndata` returned.
    control
        Category of the column it named: where cells start.
    {method_name}
    {perturbations}
    preset
        ``"fast"``, or another of the method.
    representation
        A representation of its own, such as :class:`rayot.representation.SCVI`; None takes the
        one that ``data`` names.
    modality
        Modality of a MuData.
    {strata}
    {small_strata}
    {min_cells}
    {small_perturbations}
    {n_seeds}
    seed
        Keys every draw.
    **plan_kwargs
        Settings that differ from the preset's, see the settings of the method.

    Raises
    ------
    KeyError, ValueError
        If conditions are missing, values are NaN, or a setting is unknown.

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.moons(n_samples=200)
    >>> data = rt.model.W1OT.setup_anndata(adata)
    >>> screen = rt.model.Screen(adata, data, "control")
    >>> screen.train(max_steps=10, show_progress_bar=False)
    >>> screen["perturbed"].predict(adata[:5]).shape
    (5, 2)
    """

    @public(perturbations=None)
    def __init__(
        self,
        adata: AnnData | MuData,
        data: DataSpec,
        control: str,
        *,
        method: str = "w1ot",
        perturbations: Sequence[str] | None = None,
        preset: str = "fast",
        representation: Representation | None = None,
        modality: str | None = None,
        strata: str = "balanced",
        small_strata: str = "drop",
        min_cells: int = 20,
        small_perturbations: str = "skip",
        n_seeds: int = 1,
        seed: int = 0,
        **plan_kwargs: Any,  # noqa: ANN401
    ) -> None:
        check_strata(strata, small_strata, data.strata_key)
        kind = method_of(method)
        if kind.joint:
            raise ValueError(
                f"method={method!r} looks at all perturbations at once, which a screen cannot cut "
                f"into chunks; call rayot.tl.{method} for one of them."
            )
        settings_type = kind.stack_type.settings_type
        self.method, self.settings = (
            method,
            settings_type.from_preset(preset, n_seeds, **plan_kwargs),
        )
        self.control, self.preset, self.seed = str(control), preset, seed
        self.strata, self.n_seeds = strata, n_seeds
        cells = modality_of(adata, modality)
        self._cells = ScreenCells(
            cells,
            data,
            control,
            perturbations,
            method=method,
            min_cells=min_cells,
            small_perturbations=small_perturbations,
            small_strata=small_strata,
        )
        check_names([self._problems(self._cells, name) for name in self._cells.groups])
        rows = self._cells.rows
        with unchanged(cells):
            checked = representation is None and has_decoder(cells, data.use_rep)
            if checked:
                data.check_expression(cells, rows)
            data = data.with_scale_of(cells, rows)
            representation = representation_of(cells, data, rows, representation)
            if not checked:
                check_cells(representation, cells, rows, data=data)
        self.settings = kind._adapted(self.settings, representation)
        self.data, self.representation = data, representation
        self.cell_types = self._cells.type_names
        self.training_cells = names_kept(cells, rows)

    @public()
    @shared
    @takes(TrainingKeywords, TRAINING, without=("callbacks", "leave_out_strata"))
    def train(
        self,
        *,
        fdr: float | None = 0.05,
        max_memory: float = 1.0,
        n_jobs: int | None = None,
        **options: Unpack[TrainingKeywords],
    ) -> None:
        """Test every perturbation, and fit those that have a detectable effect.

        Parameters
        ----------
        {fdr}
        {max_memory}
        {n_jobs}
        {options}

        Raises
        ------
        ValueError
            If an option is out of range, or ``checkpoint_dir`` holds symbolic links, or chunks that
            are damaged or another's.
        OSError
            If ``checkpoint_dir`` cannot be written to, or another fit is running there.
        RuntimeError
            If the screen is trained already: construct a new one.
        """
        cells: ScreenCells | None = getattr(self, "_cells", None)
        if cells is None:
            raise RuntimeError("The screen is trained already; construct a new one to train.")
        asked = TrainingOptions.of(**options, leave_out_strata=False)
        # The screen itself holds the folder and shows the bar.
        training = replace(asked, progress=False, checkpoint_dir=None, resume=True)
        folder = None if asked.checkpoint_dir is None else Path(asked.checkpoint_dir)
        limits = options.get("max_steps"), options.get("batch_size")
        settings = self.settings.with_limits(*limits)
        self.settings = settings.with_batch_for(len(cells.control_rows))
        with (
            nullcontext() if folder is None else held(folder),
            unchanged(cells.adata),
            tqdm(unit="map", disable=not asked.progress) as bar,
        ):
            tests = self._fit(cells, training, fdr, max_memory, n_jobs, folder, asked.resume, bar)
            self.data = replace(self.data, nonnegative=cells.nonnegative)
            self.table = self._table(cells, tests, fdr)
            self.training_ = {"fdr": fdr, **training.chosen()}
            self.calibrations = self._calibrated(cells, bar, n_jobs)
        del self._cells

    def _calibrated(
        self, cells: ScreenCells, bar: tqdm, n_jobs: int | None
    ) -> dict[str, Calibration]:
        decode = self.settings.decode
        if not may_calibrate(decode, cells.nonnegative, self.representation):
            return {}
        groups = {name: cells.groups[name] for name in self.stack.problems}
        of_each = CellsOfPerturbations(
            cells.adata, self.data, self.representation, groups, self.seed
        )
        return dict(of_each.calibrations(decode, self._uncalibrated, bar, n_jobs))

    def _fit(
        self,
        cells: ScreenCells,
        options: TrainingOptions,
        fdr: float | None,
        max_memory: float,
        n_jobs: int | None,
        folder: Path | None,
        resume: bool,
        bar: tqdm,
    ) -> dict[str, tuple[float, float, float]]:
        """Fill the stack, and return the test of each perturbation."""
        self.components = cells.encode_control(self.representation, self.settings, self.seed)
        settings, n_features = self.in_components()
        bar.set_description("testing")
        tests = test_perturbations(cells, settings, self.seed, options, fdr, n_jobs)
        problems = {
            name: self._problems(cells, name)
            for name, (_, _, q_value) in tests.items()
            if fdr is None or q_value <= fdr
        }
        n_cells = len(cells.control_rows) + max(map(cells.n_cells, cells.groups))
        gpu = options.devices_for_trainer()["accelerator"] in ("gpu", "cuda")
        pieces = chunks_of(
            list(problems.values()),
            problems_that_fit(max_memory, self.method, settings, n_features, n_cells, gpu),
            lambda each: 1 if each.separate else len(cells.groups[each.target]),
        )
        chunks = (cells.chunk(piece, settings, self.seed, options) for piece in pieces)
        known = None if fdr is None else {name: test[1] for name, test in tests.items()}
        bar.set_description("fitting", refresh=False)
        bar.reset(sum(len(each) for each in problems.values()))
        parts = fit_chunks(chunks, known, n_jobs, folder, resume, bar)
        self.stack = ScreenStack.join(problems, parts, (1 + len(self.cell_types), n_features))
        return tests

    def _problems(self, cells: ScreenCells, name: str) -> Problems:
        strata = tuple(filter(None, cells.groups[name]))
        return Problems(name, strata, self.strata, self.n_seeds)

    def _table(
        self, cells: ScreenCells, tests: dict[str, tuple[float, float, float]], fdr: float | None
    ) -> pd.DataFrame:
        """One row a perturbation; figures are those of its members, or of its worst stratum."""
        rows = []
        for name, (distance, p_value, q_value) in tests.items():
            fitted = name in self.stack.problems
            report = (
                together(self._reports(name), self.n_seeds) if fitted else still(p_value, q_value)
            )
            rows.append(
                {
                    "perturbation": name,
                    "n_cells": cells.n_cells(name),
                    "energy_distance": distance,
                    "p_value": p_value,
                    "q_value": q_value,
                    "detectable": q_value <= (LEVEL if fdr is None else fdr),
                    **{figure: report.get(figure, np.nan) for figure in FIGURES},
                    "certificate": report["certificate"],
                    "reason": report["reason"],
                }
            )
        return pd.DataFrame(rows)
