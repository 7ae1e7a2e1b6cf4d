"""Options that several commands have; each is named after the argument that it is passed as."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any

import rich_click as click

from rayot.cli._command import WholeNumber
from rayot.cli._files import PATH

CELLS, FIT, FILES = "Cells", "Fit", "Files"
"""Panels of the help."""

Function = Callable[..., Any]


class Setting(click.ParamType):
    """``name=value``, where the value is read as JSON if it is some, and as a text otherwise."""

    name = "name=value"

    def convert(
        self,
        value: object,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[str, Any]:
        """Name and value."""
        name, equals, text = str(value).partition("=")
        if not (equals and name.isidentifier()):
            self.fail(f"a setting is name=value, found {value!r}.", param, ctx)
        try:
            return name, json.loads(text)
        except ValueError:
            return name, text


def together(options: Iterable[Function]) -> Callable[[Function], Function]:
    """Several options as one decorator, in the order of the help."""
    return lambda function: reduce(lambda done, option: option(done), [*options][::-1], function)


cells_argument = click.argument("cells", type=PATH)
model_argument = click.argument("model", type=PATH)

reading_options = together(
    [
        click.option("--modality", panel=CELLS, help="Modality of an .h5mu."),
        click.option(
            "--backed",
            is_flag=True,
            panel=CELLS,
            help="Leave the expression on disk; for files larger than memory.",
        ),
    ]
)

cells_options = together(
    [
        click.option(
            "--groupby",
            panel=CELLS,
            help="Column of obs with the conditions, by default perturbation.",
        ),
        click.option(
            "--layer", panel=CELLS, help="Layer with log-normalised expression; X if unset."
        ),
        click.option("--use-rep", panel=CELLS, help="Entry of obsm to work in; genes if unset."),
        click.option(
            "--split-key",
            panel=CELLS,
            help='Column of obs with "train" and "test", by default split; all train without it.',
        ),
        click.option(
            "--strata",
            "strata_key",
            panel=CELLS,
            help="Column of obs: cells are matched within its groups (patient, batch, cell type).",
        ),
        click.option(
            "--strata-maps",
            "strata",
            type=click.Choice(["balanced", "separate"]),
            panel=CELLS,
            help="One map for all strata, or one for each.",
        ),
        click.option(
            "--small-strata",
            type=click.Choice(["drop", "raise"]),
            panel=CELLS,
            help="Leave strata with too few cells out, or end with an error.",
        ),
        click.option(
            "--weights", "weights_key", panel=CELLS, help="Column of obs with weights of cells."
        ),
        click.option(
            "--allow-counts",
            is_flag=True,
            default=None,
            panel=CELLS,
            help="Take expression that looks like raw counts as it is.",
        ),
        reading_options,
    ]
)

fit_options = together(
    [
        click.option(
            "--preset",
            type=click.Choice(["adversarial", "fast", "paper"]),
            panel=FIT,
            help="Settings to start from; the method's default if unset.",
        ),
        click.option(
            "--set",
            "plan_kwargs",
            type=Setting(),
            multiple=True,
            panel=FIT,
            help="A setting of the method that differs from the preset's; may be repeated.",
        ),
        click.option("--n-seeds", type=WholeNumber(), panel=FIT, help="Members of an ensemble."),
        click.option(
            "--max-steps",
            type=WholeNumber(),
            panel=FIT,
            help="Steps of each phase; the preset's if unset.",
        ),
        click.option(
            "--batch-size",
            type=WholeNumber(),
            panel=FIT,
            help="Cells of a side at each step; the preset's if unset.",
        ),
        click.option(
            "--validation-size",
            type=float,
            panel=FIT,
            help="Share of the training cells set apart to judge the fit, by default 0.1.",
        ),
        click.option(
            "--n-folds",
            type=WholeNumber(),
            panel=FIT,
            help="Folds that small groups are judged by, by default 5.",
        ),
        click.option(
            "--early-stopping",
            is_flag=True,
            default=None,
            panel=FIT,
            help="End a phase when its held-out value stops improving.",
        ),
        click.option(
            "--checkpoint-dir",
            type=PATH,
            panel=FIT,
            help="Folder of checkpoints, from which an interrupted fit continues.",
        ),
        click.option("--accelerator", panel=FIT, help="As Lightning calls it: auto, cpu, gpu."),
    ]
)

overwrite_option = click.option(
    "--overwrite", is_flag=True, panel=FILES, help="Replace what an earlier call wrote."
)


def model_option(help_text: str) -> Callable[[Function], Function]:
    """The option ``--out`` of commands that write a model."""
    return click.option("--out", type=PATH, required=True, panel=FILES, help=help_text)


condition_options = together(
    [
        click.option(
            "--target", help="Condition of a model of many: a perturbation, a combination A+B."
        ),
        click.option("--dose", type=float, help="Dose of a model that knows doses."),
        click.option("--time", type=float, help="Time between source and target, see --times."),
        click.option(
            "--times",
            type=(float, float),
            help="When source and target were measured, by default 0 and 1.",
        ),
    ]
)


def given(**options: Any) -> dict[str, Any]:  # noqa: ANN401
    """Options that were given, as keywords; the others keep the defaults of the Python API."""
    asked = {name: value for name, value in options.items() if value is not None}
    settings = asked.pop("plan_kwargs", ())
    return {**asked, **({"plan_kwargs": dict(settings)} if settings else {})}
