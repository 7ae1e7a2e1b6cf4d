"""A conditional model that is fitted, or loaded: what it says of conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from mudata import MuData
from torch import Tensor

from rayot._arguments import result_name
from rayot._docs import shared
from rayot._public import public, renamed, warn
from rayot.data.condition_columns import dose_of
from rayot.data.conditions import Condition, Conditions, covariates_name
from rayot.data.spec import DataSpec
from rayot.model import calibrations, saved
from rayot.model.calibration import Calibration
from rayot.model.given_condition import GivenCondition
from rayot.model.life_cycle import words_of
from rayot.model.persistence import PersistentModel
from rayot.model.problems import Problems
from rayot.model.schema import check_unique
from rayot.model.w1ot import W1OT
from rayot.representation import Representation
from rayot.solvers import ConditionalMap, ConditionalW1Settings, W1Map, worst

UNSEEN = {
    "certificate": "check",
    "reason": "This condition was not in training, so no cells say how good its map is. Try some "
    "of its own: rayot.tl.evaluate scores the map by them.",
}
"""Diagnostics of a condition that training never saw."""


class FittedConditional(PersistentModel):
    """What a conditional model answers once it is fitted, or loaded."""

    module: ConditionalMap
    calibrations: dict[str, Calibration]
    """Distributions of genes by what cells were exposed to, where genes are calibrated."""

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
        self.data, self.representation, self.seed = data, representation, seed
        self.conditions, self.known, self.n_cells = conditions, known, n_cells
        self.settings, self.preset = settings, preset
        self.source_key, self.target_key = conditions.control, "conditions"
        names = tuple(each.name for each in known)
        self.problems = Problems(self.target_key, names, "balanced", n_seeds)
        self.combination, self.training_cells = None, None
        self.training_, self.diagnostics_ = {}, []
        self.module = self._new_module(settings, representation.n_features)

    def _subject(self) -> str:
        return (
            f"{type(self).__name__} from {self.source_key!r} to {len(self.known)} conditions, in "
            f"{self.representation.n_features} dimensions of "
            f"{self.representation.name or 'the expression'}, seed {self.seed}"
        )

    def _found(self) -> str:
        return (
            f"{words_of(self.table)}\nnext: predict(cells, target), at(target), save(folder); "
            "table has a row of each condition"
        )

    def _new_module(self, settings: ConditionalW1Settings, n_features: int) -> ConditionalMap:
        vectors = np.stack([self.conditions.vector(each) for each in self.known])
        names = self.problems.names
        return ConditionalMap(n_features, names, settings, self.seed, torch.from_numpy(vectors))

    def _parts(self, condition: Condition) -> list[str]:
        """Perturbations that a condition is a combination of, whatever their order."""
        return sorted(each.perturbation for each in self.conditions.parts(condition))

    @property
    def table(self) -> pd.DataFrame:
        """One row a condition of training: what it is, its cells, and the figures of its map.

        Figures are those of :func:`rayot.solvers.diagnostics.diagnostics`, of the worst member.
        """
        self._check_trained()
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

    def _maps_of(self, condition: Condition) -> W1Map:
        """The maps of a condition, one of each member."""
        vector = torch.from_numpy(self.conditions.vector(condition))[None]
        return self.module.given(vector, [condition.name], self._strengths(condition)).eval()

    def _strengths(self, condition: Condition) -> Tensor | None:
        """Share of the way (members, 1) that cells go; None where training says nothing of it.

        At a new dose it is interpolated between the logarithms of known ones: a perturbation
        without a detectable effect at the doses beside it has none there.
        """
        parts = self._parts(condition)
        own = [(k, each) for k, each in enumerate(self.known) if self._parts(each) == parts]
        alike = [k for k, each in own if each.dose == condition.dose]
        if not own or alike:
            return self.module.strengths[:, alike[:1]] if alike else None
        assert condition.dose is not None
        # Of several covariates the first speaks for its dose, as above.
        columns = {np.log10(each.dose): k for k, each in reversed(own) if each.dose is not None}
        doses = sorted(columns)
        known = self.module.strengths[:, [columns[dose] for dose in doses]].cpu().numpy()
        found = [np.interp(np.log10(condition.dose), doses, member) for member in known]
        return torch.tensor(found, dtype=torch.float32)[:, None]

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
    def at(self, target: str, *, dose: float | None = None) -> W1OT:
        """The map of one condition, seen in training or not, with all verbs of :class:`W1OT`.

        Parameters
        ----------
        target
            Category of the column of the conditions, or several joined by ``"+"``.
        dose
            Above 0, where the model has doses.

        Raises
        ------
        RuntimeError
            If the model is not trained.
        ValueError
            If a part of the target was not in training and has no vector, or the dose is
            missing, not above 0, or there are none.
        """
        self._check_trained("Train the model before it predicts.")
        if (dose is None) != (self.conditions.dose_key is None):
            what = "has no doses" if dose is not None else "needs a dose"
            raise ValueError(f"This model {what}: dose_key is {self.conditions.dose_key!r}.")
        dose = None if dose is None else dose_of(dose, "dose")
        exposure = Condition(str(target), dose, ())
        model = self._uncalibrated(exposure)
        if isinstance(model, GivenCondition):
            found = [self._calibration_of(each) for each in model.terms]
            if all(each is not None for each in found):
                model.calibrations = tuple(filter(None, found))
        else:
            model.calibration = self._calibration_of(exposure)
        model._is_trained = True
        return model

    def _calibration_of(self, condition: Condition) -> Calibration | None:
        """Distributions of genes of cells that were exposed so; None where there are none."""
        seen = self._seen(condition)
        return self.calibrations.get(seen[0].exposure.name) if seen else None

    def _seen(self, condition: Condition) -> list[Condition]:
        """Those of training in which cells were exposed to the same."""
        parts, dose = self._parts(condition), condition.dose
        return [each for each in self.known if each.dose == dose and self._parts(each) == parts]

    def _uncalibrated(self, exposure: Condition) -> W1OT:
        """The map of cells that were exposed so, without distributions of genes."""
        seen = self._seen(exposure)
        # Its parts and dose are checked by any covariates.
        condition = exposure._replace(covariates=self.known[0].covariates)
        parts = [condition]
        if not seen and self.settings.combination == "moves":
            parts = self.conditions.parts(condition)
        kind = GivenCondition if self.conditions.covariates or len(parts) > 1 else W1OT
        model = kind._assembled(
            replace(self.data, dose_key=self.conditions.dose_key, dose=condition.dose),
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
        model.module = self._maps_of(condition)
        model.diagnostics_ = [each for one in seen for each in self._reports(one)] or [UNSEEN]
        model._history, model.training_ = self._history, dict(self.training_)
        model.training_cells = self.training_cells
        return model

    @renamed(perturbation="target")
    @public(key=result_name)
    @shared
    def predict(
        self,
        adata: AnnData | MuData,
        target: str,
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
        target, dose
            As in :meth:`at`.
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
            As :meth:`at` and :meth:`W1OT.predict`.
        """
        return self.at(target, dose=dose).predict(
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
        chosen = {"preset": self.preset, **self.settings.to_json()}
        return {**chosen, "n_seeds": self.problems.n_seeds, **self.training_}

    def _settings_json(self) -> dict[str, Any]:
        """Preset, settings and conditions."""
        return {
            "preset": self.preset,
            "settings": self.settings.to_json(),
            "conditions": self.conditions.to_json(),
            "known": [list(each) for each in self.known],
            "n_cells": self.n_cells,
        }

    def _calibration_arrays(self) -> saved.Arrays:
        return calibrations.to_arrays(self.calibrations)

    def _restore_calibration(self, arrays: saved.Arrays) -> None:
        strata: dict[str, list[str]] = {}
        for each in self.known:
            of_cells = [covariates_name(each.covariates)] if each.covariates else []
            strata.setdefault(each.exposure.name, []).extend(of_cells)
        n_genes = len(self.data.var_names)
        self.calibrations = calibrations.from_arrays(arrays, strata, n_genes, self.seed)

    @classmethod
    def _saved_settings(cls) -> Any:  # noqa: ANN401
        """Types of the fields of :meth:`_settings_json`."""
        return {
            "preset": str,
            "settings": dict[str, Any],
            "conditions": Conditions,
            "known": list[tuple[str, float | None, list[str]]],
            "n_cells": list[int],
        }

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
        known = [Condition(name, dose, tuple(further)) for name, dose, further in chosen["known"]]
        check_conditions(conditions, known, chosen["n_cells"])
        n_problems, n_features = saved.size_of(state)
        saved.check_count([Problems("conditions", (), "balanced", n_seeds)], n_problems)
        saved.check_reports(values["diagnostics"], (n_problems * len(known),))
        vectors = torch.from_numpy(np.stack([conditions.vector(each) for each in known]))
        build = partial(ConditionalMap, n_features, ["any"], settings, 0, vectors)
        saved.check_state(state, ConditionalMap, settings, build, n_problems)
        if not np.allclose(state["conditions"], vectors.numpy(), atol=1e-5):
            raise ValueError("the vectors of its conditions are not those of the arrays.")
        model = cls.__new__(cls)
        model._describe(
            data,
            representation,
            conditions,
            known,
            chosen["n_cells"],
            settings,
            chosen["preset"],
            n_seeds,
            values["seed"],
        )
        model.module.eval()
        return model


def check_conditions(
    conditions: Conditions, known: Sequence[Condition], n_cells: Sequence[int]
) -> None:
    """Raise a ValueError if saved conditions are not whole."""
    check_unique((each.name for each in known), "known")
    if not known or len(known) != len(n_cells):
        raise ValueError(f"there are {len(known)} conditions and cells of {len(n_cells)}.")
    for column in (conditions.perturbations, *conditions.covariates):
        check_unique(column.names, f"the categories of {column.column!r}")
        lengths = {len(each) for each in column.vectors or ()}
        if column.vectors is not None and (len(column.vectors), len(lengths)) != (
            len(column.names),
            1,
        ):
            raise ValueError(
                f"the vectors of {column.column!r} are not one for each, equally long."
            )
    if not conditions.log_dose[1] > 0:
        raise ValueError(f"the spread of its doses must be above 0, found {conditions.log_dose}.")
    for each in known:
        if (each.dose is None) != (conditions.dose_key is None):
            raise ValueError(f"{each.name!r} has the dose {each.dose}.")
        if each.dose is not None:
            dose_of(each.dose, f"The dose of {each.perturbation!r}")
        if len(each.covariates) != len(conditions.covariates):
            raise ValueError(f"{each.name!r} has {len(each.covariates)} covariates.")
