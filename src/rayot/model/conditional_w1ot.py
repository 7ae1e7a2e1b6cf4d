"""One Wasserstein-1 model of many conditions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self, Unpack

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from mudata import MuData
from torch import Tensor
from tqdm.auto import tqdm

from rayot._arguments import result_name
from rayot._docs import shared
from rayot._keywords import takes
from rayot._public import public, renamed, warn
from rayot.data import checks
from rayot.data.condition_columns import dose_of, groups_of, vectors_of
from rayot.data.conditions import Condition, Conditions, covariates_name
from rayot.data.files import unchanged
from rayot.data.keys import Key
from rayot.data.modality import modality_of
from rayot.data.spec import DataSpec
from rayot.data.split import names_kept
from rayot.model import calibrations, saved
from rayot.model.calibration import Calibration
from rayot.model.calibrations import CellsOfPerturbations
from rayot.model.conditional_cells import by_exposure, columns_of, training_groups
from rayot.model.encoding import check_cells, encoded
from rayot.model.life_cycle import LOADED, words_of
from rayot.model.moves import Moves, moves_of
from rayot.model.problems import Problems, check_count
from rayot.model.responses import Responses, SavedChoice, Weighted, singles_of
from rayot.model.stack_model import SAVED, Fitted, StackModel
from rayot.model.stands_on import StandsOn
from rayot.model.training_cells import checked_expression, training_cells
from rayot.model.training_sample import may_calibrate
from rayot.model.w1ot import W1OT
from rayot.representation import Representation, representation_of
from rayot.solvers import ConditionalMap, ConditionalW1Settings, Settings, Stack, W1Map, worst
from rayot.solvers.report import Report
from rayot.train import TRAINING, TrainingKeywords, TrainingOptions, train_conditional

OF_CONDITIONS, OF_PARTS = "conditions", "parts"
"""First parts of the names of saved distributions."""

UNSEEN = (
    "This condition was not in training, so no cells say how good its map is. {stands_on} Try some "
    "of its own: rayot.tl.evaluate scores the map by them."
)
"""What is said of a condition that training never saw."""


@dataclass
class SavedConditions:
    """What is saved of a conditional model's arguments; earlier files lack what has a default."""

    preset: str
    settings: dict[str, Any]
    conditions: Conditions
    known: list[tuple[str, float | None, list[str]]]
    n_cells: list[int]
    responses: SavedChoice | None = None


