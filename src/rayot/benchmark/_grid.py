"""The grid ``benchmark.run``."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import joblib
import numpy as np
import pandas as pd
from scipy.sparse import issparse
from tqdm.auto import tqdm

from rayot import _arguments as arguments
from rayot._docs import shared
from rayot._public import public, warn
from rayot.benchmark._measure import CONTROLS, Method, Scoring, measure
from rayot.benchmark._results import Results, table_of
from rayot.benchmark._spaces import Space
from rayot.benchmark._task import Task
from rayot.data import checks
from rayot.data.keys import Key
from rayot.data.matrix import chunk_rows, expression_of, row_chunks
from rayot.data.modality import modality_of
from rayot.data.scale import Scale, find_scale
from rayot.data.split import hash_of, hashes_of
from rayot.metrics import get_metrics
from rayot.model.scored_cells import LOOKED_AT
from rayot.model.scoring import DIFFERENCES, FOLD_CHANGES
from rayot.train.threads import threads_for

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

FEWEST_CELLS = 2
"""Training and test cells without which a perturbation cannot be scored."""


@public(
    methods=None,
    spaces=None,
    seeds=None,
    n_cells=partial(arguments.whole_number, least=2),
    table=partial(arguments.one_of, choices=("csv", "parquet")),
)
@shared
def run(
    adata: AnnData | MuData,
    methods: Mapping[str, Method],
    folder: str | Path,
    *,
    control: str = Key.obs.control,
    perturbations: Sequence[str] | None = None,
    splits: Sequence[str] = (Key.obs.split,),
    spaces: Mapping[str, Space] | None = None,
    seeds: Sequence[int] = (0,),
    groupby: str = Key.obs.perturbation,
    layer: str | None = None,
    metrics: Sequence[str] | None = None,
    n_top_genes: int = 50,
    n_cells: int = 1500,
    n_jobs: int | None = None,
    retry: bool = False,
    table: Literal["csv", "parquet"] = "csv",
    show_progress_bar: bool = True,
    modality: str | None = None,
) -> pd.DataFrame:
    """Fit and score every method on every perturbation, split, space and seed.

    All methods of a perturbation and split are scored on the very same cells and genes, beside
    three controls: ``identity``, control cells untouched; ``mean shift``; and ``observed``, other
    treated cells. Each finished cell of the grid is written to a file of its own. Call it again
    with the same folder, after a crash or with more methods, and only what is missing is computed.

    Parameters
    ----------
    {adata}
    methods
        From names to methods. A name stands for its method in the folder: to change a method, give
        it another name. Each is one of

        - a verb, ``rt.tl.w1ot`` or ``partial(rt.tl.w1ot, preset="fast")``;
        - two functions, ``fit(training, task)`` and ``predict(fitted, cells, task)``, or an object
          that has them. ``training`` are the training cells of all conditions, ``cells`` the
          control cells to be predicted, ``task`` a :class:`Task`; what is returned is an array
          (cells, genes), or an AnnData whose cells and genes are found by their names;
        - a :class:`Command`, a program in an environment of its own.
    folder
        Of results. It is made if it is not there.
    control
        Category of ``groupby`` that cells start from.
    perturbations
        Categories of ``groupby``; None takes all but the control.
    splits
        Columns of ``obs`` with "train" and "test", as :func:`rayot.pp.split` and
        :func:`rayot.pp.folds` write them.
    spaces
        From names to entries of ``obsm``, None for the expression itself, or functions of the cells
        and a split, such as :func:`principal_components`, that compute a space on training cells.
        By default ``{"genes": None}``.
    seeds
        Seeds of the fits.
    {groupby}
    {layer}
    metrics, n_top_genes, n_cells
        As in :func:`rayot.tl.evaluate`. Which cells are scored does not depend on the seeds.
    n_jobs
        Processes, by joblib: None is one, unless ``joblib.parallel_config`` says otherwise, which
        also names a Dask cluster. Each fits on one thread. Cells are then written to a temporary
        folder, which all workers must see.
    retry
        Whether cells of the grid that failed before are tried again.
    table
        Whether the table is written as ``scores.csv`` or ``scores.parquet``, which needs pyarrow.
    show_progress_bar
        Show how far it is, and how long it will take.
    {modality}

    Returns
    -------
    One row a score: ``perturbation``, ``method``, ``split``, ``space``, ``seed``, ``metric``,
    ``value``, ``n_cells``, ``seconds`` of fit and prediction, ``status`` and ``reason``. A cell of
    the grid that failed has ``status`` "failed", the error as ``reason``, and NaN for each metric;
    its file has the traceback. :func:`rayot.metrics.summarise`,
    :func:`rayot.metrics.rank_methods` and :func:`rayot.metrics.compare_methods` take such tables.

    Raises
    ------
    BlockingIOError
        If another process works in the folder.
    KeyError
        If a column, layer or entry is missing.
    ValueError
        If cells are on disk, a perturbation is not there, a name is that of a control, a metric is
        unknown or needs more than one prediction, or the folder holds results of other cells,
        other spaces of the same names, or other metrics. Nothing is then computed.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np, rayot as rt
    >>> adata = rt.datasets.simulated(n_cells=100, n_genes=20)
    >>> rt.pp.split(adata)
    >>> def fit(training, task):
    ...     treated = training.obs[task.groupby] == task.perturbation
    ...     return np.asarray(training[treated].X.mean(0)).ravel()
    >>> def predict(mean, cells, task):
    ...     return np.tile(mean, (cells.n_obs, 1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     scores = rt.benchmark.run(
    ...         adata,
    ...         {"mean": (fit, predict), "quantile map": rt.tl.quantile_map},
    ...         folder,
    ...         metrics=["energy_distance"],
    ...         show_progress_bar=False,
    ...     )
    >>> scores["method"].tolist()
    ['mean', 'quantile map', 'identity', 'mean shift', 'observed']
    """
    cells = modality_of(adata, modality)
    _check_methods(methods)
    _check_in_memory(cells)
    scale = find_scale(
        expression_of(cells, layer, np.arange(min(LOOKED_AT, cells.n_obs))), cells.uns
    )
    scoring = Scoring(_metrics(metrics, scale), n_top_genes, n_cells, scale.name)
    spaces = {"genes": None} if spaces is None else spaces
    wanted = _perturbations(cells, groupby, control, perturbations)
    hashes = {split: _split_hash(cells, split) for split in splits}
    tasks = [
        Task(method, perturbation, split, space, int(seed), control, groupby, layer)
        for split, space, seed, perturbation, method in product(
            hashes, spaces, seeds, wanted, (*methods, *CONTROLS)
        )
        # Controls need no fit, so that one seed says all.
        if method not in CONTROLS or seed == seeds[0]
    ]
    digests = [task.digest(hashes[task.split]) for task in tasks]
    description = _description(cells, layer, groupby, control, scoring, spaces)
    with Results.opened(Path(folder), description) as of:
        records = {digest: of.read(digest) for digest in digests}
        missing = [
            (digest, task)
            for digest, task in zip(digests, tasks, strict=True)
            if (known := records[digest]) is None or (retry and known["status"] == "failed")
        ]
        bar = tqdm(
            total=len(tasks),
            initial=len(tasks) - len(missing),
            desc="benchmark",
            disable=not show_progress_bar,
        )
        with bar:
            for digest, record in _measured(cells, missing, methods, spaces, scoring, n_jobs):
                of.write(digest, record)
                records[digest] = record
                bar.update()
        scores = table_of([record for record in records.values() if record is not None])
        of.write_table(scores, table)
    return scores


def _check_in_memory(adata: AnnData) -> None:
    matrix = adata.X
    if adata.isbacked or not (matrix is None or isinstance(matrix, np.ndarray) or issparse(matrix)):
        raise ValueError(
            "Cells of a grid are in memory, as each method takes a copy of them; pass "
            "adata.to_memory()."
        )


def _metrics(metrics: Sequence[str] | None, scale: Scale) -> tuple[str, ...]:
    """Metrics that one prediction by itself can be scored by.

    Raises
    ------
    ValueError
        If one needs more.
    """
    chosen = get_metrics(metrics)
    for metric in chosen:
        if further := set(metric.needs) - {"control"}:
            raise ValueError(
                f"The metric {metric.name!r} needs {', '.join(sorted(further))}, which a grid does "
                "not have; rayot.tl.evaluate of a screen has them."
            )
    names = [metric.name for metric in chosen]
    if FOLD_CHANGES in names and not scale.is_known:
        warn(
            "The scale of the expression is not known, so means are compared by their differences "
            "and not by their ratios."
        )
        names = [DIFFERENCES if name == FOLD_CHANGES else name for name in names]
    return tuple(dict.fromkeys(names))


def _check_methods(methods: Mapping[str, Method]) -> None:
    if not isinstance(methods, Mapping) or not methods:
        raise ValueError(f"methods must map names to methods, found {methods!r}.")
    for name, method in methods.items():
        if name in CONTROLS:
            raise ValueError(
                f"{name!r} is a control of every grid, {CONTROLS}; name the method otherwise."
            )
        pair = isinstance(method, tuple) and len(method) == 2 and all(map(callable, method))
        if not (
            pair or callable(method) or (hasattr(method, "fit") and hasattr(method, "predict"))
        ):
            raise ValueError(
                f"methods[{name!r}] must be a verb, two functions (fit, predict) or an object that "
                f"has them, found {method!r}."
            )


def _perturbations(
    adata: AnnData, groupby: str, control: str, wanted: Sequence[str] | None
) -> list[str]:
    checks.in_category(adata, groupby, control)
    if wanted is None:
        return [name for name in checks.categories(adata, groupby) if name not in ("", control)]
    for name in wanted:
        checks.in_category(adata, groupby, name)
        checks.different(control, name)
    return list(dict.fromkeys(wanted))


def _split_hash(adata: AnnData, split: str) -> str:
    """What tells a split from others, which is checked to have both sides."""
    for side in (Key.obs.train, Key.obs.test):
        checks.in_category(adata, split, side)
    return hash_of(adata, split)


def _description(
    adata: AnnData,
    layer: str | None,
    groupby: str,
    control: str,
    scoring: Scoring,
    spaces: Mapping[str, Space],
) -> dict[str, Any]:
    """What must agree for results to stand in one table."""
    labels = pd.Index(checks.labels(adata, groupby))
    values = _fingerprints(adata, layer)
    return {
        "cells": _digest(hashes_of(adata.obs_names)),
        "genes": _digest(hashes_of(adata.var_names)),
        "conditions": _digest(hashes_of(adata.obs_names + " " + labels)),
        "expression": _digest(hashes_of(adata.obs_names + " " + pd.Index(values))),
        # A space that is added leaves results of the others, so that each is checked by itself.
        **{f"space {name!r}": _told(adata, space) for name, space in spaces.items()},
        "layer": layer,
        "groupby": groupby,
        "control": control,
        "metrics": sorted(scoring.metrics),
        "n_top_genes": scoring.n_top_genes,
        "n_cells": scoring.n_cells,
    }


def _digest(hashes: np.ndarray) -> str:
    """The same whatever the order."""
    return sha256(np.sort(hashes).tobytes()).hexdigest()[:16]


def _fingerprints(adata: AnnData, layer: str | None) -> list[str]:
    """A text for each cell, which another expression changes: its sum, and one with weights."""
    weights = 1 + hashes_of(adata.var_names) / 2.0**64
    sums = []
    for rows in row_chunks(np.arange(adata.n_obs), chunk_rows(adata.n_vars)):
        block = expression_of(adata, layer, rows).astype(np.float64)
        sums.append(np.asarray(block @ weights).ravel())
    return [f"{value:.9g}" for value in np.concatenate(sums)]


def _told(adata: AnnData, space: Space) -> str:
    """What tells a space from another of its name."""
    if space is None:
        return "expression"
    if isinstance(space, str):
        if space not in adata.obsm:
            raise KeyError(f"adata.obsm has no {space!r}; it has {sorted(adata.obsm)}.")
        sums = np.asarray(adata.obsm[space], dtype=np.float64).sum(1)
        texts = pd.Index([f"{value:.9g}" for value in sums])
        return _digest(hashes_of(adata.obs_names + " " + texts))
    if isinstance(space, partial):
        return f"{space.func.__qualname__} {space.args} {sorted(space.keywords.items())}"
    return getattr(space, "__qualname__", type(space).__qualname__)


def _measured(
    adata: AnnData,
    missing: Sequence[tuple[str, Task]],
    methods: Mapping[str, Method],
    spaces: Mapping[str, Space],
    scoring: Scoring,
    n_jobs: int | None,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Records of tasks, in the order in which they end."""
    # Cells are the same for all tasks of a split and space, which follow one another.
    by_place: dict[tuple[str, str], list[tuple[str, Task]]] = {}
    for digest, task in missing:
        by_place.setdefault((task.split, task.space), []).append((digest, task))
    for (split, space), of_place in by_place.items():
        prepared, use_rep = _in_space(adata, split, spaces[space])
        with _where(prepared, n_jobs) as cells:
            calls = (
                joblib.delayed(_named)(
                    digest,
                    cells,
                    replace(task, use_rep=use_rep),
                    methods.get(task.method),
                    scoring,
                )
                for digest, task in of_place
            )
            parallel = joblib.Parallel(n_jobs, return_as="generator_unordered", batch_size=1)
            yield from parallel(calls)


def _in_space(adata: AnnData, split: str, space: Space) -> tuple[AnnData, str | None]:
    """Cells with a space, and the entry of ``obsm`` that it is."""
    if not callable(space):
        return adata, space
    # What is computed of one split must not be there for another.
    own = adata.copy()
    return own, space(own, split)


@contextmanager
def _where(adata: AnnData, n_jobs: int | None) -> Iterator[AnnData | Path]:
    """The cells themselves, or a file of them where other processes need them."""
    if joblib.effective_n_jobs(n_jobs) == 1:
        yield adata
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cells.h5ad"
        adata.write_h5ad(path)
        yield path


def _named(
    digest: str, cells: AnnData | Path, task: Task, method: Method, scoring: Scoring
) -> tuple[str, dict[str, Any]]:
    # Processes side by side would otherwise ask for more threads than there are cores.
    with threads_for(1):
        return digest, measure(cells, task, method, scoring)
