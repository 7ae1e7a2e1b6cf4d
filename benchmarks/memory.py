"""Cells larger than memory, from disk to disk: python benchmarks/memory.py FOLDER.

Simulated log-normalised cells, sparse, a tenth of the values stored, are written to FOLDER once, as
.h5ad and as .zarr. Each way to read them then has a process of its own, which opens the file, fits
in genes, predicts all cells into a file without genes, and 100,000 of them with genes, and
evaluates the model. ``preset="fast"`` fits coordinates of the cells; ``preset="paper"`` fits whole
cells, here for 200 steps a phase. Memory is the largest resident set during each part, above that
after the imports, in MB.
"""

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import psutil
import zarr
from anndata.io import read_elem, sparse_dataset, write_elem
from rows import run

import rayot as rt

CHUNK_CELLS = 10_000
N_WITH_GENES = 100_000


def make(path: Path, n_cells: int, n_genes: int) -> None:
    """Write cells chunk by chunk; nothing but the columns of obs is held at once."""
    obs = []
    unfinished = path.with_suffix(".partial")
    with h5py.File(unfinished, "w") as file:
        for number in range(n_cells // CHUNK_CELLS):
            part = rt.datasets.simulated(
                CHUNK_CELLS // 2, n_genes, library_size=250, seed=number, gene_seed=0
            )
            # As in most files, cells of both conditions lie mixed.
            part = part[np.random.default_rng(number).permutation(CHUNK_CELLS)]
            obs.append(part.obs)
            if number == 0:
                frame = ad.AnnData(var=part.var[[]])
                write_elem(file, "/", frame)
                del file["raw"]
                write_elem(file, "X", part.X)
            else:
                sparse_dataset(file["X"]).append(part.X)
        cells = ad.AnnData(obs=pd.concat(obs, ignore_index=True))
        cells.obs_names = "cell_" + cells.obs_names
        rt.pp.split(cells)
        write_elem(file, "obs", cells.obs)
        write_elem(file, "uns", dict(cells.uns))
    unfinished.rename(path)


class Parts:
    """Seconds and peak memory of the parts of a run, by a thread that looks every 10 ms."""

    def __init__(self) -> None:
        self.process = psutil.Process()
        self.baseline = self.process.memory_info().rss
        self.found: dict[str, float] = {}
        self.peak = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            self.peak = max(self.peak, self.process.memory_info().rss)
            time.sleep(0.01)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        self.peak, start = 0, time.perf_counter()
        yield
        time.sleep(0.02)
        self.found[f"{name} seconds"] = round(time.perf_counter() - start, 1)
        self.found[f"{name} MB"] = round((self.peak - self.baseline) / 2**20)


def lazy(path: Path) -> ad.AnnData:
    return ad.experimental.read_lazy(path)


def backed(path: Path) -> ad.AnnData:
    return ad.read_h5ad(path, backed="r")


READERS = {"h5ad backed": backed, "h5ad lazy": lazy, "zarr lazy": lazy}
CASES = [("fast", reader) for reader in READERS] + [("paper", "h5ad backed")]
MAX_STEPS = {"fast": None, "paper": 200}


def path_of(folder: Path, reader: str, n_cells: int, n_genes: int) -> Path:
    return folder / f"cells_{n_cells}_{n_genes}.{reader.split()[0]}"


def child(folder: Path, reader: str, preset: str, n_cells: int, n_genes: int) -> None:
    """Measure one way of reading, and print the row."""
    # Attributes are imported when they are first asked for.
    fit, evaluate = rt.tl.w1ot, rt.tl.evaluate
    assert rt.model.W1OT
    parts = Parts()
    with parts.part("open"):
        adata = READERS[reader](path_of(folder, reader, n_cells, n_genes))
    with parts.part("fit"):
        model = fit(
            adata,
            "control",
            "perturbed",
            preset=preset,
            n_seeds=1,
            max_steps=MAX_STEPS[preset],
            write_genes=False,
            show_progress_bar=False,
        )
    suffix = reader.split()[0]
    for name, cells, genes in (
        ("predict", adata, False),
        ("predict genes", adata[: min(N_WITH_GENES, n_cells)], True),
    ):
        with parts.part(name):
            model.predict(
                cells, write=folder / f"predicted.{suffix}", write_genes=genes, overwrite=True
            )
    with parts.part("evaluate"):
        table = evaluate(adata, model)
    peak = max(value for name, value in parts.found.items() if name.endswith("MB"))
    ways = table["way_energy_distance"].round(3)
    scores = {"way energy": ways["w1ot"], "way energy of mean shift": ways["mean shift"]}
    baseline = {"imports MB": round(parts.baseline / 2**20), "peak MB": peak}
    print(json.dumps({**baseline, **parts.found, **scores}))


def measure(folder: Path, reader: str, n_cells: int, n_genes: int, preset: str) -> dict:
    path = path_of(folder, reader, n_cells, n_genes)
    if not path.exists():
        h5ad = path.with_suffix(".h5ad")
        if not h5ad.exists():
            make(h5ad, n_cells, n_genes)
        if path.suffix == ".zarr":
            to_zarr(h5ad, path)
    arguments = [str(folder), "--child", reader, preset, str(n_cells), str(n_genes)]
    run_child = [sys.executable, __file__, *arguments]
    output = subprocess.run(run_child, check=True, stdout=subprocess.PIPE, text=True).stdout
    return {"file GB": round(size_of(path) / 1e9, 2), **json.loads(output.splitlines()[-1])}


def to_zarr(h5ad: Path, path: Path) -> None:
    """Copy a file chunk by chunk."""
    unfinished = path.with_suffix(".partial")
    root = zarr.open_group(unfinished, mode="w", zarr_format=2)
    with h5py.File(h5ad) as file:
        cells = ad.AnnData(obs=read_elem(file["obs"]), var=read_elem(file["var"]))
        cells.uns = read_elem(file["uns"])
        write_elem(root, "/", cells)
        del root["raw"]
        matrix = sparse_dataset(file["X"])
        for start in range(0, matrix.shape[0], CHUNK_CELLS):
            part = matrix[start : start + CHUNK_CELLS]
            if start:
                sparse_dataset(root["X"]).append(part)
            else:
                write_elem(root, "X", part)
    zarr.consolidate_metadata(root.store)
    unfinished.rename(path)


def size_of(path: Path) -> int:
    return sum(each.stat().st_size for each in [path, *path.rglob("*")] if each.is_file())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="on a disk with 10 GB left")
    parser.add_argument("--cells", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--genes", type=int, default=2000)
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.folder, *options.child[:2], *map(int, options.child[2:]))
    else:
        run(
            "memory",
            [
                {
                    "reader": reader,
                    "n_cells": n_cells,
                    "n_genes": options.genes,
                    "preset": preset,
                }
                for n_cells in options.cells
                for preset, reader in CASES
            ],
            partial(measure, options.folder),
        )
