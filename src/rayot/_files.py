"""Files that appear whole or not at all, and folders that one process works in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from filelock import FileLock, Timeout

PARTIAL = ".partial"
"""How the name of a file ends that is not whole."""

LOCK = ".lock"
"""Name of the file in a folder that the process at work there holds a lock on."""


class Busy(OSError):
    """Another process, or another thread of this one, is at work in a folder."""


@contextmanager
def new_file(folder: Path) -> Iterator[Path]:
    """An empty file to write to, gone at the end of the block unless :func:`settle` moved it.

    It is created and never only opened, so that no link of its name is followed.
    """
    path = folder / f"{token_hex(8)}{PARTIAL}"
    path.open("xb").close()
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def settle(partial: Path, path: Path) -> None:
    """Bring a file to the disk and give it its name, in place of what has it.

    A link of that name is replaced, not followed. Whoever looks finds the old file or the new one.
    """
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    partial.replace(path)
    # Elsewhere than on POSIX folders cannot be opened.
    with suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def locked(folder: Path, busy: str, timeout: float = 0) -> Iterator[None]:
    """Work in a folder alone; the system lets others in once the process ends, however it does.

    Parameters
    ----------
    folder
        Exists; a file in it is the lock, and is removed at the end.
    busy
        What to say where another process, or another thread of this one, is at work there.
    timeout
        Seconds to wait for it.

    Raises
    ------
    Busy
        If another is at work there.
    OSError
        If the folder cannot be written to.
    """
    path = folder / LOCK
    lock = FileLock(path, timeout=timeout)
    try:
        lock.acquire()
    except Timeout as error:
        raise Busy(busy) from error
    try:
        yield
    finally:
        # Before it is let go of: who had opened it finds it gone, and makes a new one.
        with suppress(OSError):
            path.unlink()
        lock.release()
