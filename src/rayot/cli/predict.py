"""``rayot predict``: cells by a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from rayot.cli._command import Command, Output
from rayot.cli._files import at_condition, check_cells_path, load_model, read_cells
from rayot.cli._options import (
    PATH,
    cells_argument,
    condition_options,
    given,
    model_argument,
    overwrite_option,
    reading_options,
)

PREDICTION = "Prediction"


@click.command("predict", cls=Command, short_help="Predict cells by a model, into a file.")
@model_argument
@cells_argument
@click.argument("write", metavar="OUT", type=PATH)
@condition_options
@click.option(
    "--key-added",
    "key",
    panel=PREDICTION,
    help="Name of what is written to obs and obsm; that of the method if unset.",
)
@click.option(
    "--missing-genes",
    type=click.Choice(["error", "zero", "mean"]),
    panel=PREDICTION,
    help="What is done where cells lack genes of the model, by default an error.",
)
@click.option(
    "--unseen",
    type=click.Choice(["stacked", "map"]),
    panel=PREDICTION,
    help="How strata are predicted that the fit has not seen: by experts, or by the map alone.",
)
@click.option(
    "--genes/--no-genes",
    "write_genes",
    default=None,
    panel=PREDICTION,
    help="Whether expression is predicted, or how far cells move alone.",
)
@reading_options
@overwrite_option
@click.pass_obj
def command(
    output: Output,
    model: Path,
    cells: Path,
    write: Path,
    target: str | None,
    dose: float | None,
    time: float | None,
    times: tuple[float, float] | None,
    backed: bool,
    overwrite: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Predict how every cell of CELLS responds, by the model in the folder MODEL.

    OUT is an .h5ad or .zarr, which is written block by block and appears once it is whole. Of a
    screen all perturbations are predicted where no --target names one.
    """
    check_cells_path(cells, backed)
    fitted = at_condition(load_model(model), target, dose, time, times)
    output.progress(f"reading {cells}")
    adata = read_cells(cells, backed)
    output.progress(f"predicting {adata.n_obs} cells")
    predicted = fitted.predict(adata, write=write, overwrite=overwrite, **given(**options))
    output.result(
        f"{predicted.n_obs} predicted cells x {predicted.n_vars} genes: {write}",
        n_cells=predicted.n_obs,
        n_genes=predicted.n_vars,
        paths={"model": str(model), "cells": str(cells), "predictions": str(write)},
    )
