"""The command ``rayot``. Each file here without an underscore in front is a command of its name."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from pkgutil import iter_modules

import rich_click as click
from click.exceptions import Exit

from rayot import __version__
from rayot.cli._command import INTERRUPTED, Failed


class Commands(click.RichGroup):
    """The commands that lie in files beside this one, each as ``command``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names."""
        return sorted(name for _, name, _ in iter_modules(__path__) if not name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, None if there is none."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = import_module(f"rayot.cli.{cmd_name}").command
        return command


@click.command("rayot", cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="rayot %(version)s")
def rayot() -> None:
    """Predict how single cells respond to a perturbation, by neural optimal transport.

    Results go to stdout, progress and errors to stderr. Exit codes: 0 success, 1 error, 2 wrong
    usage, 3 a fit whose certificate is "poor" (its model is written), 130 interrupted.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    try:
        with rayot.make_context(
            "rayot", list(sys.argv[1:] if arguments is None else arguments)
        ) as ctx:
            return rayot.invoke(ctx) or 0
    except Exit as end:
        return end.exit_code
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx is not None else "rayot"
        click.echo(f"{path}: {error.format_message()} See {path} --help.", err=True)
        return error.exit_code
    except Failed as error:
        click.echo(f"{error.path}: {error.message}", err=True)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("rayot: interrupted; nothing that was not finished is left.", err=True)
        return INTERRUPTED
