"""A model whose maps are a stack: how it is trained, and what is saved of it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, Self, Unpack

import numpy as np
import pandas as pd
from torch import Tensor

from rayot._docs import shared
from rayot._keywords import takes
from rayot._public import public
from rayot.data.spec import DataSpec
from rayot.model import adaptation, missing_genes, saved
from rayot.model.adaptation import Adaptation
from rayot.model.calibration import Calibration
from rayot.model.components import Components
from rayot.model.experts import Experts
from rayot.model.life_cycle import NO_CELLS, Model, history_arrays
from rayot.model.problems import Problems
from rayot.model.training_distance import TrainingDistance
from rayot.model.unseen import UnseenStrata
from rayot.representation import Representation
from rayot.solvers import Combination, Settings, Stack
from rayot.solvers.phase import Sides
from rayot.solvers.report import Report
from rayot.train import TRAINING, TrainingKeywords, TrainingOptions
from rayot.train.runner import Fit


@dataclass(frozen=True)
class SavedStrata:
    """What the maps of a model are; files of 0.1.0 lack what has a default."""

    names: list[str]
    mode: Literal["balanced", "separate"]
    n_seeds: int
    unseen: dict[str, Any] | None = None
    spread_of_genes: bool = True
    adapted: adaptation.SAVED | None = None


SAVED = {
    "model": str,
    "version": str,
    "source_key": str,
    "target_key": str,
    "seed": int,
    "strata": SavedStrata,
    "combination": saved.SavedCombination | None,
    "data": DataSpec,
    "representation": dict[str, Any],
    "training": dict[str, Any],
    "diagnostics": list[dict[str, Any]],
    "history": dict[str, list[str]],
}
"""Types of the fields of a saved model, beside those of its settings."""

GROUPS = (
    "module",
    "representation",
    "calibration",
    "experts",
    "adaptation",
    "training_distance",
    "combination",
    "profiles",
    "history",
)
"""First parts of the names of its arrays."""


class Fitted(NamedTuple):
    """What a fit makes for a model."""

    module: Stack
    fit: Fit
    combination: Combination | None = None
    unseen: UnseenStrata | None = None
    without: Mapping[int, Stack] = MappingProxyType({})
    """The map without each of some strata, by their numbers."""


class StackModel(Model):
    """A model whose maps are a stack.

    Attributes
    ----------
    module
        The maps, one for each of :attr:`problems`.
    settings, preset
        Of the method.
    data
        What the map needs of cells, and where.
    source_key, target_key
        The conditions.
    representation
        Space of the map.
    seed
        Keys every draw.
    problems
        What the maps are: members of an ensemble, and strata.
    combination
        How maps of separate strata are combined for others.
    calibration
        What gives predicted genes their observed distributions.
    training_distance
        How far cells are from those of the fit.
    unseen
        What the fit says of strata that it has not seen.
    experts
        How cells of these are predicted; None leaves them to the map.
    adaptations
        What treated cells of further strata say, by stratum.
    spread_of_genes
        Whether the spread of genes between maps is predicted.
    training_cells
        Hashes of the names of the cells of the fit; None of files of 0.1.0.
    source_mean
        (genes,) float32, mean expression of the source cells of the fit; None of files of 0.1.0,
        and where the space of the map has no genes.
    """

    module: Stack
    settings: Settings
    preset: str
    data: DataSpec
    source_key: str
    target_key: str
    representation: Representation
    seed: int
    problems: Problems
    combination: Combination | None = None
    calibration: Calibration | None = None
    training_distance: TrainingDistance | None = None
    unseen: UnseenStrata | None = None
    experts: Experts | None = None
    adaptations: Mapping[str, Adaptation] = MappingProxyType({})
    spread_of_genes: bool = True
    training_cells: np.ndarray | None = None
    source_mean: np.ndarray | None = None
    training_: dict[str, Any]
    diagnostics_: list[Report]

    _sides: Sides | None = None
    """Training cells of source and target; None of a model that was loaded."""

    _labels: Tensor | None = None
    """Cell type of each of them."""

    _components: Components | None = None
    """What is held of them, where they are too many to hold them whole."""

    @property
    def _can_train(self) -> bool:
        return self._sides is not None

    @public()
    @shared
    @takes(TrainingKeywords, TRAINING)
    def train(self, **options: Unpack[TrainingKeywords]) -> None:
        """Fit the maps; fills ``history``.

        Parameters
        ----------
        {options}

        Raises
        ------
        ValueError
            If an option is out of range, or ``checkpoint_dir`` holds another fit or symbolic links.
        OSError
            If ``checkpoint_dir`` cannot be written to, or another fit is running there.
        RuntimeError
            If the model was loaded, or the trainer was stopped by a limit or a callback.
        FloatingPointError
            If a loss becomes NaN or infinite.
        KeyboardInterrupt
            If the user interrupts; the last checkpoint stays.
        """
        if not self._can_train:
            raise RuntimeError(NO_CELLS)
        training = TrainingOptions.of(**options)
        limits = options.get("max_steps"), options.get("batch_size")
        settings = self.settings.with_limits(*limits)
        if self._sides is not None:
            settings = settings.with_batch_for(len(self._sides[0].rows.unique()))
        fitted = self._fitted(settings, training)
        # Until all of it is there, should it be interrupted.
        self._is_trained = False
        fit, self.module = fitted.fit, fitted.module.eval()
        self.combination, self.unseen = fitted.combination, fitted.unseen
        self.adaptations, self.experts = {}, None
        self._history = {
            phase: pd.DataFrame(columns).set_index("step") for phase, columns in fit.history.items()
        }
        self.diagnostics_ = fit.diagnostics
        self.training_ = {
            **training.chosen(),
            **settings.steps(),
            "batch_size": settings.batch_size,
        }
        self._calibrate(training, fitted.without)
        self._is_trained = True

    @abstractmethod
    def _fitted(self, settings: Settings, options: TrainingOptions) -> Fitted:
        """Fit the maps; nothing of the model is changed."""

    @abstractmethod
    def _calibrate(self, options: TrainingOptions, without: Mapping[int, Stack]) -> None:
        """Learn by training cells what gives predicted genes their observed distributions.

        And, by maps without each of some strata, how cells of other strata are predicted.
        """

    def parameters(self) -> dict[str, Any]:
        """Everything that was chosen for this fit, as plain values."""
        chosen = {"preset": self.preset, **self.settings.to_json()}
        return {**chosen, "n_seeds": self.problems.n_seeds, **self.training_}

    def _settings_json(self) -> dict[str, Any]:
        """What is saved of the method's arguments, as plain values."""
        return {"preset": self.preset, **self.settings.to_json()}

    def _calibration_arrays(self) -> saved.Arrays:
        return {} if self.calibration is None else self.calibration.arrays()

    def _restore_calibration(self, arrays: saved.Arrays) -> None:
        """Take what :meth:`_calibration_arrays` gave; nothing where genes are not calibrated."""
        if arrays:
            n_genes, strata = len(self.data.var_names), self.problems.strata
            self.calibration = Calibration.from_arrays(arrays, strata, n_genes, self.seed)

    def _further_arrays(self) -> saved.Arrays:
        """What a method keeps beside its maps."""
        return {}

    def _restore_further(self, arrays: saved.Arrays) -> None:
        """Take what :meth:`_further_arrays` gave."""
        saved.check_names(arrays, (), "the arrays of the profiles")

    def _to_saved(self) -> tuple[dict[str, Any], saved.Arrays]:
        state = {
            name: value.detach().cpu().numpy() for name, value in self.module.state_dict().items()
        }
        saved.check_numbers(state, type(self.module))
        history, curves = history_arrays(self.history)
        groups = {
            "module": state,
            "representation": self.representation.arrays(),
            "calibration": self._calibration_arrays(),
            "experts": {} if self.experts is None else self.experts.arrays(),
            "adaptation": adaptation.to_arrays(self.adaptations),
            "profiles": self._further_arrays(),
            "history": curves,
        }
        if self.training_distance is not None:
            groups["training_distance"] = self.training_distance.arrays()
        if self.combination is not None:
            groups["combination"] = {"centres": self.combination.centres.numpy()}
        arrays = {
            f"{group}.{name}": value for group, of in groups.items() for name, value in of.items()
        }
        if self.training_cells is not None:
            arrays["training_cells"] = self.training_cells
        if self.source_mean is not None:
            arrays[missing_genes.SAVED] = self.source_mean
        values = {
            "source_key": self.source_key,
            "target_key": self.target_key,
            "seed": self.seed,
            "strata": {
                "names": self.problems.strata,
                "mode": self.problems.mode,
                "n_seeds": self.problems.n_seeds,
                "unseen": self.unseen and self.unseen.to_json(),
                "spread_of_genes": self.spread_of_genes,
                "adapted": adaptation.to_json(self.adaptations),
            },
            "combination": self.combination and self.combination.to_json(),
            "data": self.data.to_json(),
            "representation": self.representation.to_json(),
            "settings": self._settings_json(),
            "training": self.training_,
            "diagnostics": self.diagnostics_,
            "history": history,
        }
        return values, arrays

    @classmethod
    def _restored(
        cls,
        values: dict[str, Any],
        arrays: saved.Arrays,
        representation: Representation | None,
    ) -> Self:
        training_cells = saved.training_cells_of(arrays)
        data = saved.data_of(values["data"])
        source_mean = missing_genes.source_mean_of(arrays, len(data.var_names))
        groups = saved.grouped(arrays, ".", GROUPS)
        state, of_combination = groups["module"], groups["combination"]
        _, n_features = saved.size_of(state)
        representation = saved.representation_of(
            values["representation"],
            groups["representation"],
            representation,
            len(data.var_names),
            n_features,
        )
        model = cls._from_saved(values, data, representation, state)
        model.module.restore(saved.tensors(state))
        problems, rule = model.problems, values["combination"]
        saved.check_names(set(of_combination) - {"centres"}, (), "the arrays of the combination")
        model.combination = saved.combination_of(
            rule,
            of_combination.get("centres"),
            problems.strata if problems.separate else (),
            n_features,
            state["strength"],
        )
        model._restore_calibration(groups["calibration"])
        model._restore_further(groups["profiles"])
        if groups["training_distance"]:
            n_strata = len(problems.strata)
            model.training_distance = TrainingDistance.from_arrays(
                groups["training_distance"], n_strata, n_features
            )
        model.unseen = UnseenStrata.from_json(values["strata"].get("unseen"), problems.strata)
        sizes = {adaptation.REPRESENTATION: n_features}
        if representation.has_decoder:
            sizes[adaptation.GENES] = len(data.var_names)
        if groups["experts"]:
            saved_sizes = dict(sizes)
            if representation.name is None:
                del saved_sizes[adaptation.REPRESENTATION]
            model.experts = Experts.from_arrays(
                groups["experts"], problems.strata, n_features, saved_sizes
            )
        model.adaptations = adaptation.from_saved(
            values["strata"].get("adapted") or [], groups["adaptation"], problems.strata, sizes
        )
        model.spread_of_genes = values["strata"].get("spread_of_genes", True)
        model._history = saved.history_of(values["history"], groups["history"])
        model.training_, model.training_cells = values["training"], training_cells
        model.source_mean = source_mean
        model.diagnostics_ = list(map(saved.with_no_effect, values["diagnostics"]))
        model._is_trained = True
        return model

    @classmethod
    @abstractmethod
    def _from_saved(
        cls,
        values: dict[str, Any],
        data: DataSpec,
        representation: Representation,
        state: saved.Arrays,
    ) -> Self:
        """An untrained model with the shape of a saved one, once its arrays are known to fit it."""
