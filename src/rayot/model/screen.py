"""Maps from one control to every perturbation of a screen, fitted as one stack."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self, Unpack

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from tqdm.auto import tqdm

from rayot._arguments import result_name
from rayot._docs import shared
from rayot._keywords import takes
from rayot._public import public, renamed
from rayot.data import checks
from rayot.data.files import unchanged
from rayot.data.modality import modality_of
from rayot.data.spec import DataSpec
from rayot.data.split import names_kept
from rayot.data.strata import check_strata
from rayot.model import calibrations, saved
from rayot.model.calibration import Calibration
from rayot.model.calibrations import CellsOfPerturbations
from rayot.model.components import Components
from rayot.model.encoding import check_cells
from rayot.model.fitted_map import summary_of
from rayot.model.life_cycle import LOADED, Model, words_of
from rayot.model.method import Method, method_of
from rayot.model.methods import stack_of
from rayot.model.missing_genes import SAVED as SOURCE_MEAN
from rayot.model.missing_genes import FilledSpec, filled, source_mean_of
from rayot.model.prediction import Prediction, predicted_obs, warn_of_treated
from rayot.model.prediction_file import by_perturbation, write_predictions
from rayot.model.problems import Problems, check_names
from rayot.model.screen_cells import ScreenCells
from rayot.model.screen_fit import (
    chunks_of,
    fit_chunks,
    problems_that_fit,
    test_perturbations,
)
from rayot.model.screen_stack import SavedStack, ScreenStack
from rayot.model.screen_table import FIGURES, TABLE, still, table_of
from rayot.model.training_sample import may_calibrate
from rayot.representation import Representation, representation_of
from rayot.representation.resolve import has_decoder
from rayot.solvers import Settings
from rayot.solvers.report import Report
from rayot.train import TRAINING, TrainingKeywords, TrainingOptions
from rayot.train.checkpoints import held

LEVEL = 0.05
"""False discovery rate at which an effect is called detectable where none is asked for."""


SAVED = {
    "model": str,
    "version": str,
    "control": str,
    "method": str,
    "seed": int,
    "preset": str,
    "strata": Literal["balanced", "separate"],
    "n_seeds": int,
    "cell_types": list[str],
    "data": DataSpec,
    "representation": dict[str, Any],
    "settings": dict[str, Any],
    "training": dict[str, Any],
    "table": TABLE,
    "stack": SavedStack,
}
"""Types of the fields of a saved screen."""

GROUPS = (
    "stack",
    "displacement",
    "centres",
    "history",
    "representation",
    "components",
    "calibration",
)
"""First parts of the names of its arrays."""

PARTS = ("table", "stack")
"""Fields in which screens of different parts differ."""

COMMON = ("representation", "components", "training_cells", SOURCE_MEAN)
"""First parts of the names of arrays in which they do not."""


@shared
class Screen(Model, Mapping[str, Method]):
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

    data: DataSpec
    control: str
    method: str
    preset: str
    seed: int
    strata: str
    n_seeds: int
    settings: Settings
    representation: Representation
    components: Components | None = None
    cell_types: list[str]
    """Those of :meth:`displacement`."""
    _figures: pd.DataFrame
    stack: ScreenStack
    calibrations: dict[str, Calibration]
    """What genes of each perturbation that was fitted are calibrated by."""
    training_: dict[str, Any]
    training_cells: np.ndarray | None = None
    source_mean: np.ndarray | None = None
    """(genes,) float32, mean expression of the control's training cells, if the maps have genes."""
    _cells: ScreenCells | None = None

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
        self.method, self.control, self.preset, self.seed = method, str(control), preset, seed
        self.settings = stack_of(method).settings_type.from_preset(preset, n_seeds, **plan_kwargs)
        self.data, self.strata, self.n_seeds = data, strata, n_seeds
        self.training_ = {}
        if adata is LOADED:
            return
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
        part: Sequence[str] | None = None,
        fdr: float | None = 0.05,
        max_memory: float = 1.0,
        n_jobs: int | None = None,
        **options: Unpack[TrainingKeywords],
    ) -> None:
        """Test every perturbation, and fit those that have a detectable effect.

        Parameters
        ----------
        {part}
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
        cells = self._cells
        if cells is None:
            raise RuntimeError("The screen is trained already; construct a new one to train.")
        names = list(cells.groups) if part is None else cells.part(part)
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
            tests = self._fit(
                cells, names, training, fdr, max_memory, n_jobs, folder, asked.resume, bar
            )
            self.data = replace(self.data, nonnegative=cells.nonnegative)
            self._figures = self._table_of(cells, tests, fdr)
            self.training_ = {"fdr": fdr, **training.chosen()}
            self.calibrations = self._calibrated(cells, bar, n_jobs)
        self._cells, self._is_trained = None, True

    @classmethod
    def gather(cls, parts: Iterable[Self]) -> Self:
        """One screen of several, each of which fitted a part of the perturbations.

        Parameters
        ----------
        parts
            Screens of the same cells with the same options, trained with ``part``. They are not
            changed.

        Returns
        -------
        The screen of all their perturbations, in their order. It predicts as one whose
        perturbations were fitted in the same chunks, see ``max_memory``.

        Raises
        ------
        ValueError
            If there are none, they differ in more than their part, or a perturbation is in two.
        RuntimeError
            If one is not trained.

        Examples
        --------
        >>> import rayot as rt
        >>> adata = rt.datasets.simulated_screen(3, n_cells=60, n_genes=20)
        >>> options = dict(max_steps=10, show_progress_bar=False)
        >>> names = ["drug_000", "drug_001", "drug_002"]
        >>> parts = [
        ...     rt.tl.screen(adata, "control", part=part, **options)
        ...     for part in (names[:1], names[1:])
        ... ]
        >>> len(rt.model.Screen.gather(parts))
        3
        """
        screens = list(parts)
        if not screens:
            raise ValueError("There is no screen to gather.")
        first = screens[0]
        for number, screen in enumerate(screens[1:], 2):
            screen._check_alike(first, number)
        checks.unique((name for screen in screens for name in screen), "the parts of the screen")
        gathered = copy.copy(first)
        gathered._figures = pd.concat([screen.table for screen in screens], ignore_index=True)
        shape = first.stack.displacement.shape[1:]
        gathered.stack = ScreenStack.gather([screen.stack for screen in screens], shape)
        gathered.calibrations = {
            name: of for screen in screens for name, of in screen.calibrations.items()
        }
        return gathered

    def _check_alike(self, other: Screen, number: int) -> None:
        """Raise a ValueError if another screen, of this number, is no part of the same one."""
        self._check_trained()
        other._check_trained()
        (own, own_arrays), (values, arrays) = self._to_saved(), other._to_saved()
        different = [name for name in values if name not in PARTS and own[name] != values[name]]
        for name in sorted({*own_arrays, *arrays}):
            group = name.partition("/")[0]
            equal = name in own_arrays and name in arrays
            if group in COMMON and not (
                equal and np.array_equal(own_arrays[name], arrays[name], equal_nan=True)
            ):
                different.append(group)
        if different:
            raise ValueError(
                f"Screens 1 and {number} differ in {different[0]!r}, so they are no parts of one; "
                "fit all parts on the same cells with the same options."
            )

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
        names: Sequence[str],
        options: TrainingOptions,
        fdr: float | None,
        max_memory: float,
        n_jobs: int | None,
        folder: Path | None,
        resume: bool,
        bar: tqdm,
    ) -> dict[str, tuple[float, float, float]]:
        """Fill the stack with maps of some perturbations, and return the tests of these."""
        self.components = cells.encode_control(self.representation, self.settings, self.seed)
        self.source_mean = cells.control_mean
        settings, n_features = self.in_components()
        bar.set_description("testing")
        tests = test_perturbations(cells, settings, self.seed, options, fdr, n_jobs)
        problems = {
            name: self._problems(cells, name)
            for name in names
            if fdr is None or tests[name][2] <= fdr
        }
        n_cells = len(cells.control_rows) + max(map(cells.n_cells, cells.groups))
        gpu = options.devices_for_trainer()["accelerator"] in ("gpu", "cuda")
        pieces = chunks_of(
            list(problems.values()),
            problems_that_fit(max_memory, self.method, settings, n_features, n_cells, gpu),
            lambda each: 1 if each.separate else len(cells.groups[each.target]),
        )
        chunks = (cells.chunk(piece, settings, self.seed, options) for piece in pieces)
        p_values = None if fdr is None else {name: test[1] for name, test in tests.items()}
        bar.set_description("fitting", refresh=False)
        bar.reset(sum(len(each) for each in problems.values()))
        parts = fit_chunks(chunks, p_values, n_jobs, folder, resume, bar)
        self.stack = ScreenStack.join(problems, parts, (1 + len(self.cell_types), n_features))
        return {name: tests[name] for name in names}

    def _problems(self, cells: ScreenCells, name: str) -> Problems:
        strata = tuple(filter(None, cells.groups[name]))
        return Problems(name, strata, self.strata, self.n_seeds)

    def _table_of(
        self, cells: ScreenCells, tests: dict[str, tuple[float, float, float]], fdr: float | None
    ) -> pd.DataFrame:
        """One row a perturbation; figures are those of its members, or of its worst stratum."""
        rows = []
        for name, (distance, p_value, q_value) in tests.items():
            fitted = name in self.stack.problems
            report = (
                summary_of(self._reports(name), self.n_seeds) if fitted else still(p_value, q_value)
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

    def parameters(self) -> dict[str, Any]:
        """Everything that was chosen for this screen, as plain values."""
        names = ("method", "preset", "strata", "n_seeds")
        chosen = {name: getattr(self, name) for name in names}
        return {**chosen, **self.settings.to_json(), **self.training_}

    @property
    def table(self) -> pd.DataFrame:
        """One row a perturbation, see :func:`rayot.tl.screen`."""
        self._check_trained()
        return self._figures

    def _reports(self, name: str) -> list[Report]:
        return self.stack.diagnostics[self.stack.rows(name)]

    @property
    def problems(self) -> pd.DataFrame:
        """One row a problem of the stack: perturbation, stratum, member, and its diagnostics."""
        self._check_trained()
        figures = pd.DataFrame(self.stack.diagnostics)
        return pd.concat([self.stack.table.drop(columns="name"), figures], axis=1)

    @property
    def history(self) -> dict[str, pd.DataFrame]:
        """For each phase, the mean curve over the problems of the stack."""
        self._check_trained()
        return self.stack.history

    def displacement(self) -> np.ndarray:
        """Mean move of the control's training cells under each perturbation, (n, 1 + T, d) float32.

        In the space of the maps: of all cells, then of each of :attr:`cell_types`, NaN where a type
        has no cells. Perturbations are those of :attr:`table`; zero where nothing moves.
        """
        self._check_trained()
        moves = self.stack.mean_displacement(list(self._figures["perturbation"]))
        return moves if self.components is None else moves @ self.components.basis.numpy().T

    def in_components(self) -> tuple[Settings, int]:
        """Settings and dimension that the stack itself has."""
        if self.components is None:
            return self.settings, self.representation.n_features
        return self.components.settings(self.settings), self.components.basis.shape[1]

    @property
    def _n_maps(self) -> int:
        """Maps of a perturbation that was not fitted, as many as spreads of others need."""
        several = any(len(each) > 1 for each in self.stack.problems.values())
        return 2 if several else 1

    def _check_trained(self, message: str = "Train the screen first.") -> None:
        super()._check_trained(message)

    def _subject(self) -> str:
        return f"Screen by {self.method} from {self.control!r}, seed {self.seed}"

    def _state(self) -> str:
        return (
            f"perturbations: {words_of(self._figures)}\nnext: at(target), predict(cells, target), "
            "save(folder); table has a row of each perturbation"
        )

    def __len__(self) -> int:
        self._check_trained()
        return len(self._figures)

    def __iter__(self) -> Iterator[str]:
        self._check_trained()
        return iter(self._figures["perturbation"])

    def __contains__(self, perturbation: object) -> bool:
        self._check_trained()
        return str(perturbation) in set(self._figures["perturbation"])

    # A mapping would compare all its models, which are made anew each time.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __getitem__(self, perturbation: str) -> Method:
        """The model of one perturbation; it shares no memory with the screen."""
        self._check_trained()
        model = self._uncalibrated(str(perturbation))
        model.calibration = self.calibrations.get(str(perturbation))
        return model

    def _uncalibrated(self, perturbation: str) -> Method:
        """The model of one perturbation, without distributions of genes."""
        rows = self._figures.loc[self._figures["perturbation"] == perturbation]
        if rows.empty:
            close = get_close_matches(str(perturbation), list(self), n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise KeyError(f"The screen has no perturbation {perturbation!r}.{hint}")
        fitted = self.stack.problems.get(perturbation)
        model = method_of(self.method)._without_cells(
            self.data,
            self.control,
            perturbation,
            self.representation,
            self.seed,
            fitted or Problems(perturbation, (), "balanced", self._n_maps),
            self.settings,
            self.preset,
        )
        if fitted is None:
            model.module.strength.zero_()
            row = rows.iloc[0]
            report = still(float(row["p_value"]), float(row["q_value"]))
            model.diagnostics_ = [report] * self._n_maps
        else:
            settings, n_features = self.in_components()
            module = model.stack_type(n_features, model.module.names, settings, self.seed)
            self.stack.fill(module, perturbation)
            combination = self.stack.combinations.get(perturbation)
            if self.components is not None:
                combination = self.components.lift(module, model.module, combination)
            else:
                model.module = module.eval()
            model.combination = combination
            model.diagnostics_ = self._reports(perturbation)
        model._history, model.training_cells = self.stack.history, self.training_cells
        model.source_mean = self.source_mean
        model.training_ = dict(self.training_)
        model._is_trained = True
        return model

    @public()
    def at(self, target: str) -> Method:
        """The model of one perturbation, as ``screen[target]``.

        Parameters
        ----------
        target
            A perturbation of the screen.

        Raises
        ------
        KeyError
            If the screen has no such perturbation; the nearest name is given.
        RuntimeError
            If the screen is not trained.
        """
        return self[target]

    @renamed(perturbation="target")
    @public(key=result_name, target=None)
    @shared
    def predict(
        self,
        adata: AnnData | MuData,
        target: str | Sequence[str] | None = None,
        *,
        modality: str | None = None,
        write_genes: bool = True,
        missing_genes: Literal["error", "zero", "mean"] = "error",
        clip: bool | str = "auto",
        key: str | None = None,
        write: str | Path | None = None,
        overwrite: bool = False,
    ) -> AnnData:
        """Predict how every cell of ``adata`` responds to one perturbation, or to many.

        Parameters
        ----------
        {adata}
        target
            A perturbation of the screen, some of them, or None for all, whose predictions have to
            go to a file.
        {modality}
        {write_genes}
        {missing_genes}
        {clip}
        key, write, overwrite
            As in :meth:`W1OT.predict`.

        Returns
        -------
        What :meth:`W1OT.predict` returns. Of several perturbations the cells once for each:
        the column of the conditions says ``"predicted <perturbation>"``, and the perturbation is
        appended to the names of cells.

        Raises
        ------
        KeyError
            If the screen has no such perturbation; the nearest name is given.
        ValueError
            If several perturbations are asked for without ``write``, and as :meth:`W1OT.predict`.
        OSError
            As :meth:`W1OT.predict`.
        """
        if target is not None and (isinstance(target, str) or not isinstance(target, Iterable)):
            return self[target].predict(
                adata,
                modality=modality,
                write_genes=write_genes,
                missing_genes=missing_genes,
                clip=clip,
                key=key,
                write=write,
                overwrite=overwrite,
            )
        key = self.method if key is None else key
        names = list(self) if target is None else list(dict.fromkeys(map(str, target)))
        if write is None or not names:
            raise ValueError(
                f"Predictions of {len(names)} perturbations go to a file; name it by write, or one "
                "perturbation."
            )
        cells = modality_of(adata, modality)
        rows = np.arange(cells.n_obs)
        self._check_trained("Train the screen before it predicts.")
        screen = copy.copy(self)
        screen.data = filled(self.data, cells, missing_genes, self.source_mean, self.representation)
        return screen.write(cells, rows, names, Path(write), overwrite, write_genes, clip, key)

    def write(
        self,
        cells: AnnData,
        rows: np.ndarray,
        names: Sequence[str],
        path: Path,
        overwrite: bool,
        write_genes: bool,
        clip: bool | str,
        key: str,
    ) -> AnnData:
        """Write how some cells respond to some perturbations, see :meth:`predict`."""
        if not len(rows):
            raise ValueError("adata has no cells to predict.")
        for name in names:
            if name not in self:
                # Says which, and what it may have meant.
                self[name]
        first = self[names[0]]
        path = first._new_file(cells, path, overwrite, write_genes, len(rows) * len(names))
        check_cells(self.representation, cells, rows, data=self.data)
        assert self.data.groupby is not None
        warn_of_treated(cells, rows, self.data.groupby, self.control)
        obs = predicted_obs(cells, rows, key, self.data.groupby, names[0])
        represented, var = first._written(write_genes, key)

        def parts() -> Iterator[Prediction]:
            for name in names:
                for part in self[name]._predictions(cells, rows, write_genes, represented, clip):
                    # What was not fitted has one map, whose spread is NaN.
                    yield part.with_spread() if self._n_maps > 1 else part

        return write_predictions(
            path,
            cells,
            parts(),
            by_perturbation(obs, names, self.data.groupby),
            var,
            key,
            uns_of=lambda _: self._filled_in(key),
            overwrite=overwrite,
        )

    def _filled_in(self, key: str) -> dict[str, Any]:
        """What ``uns`` says of genes that cells lacked."""
        return {key: self.data.result()} if isinstance(self.data, FilledSpec) else {}

    def _to_saved(self) -> tuple[dict[str, Any], saved.Arrays]:
        saved.check_numbers(self.stack.state, stack_of(self.method))
        stack, arrays = self.stack.to_saved()
        values = {
            "control": self.control,
            "method": self.method,
            "seed": self.seed,
            "preset": self.preset,
            "strata": self.strata,
            "n_seeds": self.n_seeds,
            "cell_types": self.cell_types,
            "data": self.data.to_json(),
            "representation": self.representation.to_json(),
            "settings": self.settings.to_json(),
            "training": self.training_,
            "table": self._figures.to_dict("list"),
            "stack": stack,
        }
        for name, value in self.representation.arrays().items():
            arrays[f"representation/{name}"] = value
        if self.training_cells is not None:
            arrays["training_cells"] = self.training_cells
        if self.source_mean is not None:
            arrays[SOURCE_MEAN] = self.source_mean
        if self.components is not None:
            arrays["components/centre"] = self.components.centre.numpy()
            arrays["components/basis"] = self.components.basis.numpy()
        for name, value in calibrations.to_arrays(self.calibrations).items():
            arrays[f"calibration/{name}"] = value
        return values, arrays

    @classmethod
    def _saved_fields(cls) -> Any:  # noqa: ANN401
        return SAVED

    @classmethod
    def _restored(
        cls,
        values: dict[str, Any],
        arrays: dict[str, np.ndarray],
        representation: Representation | None,
    ) -> Self:
        training_cells = saved.training_cells_of(arrays)
        source_mean = source_mean_of(arrays, len(values["data"]["var_names"]))
        groups = saved.grouped(arrays, "/", GROUPS)
        checks.unique(values["cell_types"], "cell_types")
        method, preset = values["method"], values["preset"]
        if method_of(method).joint:
            raise ValueError(f"method is {method!r}, which no screen can have.")
        settings = saved.settings_of(stack_of(method).settings_type, values["settings"], preset)
        data, table = saved.data_of(values["data"]), table_of(values["table"])
        displacement = groups["displacement"].get("", np.zeros(0))
        if displacement.ndim != 3:
            raise ValueError("the arrays lack a 'displacement' of three axes.")
        n_features = displacement.shape[2]
        components = None
        if groups["components"]:
            components = Components.from_saved(groups["components"], n_features)
            n_features = len(components.centre)
        representation = saved.representation_of(
            values["representation"],
            groups["representation"],
            representation,
            len(data.var_names),
            n_features,
        )
        screen = cls(
            LOADED,
            data,
            values["control"],
            method=method,
            preset=preset,
            representation=representation,
            strata=values["strata"],
            n_seeds=values["n_seeds"],
            seed=values["seed"],
            **vars(settings),
        )
        screen.representation, screen.components = representation, components
        screen.cell_types, screen._figures = values["cell_types"], table
        screen.training_, screen.training_cells = values["training"], training_cells
        screen.source_mean = source_mean
        screen._check_state(groups["stack"], len(values["stack"]["diagnostics"]))
        shape = 1 + len(screen.cell_types), displacement.shape[2]
        screen.stack = ScreenStack.from_saved(
            values["stack"], screen.data, groups, list(screen._figures["perturbation"]), shape
        )
        strata = {name: each.strata for name, each in screen.stack.problems.items()}
        screen.calibrations = calibrations.from_arrays(
            groups["calibration"], strata, len(screen.data.var_names), screen.seed
        )
        for each in screen.stack.problems.values():
            if (each.mode, each.n_seeds) != (screen.strata, screen.n_seeds):
                raise ValueError(f"the maps of {each.target!r} are of other seeds or strata.")
        screen._is_trained = True
        return screen

    def _check_state(self, state: dict[str, np.ndarray], n_problems: int) -> None:
        """Raise a ValueError unless arrays are those of so many maps with the screen's settings."""
        kind = stack_of(self.method)
        settings, n_features = self.in_components()
        if self.components is not None and self.settings.n_components != n_features:
            raise ValueError(
                f"n_components is {self.settings.n_components} in the settings, and the arrays are "
                f"those of {n_features}."
            )
        build = partial(kind, n_features, ["any"], settings, 0)
        if n_problems:
            saved.check_state(state, kind, settings, build, n_problems)
        else:
            saved.check_names(state, (), "the arrays of a screen without maps")
            saved.check_unfitted(kind, settings, build)
