"""Running the chunks of a screen: in this process, in others, or on a cluster."""

from __future__ import annotations

import gc
import logging
import math
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, TypeVar

import joblib
import numpy as np
from scipy.stats import false_discovery_control
from tqdm.auto import tqdm

from rayot.model import files
from rayot.model.chunk import Chunk
from rayot.model.chunk_fit import FittedChunk, find_effects, fit_chunk
from rayot.model.methods import stack_of
from rayot.model.problems import Problems
from rayot.model.screen_cells import ScreenCells
from rayot.solvers import Settings
from rayot.train import TrainingOptions
from rayot.train.memory import numbers_held

logger = logging.getLogger(__name__)

PERMUTATIONS = (199, 1999, 19999)
"""Permutations of successive rounds of the test."""

LARGEST_CHUNK = 8
"""Problems in a chunk on a processor, which gains little from more and may have many cores."""

LARGEST_CHUNK_GPU = 512

PROBED_STEPS = (1, 9)
"""Steps of the short fits that say how long a whole one takes."""

FEWEST_CHUNKS = 3
"""Chunks of a worker from which a screen is long enough to say before how long it takes."""

Result = TypeVar("Result")


def test_perturbations(
    cells: ScreenCells,
    settings: Settings,
    seed: int,
    options: TrainingOptions,
    fdr: float | None,
    n_jobs: int | None,
) -> dict[str, tuple[float, float, float]]:
    """Energy distance from the control, p-value and q-value of each perturbation.

    A p-value cannot be smaller than one over the number of permutations. Where no permutation was
    as far apart as what was observed, and many perturbations ask for a smaller value than that,
    the test is repeated with ten times as many.

    Parameters
    ----------
    cells, settings, seed, options
        The screen.
    fdr
        False discovery rate that the q-values (Benjamini & Hochberg 1995) will be compared with.
    n_jobs
        As in :func:`rayot.tl.screen`.
    """
    names = list(cells.groups)
    distances, p_values = np.zeros(len(names)), np.ones(len(names))
    asked = np.arange(len(names))
    for n_permutations in PERMUTATIONS:
        parts = [asked[i : i + LARGEST_CHUNK] for i in range(0, len(asked), LARGEST_CHUNK)]
        chunks = (
            cells.chunk([_alone(cells, names[i]) for i in part], settings, seed, options)
            for part in parts
        )
        calls = (joblib.delayed(find_effects)(chunk, n_permutations) for chunk in chunks)
        for part, tests in zip(parts, joblib.Parallel(n_jobs)(calls), strict=True):
            distances[part], p_values[part] = np.array(tests).T
        q_values = false_discovery_control(p_values)
        at_floor = p_values <= 1.5 / (n_permutations + 1)
        asked = np.flatnonzero(at_floor & (q_values > (0.05 if fdr is None else fdr)))
        if not len(asked):
            break
    tests = zip(distances.tolist(), p_values.tolist(), q_values.tolist(), strict=True)
    return dict(zip(names, tests, strict=True))


def _alone(cells: ScreenCells, name: str) -> Problems:
    return Problems(name, tuple(filter(None, cells.groups[name])), "balanced", 1)


