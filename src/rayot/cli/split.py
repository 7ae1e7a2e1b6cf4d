"""``rayot split``: cells with a column of train and test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from rayot.cli._command import Command, Output, seed_option
from rayot.cli._files import check_cells_path, check_new_cells, read_cells, write_cells
from rayot.cli._options import CELLS, PATH, cells_argument, given, overwrite_option


@click.command("split", cls=Command, short_help="Set cells apart for testing.")
@cells_argument
@click.argument("out", type=PATH)
@click.option(
    "--groupby", panel=CELLS, help="Column of obs with the conditions, by default perturbation."
)
@click.option(
    "--stratify", panel=CELLS, help="Column of obs whose groups keep their share in both parts."
)
@click.option(
    "--holdout",
    multiple=True,
    metavar="COLUMN=GROUP",
    panel=CELLS,
    help="Group that is all for testing, such as patient=P4; may be repeated.",
)
@click.option(
    "--control",
    panel=CELLS,
    help="Condition whose cells stay in training though their group is held out.",
)
@click.option(
    "--test-size", type=float, panel=CELLS, help="Share of cells for testing, by default 0.2."
)
@click.option("--split-rest", is_flag=True, panel=CELLS, help="Split what is not held out, too.")
@click.option("--key-added", panel=CELLS, help="Column that is written, by default split.")
@click.option("--modality", panel=CELLS, help="Modality of an .h5mu.")
@seed_option
@overwrite_option
@click.pass_obj
def command(
    output: Output,
    cells: Path,
    out: Path,
    holdout: tuple[str, ...],
    key_added: str | None,
    modality: str | None,
    overwrite: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Write the cells of CELLS to OUT (.h5ad or .h5mu), with a column of "train" and "test"."""
    groups: dict[str | tuple[str, ...], list[str]] = {}
    for text in holdout:
        column, equals, group = text.partition("=")
        if not (column and equals and group):
            raise click.UsageError(f"--holdout is COLUMN=GROUP, found {text!r}.")
        groups.setdefault(column, []).append(group)
    check_cells_path(cells)
    check_new_cells(out, overwrite)
    import rayot as rt

    key = "split" if key_added is None else key_added
    output.progress(f"reading {cells}")
    data = read_cells(cells)
    rt.pp.split(data, holdout=groups or None, key_added=key, modality=modality, **given(**options))
    write_cells(data, out)
    of_modality = data if modality is None else data.mod[modality]
    counts = of_modality.obs[key].value_counts()
    output.result(
        f"{counts['train']} cells for training, {counts['test']} for testing: {out}",
        n_train=counts["train"],
        n_test=counts["test"],
        paths={"cells": str(out)},
    )
