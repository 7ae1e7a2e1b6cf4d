"""``rayot fit``: a map from one condition to another."""

from __future__ import annotations

from inspect import signature
from pathlib import Path
from typing import Any

import rich_click as click

from rayot.cli._certificate import POOR_HELP, certificate_of, exit_code, line_of
from rayot.cli._command import Command, Output, seed_option
from rayot.cli._files import check_cells_path, check_model_folder, read_cells
from rayot.cli._options import (
    CELLS,
    FIT,
    cells_argument,
    cells_options,
    fit_options,
    given,
    model_option,
    overwrite_option,
)
from rayot.model.methods import METHODS

CONDITIONAL = "conditional_w1ot"
"""The method of all conditions, which needs no target."""

KEY = "rayot_fit"
"""Of what a verb writes to the cells in memory, which are not kept."""


@click.command("fit", cls=Command, short_help="Fit a map and write its model.", epilog=POOR_HELP)
@cells_argument
@click.option(
    "--source",
    "source_key",
    required=True,
    panel=CELLS,
    help="Condition that cells start from, usually the control.",
)
@click.option(
    "--target",
    "target_key",
    panel=CELLS,
    help=f"Condition whose response is learned; {CONDITIONAL} learns all.",
)
@click.option(
    "--covariate",
    "covariate_keys",
    multiple=True,
    panel=CELLS,
    help="Column of obs that a model of all conditions knows of each cell; may be repeated.",
)
@click.option(
    "--dose", "dose_key", panel=CELLS, help="Column of obs with doses, of methods that know them."
)
@click.option(
    "--embedding",
    "embedding_key",
    panel=CELLS,
    help=f"Entry of uns with vectors of perturbations, of {CONDITIONAL}.",
)
@cells_options
@click.option(
    "--method",
    type=click.Choice([*METHODS, CONDITIONAL]),
    default="w1ot",
    panel=FIT,
    help="Method, by default w1ot.",
    metavar="NAME",
)
@fit_options
@seed_option
@model_option("Folder that the model is written to.")
@overwrite_option
@click.pass_obj
def command(
    output: Output,
    cells: Path,
    method: str,
    source_key: str,
    target_key: str | None,
    backed: bool,
    out: Path,
    overwrite: bool,
    covariate_keys: tuple[str, ...],
    **options: Any,  # noqa: ANN401
) -> int:
    """Fit a map from one condition to another on the training cells of CELLS (.h5ad, .zarr, .h5mu).

    Options that are not given are as in rayot.tl.w1ot, or the verb of the method.
    """
    check_cells_path(cells, backed)
    if target_key is None and method != CONDITIONAL:
        raise click.UsageError(f"--target is missing, which {method} needs.")
    import rayot as rt

    verb = getattr(rt.tl, method)
    asked = given(covariate_keys=list(covariate_keys) or None, **options)
    _check_options(method, set(asked))
    check_model_folder(out, overwrite)
    _check_settings(method, asked)
    output.progress(f"reading {cells}")
    adata = read_cells(cells, backed)
    output.progress(f"fitting {method} from {source_key!r} to {target_key or 'all conditions'!r}")
    model = verb(
        adata,
        source_key,
        target_key,
        show_progress_bar=output.shows_bar,
        write_genes=False,
        key_added=KEY,
        **asked,
    )
    model.save(out, overwrite=overwrite)
    described = certificate_of(model)
    output.progress(f"written to {out}")
    output.result(
        line_of(described),
        **described,
        method=method,
        source=source_key,
        target=target_key,
        paths={"cells": str(cells), "model": str(out)},
    )
    return exit_code(described)


def _check_options(method: str, names: set[str]) -> None:
    """Raise a usage error if a method does not take an option."""
    import rayot as rt

    options = {parameter.name: parameter.opts[0] for parameter in command.params}
    for name in sorted(names - set(signature(getattr(rt.tl, method)).parameters)):
        others = [
            other
            for other in (*METHODS, CONDITIONAL)
            if name in signature(getattr(rt.tl, other)).parameters
        ]
        raise click.UsageError(f"{method} takes no {options[name]}; {', '.join(others)} do.")


def _check_settings(method: str, asked: dict[str, Any]) -> None:
    """Raise a ValueError if settings are out of range, before cells are read."""
    from rayot.model.methods import class_of
    from rayot.train import TrainingKeywords, TrainingOptions

    if method != CONDITIONAL:
        kind = class_of(method)
        preset = asked.get("preset", kind.default_preset)
        kind.stack_type.settings_type.from_preset(preset, **asked.get("plan_kwargs", {}))
    known = TrainingKeywords.__annotations__
    TrainingOptions.of(**{name: value for name, value in asked.items() if name in known})
