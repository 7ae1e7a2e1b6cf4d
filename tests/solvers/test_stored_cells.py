"""Rows in a scratch file are those that were written, and the file is gone with them."""

import copy
import gc
import os
import pickle
import resource
import tempfile
from itertools import chain

import numpy as np
import pytest
import torch
from scipy import sparse

from rayot.solvers import Population, SparseCells, StoredCells, stored_cells

ROWS = torch.tensor([[9, 3, 4], [5, 3, 0]])


@pytest.fixture
def matrix():
    values = sparse.random(10, 7, density=0.3, format="csr", dtype=np.float32, rng=0)
    # A row without any value.
    values[3] = 0
    values.eliminate_zeros()
    return values


def stored(matrix, kind):
    blocks = [matrix[:4], matrix[4:5], matrix[5:]]
    return StoredCells.from_blocks(
        block if kind == "sparse" else block.toarray() for block in blocks
    )


@pytest.mark.parametrize("kind", ["sparse", "dense"])
def test_rows_are_those_of_cells_in_memory(matrix, kind):
    cells = stored(matrix, kind)
    expected = torch.from_numpy(matrix.toarray())
    assert cells.shape == expected.shape
    for rows in (ROWS, torch.arange(10), torch.arange(0), torch.tensor([3, 3])):
        assert torch.equal(cells[rows], expected[rows])
        assert torch.equal(cells[rows], SparseCells.from_scipy(matrix)[rows])
    assert cells.to("meta")[ROWS].device.type == "meta"
    population = Population.from_groups(cells, [torch.tensor([8, 1, 4])])
    assert torch.equal(population.take(torch.tensor([[2, 0]])), expected[torch.tensor([[4, 8]])])


def test_neighbours_are_read_at_once(matrix, monkeypatch):
    cells = stored(matrix, "dense")
    reads = []
    read = cells.file.read
    monkeypatch.setattr(cells.file, "read", lambda bounds: reads.append(bounds) or read(bounds))
    cells[ROWS]
    of_row = 7 * 4
    runs = (0, 1), (3, 4), (3, 6), (9, 10)
    assert reads == [[(start * of_row, end * of_row) for start, end in runs]]
    empty = StoredCells.from_blocks([sparse.csr_matrix((4, 7), dtype=np.float32)])
    monkeypatch.setattr(empty.file, "read", lambda bounds: reads.append(bounds) or b"")
    assert not empty[torch.tensor([0, 2])].any()
    assert reads[1] == []


def test_rows_are_read_to_their_end(matrix, monkeypatch):
    cells = stored(matrix, "sparse")
    read = os.pread
    monkeypatch.setattr(stored_cells.os, "pread", lambda file, n, at: read(file, min(n, 3), at))
    assert torch.equal(cells[ROWS], torch.from_numpy(matrix.toarray())[ROWS])
    os.ftruncate(cells.file._file.fileno(), 8)
    with pytest.raises(OSError, match="cut short"):
        cells[ROWS]


@pytest.mark.parametrize("kind", ["sparse", "dense"])
def test_what_defines_the_cells(matrix, kind, monkeypatch):
    def content(matrix):
        return [tensor.tolist() for tensor in stored(matrix, kind).tensors()]

    expected = content(matrix)
    assert content(matrix.copy()) == expected
    monkeypatch.setattr(stored_cells, "PIECE_BYTES", 5)
    assert list(chain(*content(matrix)[1:])) == expected[1]
    monkeypatch.undo()
    matrix.data[4] += 1
    assert content(matrix) != expected


def test_the_file_is_gone_with_the_last_that_refers_to_it(matrix, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    cells = stored(matrix, "sparse")
    assert os.listdir(tmp_path) == []
    descriptor = cells.file._file.fileno()
    copies = [cells.to("cpu"), copy.deepcopy(cells)]
    del cells
    gc.collect()
    for each in copies:
        assert torch.equal(each[ROWS], torch.from_numpy(matrix.toarray())[ROWS])
    del copies, each
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_the_file_stays_in_its_process(matrix):
    with pytest.raises(TypeError, match="belong to one process"):
        pickle.dumps(stored(matrix, "dense"))


def test_a_full_disk_is_named(matrix, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, limits[1]))
    try:
        with pytest.raises(OSError, match=rf"could not be written to .*{tmp_path}.*TMPDIR"):
            stored(matrix, "sparse")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_folder_that_is_not_there_is_named(matrix, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(OSError, match=r"could not be written to .*none.*TMPDIR"):
        stored(matrix, "sparse")
