"""``rayot screen``: maps from one control to every perturbation, or to a part of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from rayot.cli._certificate import POOR_OF_MANY, certificate_of, exit_code, line_of
from rayot.cli._command import Command, Output, WholeNumber, seed_option
from rayot.cli._files import check_cells_path, check_model_folder, read_cells
from rayot.cli._options import (
    CELLS,
    FIT,
    PATH,
    cells_argument,
    cells_options,
    fit_options,
    given,
    model_option,
    overwrite_option,
)
from rayot.model.methods import METHODS

JOBS = "Jobs"


@click.command(
    "screen", cls=Command, short_help="Fit all perturbations of a screen.", epilog=POOR_OF_MANY
)
@cells_argument
@click.option(
    "--source",
    "control",
    required=True,
    panel=CELLS,
    help="Condition that cells start from, the control.",
)
@click.option(
    "--min-cells",
    type=WholeNumber(20),
    panel=CELLS,
    help="Training cells that a perturbation needs, by default 20.",
)
@cells_options
@click.option(
    "--method",
    type=click.Choice(list(METHODS)),
    default="w1ot",
    metavar="NAME",
    panel=FIT,
    help="Method, by default w1ot.",
)
@fit_options
@click.option(
    "--fdr",
    type=float,
    panel=FIT,
    help="False discovery rate; what does not pass it is not fitted. By default 0.05.",
)
@seed_option
@click.option(
    "--perturbations-file",
    type=PATH,
    panel=JOBS,
    help="File that names the perturbations of this job, one a line; rayot gather joins the jobs.",
)
@click.option(
    "--n-jobs", type=WholeNumber(), panel=JOBS, help="Processes of this job, by default one."
)
@click.option(
    "--max-memory", type=float, panel=JOBS, help="GB of the maps fitted at once, by default 1."
)
@model_option("Folder that the screen is written to.")
@overwrite_option
@click.pass_obj
def command(
    output: Output,
    cells: Path,
    control: str,
    perturbations_file: Path | None,
    backed: bool,
    out: Path,
    overwrite: bool,
    **options: Any,  # noqa: ANN401
) -> int:
    """Fit maps from one control to every perturbation of CELLS (.h5ad, .zarr, .h5mu).

    All perturbations are tested, whichever of them this job fits, so that q-values are those of
    the whole screen. Options that are not given are as in rayot.tl.screen.
    """
    check_cells_path(cells, backed)
    part = None if perturbations_file is None else _names(perturbations_file)
    import rayot as rt

    asked = given(**options)
    check_model_folder(out, overwrite)
    output.progress(f"reading {cells}")
    adata = read_cells(cells, backed)
    output.progress(f"fitting {'all' if part is None else len(part)} perturbations")
    screen = rt.tl.screen(adata, control, part=part, show_progress_bar=output.shows_bar, **asked)
    screen.save(out, overwrite=overwrite)
    described = certificate_of(screen)
    output.result(
        line_of(described),
        **described,
        source=control,
        paths={"cells": str(cells), "model": str(out)},
    )
    return exit_code(described)


def _names(path: Path) -> list[str]:
    """Names in a file, one a line."""
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except UnicodeDecodeError:
        raise ValueError(f"{str(path)!r} is no text; name one perturbation a line.") from None
    names = list(filter(None, names))
    if not names:
        raise ValueError(f"{str(path)!r} names no perturbation.")
    return names
