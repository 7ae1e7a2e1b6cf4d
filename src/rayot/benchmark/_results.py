"""The folder of a grid, in which each finished cell is a file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from rayot._files import is_partial, locked, new_file, settle

DESCRIPTION = "grid.json"
CELLS = "cells"


@dataclass(frozen=True)
class Results:
    """Finished cells of a grid.

    Attributes
    ----------
    folder
        Where they are.
    """

    folder: Path

    @classmethod
    @contextmanager
    def opened(cls, folder: Path, description: Mapping[str, Any]) -> Iterator[Results]:
        """Work in a folder alone, which is new or holds results of the very same cells.

        Raises
        ------
        BlockingIOError
            If another process works there.
        ValueError
            If it holds results of other cells, or scored in another way.
        """
        (folder / CELLS).mkdir(parents=True, exist_ok=True)
        busy = f"Another process is at work in {folder}; wait for it, or name another folder."
        with locked(folder, busy):
            results = cls(folder)
            results._check(description)
            for path in (folder, folder / CELLS):
                for left in filter(is_partial, path.iterdir()):
                    # Of a process that was killed.
                    for file in left.iterdir():
                        file.unlink()
                    left.rmdir()
            yield results

    def _check(self, description: Mapping[str, Any]) -> None:
        path = self.folder / DESCRIPTION
        if not path.exists():
            self._write(path, description)
            return
        known = json.loads(path.read_text())
        wanted = json.loads(json.dumps(description))
        for name, value in wanted.items():
            # What was not there before, as a further space, is no other one.
            if known.get(name, value) != value:
                raise ValueError(
                    f"{self.folder} holds results of a grid with another {name} "
                    f"({known.get(name)!r}, now {value!r}); name another folder."
                )
        if wanted.keys() - known.keys():
            self._write(path, {**known, **wanted})

    def _write(self, path: Path, values: Mapping[str, Any]) -> None:
        with new_file(path.parent) as partial:
            partial.write_text(json.dumps(values, indent=1))
            settle(partial, path)

    def read(self, digest: str) -> dict[str, Any] | None:
        """A finished cell; None if it is not there."""
        path = self.folder / CELLS / f"{digest}.json"
        return json.loads(path.read_text()) if path.exists() else None

    def write(self, digest: str, record: Mapping[str, Any]) -> None:
        """Keep a finished cell; the file appears whole or not at all."""
        self._write(self.folder / CELLS / f"{digest}.json", record)

    def write_table(self, table: pd.DataFrame, kind: str) -> None:
        """The table of all cells, beside them."""
        path = self.folder / f"scores.{kind}"
        with new_file(self.folder) as partial:
            if kind == "csv":
                table.to_csv(partial, index=False)
            else:
                table.to_parquet(partial, index=False)
            settle(partial, path)


def table_of(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row a score."""
    rows = [
        {
            **{name: record["task"][name] for name in PLACES},
            "metric": metric,
            "value": float("nan") if value is None else value,
            "n_cells": record["n_cells"],
            "seconds": record["seconds"],
            "status": record["status"],
            "reason": record["reason"],
        }
        for record in records
        for metric, value in record["scores"].items()
    ]
    return pd.DataFrame(rows)


PLACES = ("perturbation", "method", "split", "space", "seed")
"""What names a cell of a grid."""
