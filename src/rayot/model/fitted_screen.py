"""A fitted screen: a mapping from perturbations to their models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from mudata import MuData

import rayot
from rayot._docs import shared
from rayot.data.modality import modality_of
from rayot.data.spec import DataSpec
from rayot.model import files
from rayot.model.components import Components
from rayot.model.encoding import check_cells
from rayot.model.persistence import checked_representation
from rayot.model.problems import Problems
from rayot.model.screen_stack import ScreenStack
from rayot.model.streaming import check_target, predict_to_file
from rayot.model.w1ot import W1OT
from rayot.representation import Representation
from rayot.solvers import TransportMap, W1Settings


class FittedScreen(Mapping[str, W1OT]):
    """What a screen answers once it is fitted, or loaded.

    Attributes
    ----------
    table
        One row a perturbation, see :func:`rayot.tl.screen`.
    cell_types
        Names of the cell types of :meth:`displacement`.
    """

    data: DataSpec
    control: str
    preset: str
    seed: int
    strata: str
    n_seeds: int
    settings: W1Settings
    representation: Representation
    components: Components | None
    cell_types: list[str]
    table: pd.DataFrame
    stack: ScreenStack
    training_: dict[str, Any]
    adata: AnnData

    def parameters(self) -> dict[str, Any]:
        """Everything that was chosen for this screen, as plain values."""
        chosen = {"preset": self.preset, "strata": self.strata, "n_seeds": self.n_seeds}
        return {**chosen, **asdict(self.settings), **self.training_}

    def _reports(self, name: str) -> list[dict[str, Any]]:
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
        found = self.stack.mean_displacement(list(self.table["perturbation"]))
        return found if self.components is None else found @ self.components.basis.numpy().T

    def in_components(self) -> tuple[W1Settings, int]:
        """Settings and dimension that the stack itself has."""
        if self.components is None:
            return self.settings, self.representation.n_features
        return self.components.settings(self.settings), self.components.basis.shape[1]

    @property
    def n_maps(self) -> int:
        """Maps of a perturbation that was not fitted, as many as spreads of others need."""
        several = any(len(each.table) > 1 for each in self.stack.problems.values())
        return 2 if several else 1

    def _check_trained(self) -> None:
        if not hasattr(self, "stack"):
            raise RuntimeError("Train the screen first.")

    def __len__(self) -> int:
        self._check_trained()
        return len(self.table)

    def __iter__(self) -> Iterator[str]:
        self._check_trained()
        return iter(self.table["perturbation"])

    def __getitem__(self, perturbation: str) -> W1OT:
        """The model of one perturbation; it shares no memory with the screen."""
        self._check_trained()
        found = self.table.loc[self.table["perturbation"] == perturbation]
        if found.empty:
            close = get_close_matches(str(perturbation), list(self), n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise KeyError(f"The screen has no perturbation {perturbation!r}.{hint}")
        fitted = self.stack.problems.get(perturbation)
        model = W1OT.assembled(
            self.data,
            self.control,
            perturbation,
            self.representation,
            self.seed,
            fitted or Problems(perturbation, (), "balanced", self.n_maps),
            self.settings,
            self.preset,
        )
        if fitted is None:
            model.module.strength.zero_()
            row = found.iloc[0]
            report = still(float(row["p_value"]), float(row["q_value"]))
            model.diagnostics_ = [report] * self.n_maps
        else:
            settings, n_features = self.in_components()
            module = TransportMap(n_features, model.module.names, settings, self.seed)
            self.stack.fill(module, perturbation)
            combination = self.stack.combinations.get(perturbation)
            if self.components is not None:
                combination = self.components.lift(module, model.module, combination)
            else:
                model.module = module.eval()
            model.combination = combination
            model.diagnostics_ = self._reports(perturbation)
        model.history_ = self.stack.history
        model.training_ = dict(self.training_)
        model.is_trained_ = True
        return model

    @shared
    def predict(
        self,
        adata: AnnData | MuData,
        perturbation: str | Sequence[str] | None = None,
        *,
        modality: str | None = None,
        write_genes: bool = True,
        clip: bool | str = "auto",
        key: str = "w1ot",
        write: str | Path | None = None,
        overwrite: bool = False,
    ) -> AnnData:
        """Predict how every cell of ``adata`` responds to one perturbation, or to many.

        Parameters
        ----------
        {adata}
        perturbation
            One of the screen's, some of them, or None for all, whose predictions have to go to a
            file.
        {modality}
        {write_genes}
        {clip}
        key, write, overwrite
            As in :meth:`W1OT.predict`.

        Returns
        -------
        What :meth:`W1OT.predict` returns. Of several perturbations the cells once for each,
        which the column of the conditions names, and which is appended to the names of cells.

        Raises
        ------
        KeyError
            If the screen has no such perturbation; the nearest name is given.
        ValueError
            If several perturbations are asked for without ``write``, and as :meth:`W1OT.predict`.
        OSError
            As :meth:`W1OT.predict`.
        """
        if isinstance(perturbation, str):
            return self[perturbation].predict(
                adata,
                modality=modality,
                write_genes=write_genes,
                clip=clip,
                key=key,
                write=write,
                overwrite=overwrite,
            )
        names = list(self) if perturbation is None else list(perturbation)
        if write is None or not names:
            raise ValueError(
                f"Predictions of {len(names)} perturbations go to a file; name it by write, or one "
                "perturbation."
            )
        first = self[names[0]]
        cells = modality_of(adata, modality)
        path = check_target(first, cells, write, overwrite, write_genes, len(names))
        rows = np.arange(cells.n_obs)
        check_cells(self.representation, cells, rows, data=self.data)
        chosen = _Chosen(self, names)
        return predict_to_file(chosen, cells, path, write_genes, clip, key)

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
            "seed": self.seed,
            "preset": self.preset,
            "strata": self.strata,
            "n_seeds": self.n_seeds,
            "cell_types": self.cell_types,
            "data": self.data.to_json(),
            "representation": self.representation.to_json(),
            "settings": asdict(self.settings),
            "training": self.training_,
            "table": self.table.to_dict("list"),
            "stack": stack,
        }
        for name, value in self.representation.arrays().items():
            arrays[f"representation/{name}"] = value
        if self.components is not None:
            arrays["components/centre"] = self.components.centre.numpy()
            arrays["components/basis"] = self.components.basis.numpy()
        files.write(dir_path, values, arrays, overwrite)

    @classmethod
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
        screen.settings = W1Settings.from_json(values["settings"])
        screen.data = DataSpec.from_json(values["data"])
        screen.table = pd.DataFrame(values["table"])
        screen.stack = ScreenStack.from_saved(values["stack"], arrays)
        screen.training_ = values["training"]
        screen.components = None
        if "components/basis" in arrays:
            centre, basis = arrays["components/centre"], arrays["components/basis"]
            screen.components = Components(torch.from_numpy(centre), torch.from_numpy(basis))
        for name in ("control", "seed", "preset", "strata", "n_seeds", "cell_types"):
            setattr(screen, name, values[name])
        return screen


def still(p_value: float, q_value: float) -> dict[str, Any]:
    """Diagnostics of a perturbation that was not fitted."""
    return {
        "p_value": p_value,
        "q_value": q_value,
        "strength": 0.0,
        "mean_step": 0.0,
        "certificate": "good",
        "reason": f"There is no detectable effect (q = {q_value:.2g}); cells stay where they are.",
    }


class _Chosen(Mapping[str, W1OT]):
    """Some perturbations of a screen, whose models are made when they are asked for."""

    def __init__(self, screen: FittedScreen, names: Sequence[str]) -> None:
        self.screen, self.names = screen, names

    def __getitem__(self, perturbation: str) -> W1OT:
        return self.screen[perturbation]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)
