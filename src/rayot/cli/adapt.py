"""``rayot adapt``: a model for a group of cells that its fit has not seen."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from rayot.cli._certificate import certificate_of, line_of
from rayot.cli._command import Command, Output
from rayot.cli._files import (
    at_condition,
    check_cells_path,
    check_model_folder,
    load_model,
    read_cells,
)
from rayot.cli._options import (
    CELLS,
    cells_argument,
    condition_options,
    model_argument,
    model_option,
    overwrite_option,
    reading_options,
)


@click.command(
    "adapt", cls=Command, short_help="Adapt a model to a new patient, batch or cell type."
)
@model_argument
@cells_argument
@click.option("--stratum", required=True, panel=CELLS, help="Name of the new stratum.")
@condition_options
@reading_options
@model_option("Folder that the adapted model is written to.")
@overwrite_option
@click.pass_obj
def command(
    output: Output,
    model: Path,
    cells: Path,
    stratum: str,
    target: str | None,
    dose: float | None,
    time: float | None,
    times: tuple[float, float] | None,
    modality: str | None,
    backed: bool,
    out: Path,
    overwrite: bool,
) -> None:
    """Adapt the model in the folder MODEL by the treated and control cells of a stratum in CELLS.

    The model was fitted with --strata. All cells of the stratum are taken, whatever a split says.
    """
    check_cells_path(cells, backed)
    check_model_folder(out, overwrite)
    fitted = at_condition(load_model(model), target, dose, time, times)
    if not hasattr(fitted, "adapt"):
        raise ValueError(f"{str(model)!r} is of many conditions; name one by --target.")
    output.progress(f"reading {cells}")
    adapted = fitted.adapt(read_cells(cells, backed), stratum, modality=modality)
    adapted.save(out, overwrite=overwrite)
    of_stratum = adapted.adaptations[stratum]
    described = certificate_of(adapted)
    output.result(
        f"adapted to {stratum} by {of_stratum.n_cells} treated cells, which count "
        f"{of_stratum.share:.0%}\nthe fit: {line_of(described)}",
        **described,
        stratum=stratum,
        n_cells=of_stratum.n_cells,
        share=of_stratum.share,
        paths={"cells": str(cells), "model": str(out)},
    )
