"""The example for Snakemake, run as it is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import anndata as ad
import pandas as pd
import pytest

import rayot as rt

SNAKEFILE = Path(__file__).parents[2] / "tutorials" / "snakemake" / "Snakefile"


def snakemake(folder, *arguments):
    """Run the workflow in a folder, with the `rayot` of this environment."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(SNAKEFILE), "--cores", "1"]
    return subprocess.run(
        [*command, *arguments],
        cwd=folder,
        env={**os.environ, "PATH": path, "HOME": str(folder)},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def folder(tmp_path):
    rt.datasets.moons(n_samples=200).write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path


def test_the_workflow_knows_what_it_has_to_run(folder):
    done = snakemake(folder, "--dry-run", "--quiet", "rules")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_workflow_leads_from_cells_to_a_table_of_two_methods(folder):
    done = snakemake(folder, "--config", "options=--max-steps 10 --n-folds 1")
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(folder / "scores.csv", index_col=0)
    assert list(table.index) == ["w1ot", "mean_shift", "identity", "mean shift", "observed"]
    assert table[["l2", "mmd"]].notna().all().all()
    for method in table.index[:2]:
        assert ad.read_h5ad(folder / "predicted" / f"{method}.h5ad").n_obs == 400
        described = json.loads((folder / "certificates" / f"{method}.json").read_text())
        assert described["method"] == method
