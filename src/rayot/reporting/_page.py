"""The page of a report, and its file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

import rayot
from rayot._files import new_file, settle
from rayot.reporting._blocks import Section

TEMPLATE = "report.html"
ENDINGS = (".html", ".htm")


def check_path(path: str | Path, overwrite: bool) -> Path:
    """The path of a new file.

    Raises
    ------
    ValueError
        If it does not end in .html.
    FileNotFoundError, FileExistsError, IsADirectoryError
        If there is no such folder, or the name is taken.
    """
    path = Path(path)
    if path.suffix.lower() not in ENDINGS:
        raise ValueError(f"A report is a file that ends in .html, found {str(path)!r}.")
    if path.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder; name a file.")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{str(path)!r} exists; pass overwrite=True to replace it.")
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"There is no folder {str(path.parent)!r} to write a report to.")
    return path


def write_page(path: Path, title: str, sections: Sequence[Section]) -> None:
    """Write a report, whole or not at all.

    Parameters
    ----------
    path
        Of the file.
    title
        Heading of the page.
    sections
        What it says. All of it is text: nothing in it is taken as HTML.
    """
    environment = Environment(
        loader=PackageLoader("rayot.reporting", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(TEMPLATE).render(
        title=title,
        sections=sections,
        version=rayot.__version__,
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )
    with new_file(path.absolute().parent) as partial:
        # Half of a pair of surrogates in a name is no text.
        partial.write_text(page, encoding="utf-8", errors="replace")
        settle(partial, path)
