"""What is done for one cell of a grid: fit, predict, score."""

from __future__ import annotations

import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from inspect import signature
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import anndata as ad
import numpy as np

import rayot
from rayot.data import checks
from rayot.data.fitted import WrittenMap
from rayot.data.keys import Key
from rayot.data.matrix import dense
from rayot.data.scale import scale_named
from rayot.data.split import names_kept, split_of
from rayot.model.one_map import predicted_by
from rayot.model.scored_cells import (
    Cells,
    Rows,
    expression,
    read_held_out,
)
from rayot.model.scoring import Truth

if TYPE_CHECKING:
    from anndata import AnnData

    from rayot.benchmark._task import Task
    from rayot.model.fitted_map import FittedMap

CONTROLS = (Key.table.identity, Key.table.mean_shift, Key.table.observed)
"""Rows of every grid: negative controls and the positive one."""


NONE_OBSERVED = "There are no other treated cells to be observed."


class FitsAndPredicts(Protocol):
    """Two functions, as :class:`rayot.benchmark.Command` has them."""

    def fit(self, training: AnnData, task: Task) -> Any:  # noqa: ANN401
        """Learn from training cells."""

    def predict(self, fitted: Any, cells: AnnData, task: Task) -> Any:  # noqa: ANN401
        """Expression of control cells, perturbed."""


Method: TypeAlias = (
    Callable[..., Any] | tuple[Callable[..., Any], Callable[..., Any]] | FitsAndPredicts | None
)
"""A verb of :mod:`rayot.tl`, two functions, or an object that has them; None for a control."""


@dataclass(frozen=True)
class Scoring:
    """How predictions are scored, the same for all cells of a grid."""

    metrics: tuple[str, ...]
    n_top_genes: int
    n_cells: int
    scale: str
    """Name of the scale of the expression, see ``rayot.data.scale``."""


@dataclass
class Caught:
    """A context that keeps an error of what it runs, with its traceback; interrupts go on."""

    reason: str = ""
    trace: str = ""
    kinds: tuple[type[BaseException], ...] = field(default=(Exception,), repr=False)

    def __enter__(self) -> Caught:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if kind is None or not issubclass(kind, self.kinds):
            return False
        self.reason = f"{kind.__name__}: {error}"
        self.trace = "".join(traceback.format_exception(kind, error, trace))
        return True


def measure(cells: AnnData | Path, task: Task, method: Method, scoring: Scoring) -> dict[str, Any]:
    """Fit, predict and score one cell of a grid.

    Parameters
    ----------
    cells
        All cells, in the space of the task; or the file that holds them.
    task
        What is predicted.
    method
        By what.
    scoring
        How it is scored.

    Returns
    -------
    Plain values for a file: the task, ``status`` "done" or "failed", ``reason`` and ``traceback``
    of an error, ``seconds``, ``warnings``, ``n_cells``, and ``scores``.
    """
    adata = _read(str(cells)) if isinstance(cells, Path) else cells
    is_train = checks.labels(adata, task.split) == Key.obs.train
    prediction = _Prediction(adata, task, method, is_train)
    scores: dict[str, float] = {}
    n_cells = 0
    with warnings.catch_warnings(record=True) as said, Caught() as caught:
        warnings.simplefilter("always")
        found = read_held_out(
            adata,
            [_map_of(adata, task, is_train)],
            n_top_genes=scoring.n_top_genes,
            n_cells=scoring.n_cells,
            predict=prediction,
        )
        population = found.methods()[task.method]
        n_cells = len(population)
        if n_cells:
            scale = scale_named(scoring.scale)
            scores = Truth(found.truth, found.control, scale).scores(population, scoring.metrics)
    return {
        "task": task.to_json(),
        "version": rayot.__version__,
        "status": "failed" if caught.reason else "done",
        "reason": caught.reason or ("" if n_cells else NONE_OBSERVED),
        "traceback": caught.trace,
        "seconds": round(prediction.seconds, 3),
        "warnings": sorted({str(each.message) for each in said}),
        "n_cells": n_cells,
        # JSON has no NaN.
        "scores": {
            name: float(scores[name]) if np.isfinite(scores.get(name, np.nan)) else None
            for name in scoring.metrics
        },
    }


