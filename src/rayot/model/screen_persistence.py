"""Saving a screen and loading it again."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from anndata import AnnData

import rayot
from rayot._public import public
from rayot.data.spec import DataSpec
from rayot.model import calibrations, files, saved
from rayot.model.calibration import Calibration
from rayot.model.components import Components
from rayot.model.method import Method
from rayot.model.methods import method_of
from rayot.model.schema import Figure, check_unique
from rayot.model.screen_stack import SavedStack, ScreenStack
from rayot.representation import Representation
from rayot.solvers import Settings

FIGURES = (
    "strength",
    "mean_step",
    "held_out_dual",
    "initial_energy_distance",
    "residual_energy_distance",
    "floor_energy_distance",
)
"""Diagnostics that a screen's table has."""

TABLE = {
    "perturbation": list[str],
    "n_cells": list[int],
    "energy_distance": list[Figure],
    "p_value": list[float],
    "q_value": list[float],
    "detectable": list[bool],
    **dict.fromkeys(FIGURES, list[Figure]),
    "certificate": list[str],
    "reason": list[str],
}
"""Types of its columns."""

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


class PersistentScreen(Mapping[str, Method]):
    """A screen that is written to JSON and safetensors, and read back without an AnnData."""

    data: DataSpec
    control: str
    method: str
    preset: str
    seed: int
    strata: str
    n_seeds: int
    settings: Settings
    representation: Representation
    components: Components | None
    cell_types: list[str]
    table: pd.DataFrame
    stack: ScreenStack
    calibrations: dict[str, Calibration]
    training_: dict[str, Any]
    training_cells: np.ndarray | None
    adata: AnnData | None = None

    @abstractmethod
    def in_components(self) -> tuple[Settings, int]:
        """Settings and dimension that the stack itself has."""

    @property
    def is_trained(self) -> bool:
        """Whether the screen is trained."""
        # What is filled last.
        return hasattr(self, "calibrations")

    def _check_trained(self) -> None:
        if not self.is_trained:
            raise RuntimeError("Train the screen first.")

    @public()
    def save(self, dir_path: str | Path, overwrite: bool = False) -> None:
        """Save to a folder: JSON and safetensors, nothing that can run code on load.

        Parameters
        ----------
        dir_path
            Folder, made if it does not exist.
        overwrite
            Whether a saved screen there may be replaced.

        Raises
        ------
        RuntimeError
            If the screen is not trained.
        ValueError
            If a map has values that are not finite.
        FileExistsError
            If the folder exists and may not be overwritten, or holds other files.
        OSError
            If it cannot be written to; what was there before still is.
        """
        self._check_trained()
        saved.check_numbers(self.stack.state, method_of(self.method).stack_type)
        stack, arrays = self.stack.to_saved()
        values = {
            "model": "Screen",
            "version": rayot.__version__,
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
            "table": self.table.to_dict("list"),
            "stack": stack,
        }
        for name, value in self.representation.arrays().items():
            arrays[f"representation/{name}"] = value
        if self.training_cells is not None:
            arrays["training_cells"] = self.training_cells
        if self.components is not None:
            arrays["components/centre"] = self.components.centre.numpy()
            arrays["components/basis"] = self.components.basis.numpy()
        for name, value in calibrations.to_arrays(self.calibrations).items():
            arrays[f"calibration/{name}"] = value
        files.write(dir_path, values, arrays, overwrite)

    @classmethod
    @public()
    def load(cls, dir_path: str | Path, *, representation: Representation | None = None) -> Self:
        """Load a saved screen; no AnnData is needed.

        Parameters
        ----------
        dir_path
            Folder that :meth:`save` wrote.
        representation
            The representation it was fitted in, for one that is saved on its own (scVI).

        Raises
        ------
        FileNotFoundError
            If the folder holds no saved screen.
        OSError
            If the files cannot be read.
        ValueError
            If they are of another kind or format, foreign, damaged, or changed since.
        """
        return files.load(
            dir_path,
            "Screen",
            SAVED,
            lambda values, arrays: cls._restore(values, arrays, representation),
        )

    @classmethod
    def _restore(
        cls,
        values: dict[str, Any],
        arrays: dict[str, np.ndarray],
        representation: Representation | None,
    ) -> Self:
        screen = cls.__new__(cls)
        screen.training_cells = saved.training_cells_of(arrays)
        groups = saved.grouped(arrays, "/", GROUPS)
        for name in ("control", "method", "seed", "preset", "strata", "n_seeds", "cell_types"):
            setattr(screen, name, values[name])
        check_unique(screen.cell_types, "cell_types")
        kind = method_of(screen.method)
        if kind.joint:
            raise ValueError(f"method is {screen.method!r}, which no screen can have.")
        screen.settings = saved.settings_of(
            kind.stack_type.settings_type, values["settings"], screen.preset
        )
        screen.data, screen.training_ = saved.data_of(values["data"]), values["training"]
        screen.table = table_of(values["table"])
        displacement = groups["displacement"].get("", np.zeros(0))
        if displacement.ndim != 3:
            raise ValueError("the arrays lack a 'displacement' of three axes.")
        n_features = displacement.shape[2]
        screen.components = None
        if groups["components"]:
            screen.components = Components.from_saved(groups["components"], n_features)
            n_features = len(screen.components.centre)
        screen.representation = saved.representation_of(
            values["representation"],
            groups["representation"],
            representation,
            len(screen.data.var_names),
            n_features,
        )
        screen._check_state(groups["stack"], len(values["stack"]["diagnostics"]))
        shape = 1 + len(screen.cell_types), displacement.shape[2]
        screen.stack = ScreenStack.from_saved(
            values["stack"], screen.data, groups, list(screen.table["perturbation"]), shape
        )
        strata = {name: each.strata for name, each in screen.stack.problems.items()}
        screen.calibrations = calibrations.from_arrays(
            groups["calibration"], strata, len(screen.data.var_names), screen.seed
        )
        for each in screen.stack.problems.values():
            if (each.mode, each.n_seeds) != (screen.strata, screen.n_seeds):
                raise ValueError(f"the maps of {each.target!r} are of other seeds or strata.")
        return screen

    def _check_state(self, state: dict[str, np.ndarray], n_problems: int) -> None:
        """Raise a ValueError unless arrays are those of so many maps with the screen's settings."""
        kind = method_of(self.method).stack_type
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


def table_of(columns: dict[str, list[Any]]) -> pd.DataFrame:
    """The table of a saved screen."""
    n_rows = {len(values) for values in columns.values()}
    if len(n_rows) != 1:
        raise ValueError(f"the columns of its table have different lengths, {sorted(n_rows)}.")
    check_unique(columns["perturbation"], "table.perturbation")
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return pd.DataFrame(list(map(saved.with_no_effect, rows)), columns=list(columns))
