"""Saving a model and loading it again."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

import rayot
from rayot._public import public
from rayot.data.spec import DataSpec
from rayot.model import files, saved
from rayot.model.calibration import Calibration
from rayot.model.life_cycle import Model
from rayot.model.problems import Problems
from rayot.model.training_distance import TrainingDistance
from rayot.model.unseen import UnseenStrata
from rayot.representation import Representation
from rayot.solvers import Combination, Stack
from rayot.solvers.phase import Sides


@dataclass(frozen=True)
class SavedStrata:
    """What the maps of a model are; files of 0.1.0 lack what has a default."""

    names: list[str]
    mode: Literal["balanced", "separate"]
    n_seeds: int
    unseen: dict[str, Any] | None = None
    spread_of_genes: bool = True


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


class PersistentModel(Model):
    """A model that is written to JSON and safetensors, and read back without an AnnData."""

    module: Stack
    data: DataSpec
    source_key: str
    target_key: str
    representation: Representation
    seed: int
    training_: dict[str, Any]
    problems: Problems
    combination: Combination | None
    calibration: Calibration | None = None
    training_distance: TrainingDistance | None = None
    unseen: UnseenStrata | None = None
    spread_of_genes: bool = True
    training_cells: np.ndarray | None
    diagnostics_: list[dict[str, Any]]
    sides: Sides | None = None
    """Training cells of source and target; None of a model that was loaded."""

    @property
    def _can_train(self) -> bool:
        return self.sides is not None

    def _check_can_train(self) -> None:
        if not self._can_train:
            raise RuntimeError(
                "A loaded model holds no training cells; construct a new one to train."
            )

    @abstractmethod
    def _settings_json(self) -> dict[str, Any]:
        """Arguments of the method, as plain values."""

    def parameters(self) -> dict[str, Any]:
        """Everything that was chosen for this fit, as plain values."""
        return {**self._settings_json(), "n_seeds": self.problems.n_seeds, **self.training_}

    @public()
    def save(self, dir_path: str | Path, overwrite: bool = False) -> None:
        """Save to a folder: JSON and safetensors, nothing that can run code on load.

        Parameters
        ----------
        dir_path
            Folder, made if it does not exist.
        overwrite
            Whether a saved model there may be replaced.

        Raises
        ------
        RuntimeError
            If the model is not trained.
        ValueError
            If its map has values that are not finite.
        FileExistsError
            If the folder exists and may not be overwritten, or holds other files.
        OSError
            If it cannot be written to; what was there before still is.
        """
        self._check_trained("Train the model before it is saved.")
        state = {
            name: value.detach().cpu().numpy() for name, value in self.module.state_dict().items()
        }
        saved.check_numbers(state, type(self.module))
        arrays = {f"module.{name}": value for name, value in state.items()}
        for name, value in self.representation.arrays().items():
            arrays[f"representation.{name}"] = value
        for name, value in self._calibration_arrays().items():
            arrays[f"calibration.{name}"] = value
        if self.training_distance is not None:
            for name, value in self.training_distance.arrays().items():
                arrays[f"training_distance.{name}"] = value
        if self.training_cells is not None:
            arrays["training_cells"] = self.training_cells
        if self.combination is not None:
            arrays["combination.centres"] = self.combination.centres.numpy()
        history = {}
        for phase, table in self.history.items():
            history[phase] = list(map(str, table.columns))
            arrays[f"history.{phase}"] = table.reset_index().to_numpy(dtype=np.float64)
        values = {
            "model": type(self).__name__,
            "version": rayot.__version__,
            "source_key": self.source_key,
            "target_key": self.target_key,
            "seed": self.seed,
            "strata": {
                "names": self.problems.strata,
                "mode": self.problems.mode,
                "n_seeds": self.problems.n_seeds,
                "unseen": self.unseen and self.unseen.to_json(),
                "spread_of_genes": self.spread_of_genes,
            },
            "combination": self.combination and self.combination.to_json(),
            "data": self.data.to_json(),
            "representation": self.representation.to_json(),
            "settings": self._settings_json(),
            "training": self.training_,
            "diagnostics": self.diagnostics_,
            "history": history,
        }
        files.write(dir_path, values, arrays, overwrite)

    @classmethod
    @public()
    def load(cls, dir_path: str | Path, *, representation: Representation | None = None) -> Self:
        """Load a saved model; no AnnData is needed.

        Parameters
        ----------
        dir_path
            Folder that :meth:`save` wrote.
        representation
            The representation the model was fitted in, for one that is saved on its own (scVI).

        Raises
        ------
        FileNotFoundError
            If the folder holds no saved model.
        OSError
            If the files cannot be read.
        ValueError
            If they are of another method or format, foreign, damaged, or changed since.
        """
        return files.load(
            dir_path,
            cls.__name__,
            {**SAVED, "settings": cls._saved_settings()},
            lambda values, arrays: cls._restore(values, arrays, representation),
        )

    @classmethod
    def _restore(
        cls,
        values: dict[str, Any],
        arrays: dict[str, np.ndarray],
        representation: Representation | None,
    ) -> Self:
        training_cells = saved.training_cells_of(arrays)
        groups = (
            "module",
            "representation",
            "calibration",
            "training_distance",
            "combination",
            "history",
        )
        state, of_representation, of_calibration, of_distance, of_combination, of_history = (
            saved.grouped(arrays, ".", groups).values()
        )
        _, n_features = saved.size_of(state)
        data = saved.data_of(values["data"])
        representation = saved.representation_of(
            values["representation"],
            of_representation,
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
        model._restore_calibration(of_calibration)
        if of_distance:
            n_strata = len(problems.strata)
            model.training_distance = TrainingDistance.from_arrays(
                of_distance, n_strata, n_features
            )
        model.unseen = UnseenStrata.from_json(values["strata"].get("unseen"), problems.strata)
        model.spread_of_genes = values["strata"].get("spread_of_genes", True)
        model._history = saved.history_of(values["history"], of_history)
        model.training_, model.training_cells = values["training"], training_cells
        model.diagnostics_ = list(map(saved.with_no_effect, values["diagnostics"]))
        model._is_trained = True
        return model

    def _calibration_arrays(self) -> saved.Arrays:
        return {} if self.calibration is None else self.calibration.arrays()

    def _restore_calibration(self, arrays: saved.Arrays) -> None:
        """Take what :meth:`_calibration_arrays` gave; nothing where genes are not calibrated."""
        if arrays:
            n_genes, strata = len(self.data.var_names), self.problems.strata
            self.calibration = Calibration.from_arrays(arrays, strata, n_genes, self.seed)

    @classmethod
    @abstractmethod
    def _saved_settings(cls) -> Any:  # noqa: ANN401
        """Types of the fields of :meth:`_settings_json`."""

    @classmethod
    @abstractmethod
    def _from_saved(
        cls,
        values: dict[str, Any],
        data: DataSpec,
        representation: Representation,
        state: dict[str, np.ndarray],
    ) -> Self:
        """An untrained model with the shape of a saved one, once its arrays are known to fit it."""
