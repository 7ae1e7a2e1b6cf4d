"""Figure 2: the two-dimensional toy sets."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata as ad
import numpy as np
import pandas as pd

import rayot as rt
from rayot._docs import shared
from rayot._public import public
from rayot.data.keys import Key
from rayot.reproduce._cases import FEW_STEPS, measured, seeds_of, write
from rayot.reproduce._table import beside_paper, published, runs

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.figure import Figure

SETS = ("bookshelf", "circles", "swiss_roll", "moons")
N_TRAINING = 32_768
N_TEST = 5000
N_SHOWN = 4000
"""Cells of the figure."""

FRESH = 1000
"""Added to a seed, it keys cells that no fit has seen."""


@public(seeds=seeds_of)
@shared
def figure2(
    folder: str | Path,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    quick: bool = False,
    show_progress_bar: bool = True,
) -> pd.DataFrame:
    """Figure 2 of the paper: do maps on four toy sets keep the order along transport rays?

    ``preset="paper"`` on 32,768 cells of each population, scored on fresh cells:
    ``energy_distance`` from moved to target cells; on the bookshelf ``order``, the rank correlation
    of the books before and after; on the circles ``inner_to_inner``, the share of the inner source
    circle that lands on the inner target circle.

    Parameters
    ----------
    {reproduced}

    Returns
    -------
    Columns ``experiment``, ``data``, ``method``, ``metric``, ``paper``, ``ours``, ``difference``
    (ours minus the paper's), ``seconds`` of a fit and ``note``. Writes ``figure2.png``, the paper's
    figure, drawn of the first seed.

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
    >>> import rayot as rt
    >>> rt.reproduce.figure2("figure2")  # doctest: +SKIP
    """
    folder = Path(folder)
    max_steps = FEW_STEPS if quick else None
    found = measured(
        folder,
        {"experiment": "figure2", "quick": quick},
        [{"data": data, "seed": seed} for seed in seeds for data in SETS],
        partial(_measure_and_keep, folder=folder, max_steps=max_steps),
        show_progress_bar,
    )
    table = table_of(found, quick)
    shown = {data: ad.read_h5ad(_path(folder, data, seeds[0])) for data in SETS}
    write(folder, table, {"figure2": drawn(shown)})
    return table


def fit(data: str, seed: int, max_steps: int | None = None) -> tuple[AnnData, rt.model.W1OT]:
    """Training cells of a toy set, on which the map is written, and the published algorithm."""
    adata = getattr(rt.datasets, data)(N_TRAINING, seed=seed)
    return adata, rt.tl.w1ot(
        adata,
        "control",
        "perturbed",
        preset="paper",
        seed=seed,
        max_steps=max_steps,
        show_progress_bar=False,
    )


def scores(model: rt.model.W1OT, data: str, seed: int) -> dict[str, float]:
    """Figures of a map on fresh cells; those that a set does not have are missing."""
    from scipy.stats import spearmanr

    fresh = getattr(rt.datasets, data)(N_TEST, seed=FRESH + seed)
    source = fresh[fresh.obs[Key.obs.perturbation] == Key.obs.control]
    target = np.asarray(fresh[fresh.obs[Key.obs.perturbation] == "perturbed"].X)
    moved = np.asarray(model.predict(source).to_df().to_numpy())
    found = {"energy_distance": round(float(rt.metrics.energy_distance(moved, target)), 5)}
    if data == "bookshelf":
        found["order"] = round(float(spearmanr(source.X[:, 0], moved[:, 0])[0]), 5)
    if data == "circles":
        inner = (source.obs["ring"] == "inner").to_numpy()
        radius, target_radius = (np.linalg.norm(cells, axis=1) for cells in (moved, target))
        middle = (target_radius.min() + target_radius.max()) / 2
        found["inner_to_inner"] = round(float((radius[inner] < middle).mean()), 5)
    return found


def drawn(sets: dict[str, AnnData]) -> Figure:
    """The paper's figure of cells on which a map is written, by the names of their sets."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 9), layout="constrained")
    for ax, (name, adata) in zip(figure.subplots(2, 2).flat, sets.items(), strict=True):
        draw = rt.pl.markers if name == "bookshelf" else rt.pl.transport_rays
        draw(some(adata), ax=ax, show=False)
        if name != "bookshelf":
            ax.get_legend().remove()
        ax.set_title(name.replace("_", " "))
    return figure


def some(adata: AnnData) -> AnnData:
    """As many cells as are drawn, at random."""
    return adata[np.random.default_rng(0).permutation(adata.n_obs)[:N_SHOWN]].copy()


def _measure_and_keep(data: str, seed: int, *, folder: Path, max_steps: int | None) -> Any:  # noqa: ANN401
    start = time.perf_counter()
    adata, model = fit(data, seed, max_steps)
    seconds = time.perf_counter() - start
    # Cells of the figure are there before the row is, so that a call that goes on finds them.
    some(adata).write_h5ad(_path(folder, data, seed))
    return {**scores(model, data, seed), "seconds": round(seconds, 1)}


def _path(folder: Path, data: str, seed: int) -> Path:
    return folder / f"{data}_{seed}.h5ad"


def table_of(found: pd.DataFrame, quick: bool) -> pd.DataFrame:
    """Means over runs beside what the paper says."""
    metrics = ["energy_distance", "order", "inner_to_inner"]
    means = found.groupby("data", sort=False)[[*metrics, "seconds"]].mean()
    seconds = means.pop("seconds")
    rows = means.reset_index().melt("data", var_name="metric", value_name="ours").dropna()
    rows = rows.sort_values("data", key=lambda names: names.map(SETS.index), kind="stable")
    rows = rows.merge(published("figure2"), "left", ["data", "metric"])
    note = runs(found["seed"].nunique())
    rows["note"] = [
        note if np.isnan(paper) else f"{note}; the paper says it in words"
        for paper in rows["paper"]
    ]
    rows = rows.assign(method="w1ot", seconds=rows["data"].map(seconds), comparable=True)
    return beside_paper("figure2", rows, quick)
