"""A method in an environment of its own: files in, a file out."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anndata as ad

if TYPE_CHECKING:
    from anndata import AnnData

    from rayot.benchmark._task import Task

FOLDER = "{folder}"
N_LINES = 20
"""Last lines of what a command said that are quoted where it fails."""


@dataclass(frozen=True)
class Command:
    """A program that fits and predicts, written in whatever language and environment.

    For each cell of the grid it is started once, with a folder that holds ``training.h5ad``, the
    training cells; ``source.h5ad``, control cells to predict; and ``task.json``, with the fields of
    :class:`Task`. It writes ``predicted.h5ad`` there: the cells of ``source.h5ad``, by their names,
    with predicted expression as ``X``.

    Parameters
    ----------
    arguments
        The program and its arguments; ``"{folder}"`` among them becomes the path of the folder.
    timeout
        Seconds after which it is stopped; None waits.

    Examples
    --------
    >>> import rayot as rt
    >>> rt.benchmark.Command(["Rscript", "predict.R", "{folder}"], timeout=3600)
    Command(arguments=['Rscript', 'predict.R', '{folder}'], timeout=3600)
    """

    arguments: Sequence[str]
    timeout: float | None = None

    def fit(self, training: AnnData, task: Task) -> AnnData:
        """Nothing yet: the program does all at once."""
        return training

    def predict(self, training: AnnData, cells: AnnData, task: Task) -> AnnData:
        """Start the program, and read what it wrote.

        Raises
        ------
        RuntimeError
            If it fails, or writes nothing; quotes the last lines of what it said.
        subprocess.TimeoutExpired
            If it takes too long.
        """
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            training.write_h5ad(folder / "training.h5ad")
            cells.write_h5ad(folder / "source.h5ad")
            (folder / "task.json").write_text(json.dumps(task.to_json()))
            done = subprocess.run(
                [argument.replace(FOLDER, str(folder)) for argument in self.arguments],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=self.timeout,
                check=False,
            )
            written = folder / "predicted.h5ad"
            if done.returncode != 0 or not written.exists():
                said = "\n".join((done.stderr or done.stdout).splitlines()[-N_LINES:])
                what = "wrote no predicted.h5ad" if done.returncode == 0 else "failed"
                raise RuntimeError(
                    f"{self.arguments[0]} {what} (exit status {done.returncode}): {said}"
                )
            return ad.read_h5ad(written)