def chunks_of(
    problems: Sequence[Problems], largest: int, n_strata: Callable[[Problems], int]
) -> list[list[Problems]]:
    """Cut perturbations into chunks of about equal size, with as many strata in each.

    The problems of one perturbation stay together.

    Parameters
    ----------
    problems
        Of each perturbation.
    largest
        Problems in a chunk, at most; more only where one perturbation has more.
    n_strata
        Strata of the problems of a perturbation.
    """
    alike: dict[int, list[Problems]] = {}
    for each in problems:
        alike.setdefault(n_strata(each), []).append(each)
    chunks = []
    for group in alike.values():
        per_chunk = max(1, largest // len(group[0]))
        n_chunks = math.ceil(len(group) / per_chunk)
        bounds = np.linspace(0, len(group), n_chunks + 1).round().astype(int)
        chunks += [group[i:j] for i, j in pairwise(bounds.tolist())]
    return chunks


def problems_that_fit(
    max_memory: float, method: str, settings: Settings, n_features: int, n_cells: int, gpu: bool
) -> int:
    """Problems of a chunk, at least one.

    Folds of small groups are fitted after them, in stacks that hold no more, or those of one
    problem.

    Parameters
    ----------
    max_memory
        GB (10⁹ bytes) that the chunk may take.
    method, settings, n_features, n_cells
        Of a problem: what is fitted, dimension of a cell, and cells of control and perturbation.
    gpu
        Whether it is fitted on a GPU, which gains from larger chunks than a processor.
    """
    transport = stack_of(method)(n_features, ["size"], settings, seed=0)
    numbers = numbers_held(transport, settings.batch_size, n_cells)
    fitting = math.floor(max_memory * 1e9 / (4 * numbers))
    return max(1, min(fitting, LARGEST_CHUNK_GPU if gpu else LARGEST_CHUNK))


def fit_chunks(
    chunks: Iterable[Chunk],
    p_values: dict[str, float] | None,
    n_jobs: int | None,
    folder: Path | None,
    resume: bool,
    bar: tqdm,
) -> Iterator[tuple[list[str], FittedChunk]]:
    """Fit chunks, in the order in which they end, each with the names of its problems.

    Parameters
    ----------
    chunks
        Built one by one, as processes ask for them.
    p_values
        Of each perturbation; None tests each problem.
    n_jobs
        As in :func:`rayot.tl.screen`.
    folder
        Where chunks that are done are kept, and found again.
    resume
        Whether they are.
    bar
        Is moved by the problems that are done. It says before the first how long all will take.
    """
    digests: dict[tuple[str, ...], str] = {}
    done: list[tuple[list[str], FittedChunk]] = []

    def calls() -> Iterator[Any]:
        is_first = True
        for chunk in chunks:
            of_chunk = None
            if p_values is not None:
                of_chunk = [p_values[each.target] for each in chunk.problems]
            if folder is not None:
                digest = digests[tuple(chunk.names)] = chunk.digest(of_chunk)
                saved = folder / f"chunk-{digest}"
                if resume and files.holds(saved):
                    done.append((chunk.names, FittedChunk.read(saved, chunk, digest)))
                    continue
                if refusal := files.refused(saved, overwrite=True):
                    raise FileExistsError(refusal)
                inner = str(folder / f"running-{digest}")
                options = replace(chunk.options, checkpoint_dir=inner, resume=resume, lock=False)
            if is_first:
                n_done = sum(len(names) for names, _ in done)
                _announce(chunk, of_chunk, (bar.total or 0) - n_done, n_jobs, bar)
            if folder is not None:
                chunk = replace(chunk, options=options)
            yield joblib.delayed(_named)(chunk, of_chunk, is_first)
            is_first = False

    for names, fitted in _as_they_end(calls(), n_jobs):
        if folder is not None:
            digest = digests[tuple(names)]
            fitted.write(folder / f"chunk-{digest}", names, digest)
            _remove(folder / f"running-{digest}")
        bar.update(len(names))
        yield names, fitted
    for names, fitted in done:
        bar.update(len(names))
        yield names, fitted


def _announce(
    chunk: Chunk, p_values: Sequence[float] | None, n_maps: float, n_jobs: int | None, bar: tqdm
) -> None:
    """Say how long so many maps will take, where this is worth the time to find out."""
    if bar.disable and not logger.isEnabledFor(logging.INFO):
        return
    n_workers = max(1, joblib.effective_n_jobs(n_jobs))
    n_chunks = n_maps / len(chunk.names)
    steps = list(chunk.settings.steps().values())
    if n_chunks < FEWEST_CHUNKS * n_workers or max(steps, default=0) <= max(PROBED_STEPS):
        return
    seconds = _expected_seconds(chunk, p_values, float(np.mean(steps))) * n_chunks / n_workers
    duration = tqdm.format_interval(seconds)
    logger.info("Fitting %d maps will take about %s.", round(n_maps), duration)
    bar.set_postfix_str(f"about {duration} in all")


def _expected_seconds(chunk: Chunk, p_values: Sequence[float] | None, n_steps: float) -> float:
    """Seconds that the fit of a chunk will take, by two that are cut short."""
    options = replace(chunk.options, trainer_kwargs={})
    seconds = []
    for steps in PROBED_STEPS:
        settings = chunk.settings.with_limits(steps, None)
        start = time.perf_counter()
        fit_chunk(replace(chunk, settings=settings, options=options), p_values)
        seconds.append(time.perf_counter() - start)
    first, last = PROBED_STEPS
    # Two short fits may take as long as each other, or the second a little less.
    per_step = max(0.0, seconds[1] - seconds[0]) / (last - first)
    return seconds[1] + (n_steps - last) * per_step


def _as_they_end(calls: Iterator[Any], n_jobs: int | None) -> Iterator[Any]:
    """Results of delayed calls, in the order in which they end.

    Backends that cannot hand results over one by one (multiprocessing, Ray, Spark) are given as
    many calls at once as they have workers.
    """
    try:
        parallel = joblib.Parallel(n_jobs, return_as="generator_unordered", pre_dispatch="n_jobs")
    except ValueError:
        n_workers = max(1, joblib.effective_n_jobs(n_jobs))
        while batch := list(islice(calls, n_workers)):
            yield from joblib.Parallel(n_jobs)(batch)
    else:
        yield from parallel(calls)


def _named(
    chunk: Chunk, p_values: Sequence[float] | None, is_first: bool
) -> tuple[list[str], FittedChunk]:
    if not is_first:
        # Trainer and module of the chunk before hold each other, and memory would grow until Python
        # happens to look.
        gc.collect()
    return chunk.names, fit_chunk(chunk, p_values)


def _remove(folder: Path) -> None:
    """Delete the checkpoints of a chunk that is done, if this machine has them."""
    if folder.is_dir():
        shutil.rmtree(folder)
