"""Saving: the old model or the new one at every moment, and nothing written elsewhere."""

import errno
import json
import os
import random
import resource
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

import rayot as rt
from rayot.model import W1OT, files
from rayot.model.saved import check

KIND = {"model": str, "version": str, "number": int}


def write(folder, number, overwrite=True, size=1000):
    values = {"model": "thing", "version": rt.__version__, "number": number}
    files.write(folder, values, {"x": np.full(size, float(number))}, overwrite)


def read(folder):
    """The number that a folder holds, in its description and in all its arrays."""

    def number(values, arrays):
        check(values, KIND, "")
        assert (arrays["x"] == values["number"]).all()
        return values["number"]

    return files.load(folder, "thing", number)


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "model", 1)
    return tmp_path / "model"


def names(folder):
    return sorted(path.name.split("-")[0] for path in folder.iterdir())


def test_a_folder_holds_two_files(folder):
    assert names(folder) == ["arrays", "model.json"]
    write(folder, 2)
    assert names(folder) == ["arrays", "model.json"]
    assert read(folder) == 2
    mask = os.umask(0)
    os.umask(mask)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o666 & ~mask}


def test_numbers_of_numpy_are_saved(cells, quick, tmp_path):
    options = {**quick, "plan_kwargs": {"n_rays": np.int64(1), "step_lr": np.float32(1e-3)}}
    model = rt.tl.w1ot(cells, "control", "perturbed", seed=np.int64(3), **options)
    model.save(tmp_path / "model")
    assert W1OT.load(tmp_path / "model").seed == 3
    with pytest.raises(TypeError, match="cannot be saved"):
        files.write(tmp_path / "new", {"model": {1, 2}}, {}, False)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("content", ["", "{", '{"format": 3, "model": 1}'])
def test_leftovers_are_replaced(tmp_path, content):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "0123456789abcdef.partial").mkdir()
    (folder / "0123456789abcdef.partial" / "new").write_text("cut short")
    (folder / f"arrays-{'0' * 32}.safetensors").write_text("of a killed call")
    write(folder, 1, overwrite=False)
    assert names(folder) == ["arrays", "model.json"]
    # A damaged description is a model that needs the word.
    (folder / "model.json").write_text(content)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        write(folder, 2, overwrite=False)
    write(folder, 2)
    assert read(folder) == 2


@pytest.mark.parametrize(
    "name", ["my.partial", "notes.txt", "arrays.safetensors", "inside", "arrays-1.safetensors"]
)
def test_other_files_are_left_alone(tmp_path, name):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / name).mkdir() if name == "inside" else (folder / name).write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match=f"holds other files .'{name}'"):
            write(folder, 1, overwrite=overwrite)
    assert [path.name for path in folder.iterdir()] == [name]


def test_another_programs_description_is_left_alone(tmp_path):
    (tmp_path / "model.json").write_text('{"layers": []}')
    with pytest.raises(FileExistsError, match=r"holds other files \('model.json'\)"):
        write(tmp_path, 1)
    assert (tmp_path / "model.json").read_text() == '{"layers": []}'
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError, match="file' is a file; name a folder"):
        write(tmp_path / "file", 1)


@pytest.mark.parametrize("name", ["model.json", "arrays", ".lock"])
def test_links_are_not_written_through(folder, tmp_path, name):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    if name == "arrays":
        name = next(folder.glob("arrays-*")).name
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(precious)
    if name == ".lock":
        with pytest.raises(FileExistsError, match=r"holds other files \('.lock'\)"):
            write(folder, 2)
        (folder / name).unlink()
    else:
        write(folder, 1)
        assert not (folder / name).is_symlink()
        assert read(folder) == 1
    assert precious.read_text() == "mine"


def test_a_folder_may_be_a_link(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    write(tmp_path / "link", 2)
    assert read(folder) == 2


@pytest.mark.parametrize("size", [1000, 10])
def test_a_full_disk_keeps_the_old_model(folder, tmp_path, size):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The arrays do not fit, or the description that comes after them.
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000 if size == 1000 else 180, limits[1]))
    try:
        with pytest.raises(OSError, match=r"model' was not written \(.*\); what was there before"):
            write(folder, 2, size=size)
        with pytest.raises(OSError, match=r"new' was not written \(.*\); no part of it is left"):
            write(tmp_path / "new", 2, size=size)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert read(folder) == 1
    assert os.listdir(tmp_path) == ["model"]
    write(folder, 2)
    assert names(folder) == ["arrays", "model.json"]


def test_a_place_that_cannot_be_written_to(folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match="inside' was not written"):
        write(tmp_path / "file" / "inside", 1)

    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    # The user who runs the tests may write anywhere.
    monkeypatch.setattr(files, "new_file", refuse)
    with pytest.raises(OSError, match=r"model' was not written \(.*Permission denied\); what was"):
        write(folder, 2)
    assert read(folder) == 1


