"""``rayot evaluate``: scores of models, or of what the cells hold, on held-out cells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from rayot.cli._command import Command, Output, WholeNumber, seed_option
from rayot.cli._files import at_condition, check_cells_path, check_free, load_model, read_cells
from rayot.cli._options import (
    FILES,
    PATH,
    cells_argument,
    condition_options,
    given,
    overwrite_option,
    reading_options,
)

if TYPE_CHECKING:
    import pandas as pd

SCORES = "Scores"


@click.command("evaluate", cls=Command, short_help="Score models on held-out cells.")
@cells_argument
@click.argument("models", metavar="[MODEL]...", nargs=-1, type=PATH)
@click.option(
    "--key",
    "keys",
    multiple=True,
    panel=SCORES,
    help="Name of a fitted map that CELLS hold, in the place of models; may be repeated.",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    panel=SCORES,
    help="Metric; may be repeated. The usual ones if unset.",
)
@click.option(
    "--n-top-genes",
    type=WholeNumber(),
    panel=SCORES,
    help="Genes that are scored, those that differ most, by default 50.",
)
@click.option(
    "--n-cells",
    type=WholeNumber(2),
    panel=SCORES,
    help="Cells of each population, at most, by default 1500.",
)
@click.option(
    "--missing-genes",
    type=click.Choice(["error", "zero", "mean"]),
    panel=SCORES,
    help="What is done where cells lack genes of a model, by default an error.",
)
@condition_options
@reading_options
@seed_option
@click.option("--out", type=PATH, panel=FILES, help="Table of the scores, as .csv.")
@overwrite_option
@click.pass_obj
def command(
    output: Output,
    cells: Path,
    models: tuple[Path, ...],
    keys: tuple[str, ...],
    metrics: tuple[str, ...],
    target: str | None,
    dose: float | None,
    time: float | None,
    times: tuple[float, float] | None,
    backed: bool,
    out: Path | None,
    overwrite: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Score the models in the folders MODEL on the held-out cells of CELLS.

    The table has a row for each model, then identity (cells untouched), mean shift, and observed
    (other cells of the target). Models are named by their folders.
    """
    if models and keys:
        raise click.UsageError("name models or --key, not both.")
    check_cells_path(cells, backed)
    if out is not None:
        check_free(out, overwrite)
    import rayot as rt

    fitted = {path: at_condition(load_model(path), target, dose, time, times) for path in models}
    names = _names(models)
    output.progress(f"reading {cells}")
    adata = read_cells(cells, backed)
    asked = given(metrics=list(metrics) or None, **options)
    output.progress("scoring")
    if models:
        table = _together(
            {
                name: rt.tl.evaluate(adata, model, **asked)
                for name, model in zip(names, fitted.values(), strict=True)
            }
        )
    else:
        table = rt.tl.evaluate(adata, list(keys) or None, **asked)
    if out is not None:
        table.to_csv(out)
    output.result(
        table.round(4).to_string(),
        scores=table.reset_index().to_dict("records"),
        paths={
            "cells": str(cells),
            "models": [str(path) for path in models],
            "scores": None if out is None else str(out),
        },
    )


def _names(models: tuple[Path, ...]) -> list[str]:
    """Names of folders, or their paths where names are alike."""
    names = [path.resolve().name for path in models]
    return names if len(set(names)) == len(names) else [str(path) for path in models]


def _together(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The row of each model, then those that all of them share.

    Raises
    ------
    ValueError
        If models were scored on other cells, or between other conditions.
    """
    import pandas as pd

    first = next(iter(tables.values()))
    shared = first.iloc[1:]
    for name, table in tables.items():
        if not table.iloc[1:].equals(shared):
            raise ValueError(
                f"{name} and {next(iter(tables))} do not compare: they are between other "
                "conditions, or were fitted with another split or layer. Score them one at a time."
            )
    rows = [table.iloc[:1].set_axis([name]) for name, table in tables.items()]
    return pd.concat([*rows, shared]).rename_axis(first.index.name)
