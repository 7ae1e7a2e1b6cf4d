"""One Wasserstein-1 model of many conditions."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from mudata import MuData

from rayot._docs import shared
from rayot.data import checks
from rayot.data.conditions import Condition, Conditions, dose_of, groups_of, vectors_of
from rayot.data.files import unchanged
from rayot.data.keys import Key
from rayot.data.modality import modality_of
from rayot.data.spec import DataSpec
from rayot.model.base import worst
from rayot.model.encoding import check_cells, encoded
from rayot.model.given_condition import GivenCondition
from rayot.model.persistence import PersistentModel
from rayot.model.problems import Problems
from rayot.model.training_cells import training_cells
from rayot.model.w1ot import W1OT
from rayot.representation import Representation, representation_of
from rayot.representation.resolve import has_decoder
from rayot.solvers import ConditionalMap, ConditionalW1Settings, TransportMap
from rayot.train import TrainingOptions, train_conditional

logger = logging.getLogger(__name__)

UNSEEN = {
    "certificate": "check",
    "reason": "This condition was not in training, so no cells say how good its map is.",
}
"""Diagnostics of a condition that training never saw."""


@shared
class ConditionalW1OT(PersistentModel):
    """Wasserstein-1 maps of many drugs, doses, cell types or patients, learned by one network.

    The potential f(x, c) is 1-Lipschitz in the cell x for every condition c, which enters each of
    its layers (Chen et al. 2025, Discussion); so it has a map for conditions that training never
    saw: doses between others, combinations ``"A+B"`` of perturbations, and whatever has a vector.

    Parameters
    ----------
    adata
        Annotated data; a MuData needs ``modality``.
    data
        What :meth:`setup_anndata` returned.
    control
        Category of the column it named: where cells start.
    {dose_key}
    {condition_keys}
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

    def __init__(
        self,
        adata: AnnData | MuData,
        data: DataSpec,
        control: str,
        *,
        dose_key: str | None = None,
        condition_keys: Sequence[str] = (),
        embedding_key: str | Mapping[str, str] | None = None,
        min_cells: int = 10,
        preset: str = "fast",
        representation: Representation | None = None,
        modality: str | None = None,
        n_seeds: int = 1,
        seed: int = 0,
        **plan_kwargs: Any,  # noqa: ANN401
    ) -> None:
        settings = ConditionalW1Settings.from_preset(preset, **plan_kwargs)
        cells = modality_of(adata, modality)
        assert data.groupby is not None
        columns = _columns(cells, data.groupby, condition_keys, dose_key)
        if not isinstance(embedding_key, Mapping):
            embedding_key = {} if embedding_key is None else {data.groupby: embedding_key}
        if foreign := sorted(set(embedding_key) - set(columns)):
            raise ValueError(
                f"embedding_key names {foreign}, which are neither groupby nor in condition_keys: "
                f"{columns}."
            )
        given = {column: vectors_of(cells, key) for column, key in embedding_key.items()}
        groups = _groups(cells, data, str(control), columns, dose_key, min_cells)
        known = list(groups)
        conditions = Conditions.learn(str(control), known, columns, dose_key, given)
        n_cells = [len(target) for _, target in groups.values()]
        rows = np.unique(np.concatenate([each for pair in groups.values() for each in pair]))
        with unchanged(cells):
            checked = representation is None and has_decoder(cells, data.use_rep)
            if checked:
                data.check_expression(cells, rows)
            representation = representation or representation_of(cells, data, rows)
            if not checked:
                check_cells(representation, cells, rows, data=data)
            self._describe(
                data, representation, conditions, known, n_cells, settings, preset, n_seeds, seed
            )
            taken = training_cells(
                cells,
                [list(pair) for pair in groups.values()],
                self.problems,
                partial(encoded, representation, data=data),
                None,
                settings,
                seed,
            )
        self.source, self.target, self.labels = taken.source, taken.target, taken.labels
        self.components = taken.components
        self.data = replace(data, nonnegative=taken.nonnegative)

    def _describe(
        self,
        data: DataSpec,
        representation: Representation,
        conditions: Conditions,
        known: list[Condition],
        n_cells: list[int],
        settings: ConditionalW1Settings,
        preset: str,
        n_seeds: int,
        seed: int,
    ) -> None:
        super().__init__(registry={"model_name": type(self).__name__, "field_registries": {}})
        self.data, self.representation, self.seed = data, representation, seed
        self.conditions, self.known, self.n_cells = conditions, known, n_cells
        self.settings, self.preset = settings, preset
        self.source_key, self.target_key = conditions.control, "conditions"
        names = tuple(each.name for each in known)
        self.problems = Problems(self.target_key, names, "balanced", n_seeds)
        self.combination = None
        self.training_, self.diagnostics_ = {}, []
        self.module = self._new_module(settings, representation.n_features)
        self._model_summary_string = (
            f"{type(self).__name__}: {self.source_key} to {len(known)} conditions in "
            f"{representation.name or 'genes'}, {representation.n_features} dimensions"
        )

    def _new_module(self, settings: ConditionalW1Settings, n_features: int) -> ConditionalMap:
        vectors = np.stack([self.conditions.vector(each) for each in self.known])
        names = self.problems.names
        return ConditionalMap(n_features, names, settings, self.seed, torch.from_numpy(vectors))

    @classmethod
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

    @shared
    def train(
        self,
        *,
        max_steps: int | None = None,
        batch_size: int | None = None,
        validation_size: float = 0.1,
        early_stopping: bool = False,
        early_stopping_patience: int = 10,
        checkpoint_dir: str | Path | None = None,
        checkpoint_every: int = 1000,
        resume: bool = True,
        accelerator: str = "auto",
        devices: int | str | list[int] = "auto",
        show_progress_bar: bool = True,
        callbacks: Sequence[pl.Callback] = (),
        **trainer_kwargs: Any,  # noqa: ANN401
    ) -> None:
        """Fit the maps of all conditions; fills ``history`` and :attr:`table`.

        Parameters
        ----------
        {max_steps}
        {batch_size}
        {validation_size}
        {early_stopping}
        {early_stopping_patience}
        {checkpoint_dir}
        {checkpoint_every}
        {resume}
        {accelerator}
        {progress}
        {callbacks}
        {trainer_kwargs}

        Raises
        ------
        ValueError, RuntimeError, FloatingPointError, KeyboardInterrupt
            As :meth:`W1OT.train`.
        """
        if not hasattr(self, "source"):
            raise RuntimeError(
                "A loaded model holds no training cells; construct a new one to train."
            )
        options = TrainingOptions(
            validation_size=validation_size,
            n_folds=1,
            early_stopping=early_stopping,
            early_stopping_patience=early_stopping_patience,
            checkpoint_dir=checkpoint_dir,
            checkpoint_every=checkpoint_every,
            resume=resume,
            accelerator=accelerator,
            devices=devices,
            progress=show_progress_bar,
            callbacks=callbacks,
            trainer_kwargs=trainer_kwargs,
        )
        options.check()
        settings = self.settings.with_limits(max_steps, batch_size)
        maps = fitted = self._new_module(settings, self.representation.n_features)
        of_fit = settings
        if self.components is not None:
            of_fit = replace(settings, n_components=None, standardise=True)
            fitted = self._new_module(of_fit, self.components.basis.shape[1])
        kinds = [each[:2] for each in self.known]
        result = train_conditional(
            fitted,
            [each.name for each in self.known],
            [kinds.index(kind) for kind in kinds],
            self.source,
            self.target,
            of_fit,
            self.seed,
            options,
            None if self.labels is None else (self.labels, self.labels),
        )
        if self.components is not None:
            self.components.lift(fitted, maps, None)
        self.module = maps.eval()
        self.history_ = {
            phase: pd.DataFrame(columns).set_index("step")
            for phase, columns in result.history.items()
        }
        self.diagnostics_ = result.diagnostics
        self.training_ = {
            "validation_size": validation_size,
            "early_stopping": early_stopping,
            "early_stopping_patience": early_stopping_patience,
            **settings.steps(),
            "batch_size": settings.batch_size,
        }
        self.is_trained_ = True

    @property
    def table(self) -> pd.DataFrame:
        """One row a condition of training: what it is, its cells, and the figures of its map.

        Figures are those of :func:`rayot.solvers.diagnostics.diagnostics`, of the worst member.
        """
        self._check_if_trained(warn=False, message="Train the model first.")
        covariates = [each.column for each in self.conditions.covariates]
        rows = []
        for each, n_cells in zip(self.known, self.n_cells, strict=True):
            dose = {} if self.conditions.dose_key is None else {self.conditions.dose_key: each.dose}
            of_cells = dict(zip(covariates, each.covariates, strict=True))
            figures = {**worst(self._reports(each)), "n_held_out": 0}
            figures["n_held_out"] = figures.pop("n_cells")
            column = self.conditions.perturbations.column
            rows.append(
                {column: each.perturbation, **dose, **of_cells, "n_cells": n_cells, **figures}
            )
        return pd.DataFrame(rows)

    def _reports(self, condition: Condition) -> list[dict[str, Any]]:
        """Diagnostics of each member's map of a condition; none if it is new."""
        if condition not in self.known:
            return []
        return self.diagnostics_[self.known.index(condition) :: len(self.known)]

    def maps_of(self, condition: Condition) -> TransportMap:
        """The maps of a condition, one of each member."""
        vector = torch.from_numpy(self.conditions.vector(condition))[None]
        alike = [k for k, each in enumerate(self.known) if each[:2] == condition[:2]]
        strengths = self.module.strengths[:, alike[:1]] if alike else None
        return self.module.given(vector, [condition.name], strengths).eval()

    def given(self, perturbation: str, *, dose: float | None = None) -> W1OT:
        """The map of one condition, seen in training or not, with all verbs of :class:`W1OT`.

        Parameters
        ----------
        perturbation
            Category of the column of the conditions, or several joined by ``"+"``.
        dose
            Above 0, where the model has doses.

        Raises
        ------
        RuntimeError
            If the model is not trained.
        ValueError
            If a part of the perturbation was not in training and has no vector, or the dose is
            missing, not above 0, or there are none.
        """
        self._check_if_trained(warn=False, message="Train the model before it predicts.")
        if (dose is None) != (self.conditions.dose_key is None):
            what = "has no doses" if dose is not None else "needs a dose"
            raise ValueError(f"This model {what}: dose_key is {self.conditions.dose_key!r}.")
        dose = None if dose is None else dose_of(dose, "dose")
        seen = [each for each in self.known if each[:2] == (str(perturbation), dose)]
        # Its parts and dose are checked by any covariates.
        condition = Condition(str(perturbation), dose, self.known[0].covariates)
        parts = [condition]
        if not seen and self.settings.combination == "moves":
            parts = self.conditions.parts(condition)
        kind = GivenCondition if self.conditions.covariates or len(parts) > 1 else W1OT
        model = kind.assembled(
            self.data,
            self.source_key,
            condition.perturbation,
            self.representation,
            self.seed,
            Problems(condition.perturbation, (), "balanced", self.problems.n_seeds),
            self.settings.plain,
            self.preset,
        )
        if isinstance(model, GivenCondition):
            model.conditional, model.condition, model.terms = self, condition, parts
        model.module = self.maps_of(condition)
        model.diagnostics_ = [each for one in seen for each in self._reports(one)] or [UNSEEN]
        model.history_, model.training_ = self.history_, dict(self.training_)
        model.is_trained_ = True
        return model

    @shared
    def predict(
        self,
        adata: AnnData | MuData,
        perturbation: str,
        *,
        dose: float | None = None,
        modality: str | None = None,
        write_genes: bool = True,
        clip: bool | str = "auto",
        key: str = "conditional_w1ot",
        write: str | Path | None = None,
        overwrite: bool = False,
    ) -> AnnData:
        """Predict how every cell of ``adata`` responds to one condition, seen in training or not.

        Parameters
        ----------
        {adata}
            Covariates of the model (``condition_keys``) are read from ``obs``.
        perturbation, dose
            As in :meth:`given`.
        {modality}
        {write_genes}
        {clip}
        key, write, overwrite
            As in :meth:`W1OT.predict`.

        Returns
        -------
        What :meth:`W1OT.predict` returns.

        Raises
        ------
        RuntimeError, ValueError, OSError
            As :meth:`given` and :meth:`W1OT.predict`.
        """
        return self.given(perturbation, dose=dose).predict(
            adata,
            modality=modality,
            write_genes=write_genes,
            clip=clip,
            key=key,
            write=write,
            overwrite=overwrite,
        )

    def parameters(self) -> dict[str, Any]:
        """Everything that was chosen for this fit, as plain values."""
        chosen = {"preset": self.preset, **asdict(self.settings)}
        return {**chosen, "n_seeds": self.problems.n_seeds, **self.training_}

    def settings_json(self) -> dict[str, Any]:
        """Preset, settings and conditions."""
        return {
            "preset": self.preset,
            "settings": asdict(self.settings),
            "conditions": self.conditions.to_json(),
            "known": [list(each) for each in self.known],
            "n_cells": self.n_cells,
        }

    @classmethod
    def _from_saved(cls, values: dict[str, Any], representation: Representation) -> Self:
        saved = values["settings"]
        model = cls.__new__(cls)
        model._describe(
            DataSpec.from_json(values["data"]),
            representation,
            Conditions.from_json(saved["conditions"]),
            [Condition(name, dose, tuple(further)) for name, dose, further in saved["known"]],
            saved["n_cells"],
            ConditionalW1Settings.from_json(saved["settings"]),
            saved["preset"],
            values["strata"]["n_seeds"],
            values["seed"],
        )
        model.module.eval()
        return model


