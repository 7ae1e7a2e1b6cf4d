"""Get the files of a registry entry: from the cache, else from where their authors publish them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pooch

from rayot.datasets._registry import DataFile, Entry

_VARIABLE = "RAYOT_DATA_DIR"
_TIMEOUT_S = 60
_CHUNK_BYTES = 2**18

logger = logging.getLogger(__name__)


def data_dir(folder: str | Path | None = None) -> Path:
    """Return the folder of downloaded files.

    It is `folder`, else the one that the environment variable ``RAYOT_DATA_DIR`` names, else the
    user's cache folder for rayot. It need not exist, and it may be read-only if it holds every
    file.
    """
    named = folder or os.environ.get(_VARIABLE)
    return Path(named).expanduser() if named else Path(pooch.os_cache("rayot"))


def fetch(entry: Entry, folder: str | Path | None = None) -> dict[str, Path]:
    """Return the path of each file of `entry`, downloading those that are missing in the folder.

    A file is downloaded under another name and moved into place only once its hash is right, so a
    broken download leaves nothing behind. A file whose hash is wrong is downloaded anew.

    Raises
    ------
    ValueError
        If what was downloaded does not have the SHA-256 of the registry.
    OSError
        If a file cannot be downloaded or written; the message says what to do by hand.
    """
    return {file.name: _fetch_one(file, data_dir(folder)) for file in entry.files}


def is_at_hand(entry: Entry, folder: str | Path | None = None) -> bool:
    """Whether the folder has every file of `entry`, whatever is in them."""
    return all(
        any((data_dir(folder) / name).exists() for name in _names(file)) for file in entry.files
    )


def _names(file: DataFile) -> list[str]:
    """Names that a file may have in the folder."""
    return [name for name in (file.name, file.published_name) if name]


class _BoundedFile:
    """A file that takes so many bytes: without a hash nothing else says when a download is done."""

    def __init__(self, file: BinaryIO, max_bytes: int) -> None:
        self.file, self.left, self.max_bytes = file, max_bytes, max_bytes

    def write(self, chunk: bytes) -> int:
        self.left -= len(chunk)
        if self.left < 0:
            raise OSError(
                f"it sends more than the {self.max_bytes / 1e9:g} GB that the file has at most"
            )
        return self.file.write(chunk)

    def flush(self) -> None:
        self.file.flush()


def _download_up_to(max_bytes: int) -> Callable[[str, str, Any], None]:
    """A downloader that gives up when a file is larger than it can be."""
    download = pooch.HTTPDownloader(progressbar=True, chunk_size=_CHUNK_BYTES, timeout=_TIMEOUT_S)

    def bounded(url: str, path: str, pooch_object: Any) -> None:  # noqa: ANN401
        with open(path, "wb") as file:
            download(url, _BoundedFile(file, max_bytes), pooch_object)

    return bounded


def _fetch_one(file: DataFile, folder: Path) -> Path:
    for name in _names(file):
        path = folder / name
        if path.exists() and (file.sha256 is None or pooch.file_hash(path) == file.sha256):
            return path
    path = folder / file.name
    state = "is damaged" if path.exists() else "is missing"
    logger.info("%s %s: downloading %s", path, state, file.url)
    size = f" ({file.size})" if file.size else ""
    by_hand = (
        f"download it by hand{size}, name it {file.published_name or file.name} and put it in the "
        f"folder {folder}, or in one that the environment variable {_VARIABLE} names"
    )
    try:
        pooch.retrieve(
            file.url,
            f"sha256:{file.sha256}" if file.sha256 else None,
            fname=file.name,
            path=folder,
            downloader=_download_up_to(file.max_bytes),
        )
    except OSError as error:
        raise OSError(
            f"{path} {state} and {file.url} could not be downloaded ({error}): {by_hand}."
        ) from None
    except ValueError as error:
        raise ValueError(
            f"What {file.url} sent does not have the expected SHA-256 {file.sha256}, so it was "
            f"thrown away: the download was cut short or the file there has changed; {by_hand}."
        ) from error
    return path
