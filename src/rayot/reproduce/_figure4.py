"""Figure 4: time against dimension, and maps of 1,000 genes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData

import rayot as rt
from rayot._docs import shared
from rayot._public import public
from rayot.reproduce._cases import measured, whole_numbers, write
from rayot.reproduce._table import beside_paper, published

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DIMENSIONS = (2, 10, 50, 250, 1250)
ITERATIONS = {"w1ot": 100, "w2ot": 20}
QUICK_ITERATIONS = {"w1ot": 4, "w2ot": 2}
SECONDS = "seconds per 10,000 iterations"


@public(dimensions=whole_numbers)
@shared
def figure4(
    folder: str | Path,
    *,
    dimensions: Sequence[int] = DIMENSIONS,
    quick: bool = False,
    show_progress_bar: bool = True,
) -> pd.DataFrame:
    """Figure 4a of the paper: how much longer does it take in more dimensions?

    The published networks and batches of W1OT and W2OT (``preset="paper"``) on two Gaussian
    populations: seconds of the processor for 10,000 iterations, estimated from 100 of W1OT (a step
    of the potential and one of the step size) and 20 of W2OT (ten of one potential and one of the
    other). Figure 4b, of 1,000 genes, is a panel of :func:`figure3`.

    Parameters
    ----------
    folder
        Of the results: ``table.csv``, a figure, and a file for each finished run. It is made if it
        is not there. Called again with the same folder, only what is missing is computed.
    dimensions
        Numbers of features; the paper's are in its figure alone.
    quick
        A few iterations only, to see that it works. Its figures say nothing, and each row says so.
    show_progress_bar
        Show how far it is.

    Returns
    -------
    Columns ``experiment``, ``data``, ``method``, ``metric``, ``paper``, ``ours``, ``difference``
    (ours minus the paper's), ``seconds`` and ``note``. The paper has the ratio of the two times in
    words. Writes ``figure4.png``.

    Raises
    ------
    BlockingIOError
        If another process works in the folder.
    OSError
        If nothing can be written to it.
    ValueError
        If it holds other results, or an argument is something else.

    References
    ----------
    Chen Y, Hu Z, Chen W, Huang H. Bioinformatics (2025).

    Examples
    --------
    >>> import tempfile
    >>> import rayot as rt
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = rt.reproduce.figure4(
    ...         folder, dimensions=[2], quick=True, show_progress_bar=False
    ...     )
    >>> table["metric"].tolist()[-2:]
    ['smallest speedup', 'largest speedup']
    """
    folder = Path(folder)
    found = measured(
        folder,
        {"experiment": "figure4", "quick": quick},
        [{"method": m, "dimension": d} for d in dimensions for m in ITERATIONS],
        partial(measure, iterations=QUICK_ITERATIONS if quick else ITERATIONS),
        show_progress_bar,
    )
    table = table_of(found, quick)
    write(folder, table, {"figure4": _drawn(found)})
    return table


def measure(
    method: str, dimension: int, iterations: dict[str, int] = ITERATIONS
) -> dict[str, float]:
    """Seconds of the processor for 10,000 iterations."""
    rng = np.random.default_rng(dimension)
    adata = AnnData(rng.normal(size=(4000, dimension)).astype(np.float32))
    adata.obs["perturbation"] = np.repeat(["control", "treated"], 2000)
    adata.X[2000:] += 1
    model_type = {"w1ot": rt.model.W1OT, "w2ot": rt.model.W2OT}[method]
    data = model_type.setup_anndata(adata)
    seconds = []
    for factor in (1, 3):
        model = model_type(adata, data, "control", "treated", preset="paper")
        start = time.process_time()
        model.train(max_steps=factor * iterations[method], show_progress_bar=False)
        seconds.append(time.process_time() - start)
    # The difference leaves out what is done once.
    per_iteration = (seconds[1] - seconds[0]) / (2 * iterations[method])
    return {SECONDS: round(1e4 * per_iteration, 1)}


def table_of(found: pd.DataFrame, quick: bool) -> pd.DataFrame:
    """Times, and the ratio of those of the two methods beside what the paper says."""
    times = found.assign(
        data=[f"{dimension} dimensions" for dimension in found["dimension"]],
        metric=SECONDS,
        ours=found[SECONDS],
        paper=np.nan,
        note="the paper's are in its figure alone",
        seconds=np.nan,
        comparable=False,
    )
    wide = found.pivot(index="dimension", columns="method", values=SECONDS)
    speedup = wide["w2ot"] / wide["w1ot"]
    ratios = published("figure4").assign(
        ours=[speedup.min(), speedup.max()],
        data=f"{wide.index.min()} to {wide.index.max()} dimensions",
        method="w1ot against w2ot",
        note="other machine, one thread where the paper has eight cores",
        seconds=np.nan,
        comparable=True,
    )
    return beside_paper("figure4", pd.concat([times, ratios], ignore_index=True), quick)


def _drawn(found: pd.DataFrame) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5, 3.5), layout="constrained")
    ax = figure.subplots()
    for method, of in found.groupby("method"):
        ax.plot(of["dimension"], of[SECONDS], "o-", label=method)
    ax.set(xscale="log", yscale="log", xlabel="dimension", ylabel=SECONDS)
    ax.legend()
    return figure
