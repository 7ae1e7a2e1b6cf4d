"""What a report says of a table of scores."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import partial

import pandas as pd

from rayot import pl
from rayot.data.keys import Key
from rayot.metrics import METRICS, compare_methods, rank_methods, summarise
from rayot.reporting._blocks import (
    Block,
    Facts,
    Items,
    Section,
    Table,
    Text,
    or_sentence,
    shown,
)
from rayot.reporting._blocks import Figure as Pictures
from rayot.reporting._evaluation import REFERENCES, evaluation
from rayot.reporting._images import images_of, new_axes
from rayot.reporting._versions import versions

FAILED = "failed"
WAYS = ("energy_distance", "mmd")
"""Metrics whose effects are drawn, if there are scores in one of them."""

WANTED = {
    "higher": "larger is better",
    "lower": "smaller is better",
    "nearest": "distance to the best",
}

N_NAMED, N_FAILED = 12, 200
"""Values of a column that are named, and failed cells that are listed, at most."""

PLACES = ("split", "space", "seed", "stratum")
"""Columns that a table may have beside the perturbation and the method."""

ROWS = (
    "identity: control cells untouched.",
    "mean shift, perturbed mean: control cells moved by a mean change.",
    "observed: other observed cells, what a perfect prediction would score. It is no method, and "
    "has no rank.",
    "interpolated duplicate: these, with values of other perturbations where no gene is certain to "
    "change.",
)


def check_scores(scores: pd.DataFrame, method: str | None, unit: str | Sequence[str]) -> None:
    """Raise an error, before anything is computed, if a table is none of scores.

    Raises
    ------
    KeyError
        If a column is missing.
    ValueError
        If there are no rows, a metric is unknown, or no row is of the method.
    """
    from rayot.metrics._table_of_scores import wide

    tables = wide(scores, unit)
    methods = scores[Key.table.method].astype(str).unique().tolist()
    if method is not None and method not in methods:
        raise ValueError(
            f"No score is of {method!r}; methods found: {', '.join(map(repr, methods))}."
        )
    if not any(len(table) for table in tables.values()):
        raise ValueError("The table of scores has no value that is a number.")


def sections_of(
    scores: pd.DataFrame, method: str | None, unit: str | Sequence[str]
) -> list[Section]:
    """All sections of the report of a table of scores, one row a score."""
    method = _compared(scores) if method is None else method
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sections = [
            Section("compared", "What was compared", _what(scores, unit)),
            Section("scores", "Scores", or_sentence(partial(_bars, scores, method, unit))),
            Section("ranks", "Ranks", or_sentence(partial(_ranks, scores, unit))),
            Section("effects", "Effects", or_sentence(partial(_effects, scores, unit))),
            Section("summary", "Summary", or_sentence(partial(_summary, scores, unit))),
            Section("tests", "Tests", or_sentence(partial(_tests, scores, method, unit))),
            Section("failed", "Failed cells", _failed(scores)),
        ]
    said = dict.fromkeys(
        " ".join(str(each.message).split())
        for each in caught
        if issubclass(each.category, UserWarning)
    )
    if said:
        sections.append(Section("warnings", "Warnings", [Items(list(said))]))
    return [*sections, versions()]


def sections_of_one(table: pd.DataFrame) -> list[Section]:
    """Sections of the table of :func:`rayot.tl.evaluate` of maps, one row a method.

    Raises
    ------
    ValueError
        If a row of a reference is missing, or all columns with scores are.
    """
    missing = [name for name in REFERENCES if name not in table.index]
    if missing or table.shape[1] < 2:
        raise ValueError(
            f"The table has no {'scores' if not missing else f'row {missing[0]!r}'}; pass what "
            "rayot.tl.evaluate returned, or one row a score with 'method', 'metric' and 'value'."
        )
    return [Section("scores", "Scores", evaluation(table)), versions()]


def _compared(scores: pd.DataFrame) -> str:
    """The method that others are compared with: the first that is no control."""
    methods = scores[Key.table.method].astype(str).unique().tolist()
    own = [name for name in methods if name not in (*Key.table.controls, Key.table.mean_shift)]
    return str((own or methods)[0])


def _what(scores: pd.DataFrame, unit: str | Sequence[str]) -> list[Block]:
    units = [unit] if isinstance(unit, str) else list(unit)
    names = list(dict.fromkeys([*units, Key.table.method, Key.table.metric, *PLACES]))
    facts = {"Scores": f"{len(scores):,}"}
    for name in names:
        if name in scores:
            values = scores[name].dropna().astype(str).unique().tolist()
            listed = ", ".join(values[:N_NAMED]) + (", …" if len(values) > N_NAMED else "")
            facts[name.replace("_", " ")] = f"{len(values):,}: {listed}"
    if Key.table.n_cells in scores:
        sizes = scores.loc[scores[Key.table.value].notna(), Key.table.n_cells]
        low, high = sizes.min(), sizes.max()
        facts["cells of a population"] = f"{shown(low)} to {shown(high)}"
    told = f"Values of {' and '.join(units)} are taken as independent; others are averaged first."
    present = set(scores[Key.table.method].astype(str))
    rows = [row for row in ROWS if present & set(row.partition(":")[0].split(", "))]
    return [Facts(facts), Text(told), *([Items(rows)] if rows else [])]


def _bars(scores: pd.DataFrame, method: str, unit: str | Sequence[str]) -> list[Block]:
    table = summarise(scores, unit=unit)
    metrics = list(dict.fromkeys(table.index.get_level_values(0)))
    n_methods = scores[Key.table.method].nunique()
    axes = new_axes(len(metrics), (1.4 + 0.42 * n_methods, 3.8))
    pl.benchmark(scores, metrics, method=method, unit=unit, ax=axes, show=False)
    alts = [
        f"{metric.replace('_', ' ')}, means: {_values(table.loc[metric, 'value'])}."
        for metric in metrics
    ]
    caption = (
        "Bars are means, whiskers 95 % bootstrap intervals, points the units. The arrow points to "
        f"better values (→ larger, ← smaller). Stars say where a method differs from {method}, by "
        "Wilcoxon's signed-rank test: * below .05, ** below .01, *** below .001, adjusted."
    )
    return [Pictures(images_of(axes, alts), caption)]


def _ranks(scores: pd.DataFrame, unit: str | Sequence[str]) -> list[Block]:
    ranks = rank_methods(scores, unit=unit)
    axes = new_axes(1, (2.6 + 0.55 * ranks.shape[1], 1.6 + 0.34 * len(ranks)))
    pl.benchmark_ranks(scores, unit=unit, ax=axes[0], show=False)
    alt = f"Mean rank of each method, over all metrics: {_values(ranks['mean'])}."
    caption = "Mean rank of each method in each metric, 1 for the best; the best on average first."
    return [Pictures(images_of(axes, [alt]), caption)]


def _effects(scores: pd.DataFrame, unit: str | Sequence[str]) -> list[Block]:
    known = scores[Key.table.metric].astype(str).unique().tolist()
    metric = next((name for name in WAYS if name in known), known[0])
    axes = new_axes(1, (7.2, 4.0))
    pl.benchmark_effects(scores, metric, unit=unit, ax=axes[0], show=False)
    table = summarise(scores, unit=unit).loc[metric, "pooled way"]
    own = table.drop(index=list(Key.table.controls), errors="ignore")
    name = metric.replace("_", " ")
    alt = f"Way of each method in {name} against the effect; pooled ways: {_values(own)}."
    caption = (
        f"Share of the way from identity to observed in {name}, against how much way there is. "
        "Triangles lie beyond the border; lines are ways of all units together."
    )
    return [Pictures(images_of(axes, [alt]), caption)]


def _values(values: pd.Series) -> str:
    return ", ".join(f"{name} {shown(float(value))}" for name, value in values.items())


def _summary(scores: pd.DataFrame, unit: str | Sequence[str]) -> list[Block]:
    table = summarise(scores, unit=unit)
    explained = Text(
        "value: the mean over units. way: the mean share of the way from identity to observed. "
        "pooled way: what is gained over what there is to gain, of all units together, with its "
        "95 % interval from low to high. rank: the mean rank, 1 is best."
    )
    tables = [
        Table.of(
            table.loc[metric],
            f"{metric.replace('_', ' ')}, {WANTED[METRICS[metric].direction]}",
        )
        for metric in dict.fromkeys(table.index.get_level_values(0))
    ]
    return [explained, *tables]


def _tests(scores: pd.DataFrame, method: str, unit: str | Sequence[str]) -> list[Block]:
    table = compare_methods(scores, method, unit=unit)
    if table.empty:
        return [Text("There is no other method to compare with.")]
    explained = Text(
        f"How far {method} is ahead of each other method, positive where it is better: the median "
        "over units with its 95 % interval. wins: the share of units where it is better. p: "
        "Wilcoxon's signed-rank test; q: all of them adjusted as Benjamini and Hochberg."
    )
    return [explained, Table.of(table, f"{method} against the others")]


def _failed(scores: pd.DataFrame) -> list[Block]:
    if Key.table.status not in scores:
        return [Text("The table does not say what failed.")]
    failed = scores[scores[Key.table.status].astype(str) == FAILED]
    if failed.empty:
        return [Text("None failed.")]
    names = [Key.table.perturbation, Key.table.method, *PLACES, Key.table.reason]
    names = [name for name in names if name in failed]
    cells = failed[names].astype(str).drop_duplicates()
    rows = cells.head(N_FAILED).to_numpy().tolist()
    caption = f"{len(cells):,} failed; they have no scores"
    if len(cells) > N_FAILED:
        caption += f". The first {N_FAILED} are listed"
    header = [name.replace("_", " ") for name in names]
    return [Table(caption, header, rows, n_names=1, numbers=False)]
