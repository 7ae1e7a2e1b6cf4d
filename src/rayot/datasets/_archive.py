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
def open_member(
    entry: Entry,
    candidates: Sequence[str],
    folder: str | Path | None = None,
    beside: Sequence[str] = (),
) -> Iterator[Path]:
    """Give the path of the first of `candidates` that the archive of `entry` holds.

    `folder` is where it is looked for, else that of :func:`data_dir`. Unpacking takes longer than
    reading, so an unpacked file stays there, where a later call finds it even without the archive;
    so does one that a person unpacked. In a folder that cannot be written to it is unpacked for
    the duration of the ``with`` block only. `beside` are the members that the caller reads too.

    Raises
    ------
    OSError
        If the archive cannot be downloaded.
    ValueError
        If it is no zip archive or holds none of `candidates`.
    """
    place = data_dir(folder)
    for candidate in candidates:
        for unpacked in (_unpacked_name(candidate), *_by_hand(candidate)):
            if (place / unpacked).exists():
                yield place / unpacked
                return
    archive = _fetch_archive(entry, place, [candidates[0], *beside])
    with tempfile.TemporaryDirectory() as scratch:
        keep = os.access(place, os.W_OK)
        yield _unpack(archive, candidates, place if keep else Path(scratch))


def _fetch_archive(entry: Entry, folder: Path, members: Sequence[str]) -> Path:
    try:
        (archive,) = fetch(entry, folder).values()
    except OSError as error:
        told = str(error).removesuffix(".")
        raise OSError(f"{told}; {' and '.join(members)} of it will do, unpacked there.") from error
    return archive


def _unpacked_name(member: str) -> str:
    return f"cellot_v{_VERSION}_{member.replace('/', '_')}"


def _by_hand(member: str) -> list[str]:
    """Where a member lies in the folder in which a person has unpacked the archive, or a part."""
    return [member, f"datasets/{member}", f"processed_datasets_all/datasets/{member}"]


def _unpack(archive: Path, candidates: Sequence[str], folder: Path) -> Path:
    try:
        with zipfile.ZipFile(archive) as zipped:
            names = zipped.namelist()
            for candidate in candidates:
                for name in names:
                    if name == candidate or name.endswith(f"/{candidate}"):
                        path = folder / _unpacked_name(candidate)
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
