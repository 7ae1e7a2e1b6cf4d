"""Fixtures that several rooms share."""

import os
from pathlib import Path

import matplotlib
import pytest

matplotlib.use("Agg")


@pytest.fixture(scope="session")
def upstream_dir():
    """The folder of original data files, or a skip where there is none."""
    named = os.environ.get("RAYOT_DATA_DIR")
    beside = Path(__file__).resolve().parents[2] / "shared" / "data" / "upstream"
    folder = Path(named) if named else beside
    if not (folder / "scgen_valid.h5ad").exists():
        pytest.skip("the original data files are not on this machine; set RAYOT_DATA_DIR")
    return folder


@pytest.fixture
def real_data(upstream_dir, monkeypatch):
    """Let the loaders read the original files without a download."""
    monkeypatch.setenv("RAYOT_DATA_DIR", str(upstream_dir))
    return upstream_dir