@shared
class ConditionalW1OT(StackModel):
    """Wasserstein-1 maps of many drugs, doses, cell types or patients, learned by one network.

    The potential f(x, c) is 1-Lipschitz in the cell x for every condition c, which enters each of
    its layers (Chen et al. 2025, Discussion); so it has a map for conditions that training never
    saw: doses between others, combinations ``"A+B"`` of perturbations, and whatever has a vector.
    How much of its way a cell goes at a new dose is interpolated between the logarithms of the
    doses beside it, so a perturbation without a detectable effect at both has none between them.
    Genes are calibrated by the cells of each condition (``decode``). A new combination whose moves
    are added (``combination``) has the calibrated changes of its parts added up, where all parts
    were in training, and sums below zero are clipped; other new conditions keep the decoded change.

    Networks do not tell vectors that say something from those that do not. So a perturbation that
    only a vector describes moves cells by the weighted sum of the moves of those of training
    (``unseen``). The weights are those of a Gaussian process on mean responses, or alike where it
    does not predict perturbations that are left out; ``print(model)`` says which.

    Parameters
    ----------
    adata
        Annotated data; a MuData needs ``modality``.
    data
        What :meth:`setup_anndata` returned.
    control
        Category of the column it named: where cells start.
    {dose_key}
    {time_key}
    {covariates_of_conditions}
    {embedding_key}
    {min_condition_cells}
    preset
        ``"fast"`` or ``"paper"``.
    representation
        A representation of its own, such as :class:`rayot.representation.SCVI`; None takes the
        one that ``data`` names.
    modality
        Modality of a MuData.
    {n_seeds}
    seed
        Keys every draw.
    **plan_kwargs
        Settings that differ from the preset's, see
        :class:`rayot.solvers.ConditionalW1Settings`.

    Raises
    ------
    KeyError, ValueError
        If conditions are missing or too small, a dose is not above 0, a category has no vector,
        values are NaN, or a setting is unknown.

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.simulated_screen(3, n_cells=60, n_genes=20)
    >>> data = rt.model.ConditionalW1OT.setup_anndata(adata)
    >>> model = rt.model.ConditionalW1OT(adata, data, "control")
    >>> model.train(max_steps=10, show_progress_bar=False)
    >>> model.predict(adata[:5], "drug_000+drug_001").shape
    (5, 20)
    """

    module: ConditionalMap
    settings: ConditionalW1Settings
    conditions: Conditions
    training_conditions: list[Condition]
    n_cells: list[int]
    """Of each of them."""
    calibrations: dict[str, Calibration]
    """Distributions of genes by what cells were exposed to, where genes are calibrated."""
    part_calibrations: dict[str, Calibration]
    """The same of perturbations that may be parts of new combinations."""
    responses: Responses | None = None
    """Mean responses, where those of new perturbations follow from them."""
    _choice: dict[str, Any] | None = None
    """What a file says of the responses, whose arrays come after it."""
    _sample: CellsOfPerturbations | None = None
    """Training cells that genes are calibrated by."""

    @renamed(condition_keys="covariate_keys")
    @public()
    def __init__(
        self,
        adata: AnnData | MuData,
        data: DataSpec,
        control: str,
        *,
        dose_key: str | None = None,
        time_key: str | None = None,
        covariate_keys: str | Sequence[str] | None = None,
        embedding_key: str | Mapping[str, str] | None = None,
        min_cells: int = 10,
        preset: str = "fast",
        representation: Representation | None = None,
        modality: str | None = None,
        n_seeds: int = 1,
        seed: int = 0,
        **plan_kwargs: Any,  # noqa: ANN401
    ) -> None:
        self.settings = ConditionalW1Settings.from_preset(preset, **plan_kwargs)
        self.preset, self.n_seeds, self.seed = preset, n_seeds, seed
        self.source_key, self.target_key = str(control), "conditions"
        self.training_, self.diagnostics_ = {}, []
        self.calibrations, self.part_calibrations = {}, {}
        if adata is LOADED:
            return
        if dose_key is not None and time_key is not None:
            raise ValueError(
                f"dose_key is {dose_key!r} and time_key {time_key!r}; a condition has one number: "
                "name the other column in covariate_keys."
            )
        is_time, dose_key = time_key is not None, dose_key or time_key
        cells = modality_of(adata, modality)
        assert data.groupby is not None
        columns = columns_of(cells, data.groupby, covariate_keys, dose_key)
        if not isinstance(embedding_key, Mapping):
            embedding_key = {} if embedding_key is None else {data.groupby: embedding_key}
        if foreign := sorted(set(embedding_key) - set(columns)):
            raise ValueError(
                f"embedding_key names {foreign}, which are neither groupby nor in covariate_keys: "
                f"{columns}."
            )
        vectors = {
            column: vectors_of(cells, key, self.source_key if column == data.groupby else None)
            for column, key in embedding_key.items()
        }
        groups = training_groups(
            cells, data, self.source_key, columns, dose_key, min_cells, is_time=is_time
        )
        conditions = Conditions.learn(
            self.source_key, list(groups), columns, dose_key, vectors, is_time=is_time
        )
        self._take(cells, data, representation, groups, conditions)

    def _take(
        self,
        cells: AnnData,
        data: DataSpec,
        representation: Representation | None,
        groups: dict[Condition, tuple[np.ndarray, np.ndarray]],
        conditions: Conditions,
    ) -> None:
        """Take the training cells out of an AnnData, and check them."""
        n_cells = [len(target) for _, target in groups.values()]
        rows = np.unique(np.concatenate([side for pair in groups.values() for side in pair]))
        with unchanged(cells):
            with checked_expression(cells, data, rows, rows, representation) as unchecked:
                data = data.with_scale_of(cells, rows)
                representation = representation_of(cells, data, rows, representation)
                if unchecked is None:
                    check_cells(representation, cells, rows, data=data)
                self._describe(data, representation, conditions, list(groups), n_cells)
                taken = training_cells(
                    cells,
                    [list(pair) for pair in groups.values()],
                    self.problems,
                    partial(encoded, representation, data=data),
                    None,
                    self.settings,
                    self.seed,
                    unchecked=unchecked,
                )
            if may_calibrate(self.settings.decode, taken.nonnegative, representation):
                sample = CellsOfPerturbations(
                    cells, data, representation, by_exposure(groups), self.seed
                ).copy()
                self._sample = sample if sample.calibrates(self.settings.decode) else None
        self._sides, self._labels = (taken.source, taken.target), taken.labels
        self._components = taken.components
        self.training_cells = names_kept(cells, rows)
        self.source_mean = taken.source_mean
        self.data = replace(data, nonnegative=taken.nonnegative)

    def _describe(
        self,
        data: DataSpec,
        representation: Representation,
        conditions: Conditions,
        training_conditions: list[Condition],
        n_cells: list[int],
    ) -> None:
        """Say what is fitted, or will be."""
        self.data, self.representation = data, representation
        self.conditions, self.n_cells = conditions, n_cells
        self.training_conditions = training_conditions
        names = tuple(condition.name for condition in training_conditions)
        self.problems = Problems(self.target_key, names, "balanced", self.n_seeds)

    @classmethod
    @public()
    @shared
    def setup_anndata(
        cls,
        adata: AnnData | MuData,
        *,
        groupby: str = Key.obs.perturbation,
        layer: str | None = None,
        use_rep: str | None = None,
        split_key: str | None = Key.obs.split,
        modality: str | None = None,
        allow_counts: bool = False,
    ) -> DataSpec:
        """Check where a model finds its cells, and write nothing to ``adata``.

        Parameters
        ----------
        {adata}
        {groupby}
        {layer}
        {use_rep}
        {split_key}
        {modality}
        {allow_counts}

        Returns
        -------
        The description that the model is constructed with.

        Raises
        ------
        KeyError, ValueError
            As :meth:`W1OT.setup_anndata`.
        """
        return W1OT.setup_anndata(
            adata,
            groupby=groupby,
            layer=layer,
            use_rep=use_rep,
            split_key=split_key,
            modality=modality,
            allow_counts=allow_counts,
        )

    @public()
    @shared
    @takes(TrainingKeywords, TRAINING, without=("n_folds", "leave_out_strata"))
    def train(self, **options: Unpack[TrainingKeywords]) -> None:
        """Fit the maps of all conditions; fills ``history`` and :attr:`table`.

        Parameters
        ----------
        {options}

        Raises
        ------
        ValueError, OSError, RuntimeError, FloatingPointError, KeyboardInterrupt
            As :meth:`W1OT.train`.
        """
        asked: TrainingKeywords = {**options, "n_folds": 1, "leave_out_strata": False}
        super().train(**asked)

    def _fitted(self, settings: Settings, options: TrainingOptions) -> Fitted:
        assert isinstance(settings, ConditionalW1Settings) and self._sides is not None
        maps = fitted = self._new_module(settings, self.representation.n_features)
        if self._components is not None:
            of_fit = replace(settings, n_components=None, standardise=True)
            fitted = self._new_module(of_fit, self._components.basis.shape[1])
        kinds = [condition[:2] for condition in self.training_conditions]
        fit = train_conditional(
            fitted,
            [condition.name for condition in self.training_conditions],
            [kinds.index(kind) for kind in kinds],
            *self._sides,
            options,
            None if self._labels is None else (self._labels, self._labels),
        )
        if self._components is not None:
            self._components.lift(fitted, maps, None)
        return Fitted(maps, fit)

    def _calibrate(self, options: TrainingOptions, without: Mapping[int, Stack]) -> None:
        self.responses = self._learned_responses()
        self.calibrations, self.part_calibrations = {}, {}
        if self._sample is None:
            return
        exposures = {
            condition.exposure.name: condition.exposure for condition in self.training_conditions
        }
        parts = {
            name: self._sample.groups[name]
            for name, exposure in exposures.items()
            if len(self._parts(exposure)) == 1
        }
        names = {exposures[name].perturbation for name in parts}
        has_parts = self.settings.combination == "moves" and len(names) > 1

        def calibrated(sample: CellsOfPerturbations, of_parts: bool) -> dict[str, Calibration]:
            of_each = sample.calibrations(
                self.settings.decode,
                lambda name: self._uncalibrated(exposures[name]),
                bar,
                largest=calibrations.LARGEST // (2 if has_parts else 1),
                parts_of_others=of_parts,
            )
            return dict(of_each)

        with tqdm(unit="map", disable=not options.progress) as bar:
            self.calibrations = calibrated(self._sample, False)
            if has_parts:
                self.part_calibrations = calibrated(replace(self._sample, groups=parts), True)

    def _learned_responses(self) -> Responses | None:
        """What training cells say of new perturbations; None where the network says it."""
        if self.settings.unseen == "network" or self.conditions.perturbations.vectors is None:
            return None
        if not singles_of(self.conditions, self.training_conditions):
            return None
        assert self._sides is not None

        def move(condition: Condition, cells: Tensor) -> Tensor:
            return moves_of(self._maps_of(condition), self.problems, None, cells, None).mean

        return Responses.learn(
            self.conditions,
            self.training_conditions,
            self._sides,
            self._components,
            move,
            self.seed,
        )

    def _subject(self) -> str:
        return (
            f"{type(self).__name__} from {self.source_key!r} to {len(self.training_conditions)} "
            f"conditions, in {self.representation.n_features} dimensions of "
            f"{self.representation.name or 'the expression'}, seed {self.seed}"
        )

    def _state(self) -> str:
        new = "" if self.responses is None else f"a new perturbation: {self.responses.sentence}\n"
        return (
            f"{words_of(self.table)}\n{new}next: predict(cells, target), at(target), save(folder); "
            "table has a row of each condition"
        )

    def _new_module(self, settings: ConditionalW1Settings, n_features: int) -> ConditionalMap:
        vectors = np.stack(
            [self.conditions.vector(condition) for condition in self.training_conditions]
        )
        names = self.problems.names
        return ConditionalMap(n_features, names, settings, self.seed, torch.from_numpy(vectors))

    def _parts(self, condition: Condition) -> list[str]:
        """Perturbations that a condition is a combination of, whatever their order."""
        return sorted(part.perturbation for part in self.conditions.parts(condition))

    @property
    def table(self) -> pd.DataFrame:
        """One row a condition of training: what it is, its cells, and the figures of its map.

        Figures are those of :func:`rayot.solvers.diagnostics.diagnostics`, of the worst member.
        """
        self._check_trained()
        covariates = [column.column for column in self.conditions.covariates]
        rows = []
        for condition, n_cells in zip(self.training_conditions, self.n_cells, strict=True):
            dose = (
                {}
                if self.conditions.dose_key is None
                else {self.conditions.dose_key: condition.dose}
            )
            of_cells = dict(zip(covariates, condition.covariates, strict=True))
            figures = {**worst(self._reports(condition)), "n_held_out": 0}
            figures["n_held_out"] = figures.pop("n_cells")
            column = self.conditions.perturbations.column
            rows.append(
                {column: condition.perturbation, **dose, **of_cells, "n_cells": n_cells, **figures}
            )
        return pd.DataFrame(rows)

    def _reports(self, condition: Condition) -> list[Report]:
        """Diagnostics of each member's map of a condition; none if it is new."""
        if condition not in self.training_conditions:
            return []
        return self.diagnostics_[
            self.training_conditions.index(condition) :: len(self.training_conditions)
        ]

    def _maps_of(self, condition: Condition) -> W1Map:
        """The maps of a condition, one of each member."""
        vector = torch.from_numpy(self.conditions.vector(condition))[None]
        return self.module.of_conditions(
            vector, [condition.name], self._strengths(condition)
        ).eval()

    def _strengths(self, condition: Condition) -> Tensor | None:
        """Share of the way (members, 1) that cells go; None where training says nothing of it.

        At a new dose it is interpolated between the logarithms of known ones, at a new time between
        times: a perturbation without a detectable effect at those beside it has none there.
        """
        parts = self._parts(condition)
        own = [
            (k, seen)
            for k, seen in enumerate(self.training_conditions)
            if self._parts(seen) == parts
        ]
        alike = [k for k, seen in own if seen.dose == condition.dose]
        if not own or alike:
            return self.module.strengths[:, alike[:1]] if alike else None
        assert condition.dose is not None
        # Of several covariates the first speaks for its dose, as above.
        on_scale = self.conditions.on_scale
        columns = {on_scale(seen.dose): k for k, seen in reversed(own) if seen.dose is not None}
        doses = sorted(columns)
        of_doses = self.module.strengths[:, [columns[dose] for dose in doses]].cpu().numpy()
        interpolated = [np.interp(on_scale(condition.dose), doses, member) for member in of_doses]
        return torch.tensor(interpolated, dtype=torch.float32)[:, None]

    @public()
    def given(self, perturbation: str, *, dose: float | None = None) -> W1OT:
        """Former name of :meth:`at`; it will go after this release.

        Parameters
        ----------
        perturbation, dose
            ``target`` and ``dose`` of :meth:`at`.

        Raises
        ------
        RuntimeError, ValueError
            As :meth:`at`.
        """
        warn("model.given(x) will go; model.at(x) says the same.", FutureWarning)
        return self.at(perturbation, dose=dose)

    @public()
    def at(self, target: str, *, dose: float | None = None, time: float | None = None) -> W1OT:
        """The map of one condition, seen in training or not, with all verbs of :class:`W1OT`.

        Parameters
        ----------
        target
            Category of the column of the conditions, or several joined by ``"+"``.
        dose, time
            Above 0, where the model has doses, or times.

        Raises
        ------
        RuntimeError
            If the model is not trained.
        ValueError
            If a part of the target was not in training and has no vector, or the dose or the time
            is missing, not above 0, or there are none.
        """
        self._check_trained("Train the model before it predicts.")
        dose = self._checked_number(dose, time)
        exposure = Condition(str(target), dose, ())
        model = self._uncalibrated(exposure)
        self._check_range(exposure)
        if not isinstance(model, MapOfCondition):
            model.calibration = self._calibration_of(exposure, self.calibrations)
        elif model.weighted is None:
            known = self.part_calibrations if len(model.terms) > 1 else self.calibrations
            of_terms = [self._calibration_of(term, known) for term in model.terms]
            if all(calibration is not None for calibration in of_terms):
                model.calibrations = tuple(filter(None, of_terms))
        model._is_trained = True
        return model

    def _calibration_of(
        self, condition: Condition, known: Mapping[str, Calibration]
    ) -> Calibration | None:
        """Distributions of genes of cells that were exposed so; None where there are none."""
        seen = self._seen(condition)
        return known.get(seen[0].exposure.name) if seen else None

    def _seen(self, condition: Condition) -> list[Condition]:
        """Those of training in which cells were exposed to the same."""
        parts, dose = self._parts(condition), condition.dose
        return [
            seen
            for seen in self.training_conditions
            if seen.dose == dose and self._parts(seen) == parts
        ]

    def _uncalibrated(self, exposure: Condition) -> W1OT:
        """The map of cells that were exposed so, without distributions of genes."""
        seen = self._seen(exposure)
        # Its parts and dose are checked by any covariates.
        condition = exposure._replace(covariates=self.training_conditions[0].covariates)
        parts = [condition]
        if not seen and self.settings.combination == "moves":
            parts = self.conditions.parts(condition)
        maps, weighted = self._maps_of(condition), self._weighted(parts)
        is_one = not self.conditions.covariates and len(parts) == 1 and weighted is None
        kind = W1OT if is_one else MapOfCondition
        model = kind._without_cells(
            replace(self.data, dose_key=self.conditions.dose_key, dose=condition.dose),
            self.source_key,
            condition.perturbation,
            self.representation,
            self.seed,
            Problems(condition.perturbation, (), "balanced", self.problems.n_seeds),
            self.settings.plain,
            self.preset,
        )
        if isinstance(model, MapOfCondition):
            model.conditions, model.maps_of = self.conditions, self._maps_of
            model.condition, model.terms = condition, parts
            if weighted is not None:
                model.weighted, model.responses = weighted, self.responses
                model.terms = [condition._replace(perturbation=name) for name in weighted.terms]
        model.module = maps
        model.diagnostics_ = [report for one in seen for report in self._reports(one)]
        if not seen:
            stands_on = model.stands_on = self._stands_on(condition, parts)
            said = stands_on.sentence
            if weighted is not None and self.responses is not None:
                said = f"{said} {self.responses.sentence}"
            reason = UNSEEN.format(stands_on=said)
            model.diagnostics_ = [{"certificate": "check", "reason": reason}]
        model._history, model.training_ = self._history, dict(self.training_)
        model.training_cells, model.source_mean = self.training_cells, self.source_mean
        return model

    def _checked_number(self, dose: float | None, time: float | None) -> float | None:
        """The dose or the time, whichever the model has; None where it has neither."""
        key, is_time = self.conditions.dose_key, self.conditions.is_time
        keys = {"dose": None if is_time else key, "time": key if is_time else None}
        for name, value in (("dose", dose), ("time", time)):
            if (value is None) != (keys[name] is None):
                what = f"has no {name}s" if value is not None else f"needs a {name}"
                raise ValueError(f"This model {what}: {name}_key is {keys[name]!r}.")
        if key is None:
            return None
        return dose_of(time if is_time else dose, "time" if is_time else "dose", is_time=is_time)

    def _weighted(self, parts: Sequence[Condition]) -> Weighted | None:
        """What parts add up to, some of which are new; None where the maps of all are known."""
        names = [single.perturbation for part in parts for single in self.conditions.parts(part)]
        if self.responses is None or len(names) > len(parts):
            return None
        if all(name in self.responses.singles for name in names):
            return None
        weights: dict[str, float] = {}
        for name in names:
            of_part = {name: 1.0}
            if name not in self.responses.singles:
                of_part = self.responses.weights(self.conditions, name)
            for known, weight in of_part.items():
                weights[known] = weights.get(known, 0.0) + weight
        return Weighted.of(weights)

    def _stands_on(self, condition: Condition, parts: Sequence[Condition]) -> StandsOn:
        """What a condition stands on that was not in training, whichever cells it is of."""
        if len(parts) > 1 and all(map(self._seen, parts)):
            return StandsOn.parts([part.exposure.name for part in parts])
        known = {
            seen.exposure.name: self._exposure_vector(seen) for seen in self.training_conditions
        }
        vector = self._exposure_vector(condition)
        return StandsOn.nearest(vector, list(known), np.stack(list(known.values())))

    def _exposure_vector(self, condition: Condition) -> np.ndarray:
        """Vector of a perturbation and its dose."""
        size = self.conditions.perturbations.size + (self.conditions.dose_key is not None)
        return self.conditions.vector(condition)[:size].astype(np.float64)

    def _check_range(self, condition: Condition) -> None:
        """Warn of a dose, or a time, that is outside those of training."""
        if condition.dose is None:
            return
        word = "time" if self.conditions.is_time else "dose"
        for part in self._parts(condition):
            seen = [each for each in self.training_conditions if each.dose is not None]
            own = [each for each in seen if part in self._parts(each)]
            # Of a drug that was not in training no dose is known.
            doses = [float(each.dose or 0) for each in own or seen]
            if not min(doses) <= condition.dose <= max(doses):
                warn(
                    f"{word.capitalize()} {condition.dose:g} of {part!r} is outside the {word}s "
                    f"of training, {min(doses):g} to {max(doses):g}; what is predicted there is a "
                    "guess."
                )

    @renamed(perturbation="target")
    @public(key=result_name)
    @shared
    def predict(
        self,
        adata: AnnData | MuData,
        target: str,
        *,
        dose: float | None = None,
        time: float | None = None,
        modality: str | None = None,
        write_genes: bool = True,
        missing_genes: Literal["error", "zero", "mean"] = "error",
        clip: bool | str = "auto",
        key: str = "conditional_w1ot",
        write: str | Path | None = None,
        overwrite: bool = False,
    ) -> AnnData:
        """Predict how every cell of ``adata`` responds to one condition, seen in training or not.

        Parameters
        ----------
        {adata}
            Covariates of the model (``covariate_keys``) are read from ``obs``.
        target, dose, time
            As in :meth:`at`.
        {modality}
        {write_genes}
        {missing_genes}
        {clip}
        key, write, overwrite
            As in :meth:`W1OT.predict`.

        Returns
        -------
        What :meth:`W1OT.predict` returns.

        Raises
        ------
        RuntimeError, ValueError, OSError
            As :meth:`at` and :meth:`W1OT.predict`.
        """
        return self.at(target, dose=dose, time=time).predict(
            adata,
            modality=modality,
            write_genes=write_genes,
            missing_genes=missing_genes,
            clip=clip,
            key=key,
            write=write,
            overwrite=overwrite,
        )

    def _settings_json(self) -> dict[str, Any]:
        """Preset, settings and conditions."""
        return {
            "preset": self.preset,
            "settings": self.settings.to_json(),
            "conditions": self.conditions.to_json(),
            "known": [list(condition) for condition in self.training_conditions],
            "n_cells": self.n_cells,
            "responses": self.responses and self.responses.to_json(),
        }

    def _further_arrays(self) -> saved.Arrays:
        return {} if self.responses is None else self.responses.arrays()

    def _restore_further(self, arrays: saved.Arrays) -> None:
        self.responses = Responses.from_saved(
            self._choice,
            arrays,
            self.conditions,
            self.training_conditions,
            self.representation.n_features,
        )

    def _calibration_arrays(self) -> saved.Arrays:
        kinds = {OF_CONDITIONS: self.calibrations, OF_PARTS: self.part_calibrations}
        return {
            f"{kind}/{name}": values
            for kind, of_kind in kinds.items()
            for name, values in calibrations.to_arrays(of_kind).items()
        }

    def _restore_calibration(self, arrays: saved.Arrays) -> None:
        strata: dict[str, list[str]] = {}
        for condition in self.training_conditions:
            of_cells = [covariates_name(condition.covariates)] if condition.covariates else []
            strata.setdefault(condition.exposure.name, []).extend(of_cells)
        n_genes = len(self.data.var_names)
        kinds = saved.grouped(arrays, "/", (OF_CONDITIONS, OF_PARTS))
        self.calibrations, self.part_calibrations = (
            calibrations.from_arrays(of_kind, strata, n_genes, self.seed)
            for of_kind in kinds.values()
        )

    @classmethod
    def _saved_fields(cls) -> Any:  # noqa: ANN401
        return {**SAVED, "settings": SavedConditions}

    @classmethod
    def _from_saved(
        cls,
        values: dict[str, Any],
        data: DataSpec,
        representation: Representation,
        state: dict[str, np.ndarray],
    ) -> Self:
        chosen, n_seeds = values["settings"], values["strata"]["n_seeds"]
        settings = saved.settings_of(ConditionalW1Settings, chosen["settings"], chosen["preset"])
        assert isinstance(settings, ConditionalW1Settings)
        conditions = Conditions.from_json(chosen["conditions"])
        training_conditions = [
            Condition(name, dose, tuple(further)) for name, dose, further in chosen["known"]
        ]
        check_conditions(conditions, training_conditions, chosen["n_cells"])
        n_problems, n_features = saved.size_of(state)
        check_count([Problems("conditions", (), "balanced", n_seeds)], n_problems)
        saved.check_reports(values["diagnostics"], (n_problems * len(training_conditions),))
        vectors = torch.from_numpy(
            np.stack([conditions.vector(condition) for condition in training_conditions])
        )
        build = partial(ConditionalMap, n_features, ["any"], settings, 0, vectors)
        saved.check_state(state, ConditionalMap, settings, build, n_problems)
        if not np.allclose(state["conditions"], vectors.numpy(), atol=1e-5):
            raise ValueError("the vectors of its conditions are not those of the arrays.")
        model = cls(
            LOADED,
            data,
            conditions.control,
            preset=chosen["preset"],
            representation=representation,
            n_seeds=n_seeds,
            seed=values["seed"],
            **vars(settings),
        )
        model._describe(data, representation, conditions, training_conditions, chosen["n_cells"])
        model.module = model._new_module(settings, representation.n_features).eval()
        model._choice = chosen.get("responses")
        return model


