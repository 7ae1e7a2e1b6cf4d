"""Methods that predict a perturbation from the mean profiles of others."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from rayot._combinations import parts_of
from rayot._docs import shared
from rayot.data import checks
from rayot.data.condition_columns import vectors_of
from rayot.data.files import unchanged
from rayot.data.keys import Key
from rayot.data.matrix import chunk_rows, dense, row_chunks
from rayot.data.spec import DataSpec
from rayot.data.split import names_kept
from rayot.model.calibration import not_calibrated
from rayot.model.method import Method
from rayot.model.missing_genes import MeanExpression
from rayot.model.problems import Problems
from rayot.model.saved import Arrays, check_array, check_names
from rayot.model.stack_model import Fitted
from rayot.representation import Representation, representation_of
from rayot.solvers import ProfileMap, Settings
from rayot.solvers.profiles import PredictedShift, ProfileSettings, described
from rayot.solvers.report import Report
from rayot.train import TrainingOptions
from rayot.train.runner import Fit


@shared
class ProfileMethod(Method):
    """A shift of all cells that follows from the mean shifts of other perturbations.

    The target needs no training cells, and its own are not looked at. Nothing is trained, and as
    nothing is held out there are no figures to judge it by: see :func:`rayot.tl.evaluate`.

    Parameters
    ----------
    {method}

    Raises
    ------
    KeyError, ValueError
        If conditions or vectors are missing, values are NaN, or a setting is unknown.
    """

    stack_type = ProfileMap
    joint: ClassVar[bool] = True
    _verb_example: ClassVar[str] = """
        >>> import rayot as rt
        >>> adata = rt.datasets.simulated_screen(n_perturbations=4, n_genes=30)
        >>> names = ["control", "A", "B", "A+B", "B+C"]
        >>> adata.obs["perturbation"] = adata.obs["perturbation"].cat.rename_categories(names)
        >>> model = rt.tl.NAME(adata, "control", "A+B")
        >>> model.predict(adata[:5]).shape
        (5, 30)
        """

    settings: ProfileSettings
    _predicted: PredictedShift | None = None

    def _take(
        self,
        cells: AnnData,
        data: DataSpec,
        representation: Representation | None,
        of_strata: Callable[[tuple[str, ...]], Problems],
        small_strata: str,
    ) -> None:
        """Take the mean profiles of all perturbations, once all cells are checked."""
        name = type(self).__name__
        if data.strata_key is not None or data.weights_key is not None:
            raise ValueError(f"{name} looks at means of all cells; it takes no strata or weights.")
        not_calibrated(self.settings, f"{name} looks at no cell of the target")
        source, target = self.source_key, self.target_key
        assert data.groupby is not None
        rows = self._training_rows(cells, data)
        names = set(checks.categories(cells, data.groupby, rows))
        vectors = self._vectors(cells, (names | {target}) - {source})
        data.training_rows(cells, source)
        with unchanged(cells):
            data = data.with_scale_of(cells, rows)
            representation = representation_of(cells, data, rows, representation)
            self._describe(data, representation, of_strata(()))
            self._check_cells(cells, np.union1d(rows, data.rows(cells, source)))
            means, lowest = self._means(cells, rows)
        self.data = replace(data, nonnegative=lowest >= 0)
        self.training_cells = names_kept(cells, rows)
        control = means.pop(source)
        shifts = {name: mean - control for name, mean in means.items()}
        self._predicted = self._predicted_shift(target, shifts, vectors, control)

    @abstractmethod
    def _predicted_shift(
        self,
        target: str,
        shifts: Mapping[str, np.ndarray],
        vectors: Mapping[str, np.ndarray],
        control: np.ndarray,
    ) -> PredictedShift:
        """Shift of the target, by the mean shifts and vectors of others, and the control."""

    @property
    def _can_train(self) -> bool:
        return self._predicted is not None

    def _fitted(self, settings: Settings, options: TrainingOptions) -> Fitted:
        """Nothing is trained: the shift is known once the model is constructed."""
        module = self._new_module(settings)
        predicted = self._predicted
        assert isinstance(module, ProfileMap) and predicted is not None
        module.shift[:] = torch.from_numpy(predicted.shift.astype(np.float32))
        self.predictive_sd = self._sd_of_genes(predicted)
        said = f" {predicted.said}" if predicted.said else ""
        reason = (
            "The shift follows from other perturbations; nothing was held out to judge it by."
            f"{said} Try cells of the target: rayot.tl.evaluate scores the shift by them."
        )
        report: Report = {"strength": 1.0, "certificate": "check", "reason": reason}
        return Fitted(module, Fit({}, [report.copy() for _ in range(len(self.problems))]))

    def _sd_of_genes(self, predicted: PredictedShift) -> np.ndarray | None:
        """Predictive standard deviation (genes,) float32 of the mean of each gene.

        None where a method does not know it, or a change of genes is not linear in the shift.
        """
        if predicted.errors is None:
            return None
        errors = predicted.errors.astype(np.float32)
        is_of_genes = self.representation.name is None
        of_genes = errors if is_of_genes else self.representation.change(errors)
        return None if of_genes is None else np.sqrt(np.square(of_genes).mean(0))

    def _further_arrays(self) -> Arrays:
        return {} if self.predictive_sd is None else {"predictive_sd": self.predictive_sd}

    def _restore_further(self, arrays: Arrays) -> None:
        check_names(set(arrays) - {"predictive_sd"}, (), "the arrays of the profiles")
        if arrays:
            check_array(arrays["predictive_sd"], "predictive_sd", (len(self.data.var_names),))
            self.predictive_sd = arrays["predictive_sd"]

    def _training_rows(self, adata: AnnData, data: DataSpec) -> np.ndarray:
        if data.split_key is None:
            return np.arange(adata.n_obs)
        return np.flatnonzero(checks.labels(adata, data.split_key) == Key.obs.train)

    def _means(self, adata: AnnData, rows: np.ndarray) -> tuple[dict[str, np.ndarray], float]:
        """Mean (d,) of the training cells of each condition, and the lowest expression."""
        assert self.data.groupby is not None
        labels = checks.labels(adata, self.data.groupby, rows)
        rows, labels = rows[labels != ""], labels[labels != ""]
        codes, names = pd.factorize(labels)
        source_mean = MeanExpression(len(self.data.var_names))
        totals = np.zeros((len(names), self.representation.n_features))
        lowest = np.inf
        for chunk in row_chunks(np.arange(len(rows)), chunk_rows(adata.n_vars)):
            block, expression = self._encode(adata, rows[chunk])
            np.add.at(totals, codes[chunk], dense(block))
            if expression is not None:
                lowest = min(lowest, float(expression.min()))
                source_mean.look_at(expression, labels[chunk] == self.source_key)
        self.source_mean = source_mean.mean()
        counts = np.bincount(codes)
        return dict(zip(names, totals / counts[:, None], strict=True)), lowest

    def _vectors(self, adata: AnnData, names: set[str]) -> dict[str, np.ndarray]:
        """Vector of each perturbation, from ``uns`` or by the parts of its name."""
        key = self.settings.embedding_key
        ordered = sorted(names)
        if key is None:
            return dict(zip(ordered, described(ordered), strict=True))
        vectors = vectors_of(adata, key, self.source_key)
        parts = {name: parts_of(name, vectors, self.source_key) for name in ordered}
        if missing := sorted({part for name in ordered for part in parts[name]} - set(vectors)):
            raise ValueError(
                f"adata.uns[{key!r}] has no vector of {checks.listed(missing)}; it has those of "
                f"{checks.listed(list(vectors), 5)}. Add theirs, or leave these cells out."
            )
        return {name: np.sum([vectors[part] for part in parts[name]], axis=0) for name in ordered}
