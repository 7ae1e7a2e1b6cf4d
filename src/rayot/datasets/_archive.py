"""Single files out of a published archive."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rayot.datasets._download import data_dir, fetch
from rayot.datasets._registry import Entry

MAX_MEMBER_BYTES = 30_000_000_000
"""What a file of an archive can have at most."""

# Part of the names of unpacked files: raise it when what is unpacked from an archive changes.
_VERSION = 1


@contextmanager
def open_member(entry: Entry, candidates: Sequence[str]) -> Iterator[Path]:
    """Give the path of the first of `candidates` that the archive of `entry` holds.

    Unpacking takes longer than reading, so an unpacked file stays in the cache folder, where a
    later call finds it even without the archive. In a folder that cannot be written to it is
    unpacked for the duration of the ``with`` block only.

    Raises
    ------
    OSError
        If the archive cannot be downloaded.
    ValueError
        If it is no zip archive or holds none of `candidates`.
    """
    for candidate in candidates:
        if (unpacked := _unpacked_path(candidate)).exists():
            yield unpacked
            return
    (archive,) = _fetch_archive(entry, candidates)
    with tempfile.TemporaryDirectory() as scratch:
        keep = os.access(data_dir(), os.W_OK)
        yield _unpack(archive, candidates, data_dir() if keep else Path(scratch))


def _fetch_archive(entry: Entry, candidates: Sequence[str]) -> list[Path]:
    try:
        return list(fetch(entry).values())
    except OSError as error:
        name = _unpacked_path(candidates[0]).name
        raise OSError(f"{error} {candidates[0]} alone will do, under the name {name}.") from error


def _unpacked_path(member: str) -> Path:
    return data_dir() / f"cellot_v{_VERSION}_{member.replace('/', '_')}"


def _unpack(archive: Path, candidates: Sequence[str], folder: Path) -> Path:
    try:
        with zipfile.ZipFile(archive) as zipped:
            names = zipped.namelist()
            for candidate in candidates:
                for name in names:
                    if name == candidate or name.endswith(f"/{candidate}"):
                        path = folder / _unpacked_path(candidate).name
                        _copy(zipped, name, path)
                        return path
    except zipfile.BadZipFile as error:
        raise ValueError(
            f"{archive} is not a whole zip archive ({error}); delete it and load the data again."
        ) from error
    raise ValueError(
        f"{archive} holds none of {', '.join(candidates)}; it is not the archive of the registry."
    )


def _copy(zipped: zipfile.ZipFile, name: str, path: Path) -> None:
    if zipped.getinfo(name).file_size > MAX_MEMBER_BYTES:
        raise ValueError(
            f"{name} in {zipped.filename} has more than {MAX_MEMBER_BYTES / 1e9:g} GB, so it is "
            "not the file that was published; delete the archive and load the data again."
        )
    # Moved into place only when whole, so that an interrupted run leaves no half file behind.
    handle, partial = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with zipped.open(name) as packed, os.fdopen(handle, "wb") as unpacked:
            shutil.copyfileobj(packed, unpacked)
        os.replace(partial, path)
    finally:
        Path(partial).unlink(missing_ok=True)