def test_writers_wait_for_each_other(tmp_path):
    failures = []

    def work(number):
        try:
            for _ in range(10):
                write(tmp_path / "model", number)
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in (1, 2, 3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if files.holds(tmp_path / "model"):
            assert read(tmp_path / "model") in (1, 2, 3)
    assert not failures
    assert names(tmp_path / "model") == ["arrays", "model.json"]


@pytest.mark.parametrize("gone", ["0123456789abcdef.partial", ".lock"])
def test_what_another_save_removes_while_a_folder_is_looked_at_is_not_foreign(
    folder, monkeypatch, gone
):
    listed = [*folder.iterdir(), folder / gone]
    monkeypatch.setattr(type(folder), "iterdir", lambda path: iter(listed))
    assert files.refused(folder, overwrite=True) is None
    assert "exists" in files.refused(folder, overwrite=False)


SCRIPT = """
import sys
import numpy as np
from rayot.model import files
from rayot.model.saved import check
print("start", flush=True)
number = 0
while True:
    number += 1
    values = {"model": "thing", "version": "0.1.0", "number": number % 7}
    files.write(sys.argv[1], values, {"x": np.full(20_000, float(number % 7))}, True)
"""


def kill_while_writing(folder, times, seconds):
    """How often the model could be read while a process that overwrites it was killed."""
    n_read = 0
    for _ in range(times):
        command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(folder)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        process.stdout.readline()
        end = time.monotonic() + random.uniform(0, seconds)
        while time.monotonic() < end:
            read(folder)
            n_read += 1
        process.kill()
        process.wait()
        process.stdout.close()
        read(folder)
        n_read += 1
    return n_read


def test_a_killed_save_leaves_the_old_model_or_the_new_one(folder):
    assert kill_while_writing(folder, 3, 0.3) >= 3
    write(folder, 1)
    assert names(folder) == ["arrays", "model.json"]


@pytest.mark.slow
def test_many_killed_saves(folder):
    assert kill_while_writing(folder, 100, 0.1) > 100
    write(folder, 1)
    assert names(folder) == ["arrays", "model.json"]


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("model.json", None, FileNotFoundError, "holds no saved model: model.json is missing"),
        ("arrays", None, FileNotFoundError, "holds no saved model: arrays-.* is missing"),
        ("model.json", "folder", ValueError, "model.json' is a folder or a device"),
        ("arrays", "folder", ValueError, "safetensors' is a folder or a device"),
        ("model.json", b"", ValueError, "model.json' is not readable"),
        ("model.json", b"\xff\xfe\x00", ValueError, "model.json' is not readable"),
        ("model.json", b"[" * 100_000, ValueError, "model.json' is not readable"),
        ("model.json", b"[]", ValueError, "was not written by rayot"),
        ("model.json", b"null", ValueError, "was not written by rayot"),
        ("model.json", b'{"format": [], "model": {}}', ValueError, r"has format \[\]"),
        ("model.json", b'{"format": true, "model": 1}', ValueError, "has format True"),
        ("model.json", b'{"format": 3, "model": "thing"}', ValueError, "was changed after"),
        ("arrays", b"", ValueError, "is truncated, or was changed after it was saved"),
        ("arrays", b"garbage", ValueError, "is truncated, or was changed after it was saved"),
    ],
)
def test_files_that_are_no_model(folder, name, content, error, message):
    path = next(folder.glob(f"{name}*"))
    path.unlink()
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(error, match=message) as raised:
        read(folder)
    assert type(raised.value) is error
    assert str(folder) in str(raised.value)


def test_a_file_that_may_not_be_read(folder, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(type(folder), "open", refuse)
    with pytest.raises(OSError, match=r"model\.json' cannot be read: Permission denied"):
        read(folder)


@pytest.mark.parametrize("name", ["../elsewhere/arrays.safetensors", "arrays.safetensors", 3, None])
def test_a_description_names_no_other_file(folder, saved_folder, name):
    saved = saved_folder(folder)
    saved.sign({**saved.values, "arrays": name})
    with pytest.raises(ValueError, match="names no file of arrays"):
        read(folder)


def test_another_layout_of_the_same_description_is_the_same(folder):
    values = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(values))
    assert read(folder) == 1


def test_folders_of_version_0_1_0(folder, saved_folder):
    saved_folder(folder).downgrade()
    assert sorted(os.listdir(folder)) == ["arrays.safetensors", "model.json"]
    assert read(folder) == 1
    with pytest.raises(FileExistsError, match="overwrite=True"):
        write(folder, 2, overwrite=False)
    write(folder, 2)
    assert names(folder) == ["arrays", "model.json"]
    assert read(folder) == 2
    saved_folder(folder).downgrade()
    path = folder / "arrays.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="truncated or not a safetensors file"):
        read(folder)
