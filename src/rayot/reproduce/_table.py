"""Published figures, and the table that puts ours beside them."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pandas as pd

COLUMNS = (
    "experiment",
    "data",
    "method",
    "metric",
    "paper",
    "ours",
    "difference",
    "seconds",
    "note",
)
"""Of the table of every experiment."""

QUICK = "a few steps, not the paper's settings"
"""Note of rows that show that a call works, and nothing else."""


def published(name: str) -> pd.DataFrame:
    """What the paper reports of an experiment; the file says where it stands there.

    Examples
    --------
    >>> published("figure4")["paper"].tolist()
    [2.5, 4.5]
    """
    path = files("rayot.reproduce").joinpath("published", f"{name}.csv")
    with path.open(encoding="utf-8") as file:
        return pd.read_csv(file, comment="#")


def beside_paper(experiment: str, found: pd.DataFrame, quick: bool) -> pd.DataFrame:
    """The table of an experiment.

    Parameters
    ----------
    experiment
        Its name.
    found
        Columns ``data``, ``method``, ``metric``, ``paper`` (NaN where nothing is published),
        ``ours``, ``seconds``, ``note``, and ``comparable``: whether both are of the same data.
    quick
        Whether fits have a few steps only, which each row then says.
    """
    comparable = found["comparable"].to_numpy(bool)
    difference = np.where(comparable, found["ours"] - found["paper"], np.nan)
    table = found.assign(experiment=experiment, difference=difference)
    if quick:
        table["note"] = [f"{QUICK}; {note}" if note else QUICK for note in table["note"]]
    table = table[list(COLUMNS)].reset_index(drop=True)
    return table.round({"paper": 5, "ours": 5, "difference": 5, "seconds": 1})


def runs(n: int) -> str:
    """How many runs a mean is of.

    Examples
    --------
    >>> runs(1), runs(5)
    ('1 run', 'mean of 5 runs')
    """
    return "1 run" if n == 1 else f"mean of {n} runs"
