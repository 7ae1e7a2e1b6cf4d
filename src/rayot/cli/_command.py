"""What every command shares: options of its output, one result, and errors in one line."""

from __future__ import annotations

import json
import logging
import math
import os
import platform
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, TextIO

import rich_click as click

from rayot import __version__
from rayot._arguments import LARGEST_SEED, whole_number

POOR = 3
"""Exit code of a fit whose certificate is "poor"."""

INTERRUPTED = 130

VERSIONS = ("anndata", "numpy", "scanpy", "torch")
"""Packages whose versions a result names, beside rayot and Python."""

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Environment variables that torch, BLAS and numba look at when they are imported."""

OUTPUT = "Output"
"""Panel of the help with the options of :data:`SHARED`."""


class WholeNumber(click.ParamType):
    """A whole number within bounds."""

    name = "number"

    def __init__(self, least: int = 1, most: float = math.inf) -> None:
        self.least, self.most = least, most

    def convert(
        self,
        value: object,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> int:
        """The number, or a usage error that says what is wrong with it."""
        text = str(value)
        read = int(text) if text.lstrip("-").isdecimal() else value
        name = (param.name if param is not None else None) or "value"
        try:
            return whole_number(name, read, self.least, self.most)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def seed_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """The option ``--seed``."""
    return click.option(
        "--seed",
        type=WholeNumber(0, LARGEST_SEED),
        default=0,
        help="Keys every draw, by default 0.",
    )(function)


SHARED: tuple[click.RichOption, ...] = (
    click.RichOption(
        ["--json", "as_json"],
        is_flag=True,
        panel=OUTPUT,
        help="Print one JSON object, and nothing else, to stdout.",
    ),
    click.RichOption(
        ["--quiet"], is_flag=True, panel=OUTPUT, help="Print errors, and --json, alone."
    ),
    click.RichOption(
        ["--threads"],
        type=WholeNumber(),
        panel=OUTPUT,
        help="Threads of torch and BLAS; by default as many as there are cores.",
    ),
)
"""Options of every command whose result is an :class:`Output`."""


@dataclass
class Output:
    """Results go to stdout, as text or JSON; how far the command is, to stderr.

    Attributes
    ----------
    command
        Name of the command.
    as_json, quiet
        As asked for.
    stdout
        Where results go. What libraries print goes to stderr.
    """

    command: str
    as_json: bool
    quiet: bool
    stdout: TextIO
    start: float = field(default_factory=time.perf_counter)

    @property
    def shows_bar(self) -> bool:
        """Whether a progress bar has a terminal to move on."""
        return not self.quiet and sys.stderr.isatty()

    def progress(self, line: str) -> None:
        """Say in a line what is done now."""
        if not self.quiet:
            click.echo(f"rayot {self.command}: {line}", err=True)

    def result(self, text: str, **values: Any) -> None:  # noqa: ANN401
        """Print what came of it: the text, or everything as one JSON object.

        Parameters
        ----------
        text
            For people.
        **values
            For programs: strings, numbers, lists and dictionaries; what is not finite becomes null.
        """
        if self.as_json:
            described = {
                "command": self.command,
                "versions": _versions(),
                "seconds": round(time.perf_counter() - self.start, 3),
                **values,
            }
            click.echo(json.dumps(_plain(described), indent=1), file=self.stdout)
        elif not self.quiet:
            click.echo(text, file=self.stdout)


class Failed(click.ClickException):
    """What a user can put right, of the command of this name."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path


class ErrorsInOneLine(click.RichCommand):
    """A command that says in one line, by the names of its options, what a user can put right."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401
        """Run it, see :meth:`click.Command.invoke`."""
        try:
            return super().invoke(ctx)
        except (KeyError, OSError, ValueError, ModuleNotFoundError) as error:
            # The text of a KeyError is in quotes, and an OSError has its number before its text.
            text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
            raise Failed(ctx.command_path, in_options(text, self.params)) from error


class Command(ErrorsInOneLine):
    """A command with an :class:`Output`, which is ``context.obj``, and the options of it."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Its own options and those that all share."""
        *own, help_option = super().get_params(ctx)
        return [*own, *SHARED, help_option]

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401
        """Run it, see :meth:`click.Command.invoke`."""
        as_json, quiet, threads = (ctx.params.pop(name) for name in ("as_json", "quiet", "threads"))
        if threads is not None:
            # Nothing that computes is imported yet, and processes that are started inherit it.
            os.environ.update(dict.fromkeys(THREADS, str(threads)))
        name = ctx.command_path.split(maxsplit=1)[-1]
        ctx.obj = Output(name, as_json, quiet, sys.stdout)
        with redirect_stdout(sys.stderr), _warnings_in_lines(ctx.obj, self.params):
            return super().invoke(ctx)


@contextmanager
def _warnings_in_lines(output: Output, parameters: Iterable[click.Parameter]) -> Iterator[None]:
    """Show each warning as a line, those for programmers not at all, and none if quiet."""
    parameters = list(parameters)

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, UserWarning):
            output.progress(f"warning: {in_options(' '.join(str(message).split()), parameters)}")

    logger = logging.getLogger("rayot")
    level = logger.level
    if output.quiet:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = show
            yield
    finally:
        logger.setLevel(level)


def in_options(text: str, parameters: Iterable[click.Parameter]) -> str:
    """A message of the Python API, with options in the place of arguments.

    Parameters
    ----------
    text
        The message.
    parameters
        Of the command; an option has the name of the argument that it is passed as.

    Examples
    --------
    >>> from rayot.cli.fit import command
    >>> in_options("strata='separate' needs strata_key; pass overwrite=True.", command.params)
    '--strata-maps separate needs --strata; pass --overwrite.'
    """
    for parameter in parameters:
        option, name = parameter.opts[0], parameter.name
        if not option.startswith("--") or name is None:
            continue
        text = re.sub(rf"\b{name}=True\b", option, text)
        text = re.sub(rf"\b{name}=(['\"])(.*?)\1", rf"{option} \2", text)
        text = re.sub(rf"\b{name}=(?=[\w.])", f"{option} ", text)
        # A name of one word is a word of the sentence too, unless it begins it.
        bare = rf"(?<![\w.-])\b{name}\b" if "_" in name else rf"^{name}\b(?= must)"
        text = re.sub(bare, option, text)
    return text


def _versions() -> dict[str, str]:
    others = {name: version(name) for name in VERSIONS}
    return {"rayot": __version__, "python": platform.python_version(), **others}


def _plain(value: Any) -> Any:  # noqa: ANN401
    """A value as JSON has it."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | bool | int) else str(value)