@lru_cache(maxsize=1)
def _read(path: str) -> AnnData:
    """Cells of a file, kept for the next task of the same process."""
    return ad.read_h5ad(path)


@dataclass
class _Prediction:
    """Predicts cells by a method, and keeps how long that took."""

    adata: AnnData
    task: Task
    method: Method
    is_train: np.ndarray
    seconds: float = 0.0

    def __call__(self, rows: Rows, columns: Rows) -> Cells:
        """Expression (n, d) of some rows and columns."""
        start = time.perf_counter()
        predicted = self._predicted(rows, columns)
        self.seconds = time.perf_counter() - start
        return predicted

    def _predicted(self, rows: Rows, columns: Rows) -> Cells:
        adata, task, method = self.adata, self.task, self.method
        if method is None:
            return expression(adata, task.layer, rows, columns)
        if callable(method):
            return predicted_by(_fitted(adata, task, method), adata, rows, columns)
        fit, predict = method if isinstance(method, tuple) else (method.fit, method.predict)
        fitted, cells = fit(adata[self.is_train].copy(), task), adata[rows].copy()
        return aligned(predict(fitted, cells, task), cells)[:, columns]


def _fitted(adata: AnnData, task: Task, verb: Callable[..., Any]) -> FittedMap:
    """The model that a verb fits; it writes to a copy, which is let go of."""
    parameters = signature(verb).parameters
    options = {
        "groupby": task.groupby,
        "split_key": task.split,
        "layer": task.layer,
        "use_rep": task.use_rep,
        "seed": task.seed,
        "show_progress_bar": False,
        "write_genes": False,
    }
    # What is set already, as in partial(rt.tl.w1ot, seed=3), is meant.
    fixed = verb.keywords if isinstance(verb, partial) else {}
    options = {
        name: value for name, value in options.items() if name in parameters and name not in fixed
    }
    return verb(adata.copy(), task.control, task.perturbation, **options)


def _map_of(adata: AnnData, task: Task, is_train: np.ndarray) -> WrittenMap:
    """What a task asks for, named as if a map had been written."""
    # Of a perturbation that is held out whole, it is so known that training has not seen it.
    seen = names_kept(adata, np.flatnonzero(is_train))
    return WrittenMap(
        key=task.method,
        source=task.control,
        target=task.perturbation,
        groupby=task.groupby,
        use_rep=task.use_rep,
        layer=task.layer,
        split=replace(split_of(adata, task.split, task.groupby), training_cells=seen),
        scale=None,
        dose_key=None,
        dose=None,
    )


def aligned(prediction: Any, cells: AnnData) -> Cells:  # noqa: ANN401
    """Predicted expression in the order of some cells and their genes, (n, genes).

    Raises
    ------
    ValueError
        If it has other cells or genes, another shape, or values that are not finite.
    """
    if isinstance(prediction, ad.AnnData):
        for what, own, wanted in (
            ("cells", prediction.obs_names, cells.obs_names),
            ("genes", prediction.var_names, cells.var_names),
        ):
            if not own.is_unique or len(missing := wanted.difference(own)):
                missing = "twice the same" if not own.is_unique else f"no {missing[0]!r}"
                raise ValueError(
                    f"The prediction must have the {what} that were to be predicted, by their "
                    f"names; it has {len(own)} {what} and {missing}."
                )
        prediction = prediction[cells.obs_names, cells.var_names].X
    values = dense(prediction) if not isinstance(prediction, np.ndarray) else prediction
    values = np.asarray(values, dtype=np.float64)
    if values.shape != cells.shape:
        raise ValueError(
            f"The prediction has shape {values.shape}; {cells.n_obs} cells and {cells.n_vars} "
            "genes were to be predicted."
        )
    if not np.isfinite(values).all():
        raise ValueError(
            f"The prediction has {int((~np.isfinite(values)).sum())} values that are not finite."
        )
    return values
