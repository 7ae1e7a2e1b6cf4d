"""What methods share that learn all conditions in one model."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from mudata import MuData

from rayot import _arguments as arguments
from rayot._public import public, renamed
from rayot.data import checks
from rayot.data.attributes import covariate_codes, covariates_of, log_doses_of
from rayot.data.keys import Key
from rayot.data.modality import modality_of
from rayot.data.spec import DataSpec
from rayot.model.method import Method
from rayot.model.times import two_times
from rayot.solvers import Attributes, JointSettings, JointStack, Settings, generator


class JointMethod(Method):
    """A method that fits one model to the training cells of all conditions.

    Source and target have to be named, as the fit is judged by this pair, at the doses that target
    cells have; :meth:`at` predicts any other condition.
    """

    joint: ClassVar[bool] = True
    _verb_further: ClassVar[dict[str, str | None]] = {
        "covariate_keys": Key.obs.cell_type,
        "dose_key": None,
    }
    settings: JointSettings
    module: JointStack

    @classmethod
    @renamed(covariate_key="covariate_keys")
    @public()
    def setup_anndata(
        cls,
        adata: AnnData | MuData,
        *,
        covariate_keys: str | Sequence[str] | None = Key.obs.cell_type,
        dose_key: str | None = None,
        modality: str | None = None,
        **options: Any,  # noqa: ANN401
    ) -> DataSpec:
        """Check where the model finds its cells, and write nothing to ``adata``.

        Parameters
        ----------
        adata
            Annotated data; a MuData needs ``modality``.
        covariate_keys
            Column of ``obs`` with a covariate that the model knows of every cell, or several, whose
            combinations then are its covariates. The default column need not exist.
        dose_key
            Column of ``obs`` with the dose of each treated cell.
        modality
            Modality of a MuData.
        **options
            As in :meth:`rayot.model.W1OT.setup_anndata`.

        Returns
        -------
        The description that the model is constructed with.

        Raises
        ------
        KeyError, ValueError
            As :meth:`rayot.model.W1OT.setup_anndata`.
        """
        cells = modality_of(adata, modality)
        groupby = options.get("groupby", Key.obs.perturbation)
        absent = Key.obs.cell_type not in cells.obs.columns or groupby == Key.obs.cell_type
        keys = (covariate_keys,) if isinstance(covariate_keys, str) else tuple(covariate_keys or ())
        if keys == (Key.obs.cell_type,) and absent:
            keys = ()
        checks.different_columns(
            groupby=groupby,
            dose_key=dose_key,
            weights_key=options.get("weights_key"),
            **{f"covariate_keys[{number}]": key for number, key in enumerate(keys)},
        )
        for name in (*keys, *([] if dose_key is None else [dose_key])):
            checks.column(cells, name)
        data = super().setup_anndata(cells, **options)
        return replace(data, covariate_keys=keys, dose_key=dose_key)

    @property
    def dose(self) -> float | None:
        """Dose that cells are moved to."""
        return self.settings.dose

    def _new_module(self, settings: Settings) -> JointStack:
        """Models that are not fitted."""
        module = super()._new_module(settings)
        assert isinstance(module, JointStack)
        if self.settings.conditions:
            module.towards = self.settings.conditions.index(self.target_key)
        return module

    @public(times=two_times, name=arguments.condition)
    def at(
        self,
        target: str | None = None,
        *,
        dose: float | None = None,
        time: float | None = None,
        times: tuple[float, float] = (0.0, 1.0),
        name: str | None = None,
    ) -> Self:
        """The same fitted model, predicting another condition, another dose or a time between.

        Parameters
        ----------
        target
            Any condition of training but the source; None keeps it.
        dose
            Dose that cells are moved to; None keeps it.
        time, times, name
            As in :meth:`rayot.model.W1OT.at`; None keeps the time.

        Returns
        -------
        A model of its own; this one stays as it is. Of another condition it has no diagnostics, as
        these judge the pair that was fitted, and cells go all of their way.

        Raises
        ------
        ValueError
            If the condition or the dose is unknown to the model, the dose is not above 0, or the
            time not between ``times``.
        RuntimeError
            If the model is not trained.
        """
        self._check_trained("Train the model before it predicts.")
        model = copy.copy(self)
        target = self.target_key if target is None else str(target)
        if target not in self.settings.conditions[1:]:
            raise ValueError(
                f"target must be one of {list(self.settings.conditions[1:])}, found {target!r}."
            )
        if dose is not None:
            checked_dose(dose, self.data)
            model.settings = replace(self.settings, dose=float(dose))
        if (target, model.settings.dose) != (self.target_key, self.settings.dose):
            model.module = copy.deepcopy(self.module)
            # Its cells are those of the pair that was fitted.
            model.calibration = model._sample = None
            model.adaptations = {}
            model.target_key = target
            model.problems = replace(self.problems, target=target)
            model.module.towards = self.settings.conditions.index(target)
            # How far to go was found for the pair that was fitted.
            model.module.strength.fill_(1.0)
            reason = (
                "The fit was judged by another condition or dose than this one. Try cells of this "
                "one: rayot.tl.evaluate scores the model by them."
            )
            model.diagnostics_ = [{"certificate": "check", "reason": reason}] * len(self.problems)
        if time is None:
            return model
        return super(JointMethod, model).at(time=time, times=times, name=name)

    def _further_rows(
        self, adata: AnnData, data: DataSpec, by_condition: dict[str, np.ndarray]
    ) -> np.ndarray:
        """Training rows of further conditions; fills the settings with what the model knows."""
        self._check_options(data)
        source, target = by_condition
        others = self._others(adata, data, source, target)
        rows = np.concatenate([np.zeros(0, dtype=np.intp), *others.values()])
        changes: dict[str, Any] = {"conditions": (source, target, *others)}
        if data.dose_key is not None:
            doses = log_doses_of(adata, data.dose_key, by_condition[target])
            log_doses_of(adata, data.dose_key, rows)
            changes["dose"] = self.settings.dose or float(10 ** doses.astype(np.float64).mean())
        if data.covariate_keys:
            training = np.concatenate([*by_condition.values(), rows])
            covariates = covariates_of(adata, data.covariate_keys, training)
            changes["covariates"] = tuple(sorted(set(covariates)))
            covariate_codes(
                adata, data.covariate_keys, data.rows(adata, source), changes["covariates"]
            )
        self.settings = replace(self.settings, **changes)
        return rows

    def _check_options(self, data: DataSpec) -> None:
        """Raise a ValueError if settings ask for what a joint method cannot do."""
        if self.settings.covariates:
            raise ValueError(
                "covariates are found in the cells; name their columns by covariate_keys."
            )
        if self.settings.dose is not None:
            checked_dose(self.settings.dose, data)

    def _others(
        self, adata: AnnData, data: DataSpec, source: str, target: str
    ) -> dict[str, np.ndarray]:
        """Training rows of each condition but source and target, in alphabetical order."""
        assert data.groupby is not None
        named = tuple(map(str, self.settings.conditions))
        for name in named:
            checks.in_category(adata, data.groupby, name)
        categories = checks.categories(adata, data.groupby)
        wanted = set(named or categories) - {source, target}
        by_condition = {name: data.some_training_rows(adata, name) for name in sorted(wanted)}
        if lacking := [name for name, rows in by_condition.items() if named and not len(rows)]:
            raise ValueError(f"conditions names {lacking}, which have no training cells.")
        return {name: rows for name, rows in by_condition.items() if len(rows)}

    def _attributes_in_training(self, adata: AnnData, rows: np.ndarray) -> Attributes:
        """Condition, covariate, dose and weight of training cells, (n,)."""
        data = self.data
        assert data.groupby is not None
        names = checks.labels(adata, data.groupby, rows)
        condition = pd.Index(self.settings.conditions).get_indexer(names)
        log_dose = np.zeros(len(rows), dtype=np.float32)
        if data.dose_key is not None:
            treated = condition > 0
            log_dose[treated] = log_doses_of(adata, data.dose_key, rows[treated])
            # Source cells have none: they are moved to the doses of target cells, which judge them.
            doses = log_dose[condition == 1]
            draw = generator(self.seed, self.target_key, "doses")
            drawn = torch.randint(len(doses), (int((~treated).sum()),), generator=draw)
            log_dose[~treated] = doses[drawn.numpy()]
        return Attributes(
            torch.from_numpy(condition.astype(np.int64)),
            torch.from_numpy(self._covariates(adata, rows)),
            torch.from_numpy(log_dose),
            torch.from_numpy(data.weights(adata, rows)),
        )

    def _attributes(self, adata: AnnData, rows: np.ndarray) -> Attributes:
        """What is known of source cells to predict, (1, n)."""
        n = len(rows)
        log_dose = 0.0 if self.settings.dose is None else np.log10(self.settings.dose)
        return Attributes(
            torch.zeros(1, n, dtype=torch.int64),
            torch.from_numpy(self._covariates(adata, rows))[None],
            torch.full((1, n), float(log_dose), dtype=torch.float32),
            torch.ones(1, n, dtype=torch.float32),
        )

    def _covariates(self, adata: AnnData, rows: np.ndarray) -> np.ndarray:
        if not self.data.covariate_keys:
            return np.zeros(len(rows), dtype=np.int64)
        return covariate_codes(adata, self.data.covariate_keys, rows, self.settings.covariates)

    def _check_cells(self, adata: AnnData, rows: np.ndarray) -> None:
        """Raise an error if cells cannot be encoded, or their covariate is not known."""
        super()._check_cells(adata, rows)
        self._covariates(adata, rows)

    @classmethod
    def _check_saved(
        cls, data: DataSpec, settings: JointSettings, source: str, target: str
    ) -> None:
        """Raise a ValueError unless the settings know source and target, and what cells need."""
        checks.unique(settings.conditions, "settings.conditions")
        checks.unique(settings.covariates, "settings.covariates")
        if source not in settings.conditions[:1] or target not in settings.conditions[1:]:
            raise ValueError(f"settings.conditions lack {source!r} as the first, or {target!r}.")
        if bool(data.covariate_keys) != bool(settings.covariates):
            raise ValueError(
                f"data.covariate_keys is {list(data.covariate_keys)}, and there are "
                f"{len(settings.covariates)} covariates."
            )
        if (data.dose_key is None) == (settings.dose is not None):
            raise ValueError(f"data.dose_key is {data.dose_key!r} and the dose {settings.dose}.")
        if settings.dose is not None:
            checked_dose(settings.dose, data)


def checked_dose(dose: float, data: DataSpec) -> None:
    """Raise a ValueError if nothing can be predicted at a dose."""
    if data.dose_key is None:
        raise ValueError(f"dose={dose!r} needs dose_key, the column of obs with the doses.")
    if not (np.isfinite(dose) and dose > 0):
        raise ValueError(f"dose must be above 0, as its logarithm is taken, found {dose!r}.")