class MapOfCondition(W1OT):
    """A map that adds the moves of several, or reads from ``obs`` what cells it moves.

    Its ``module`` is that of the summed vector, and of the first covariates.
    """

    conditions: Conditions
    """All that can be predicted."""
    maps_of: Callable[[Condition], W1Map]
    """The maps of one of them."""
    condition: Condition
    terms: list[Condition]
    """Those whose moves are added: the condition itself, or its parts."""
    calibrations: tuple[Calibration, ...] = ()
    """Of each term; none if one of them has no distributions."""
    weighted: Weighted | None = None
    """Weights that moves are added up by; None adds them as they are."""
    responses: Responses | None = None
    """What says what weighted moves lack."""

    @property
    def _calibrations_by_term(self) -> tuple[Calibration, ...]:
        """What calibrates each term of a move."""
        return self.calibrations

    @property
    def _covariates(self) -> list[str]:
        return [column.column for column in self.conditions.covariates]

    def _groups(self, adata: AnnData, rows: np.ndarray) -> dict[Condition, np.ndarray]:
        """Positions in ``rows`` of the cells of each combination of covariates."""
        if not self._covariates:
            return {self.condition: np.arange(len(rows))}
        for name in self._covariates:
            missing = checks.labels(adata, name, rows) == ""
            if missing.any():
                raise ValueError(
                    f"{int(missing.sum())} cells have no value in adata.obs[{name!r}], which the "
                    "model was fitted with; leave them out or fill it in."
                )
        groups = groups_of(adata, rows, self._covariates)
        return {
            self.condition._replace(covariates=tuple(map(str, key))): np.searchsorted(rows, members)
            for key, members in groups.items()
        }

    def _strata(self, adata: AnnData, rows: np.ndarray) -> np.ndarray | None:
        if not self._covariates:
            return None
        columns = [checks.labels(adata, name, rows) for name in self._covariates]
        return np.array(list(map(covariates_name, zip(*columns, strict=True))), dtype=object)

    def _check_cells(self, adata: AnnData, rows: np.ndarray) -> None:
        for condition in self._groups(adata, rows):
            self.conditions.vector(condition)
        super()._check_cells(adata, rows)

    def _moves(self, adata: AnnData, rows: np.ndarray, cells: Tensor) -> Moves:
        positions, parts = [], []
        for condition, members in self._groups(adata, rows).items():
            positions.append(torch.from_numpy(members))
            parts.append(self._added(condition, cells[positions[-1]]))
        return _joined(parts, torch.cat(positions).argsort())

    def _added(self, condition: Condition, cells: Tensor) -> Moves:
        """Sum of the moves of all terms, for cells of the condition's covariates."""
        terms = [term._replace(covariates=condition.covariates) for term in self.terms]
        moves = [moves_of(self.maps_of(term), self.problems, None, cells, None) for term in terms]
        if self.weighted is not None and self.responses is not None:
            weights = [self.weighted.weights[term.perturbation] for term in terms]
            lacking = self.responses.lacking(self.weighted, condition)
            mean, members, maps = (
                lacking
                + sum(
                    weight * getattr(each, name)
                    for weight, each in zip(weights, moves, strict=True)
                )
                for name in ("mean", "members", "maps")
            )
            return Moves(mean, members, maps, None, moves[0].combined)
        if len(moves) == 1:
            return moves[0]
        mean, members, maps = (
            torch.stack([getattr(each, name) for each in moves]).sum(0)
            for name in ("mean", "members", "maps")
        )
        # A sum of potentials is none: it need not be 1-Lipschitz.
        return Moves(mean, members, maps, None, moves[0].combined, terms=tuple(moves))

    def _to_saved(self) -> tuple[dict[str, Any], saved.Arrays]:
        """Raise a ValueError: the map is saved with its conditional model."""
        raise ValueError(
            "This map adds the moves of several, or reads what cells it moves from obs; save the "
            "conditional model itself."
        )


