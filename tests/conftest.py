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


@pytest.fixture
def cells():
    """Simulated control and treated cells, sparse, with principal components and a split."""
    import scanpy as sc

    import rayot as rt

    data = rt.datasets.simulated(n_cells=120, n_genes=30, seed=0)
    sc.pp.pca(data, n_comps=5)
    rt.pp.split(data)
    return data


@pytest.fixture
def quick(quick_conditional):
    """Arguments that make a fit take a second, or less."""
    return quick_conditional | {"n_folds": 1}


@pytest.fixture
def quick_conditional():
    """The same for models of many conditions, which have no folds."""
    return {"preset": "fast", "max_steps": 20, "batch_size": 32, "show_progress_bar": False}
