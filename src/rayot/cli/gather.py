"""``rayot gather``: one screen of several, each of which fitted a part of the perturbations."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from rayot.cli._certificate import POOR_OF_MANY, certificate_of, exit_code, line_of
from rayot.cli._command import Command, Output
from rayot.cli._files import check_model_folder, load_model
from rayot.cli._options import PATH, model_option, overwrite_option


@click.command(
    "gather", cls=Command, short_help="Join screens of several jobs.", epilog=POOR_OF_MANY
)
@click.argument("screens", metavar="SCREEN...", nargs=-1, required=True, type=PATH)
@model_option("Folder that the whole screen is written to.")
@overwrite_option
@click.pass_obj
def command(output: Output, screens: tuple[Path, ...], out: Path, overwrite: bool) -> int:
    """Join the screens in the folders SCREEN, of rayot screen --perturbations-file, to one.

    They must be of the same cells and options. The order of the folders is that of the table.
    """
    from rayot.model import Screen

    check_model_folder(out, overwrite)
    parts = []
    for path in screens:
        output.progress(f"reading {path}")
        part = load_model(path)
        if not isinstance(part, Screen):
            raise ValueError(f"{str(path)!r} holds a {type(part).__name__} and no screen.")
        parts.append(part)
    screen = Screen.gather(parts)
    screen.save(out, overwrite=overwrite)
    described = certificate_of(screen)
    output.result(
        line_of(described),
        **described,
        paths={"parts": [str(path) for path in screens], "model": str(out)},
    )
    return exit_code(described)
