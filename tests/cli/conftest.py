"""Cells in files, and the command in this process."""

import json
from types import SimpleNamespace

import pytest
from simulated_cells import patients

import rayot as rt
from rayot.cli import main

QUICK = ["--max-steps", "20", "--n-folds", "1"]


@pytest.fixture(scope="session")
def cells(tmp_path_factory):
    """An h5ad of four patients, of whom P3 is all for testing."""
    adata = patients([1.0, 1.2, 0.8, 1.1])
    rt.pp.split(adata, holdout={"patient": ["P3"]})
    path = tmp_path_factory.mktemp("cells") / "cells.h5ad"
    adata.write_h5ad(path)
    return path


@pytest.fixture(scope="session")
def model(cells):
    """Folder of a quick map with strata."""
    folder = cells.with_name("model")
    arguments = [*FIT, "--strata", "patient", *QUICK, "--quiet"]
    assert main(["fit", str(cells), *arguments, "--out", str(folder)]) == 0
    return folder


FIT = ["--source", "control", "--target", "drug"]


@pytest.fixture
def rayot(capsys):
    """Runs the command; exit code, what it printed, and its JSON if it is some."""

    def run(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        result = json.loads(out) if "--json" in arguments and out else None
        return SimpleNamespace(code=code, out=out, err=err, json=result)

    return run
