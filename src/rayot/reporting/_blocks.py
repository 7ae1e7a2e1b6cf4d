"""What a report is made of: sections of texts, lists, facts, tables and figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Text:
    """A paragraph.

    Attributes
    ----------
    text
        Its words.
    """

    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True)
class Items:
    """A list of sentences.

    Attributes
    ----------
    sentences
        What it lists.
    """

    kind: ClassVar[str] = "items"
    sentences: Sequence[str]


@dataclass(frozen=True)
class Facts:
    """Names with their values.

    Attributes
    ----------
    facts
        From name to value.
    """

    kind: ClassVar[str] = "facts"
    facts: Mapping[str, str]


@dataclass(frozen=True)
class Verdict:
    """A certificate and what it means.

    Attributes
    ----------
    word
        The certificate.
    reason
        The sentence behind it.
    meaning
        What the word says.
    """

    kind: ClassVar[str] = "verdict"
    word: str
    reason: str
    meaning: str


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes
    ----------
    caption
        What it shows.
    header
        Names of the columns.
    rows
        Cells as text; the first ``n_names`` of a row name it.
    n_names
        Columns of names.
    numbers
        Whether the other columns are numbers.
    """

    kind: ClassVar[str] = "table"
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    n_names: int = 1
    numbers: bool = True

    @classmethod
    def of(cls, table: pd.DataFrame, caption: str, *, numbers: bool = True) -> Table:
        """A table as it is; rows are named by its index."""
        names = [str(name).replace("_", " ") for name in table.index.names if name is not None]
        header = [*(names or [""]), *(str(name).replace("_", " ") for name in table.columns)]
        index = [name if isinstance(name, tuple) else (name,) for name in table.index]
        values = zip(*(table[name].tolist() for name in table.columns), strict=True)
        rows = [
            [*map(str, name), *map(shown, row)] for name, row in zip(index, values, strict=True)
        ]
        return cls(caption, header, rows, table.index.nlevels, numbers)


@dataclass(frozen=True)
class Image:
    """A picture.

    Attributes
    ----------
    png
        The file, in base64.
    width
        In CSS pixels.
    alt
        What is seen, in words.
    """

    png: str
    width: int
    alt: str


@dataclass(frozen=True)
class Figure:
    """Pictures that belong together.

    Attributes
    ----------
    images
        The pictures, which stand side by side where there is room.
    caption
        How to read them.
    """

    kind: ClassVar[str] = "figure"
    images: Sequence[Image]
    caption: str


Block: TypeAlias = Text | Items | Facts | Verdict | Table | Figure


@dataclass(frozen=True)
class Section:
    """A section of a report.

    Attributes
    ----------
    name
        Its anchor.
    title
        Its heading.
    blocks
        What is in it.
    """

    name: str
    title: str
    blocks: Sequence[Block]


def shown(value: object) -> str:
    """A value as a reader wants it: numbers to three digits, a dash for what is missing."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    if isinstance(value, float | np.floating):
        return _number(float(value))
    if value is None:
        return "none"
    if isinstance(value, np.ndarray | list | tuple):
        return ", ".join(shown(each) for each in np.asarray(value).tolist())
    return str(value)


def _number(value: float) -> str:
    if not np.isfinite(value):
        return "—"
    if value and (abs(value) < 1e-3 or abs(value) >= 1e5):
        return f"{value:.1e}".replace("-", "−")
    text = f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return text.replace("-", "−")


def or_sentence(make: Callable[[], list[Block]]) -> list[Block]:
    """Blocks, or the sentence that says why there are none.

    Functions of rayot say by these errors, in a sentence, what a map or a table lacks.
    """
    try:
        return make()
    except (KeyError, ValueError) as error:
        reason = str(error.args[0]) if error.args else type(error).__name__
        return [Text(f"This cannot be shown: {reason}")]
