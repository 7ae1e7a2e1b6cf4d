"""A fitted screen: a mapping from perturbations to their models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from rayot._arguments import result_name
from rayot._docs import shared
from rayot._public import public, renamed
from rayot.data.modality import modality_of
from rayot.model.encoding import check_cells
from rayot.model.life_cycle import words_of
from rayot.model.method import Method
from rayot.model.methods import method_of
from rayot.model.problems import Problems
from rayot.model.screen_persistence import PersistentScreen
from rayot.model.streaming import check_target, predict_to_file
from rayot.solvers import Settings


class FittedScreen(PersistentScreen):
    """What a screen answers once it is fitted, or loaded.

    Attributes
    ----------
    table
        One row a perturbation, see :func:`rayot.tl.screen`.
    cell_types
        Names of the cell types of :meth:`displacement`.
    calibrations
        What each perturbation's genes are calibrated by, of those that were fitted.
    """

    def parameters(self) -> dict[str, Any]:
        """Everything that was chosen for this screen, as plain values."""
        names = ("method", "preset", "strata", "n_seeds")
        chosen = {name: getattr(self, name) for name in names}
        return {**chosen, **self.settings.to_json(), **self.training_}

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

    def in_components(self) -> tuple[Settings, int]:
        """Settings and dimension that the stack itself has."""
        if self.components is None:
            return self.settings, self.representation.n_features
        return self.components.settings(self.settings), self.components.basis.shape[1]

    @property
    def _n_maps(self) -> int:
        """Maps of a perturbation that was not fitted, as many as spreads of others need."""
        several = any(len(each) > 1 for each in self.stack.problems.values())
        return 2 if several else 1

    def __repr__(self) -> str:
        """What is fitted, how good it is, and what comes next."""
        subject = f"Screen by {self.method} from {self.control!r}, seed {self.seed}"
        if not self.is_trained:
            return f"{subject}\nnot trained: call train()"
        return (
            f"{subject}\nperturbations: {words_of(self.table)}\nnext: at(target), "
            "predict(cells, target), save(folder); table has a row of each perturbation"
        )

    def __len__(self) -> int:
        self._check_trained()
        return len(self.table)

    def __iter__(self) -> Iterator[str]:
        self._check_trained()
        return iter(self.table["perturbation"])

    def __contains__(self, perturbation: object) -> bool:
        self._check_trained()
        return str(perturbation) in set(self.table["perturbation"])

    # A mapping would compare all its models, which are made anew each time.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __getitem__(self, perturbation: str) -> Method:
        """The model of one perturbation; it shares no memory with the screen."""
        self._check_trained()
        model = self._uncalibrated(str(perturbation))
        model.calibration = self.calibrations.get(str(perturbation))
        return model

    def _uncalibrated(self, perturbation: str) -> Method:
        """The model of one perturbation, without distributions of genes."""
        found = self.table.loc[self.table["perturbation"] == perturbation]
        if found.empty:
            close = get_close_matches(str(perturbation), list(self), n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise KeyError(f"The screen has no perturbation {perturbation!r}.{hint}")
        fitted = self.stack.problems.get(perturbation)
        model = method_of(self.method)._assembled(
            self.data,
            self.control,
            perturbation,
            self.representation,
            self.seed,
            fitted or Problems(perturbation, (), "balanced", self._n_maps),
            self.settings,
            self.preset,
        )
        if fitted is None:
            model.module.strength.zero_()
            row = found.iloc[0]
            report = still(float(row["p_value"]), float(row["q_value"]))
            model.diagnostics_ = [report] * self._n_maps
        else:
            settings, n_features = self.in_components()
            module = model.stack_type(n_features, model.module.names, settings, self.seed)
            self.stack.fill(module, perturbation)
            combination = self.stack.combinations.get(perturbation)
            if self.components is not None:
                combination = self.components.lift(module, model.module, combination)
            else:
                model.module = module.eval()
            model.combination = combination
            model.diagnostics_ = self._reports(perturbation)
        model._history, model.training_cells = self.stack.history, self.training_cells
        model.training_ = dict(self.training_)
        model._is_trained = True
        return model

    @public()
    def at(self, target: str) -> Method:
        """The model of one perturbation, as ``screen[target]``.

        Parameters
        ----------
        target
            A perturbation of the screen.

        Raises
        ------
        KeyError
            If the screen has no such perturbation; the nearest name is given.
        RuntimeError
            If the screen is not trained.
        """
        return self[target]

    @renamed(perturbation="target")
    @public(key=result_name, target=None)
    @shared
    def predict(
        self,
        adata: AnnData | MuData,
        target: str | Sequence[str] | None = None,
        *,
        modality: str | None = None,
        write_genes: bool = True,
        clip: bool | str = "auto",
        key: str | None = None,
        write: str | Path | None = None,
        overwrite: bool = False,
    ) -> AnnData:
        """Predict how every cell of ``adata`` responds to one perturbation, or to many.

        Parameters
        ----------
        {adata}
        target
            A perturbation of the screen, some of them, or None for all, whose predictions have to
            go to a file.
        {modality}
        {write_genes}
        {clip}
        key, write, overwrite
            As in :meth:`W1OT.predict`.

        Returns
        -------
        What :meth:`W1OT.predict` returns. Of several perturbations the cells once for each:
        the column of the conditions says ``"predicted <perturbation>"``, and the perturbation is
        appended to the names of cells.

        Raises
        ------
        KeyError
            If the screen has no such perturbation; the nearest name is given.
        ValueError
            If several perturbations are asked for without ``write``, and as :meth:`W1OT.predict`.
        OSError
            As :meth:`W1OT.predict`.
        """
        if target is not None and (isinstance(target, str) or not isinstance(target, Iterable)):
            return self[target].predict(
                adata,
                modality=modality,
                write_genes=write_genes,
                clip=clip,
                key=key,
                write=write,
                overwrite=overwrite,
            )
        key = self.method if key is None else key
        names = list(self) if target is None else list(dict.fromkeys(map(str, target)))
        if write is None or not names:
            raise ValueError(
                f"Predictions of {len(names)} perturbations go to a file; name it by write, or one "
                "perturbation."
            )
        cells = modality_of(adata, modality)
        rows = np.arange(cells.n_obs)
        return self.write(cells, rows, names, Path(write), overwrite, write_genes, clip, key)

    def write(
        self,
        cells: AnnData,
        rows: np.ndarray,
        names: Sequence[str],
        path: Path,
        overwrite: bool,
        write_genes: bool,
        clip: bool | str,
        key: str,
    ) -> AnnData:
        """Write how some cells respond to some perturbations, see :meth:`predict`."""
        if not len(rows):
            raise ValueError("adata has no cells to predict.")
        for name in names:
            if name not in self:
                # Says which, and what it may have meant.
                self[name]
        first = self[names[0]]
        path = check_target(first, cells, path, overwrite, write_genes, len(rows) * len(names))
        check_cells(self.representation, cells, rows, data=self.data)
        return predict_to_file(
            _Chosen(self, names),
            cells,
            rows,
            path,
            write_genes,
            clip,
            key,
            several=self._n_maps > 1,
            labelled=True,
            overwrite=overwrite,
        )


def still(p_value: float, q_value: float) -> dict[str, Any]:
    """Diagnostics of a perturbation that was not fitted."""
    return {
        "p_value": p_value,
        "q_value": q_value,
        "strength": 0.0,
        "mean_step": 0.0,
        "certificate": "no effect",
        "reason": f"There is no detectable effect (q = {q_value:.2g}); cells stay where they are.",
    }


class _Chosen(Mapping[str, Method]):
    """Some perturbations of a screen, whose models are made when they are asked for."""

    def __init__(self, screen: FittedScreen, names: Sequence[str]) -> None:
        self.screen, self.names = screen, names

    def __getitem__(self, perturbation: str) -> Method:
        return self.screen[perturbation]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)