def _joined(parts: Sequence[Moves], order: Tensor) -> Moves:
    """Moves of several groups of cells as one, in another order."""
    potentials = [moves.potential for moves in parts if moves.potential is not None]
    return Moves(
        torch.cat([moves.mean for moves in parts])[order],
        torch.cat([moves.members for moves in parts], 1)[:, order],
        torch.cat([moves.maps for moves in parts], 1)[:, order],
        torch.cat(potentials)[order] if potentials else None,
        np.zeros(len(order), dtype=bool),
        terms=tuple(
            _joined(of_term, order)
            for of_term in zip(*(moves.terms for moves in parts), strict=True)
        ),
    )


def check_conditions(
    conditions: Conditions, training_conditions: Sequence[Condition], n_cells: Sequence[int]
) -> None:
    """Raise a ValueError if saved conditions are not whole."""
    checks.unique((condition.name for condition in training_conditions), "known")
    if not training_conditions or len(training_conditions) != len(n_cells):
        raise ValueError(
            f"there are {len(training_conditions)} conditions and cells of {len(n_cells)}."
        )
    for column in (conditions.perturbations, *conditions.covariates):
        checks.unique(column.names, f"the categories of {column.column!r}")
        lengths = {len(vector) for vector in column.vectors or ()}
        if column.vectors is not None and (len(column.vectors), len(lengths)) != (
            len(column.names),
            1,
        ):
            raise ValueError(
                f"the vectors of {column.column!r} are not one for each, equally long."
            )
    if not conditions.log_dose[1] > 0:
        raise ValueError(f"the spread of its doses must be above 0, found {conditions.log_dose}.")
    for condition in training_conditions:
        if (condition.dose is None) != (conditions.dose_key is None):
            raise ValueError(f"{condition.name!r} has the dose {condition.dose}.")
        if condition.dose is not None:
            dose_of(condition.dose, f"The dose of {condition.perturbation!r}")
        if len(condition.covariates) != len(conditions.covariates):
            raise ValueError(f"{condition.name!r} has {len(condition.covariates)} covariates.")
