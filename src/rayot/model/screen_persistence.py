"""Saving a screen and loading it again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

import rayot
from rayot._public import public
from rayot.data.spec import DataSpec
from rayot.model import files
from rayot.model.components import Components
from rayot.model.method import Method
from rayot.model.methods import method_of
from rayot.model.persistence import checked_representation
from rayot.model.screen_stack import ScreenStack
from rayot.representation import Representation
from rayot.solvers import Settings


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
    training_: dict[str, Any]
    training_cells: np.ndarray | None
    adata: AnnData

    def _check_trained(self) -> None:
        if not hasattr(self, "stack"):
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
        FileExistsError
            If the folder exists and may not be overwritten.
        """
        self._check_trained()
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
        ValueError
            If the files are of another kind or format, foreign or truncated.
        """
        values, arrays = files.read(dir_path, "Screen")
        screen = cls.__new__(cls)
        prefix = "representation/"
        own = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
        screen.representation = checked_representation(
            values["representation"], own, representation
        )
        settings_type = method_of(values["method"]).stack_type.settings_type
        screen.settings = settings_type.from_json(values["settings"])
        screen.data = DataSpec.from_json(values["data"])
        screen.table = pd.DataFrame(values["table"])
        screen.stack = ScreenStack.from_saved(values["stack"], arrays)
        screen.training_ = values["training"]
        screen.training_cells = arrays.get("training_cells")
        screen.components = None
        if "components/basis" in arrays:
            centre, basis = arrays["components/centre"], arrays["components/basis"]
            screen.components = Components(torch.from_numpy(centre), torch.from_numpy(basis))
        for name in ("control", "method", "seed", "preset", "strata", "n_seeds", "cell_types"):
            setattr(screen, name, values[name])
        return screen
