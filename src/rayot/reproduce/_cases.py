"""Cases that are measured one by one, each kept once it is done."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from tqdm.auto import tqdm

from rayot._arguments import LARGEST_SEED, refused, whole_number
from rayot._files import new_file, settle
from rayot.benchmark._results import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEW_STEPS = 20
"""Of each phase of a fit that is quick."""


def measured(
    folder: Path,
    description: Mapping[str, Any],
    cases: Iterable[Mapping[str, Any]],
    measure: Callable[..., Mapping[str, Any]],
    show_progress_bar: bool,
) -> pd.DataFrame:
    """One row a case: what names it, and what was measured, now or by an earlier call.

    Parameters
    ----------
    folder
        Of the results; each case has a file in it.
    description
        What must agree for results to stand in one folder.
    cases
        Arguments of ``measure``.
    measure
        Returns plain values.
    show_progress_bar
        Show how far it is.

    Raises
    ------
    BlockingIOError
        If another process works in the folder.
    OSError
        If nothing can be written to it.
    ValueError
        If it holds results of something else.
    """
    rows = []
    with Results.opened(folder, description) as results:
        for case in tqdm(list(cases), desc=folder.name, disable=not show_progress_bar):
            digest = sha256(json.dumps(case, sort_keys=True).encode()).hexdigest()[:16]
            row = results.read(digest)
            if row is None:
                row = {**case, **measure(**case)}
                results.write(digest, row)
            rows.append(row)
    return pd.DataFrame(rows)


def whole_numbers(
    name: str, value: object, least: int = 1, most: float = LARGEST_SEED
) -> list[int]:
    """Several whole numbers, at least one, each once.

    Raises
    ------
    ValueError
        If they are something else.
    """
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise refused(name, "several whole numbers", value)
    found = [whole_number(name, each, least, most) for each in value]
    if not found:
        raise refused(name, "at least one whole number", value)
    return list(dict.fromkeys(found))


def names_of(name: str, value: object, known: Sequence[str]) -> list[str]:
    """Some of the known names, at least one, each once.

    Raises
    ------
    ValueError
        If they are something else.
    """
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise refused(name, "several names", value)
    found = list(dict.fromkeys(value))
    for each in found:
        if each not in known:
            raise refused(name, f"some of {', '.join(known)}", each)
    if not found:
        raise refused(name, "at least one name", value)
    return found


seeds_of = partial(whole_numbers, least=0)
"""What ``seeds`` may be."""


def write(folder: Path, table: pd.DataFrame, figures: Mapping[str, Figure]) -> None:
    """The table as ``table.csv``, and figures as ``.png``, each whole or not at all."""
    with new_file(folder) as partial:
        table.to_csv(partial, index=False)
        settle(partial, folder / "table.csv")
    for name, figure in figures.items():
        with new_file(folder) as partial:
            figure.savefig(partial, format="png", dpi=150)
            settle(partial, folder / f"{name}.png")