def _columns(
    adata: AnnData, groupby: str, condition_keys: Sequence[str], dose_key: str | None
) -> list[str]:
    """Columns of the perturbations and of the covariates, checked to be there and to differ."""
    if isinstance(condition_keys, str):
        condition_keys = [condition_keys]
    columns = [groupby, *condition_keys]
    for name in (*columns, *([] if dose_key is None else [dose_key])):
        checks.column(adata, name)
    if len({*columns, dose_key}) <= len(columns):
        raise ValueError(
            f"groupby ({groupby!r}), condition_keys ({list(condition_keys)}) and dose_key "
            f"({dose_key!r}) must be different columns."
        )
    return columns


def _groups(
    adata: AnnData,
    data: DataSpec,
    control: str,
    columns: list[str],
    dose_key: str | None,
    min_cells: int,
) -> dict[Condition, tuple[np.ndarray, np.ndarray]]:
    """Training rows of source and target of each condition that has enough of both."""
    if min_cells < 4:
        raise ValueError(f"min_cells must be at least 4, found {min_cells!r}.")
    sources = groups_of(adata, data.training_rows(adata, control), columns)
    of_control = {key[1:]: rows for key, rows in sources.items()}
    training = ~checks.in_category(adata, columns[0], control)
    if data.split_key is not None:
        training &= (checks.column(adata, data.split_key) == Key.obs.train).to_numpy()
    targets = groups_of(adata, np.flatnonzero(training), columns, dose_key)
    kept, lacking = {}, []
    for key, rows in targets.items():
        condition = Condition.of(key, with_dose=dose_key is not None)
        source = of_control.get(condition.covariates, np.empty(0, dtype=int))
        if min(len(source), len(rows)) < min_cells:
            lacking.append(f"{condition.name!r} ({len(rows)} of it, {len(source)} of its control)")
        else:
            kept[condition] = source, rows
    if lacking:
        shown = ", ".join(lacking[:10]) + (", …" if len(lacking) > 10 else "")
        message = f"{len(lacking)} conditions have fewer than {min_cells} training cells: {shown}"
        if not kept:
            raise checks.TooFewCells(f"{message}; no condition is left to learn from.")
        logger.warning("%s; they are left out of the fit.", message)
    if not kept:
        raise ValueError(
            f"adata.obs[{columns[0]!r}] has no training cells of a condition beside {control!r}."
        )
    return kept
