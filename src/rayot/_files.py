"""Files that appear whole or not at all, and folders that one process works in."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from stat import S_ISDIR

from filelock import FileLock, Timeout

PARTIAL = ".partial"
"""How the name of a folder ends whose file is not whole."""

PARTIAL_NAME = re.compile(r"[0-9a-f]{16}\.partial")

LOCK = ".lock"
"""Name of the file in a folder that the process at work there holds a lock on."""


@contextmanager
def new_file(folder: Path) -> Iterator[Path]:
    """A path to write a file to that :func:`settle` gives its name; else it is gone afterwards.

    It is in a folder of its own, which is made new, so that no link is followed, and what a
    library writes beside it is gone, too.
    """
    own = folder / f"{token_hex(8)}{PARTIAL}"
    own.mkdir()
    try:
        yield own / "new"
    finally:
        shutil.rmtree(own, ignore_errors=True)


def is_partial(path: Path) -> bool:
    """Whether this is of :func:`new_file`: of a process that was killed, or of one at work."""
    if PARTIAL_NAME.fullmatch(path.name) is None:
        return False
    mode = mode_of(path)
    return mode is None or S_ISDIR(mode)


def mode_of(path: Path) -> int | None:
    """Type and rights of what a folder listed; None if it has gone since, as others' work does.

    A link is not followed. One look says all, as what is looked at twice may be gone meanwhile.
    """
    try:
        return path.lstat().st_mode
    except FileNotFoundError:
        return None


def settle(partial: Path, path: Path) -> None:
    """Bring a new file to the disk and give it its name, in place of what has it.

    A link of that name is replaced, not followed. Whoever looks finds the old file or the new one.
    """
    # Libraries make files that only their owner reads; the folder has what the user allows.
    partial.chmod(partial.parent.stat().st_mode & 0o666)
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
    BlockingIOError
        If another is at work there.
    OSError
        If the folder cannot be written to.
    """
    path = folder / LOCK
    lock = FileLock(path, timeout=timeout)
    try:
        lock.acquire()
    except Timeout as error:
        raise BlockingIOError(busy) from error
    try:
        yield
    finally:
        # Before it is let go of: who had opened it finds it gone, and makes a new one.
        with suppress(OSError):
            path.unlink()
        lock.release()
