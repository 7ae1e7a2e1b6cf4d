"""``rayot datasets``: which data sets there are, and one of them as a file."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from rayot.cli._command import Command, Output
from rayot.cli._files import check_new_cells, write_cells
from rayot.cli._options import FILES, PATH, overwrite_option

NOT_OFFERED = ("available", "w1_benchmark")
"""Names of `rayot.datasets` that are no data set, or one that needs arguments."""


def names() -> list[str]:
    """Data sets that load without arguments."""
    from rayot import datasets

    return [name for name in dir(datasets) if name not in NOT_OFFERED]


@click.group("datasets", cls=click.RichGroup, short_help="List data sets, or write one to a file.")
def command() -> None:
    """List the data sets that rayot knows, or write one to a file."""


@command.command("list", cls=Command)
@click.pass_obj
def list_(output: Output) -> None:
    """List names, cells, genes and licences, and which data sets are at hand.

    Those that are not at hand are downloaded when they are used. Citations are in the output of
    --json.
    """
    import pandas as pd

    from rayot.datasets import available
    from rayot.datasets._download import is_at_hand
    from rayot.datasets._registry import registry

    known, entries = available(), registry()
    rows = []
    for name in names():
        real = name in known.index
        row = known.loc[name] if real else None
        rows.append(
            {
                "name": name,
                "cells": None if row is None or pd.isna(row["n_obs"]) else int(row["n_obs"]),
                "genes": None if row is None or pd.isna(row["n_vars"]) else int(row["n_vars"]),
                "at_hand": is_at_hand(entries[name]) if real else True,
                "licence": None if row is None else row["licence"],
                "citation": "simulated" if row is None else row["citation"],
            }
        )
    table = pd.DataFrame(rows).astype({"cells": "Int64", "genes": "Int64"}).fillna({"licence": ""})
    table["at_hand"] = table["at_hand"].map({True: "yes", False: "no", None: ""})
    shown = table.drop(columns="citation").rename(columns={"at_hand": "at hand"})
    output.result(shown.to_string(index=False, na_rep=""), datasets=rows)


@command.command("download", cls=Command)
@click.argument("name", type=click.STRING)
@click.option("--out", type=PATH, required=True, panel=FILES, help="File, .h5ad or .h5mu.")
@overwrite_option
@click.pass_obj
def download(output: Output, name: str, out: Path, overwrite: bool) -> None:
    """Write the data set NAME to a file; it is downloaded, or simulated, if it is not at hand."""
    from difflib import get_close_matches

    from rayot import datasets

    if name not in names():
        close = get_close_matches(name, names(), n=1)
        hint = f" Did you mean {close[0]}?" if close else " rayot datasets list says which."
        raise click.UsageError(f"there is no data set {name!r}.{hint}")
    check_new_cells(out, overwrite)
    output.progress(f"loading {name}")
    data = getattr(datasets, name)()
    write_cells(data, out)
    output.result(
        f"{name}, {data.n_obs} cells x {data.n_vars} features: {out}",
        name=name,
        n_cells=data.n_obs,
        n_features=data.n_vars,
        paths={"cells": str(out)},
    )
