"""``rayot report``: one HTML file about a fitted map, or a table of scores."""

from __future__ import annotations

import io
from contextlib import nullcontext, redirect_stderr
from pathlib import Path
from typing import Any

import rich_click as click

from rayot.cli._command import Command, Output, seed_option
from rayot.cli._files import at_condition, check_cells_path, load_model, read_cells
from rayot.cli._options import (
    FILES,
    PATH,
    condition_options,
    given,
    overwrite_option,
    reading_options,
)

TABLES = (".csv", ".parquet")
"""Endings of tables of scores, as rayot evaluate and rayot.benchmark.run write them."""

REPORT = "Report"


@click.command("report", cls=Command, short_help="Write a report of a map, or of scores.")
@click.argument("data", type=PATH)
@click.argument("model", required=False, type=PATH)
@click.option(
    "--key", panel=REPORT, help="Name of the fitted map that DATA hold, in the place of a model."
)
@click.option(
    "--method",
    panel=REPORT,
    help="Of scores: method that others are compared with, by default the first.",
)
@click.option(
    "--unit",
    multiple=True,
    panel=REPORT,
    help="Of scores: column of independent values, by default perturbation; may be repeated.",
)
@click.option("--title", panel=REPORT, help="Heading; made of the names if unset.")
@condition_options
@reading_options
@seed_option
@click.option("--out", type=PATH, required=True, panel=FILES, help="File, which ends in .html.")
@overwrite_option
@click.pass_obj
def command(
    output: Output,
    data: Path,
    model: Path | None,
    key: str | None,
    method: str | None,
    unit: tuple[str, ...],
    title: str | None,
    target: str | None,
    dose: float | None,
    time: float | None,
    times: tuple[float, float] | None,
    modality: str | None,
    backed: bool,
    seed: int,
    out: Path,
    overwrite: bool,
) -> None:
    """Write one HTML file about a fitted map, or about a table of scores.

    DATA are cells, with the map of the folder MODEL or one that they hold, or a table of scores
    (.csv, .parquet). The file needs no network and no other file.
    """
    if model is not None and key is not None:
        raise click.UsageError("name a model or --key, not both.")
    is_table = data.suffix in TABLES
    if not is_table:
        check_cells_path(data, backed)
    elif not data.exists():
        raise FileNotFoundError(f"There is no file {str(data)!r}.")
    elif model is not None:
        raise click.UsageError(f"a model is for cells; {str(data)!r} is a table of scores.")
    from rayot.reporting._page import check_path

    check_path(out, overwrite)
    import rayot as rt

    fitted: Any = key
    if model is not None:
        fitted = at_condition(load_model(model), target, dose, time, times)
    output.progress(f"reading {data}")
    subject: Any = _read_scores(data) if is_table else read_cells(data, backed)
    asked = given(method=method, unit=list(unit) or None, modality=modality, title=title)
    output.progress("writing the report")
    # A UMAP has a bar of its own.
    with redirect_stderr(io.StringIO()) if output.quiet else nullcontext():
        rt.report(subject, out, fitted, overwrite=overwrite, seed=seed, **asked)
    size = out.stat().st_size
    output.result(
        f"{size / 1e6:.1f} MB: {out}", n_bytes=size, paths={"data": str(data), "report": str(out)}
    )


def _read_scores(path: Path) -> Any:  # noqa: ANN401
    """A table of scores: one row a score, or one row a method.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    import pandas as pd

    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (ImportError, OSError, ValueError) as error:
        raise OSError(
            f"{str(path)!r} cannot be read as {path.suffix} ({' '.join(str(error).split())})."
        ) from error
    if "method" in table and "metric" not in table:
        return table.set_index("method")
    return table
