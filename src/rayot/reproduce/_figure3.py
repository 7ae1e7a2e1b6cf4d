"""Figures 3 and 4b: methods on single cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

import rayot as rt
from rayot._arguments import refused
from rayot._docs import shared
from rayot._public import public
from rayot.data import checks
from rayot.data.keys import Key
from rayot.reproduce._cases import FEW_STEPS, names_of, seeds_of, write
from rayot.reproduce._cell_sets import PAPERS, CellSet, known_data, loaded
from rayot.reproduce._table import beside_paper, published, runs

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.figure import Figure

    from rayot.model.fitted_map import FittedMap

METRICS = ("r2", "l2", "mmd")
METHODS = ("w1ot", "w2ot", "scgen", "biolord", "cpa")
JOINT = ("biolord", "cpa")
"""They have a latent space of their own, and know all conditions of the cells they are given."""

CONTROLS = (Key.table.identity, Key.table.mean_shift, Key.table.observed)
N_GENES = 1000
FEWEST_CELLS = 50
"""Of each condition, in a group that is held out."""

N_QUICK = 2
"""Perturbations of a run that is quick."""

QUICK_AUTOENCODER = 100
OF_4I: dict[str, dict[str, Any]] = {"scgen": {"plan_kwargs": {"n_latent": 8, "width": 32}}}
"""Sizes on the 48 features of 4i."""


@dataclass(frozen=True)
class Panel:
    """A part of the figures.

    Attributes
    ----------
    like
        The paper's cells.
    autoencoder
        Whether maps work in the 50 dimensions of one, and not on features themselves.
    unseen
        Whether a group of cells is held out, and not cells at random.
    """

    like: str
    autoencoder: bool = False
    unseen: bool = False


PANELS = {
    "3a": Panel("four_i"),
    "3b": Panel("sciplex3", autoencoder=True),
    "3c": Panel("sciplex3", autoencoder=True, unseen=True),
    "4b": Panel("sciplex3"),
}


@public(
    data=known_data,
    panels=partial(names_of, known=tuple(PANELS)),
    methods=partial(names_of, known=METHODS),
    seeds=seeds_of,
)
@shared
def figure3(
    folder: str | Path,
    *,
    data: Sequence[str | Path] = PAPERS,
    panels: Sequence[str] = ("3a", "3b", "3c"),
    methods: Sequence[str] = METHODS,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    quick: bool = False,
    show_progress_bar: bool = True,
) -> pd.DataFrame:
    """Figures 3 and 4b of the paper: which method predicts cells that were set apart?

    W1OT, W2OT, scGen, biolord and CPA with their published settings (``preset="paper"``), beside
    doing nothing (``identity``), a mean shift, and other treated cells (``observed``). ``r2`` and
    ``l2`` compare means of features and ``mmd`` whole populations, on held-out cells and the 50
    genes that differ most, or on all features where they are fewer than 100; means are over
    perturbations and runs. Each run splits the cells anew.

    The paper's cells, :func:`rayot.datasets.four_i` and :func:`rayot.datasets.sciplex3`, come in an
    archive of several GB. Others stand in for them, which their rows say: of 4i
    ``"bodenmiller12"``, of sciplex3 ``"kang18"``, ``"gbm_panobinostat"`` and ``"papalexi21"``, in
    1,000 variable genes where there are more.

    Parameters
    ----------
    folder
        Of the results: ``table.csv``, figures, and a folder for each panel, data set and run, as
        :func:`rayot.benchmark.run` writes it. It is made if it is not there. Called again with the
        same folder, only what is missing is computed.
    data
        Names of data sets, or files: CellOT's archive, or its ``hvg-top1k.h5ad`` or ``8h.h5ad``
        (beside which ``features.txt`` says which features are chosen).
    panels
        ``"3a"``: 4i, its features themselves. ``"3b"``: sciplex3 in the 50 dimensions of an
        autoencoder. ``"3c"``: the same, of a cell type (or patient) that no training cell has,
        another in each run. ``"4b"``: sciplex3, its 1,000 genes themselves.
    methods
        Some of "w1ot", "w2ot", "scgen", "biolord" and "cpa".
    seeds
        One run each.
    quick
        A few steps for each fit, two perturbations and one run, to see that it works. Its figures
        say nothing, and each row says so.
    show_progress_bar
        Show how far it is.

    Returns
    -------
    Columns ``experiment``, ``data``, ``method``, ``metric``, ``paper``, ``ours``, ``difference``
    (ours minus the paper's, empty where cells stand in for others), ``seconds`` of a fit and
    ``note``. Writes a figure for each panel and data set.

    Raises
    ------
    BlockingIOError
        If another process works in the folder.
    OSError
        If nothing can be written to it, or cells cannot be downloaded.
    ValueError
        If it holds other results, a file has another form, or an argument is something else.

    References
    ----------
    Chen Y, Hu Z, Chen W, Huang H. Bioinformatics (2025).

    Examples
    --------
    >>> import rayot as rt
    >>> rt.reproduce.figure3("figure3", data=["kang18"], panels=["3b"])  # doctest: +SKIP
    """
    folder = Path(folder)
    wanted = tuple(dict.fromkeys(PANELS[name].like for name in panels))
    tables, figures = [], {}
    for cells, adata in loaded([*map(str, data)], wanted):
        for name in panels:
            panel = PANELS[name]
            if panel.like != cells.like or (panel.unseen and cells.group is None):
                continue
            scores = pd.concat(
                _run(
                    adata,
                    cells,
                    panel,
                    {each: _method(each, panel, quick) for each in methods},
                    folder / name / cells.name / f"{'quick_' * quick}seed_{seed}",
                    seed,
                    quick,
                    show_progress_bar,
                )
                for seed in (seeds[:1] if quick else seeds)
            )
            tables.append(_table(scores, name, cells, quick))
            figures[f"{name}_{cells.name}"] = _drawn(scores, name, cells)
    if not tables:
        raise refused("data", f"cells for {' or '.join(panels)}", ", ".join(map(str, data)))
    table = pd.concat(tables, ignore_index=True)
    write(folder, table, figures)
    return table


def _run(
    adata: AnnData,
    cells: CellSet,
    panel: Panel,
    methods: dict[str, Callable[..., Any]],
    folder: Path,
    seed: int,
    quick: bool,
    show_progress_bar: bool,
) -> pd.DataFrame:
    """Scores of one run: cells are split, genes and a space are found on training cells."""
    split = prepared(adata, cells, panel, seed)
    steps: dict[str, Any] = {"max_steps": QUICK_AUTOENCODER} if quick else {}
    space = partial(_autoencoder, seed=seed, **steps) if panel.autoencoder else None
    perturbations = [
        name
        for name in checks.categories(split, Key.obs.perturbation)
        if name not in ("", Key.obs.control)
    ]
    return rt.benchmark.run(
        split,
        methods,
        folder,
        perturbations=perturbations[:N_QUICK] if quick else perturbations,
        spaces={"autoencoder" if panel.autoencoder else "genes": space},
        seeds=(seed,),
        metrics=list(METRICS),
        retry=True,
        show_progress_bar=show_progress_bar,
    ).assign(run=seed)


def prepared(adata: AnnData, cells: CellSet, panel: Panel, seed: int) -> AnnData:
    """Cells with ``obs["split"]``, in at most 1,000 genes.

    Raises
    ------
    KeyError
        If the column of the groups is missing.
    ValueError
        If all groups are too small.
    """
    import scanpy as sc

    adata = adata.copy()
    if panel.unseen:
        rt.pp.split(adata, holdout={str(cells.group): [_held_out(adata, str(cells.group), seed)]})
    else:
        rt.pp.split(adata, seed=seed)
    if adata.n_vars > N_GENES:
        training = adata[adata.obs[Key.obs.split] == Key.obs.train].copy()
        sc.pp.highly_variable_genes(training, n_top_genes=N_GENES)
        adata = adata[:, training.var[Key.var.highly_variable].to_numpy()].copy()
    return adata


def _held_out(adata: AnnData, column: str, seed: int) -> str:
    """One of the groups that have cells of all conditions, by the seed."""
    groups = checks.labels(adata, column)
    counts = pd.crosstab(groups, checks.labels(adata, Key.obs.perturbation)).min(axis=1)
    large = sorted(counts.index[counts >= FEWEST_CELLS])
    if not large:
        raise ValueError(
            f"adata.obs[{column!r}] has no group with {FEWEST_CELLS} cells of every condition, "
            "so that none can be held out."
        )
    return str(large[seed % len(large)])


def _autoencoder(adata: AnnData, split_key: str, seed: int, **options: Any) -> str:  # noqa: ANN401
    rt.pp.autoencoder(adata, split_key=split_key, seed=seed, show_progress_bar=False, **options)
    return "X_autoencoder"


def _method(name: str, panel: Panel, quick: bool) -> Callable[..., Any]:
    """A verb with the published settings."""
    options: dict[str, Any] = {"preset": "paper"}
    if quick:
        options["max_steps"] = FEW_STEPS
    if panel.like == "four_i":
        options |= OF_4I.get(name, {})
    if panel.unseen and name in JOINT:
        # They know nothing of a group that no training cell has.
        options["covariate_keys"] = None
    verb = getattr(rt.tl, name)
    return partial(_of_pair, verb, **options) if name in JOINT else partial(verb, **options)


def _of_pair(
    verb: Callable[..., FittedMap],
    adata: AnnData,
    source_key: str,
    target_key: str,
    *,
    groupby: str,
    split_key: str,
    seed: int,
    show_progress_bar: bool,
    write_genes: bool,
    **options: Any,  # noqa: ANN401
) -> FittedMap:
    """Fit a method of many conditions to two of them, as the paper does, on features themselves."""
    pair = adata[adata.obs[groupby].isin([source_key, target_key])].copy()
    return verb(
        pair,
        source_key,
        target_key,
        groupby=groupby,
        split_key=split_key,
        seed=seed,
        show_progress_bar=show_progress_bar,
        write_genes=write_genes,
        **options,
    )


def _table(scores: pd.DataFrame, name: str, cells: CellSet, quick: bool) -> pd.DataFrame:
    """Means over perturbations and runs."""
    by = ["method", "metric"]
    means = scores.groupby(by, sort=False)[["value", "seconds"]].mean().reset_index()
    theirs = published("figure3")
    theirs = theirs[theirs["panel"] == name].drop(columns="panel")
    theirs = theirs.melt("method", var_name="metric", value_name="paper")
    rows = means.merge(theirs, "left", by).rename(columns={"value": "ours"})
    n_perturbations = scores["perturbation"].nunique()
    notes = [
        f"{runs(scores['run'].nunique())}, {n_perturbations} perturbation"
        f"{'s' * (n_perturbations > 1)}"
    ]
    if cells.stands_in:
        notes.append(f"stands in for {'4i' if cells.like == 'four_i' else 'sciplex3'}")
    failed = scores[scores["value"].isna()].groupby("method")["value"].size()
    rows["note"] = [
        "; ".join([*notes, *([f"{failed[method]} scores failed"] if method in failed else [])])
        for method in rows["method"]
    ]
    rows = rows.assign(data=cells.name, comparable=not cells.stands_in)
    return beside_paper(f"figure{name}", rows, quick)


def _drawn(scores: pd.DataFrame, name: str, cells: CellSet) -> Figure:
    """Quartiles over perturbations and runs, and a diamond for the published mean."""
    from matplotlib.figure import Figure

    known = published("figure3")
    known = known[known["panel"] == name].set_index("method")
    methods = [method for method in scores["method"].unique() if method not in CONTROLS]
    order = [CONTROLS[0], CONTROLS[1], *methods, CONTROLS[2]]
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    for ax, metric in zip(figure.subplots(1, len(METRICS)), METRICS, strict=True):
        of = scores[scores["metric"] == metric]
        values = [of.loc[of["method"] == method, "value"].dropna() for method in order]
        ax.boxplot(values, positions=range(len(order)), widths=0.6, showfliers=False)
        ax.plot(range(len(order)), known[metric].reindex(order), "kD", ms=5, mfc="none")
        ax.set_xticks(range(len(order)), order, rotation=50, ha="right")
        ax.set_title({"r2": "r² of means", "l2": "l2 of means", "mmd": "MMD"}[metric])
        if metric == "mmd" and (of["value"] > 0).all():
            ax.set_yscale("log")
    of_paper = f"the paper's, {'4i' if cells.like == 'four_i' else 'sciplex3'}"
    figure.suptitle(f"{cells.name} (diamonds: {of_paper})", fontsize=10)
    return figure
