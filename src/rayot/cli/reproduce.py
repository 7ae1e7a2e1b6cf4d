"""``rayot reproduce``: the experiments of the W1OT paper."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from inspect import signature
from pathlib import Path
from typing import Any

import rich_click as click

from rayot._arguments import LARGEST_SEED
from rayot.cli._command import Command, Output, WholeNumber
from rayot.cli._files import Folder
from rayot.cli._options import FILES, FIT, given

EXPERIMENTS = ("figure2", "figure3", "figure4", "supplement1", "supplement3")
WHAT = "Experiment"


class Listed(click.ParamType):
    """Values joined by commas."""

    name = "list"

    def __init__(self, of: click.ParamType) -> None:
        self.of = of

    def convert(
        self,
        value: object,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> list[Any]:
        """The values, or a usage error."""
        if isinstance(value, list):
            return value
        return [self.of.convert(each.strip(), param, ctx) for each in str(value).split(",")]


def numbers(name: str, help_text: str, least: int = 1) -> Callable[..., Any]:
    """An option that takes whole numbers joined by commas."""
    kind = Listed(WholeNumber(least, LARGEST_SEED))
    return click.option(f"--{name}", type=kind, panel=WHAT, metavar="N,N,…", help=help_text)


@click.command("reproduce", cls=Command, short_help="Run an experiment of the W1OT paper.")
@click.argument("experiment")
@click.option(
    "--out", type=Folder(), panel=FILES, help="Folder for results, by default reproduce/EXPERIMENT."
)
@click.option("--quick", is_flag=True, panel=FIT, help="A few steps, to see that it works.")
@numbers("seeds", "One run each; by default as many as in the paper.", least=0)
@click.option("--methods", type=Listed(click.STRING), panel=WHAT, help="Methods, by default all.")
@click.option(
    "--data",
    multiple=True,
    panel=WHAT,
    help="figure3: a data set, or CellOT's archive or file of it; may be repeated.",
)
@click.option(
    "--stand-ins", is_flag=True, panel=WHAT, help="figure3: cells that stand in for the paper's."
)
@click.option(
    "--panels", type=Listed(click.STRING), panel=WHAT, help="figure3: 3a, 3b, 3c (these three), 4b."
)
@numbers("dimensions", "figure4, supplement1: numbers of dimensions.")
@numbers("funnels", "supplement1: numbers of funnels.")
@numbers("groups", "supplement1: groups of the activation.")
@click.pass_obj
def command(
    output: Output,
    experiment: str,
    out: Path | None,
    quick: bool,
    data: tuple[str, ...],
    stand_ins: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Run an EXPERIMENT of the W1OT paper: figure2, figure3, figure4, supplement1, supplement3.

    Settings are the paper's. The table has the paper's figures beside ours; it is written to a
    folder, with figures. A call that was interrupted goes on where it is made again.
    """
    if experiment not in EXPERIMENTS:
        close = get_close_matches(experiment, EXPERIMENTS, n=1)
        hint = f"Did you mean {close[0]}?" if close else f"There are {', '.join(EXPERIMENTS)}."
        raise click.UsageError(f"there is no experiment {experiment!r}. {hint}")
    import rayot as rt

    if data and stand_ins:
        raise click.UsageError("--data says which cells, and so does --stand-ins; pass one.")
    if stand_ins:
        from rayot.reproduce._cell_sets import STAND_INS as data
    function = getattr(rt.reproduce, experiment)
    asked = given(**options, data=list(data) or None)
    takes = signature(function).parameters
    for name in asked:
        if name not in takes:
            raise click.UsageError(f"{experiment} takes no --{name}.")
    folder = out or Path("reproduce") / f"{experiment}{'_quick' * quick}"
    output.progress(f"{experiment}, to {folder}")
    table = function(folder, quick=quick, show_progress_bar=output.shows_bar, **asked)
    output.result(
        f"{table.to_string(index=False, na_rep='')}\n{folder}",
        experiment=experiment,
        quick=quick,
        table=table.to_dict("records"),
        paths={"table": str(folder / "table.csv"), "folder": str(folder)},
    )
