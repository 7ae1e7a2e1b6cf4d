"""Saving a model and loading it again."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from scvi.model.base import BaseModelClass

import rayot
from rayot._public import public
from rayot.data.spec import DataSpec
from rayot.model import files
from rayot.model.problems import Problems
from rayot.representation import Representation
from rayot.representation.resolve import representation_from_saved
from rayot.solvers import Combination, Stack


class PersistentModel(BaseModelClass):
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
    training_cells: np.ndarray | None
    diagnostics_: list[dict[str, Any]]

    @abstractmethod
    def settings_json(self) -> dict[str, Any]:
        """Arguments of the method, as plain values."""

    def parameters(self) -> dict[str, Any]:
        """Everything that was chosen for this fit, as plain values."""
        return {**self.settings_json(), "n_seeds": self.problems.n_seeds, **self.training_}

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
        FileExistsError
            If the folder exists and may not be overwritten.
        """
        self._check_if_trained(warn=False, message="Train the model before it is saved.")
        arrays = {
            f"module.{name}": value.detach().cpu().numpy()
            for name, value in self.module.state_dict().items()
        }
        for name, value in self.representation.arrays().items():
            arrays[f"representation.{name}"] = value
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
            },
            "combination": self.combination and self.combination.to_json(),
            "data": self.data.to_json(),
            "representation": self.representation.to_json(),
            "settings": self.settings_json(),
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
        ValueError
            If the files are of another method or format, foreign or truncated.
        """
        values, arrays = files.read(dir_path, cls.__name__)
        try:
            return cls._restore(values, arrays, representation)
        except (KeyError, TypeError, RuntimeError) as error:
            raise ValueError(
                f"The files in {str(dir_path)!r} do not fit together ({error}); they were changed "
                "after they were saved."
            ) from error

    @classmethod
    def _restore(
        cls,
        values: dict[str, Any],
        arrays: dict[str, np.ndarray],
        representation: Representation | None,
    ) -> Self:
        training_cells = arrays.pop("training_cells", None)
        groups: dict[str, dict[str, np.ndarray]] = {}
        for name, value in arrays.items():
            group, _, rest = name.partition(".")
            groups.setdefault(group, {})[rest] = value
        representation = checked_representation(
            values["representation"], groups.get("representation", {}), representation
        )
        model = cls._from_saved(values, representation)
        model.module.restore(
            {name: torch.from_numpy(value) for name, value in groups["module"].items()}
        )
        if values["combination"] is not None:
            centres = torch.from_numpy(groups["combination"]["centres"])
            model.combination = Combination(**values["combination"], centres=centres)
        model.history_ = {
            phase: pd.DataFrame(
                groups["history"][phase][:, 1:],
                columns=columns,
                index=pd.Index(groups["history"][phase][:, 0].astype(int), name="step"),
            )
            for phase, columns in values["history"].items()
        }
        model.training_, model.training_cells = values["training"], training_cells
        model.diagnostics_ = values["diagnostics"]
        model.is_trained_ = True
        return model

    @classmethod
    @abstractmethod
    def _from_saved(cls, values: dict[str, Any], representation: Representation) -> Self:
        """An untrained model with the shape of a saved one."""


def checked_representation(
    saved: dict[str, Any], arrays: dict[str, np.ndarray], given: Representation | None
) -> Representation:
    """The representation of a saved model, or the one given if it is the same."""
    if given is None:
        return representation_from_saved(saved, arrays)
    return given.restored(saved)
