"""Files that cells are read from, and files that cells are written to, whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from anndata import AnnData

from rayot._files import PARTIAL, locked
from rayot.data.checks import table_of
from rayot.data.writing import check_columns, has_mark

SUFFIXES = (".h5ad", ".zarr")

REPLACED = "replaced"
"""Name of what a new folder takes the place of, until it has it."""


@contextmanager
def unchanged(adata: AnnData) -> Iterator[Callable[[], None]]:
    """Raise an OSError if the file behind ``adata`` is not the same when the block ends.

    What was read from a file that was moved, cut short or written to meanwhile is worth nothing,
    whether or not reading failed. The block gets a function that looks at once. Cells in memory
    have no file.
    """
    path = source_of(adata)
    before = _state(path)
    try:
        yield lambda: _check_state(path, before, None)
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        _check_state(path, before, error)
        raise
    _check_state(path, before, None)


def source_of(adata: AnnData) -> Path | None:
    """The file or folder that cells are read from; None in memory or where it is not known."""
    if adata.filename is not None:
        return Path(adata.filename)
    for name in () if hasattr(adata.obs, "loc") else adata.obs.columns:
        # What read_lazy leaves in its columns.
        base = adata.obs[name].attrs.get("base_path_or_zarr_group")
        root = getattr(getattr(base, "store", None), "root", base)
        if isinstance(root, str | Path):
            return Path(root)
    return None


def _state(path: Path | None) -> Any:  # noqa: ANN401
    """What differs once a file was changed; None where there is none."""
    if path is None or not path.exists():
        return None
    # Pieces of a zarr store are replaced, which their folders show.
    folders = [entry for entry in path.rglob("*") if entry.is_dir()] if path.is_dir() else []
    stats = [(entry, entry.stat()) for entry in (path, *sorted(folders))]
    return [(entry, stat.st_ino, stat.st_size, stat.st_mtime_ns) for entry, stat in stats]


def _check_state(path: Path | None, before: Any, error: Exception | None) -> None:  # noqa: ANN401
    if before is None or _state(path) == before:
        return
    assert path is not None
    what = "changed" if path.exists() else "moved or deleted"
    raise OSError(
        f"{str(path)!r} was {what} while cells were read from it; nothing was kept. Open it again "
        "and repeat the call."
    ) from error


def check_new_file(path: str | Path, overwrite: bool, n_bytes: int, adata: AnnData) -> Path:
    """Raise if predictions of cells cannot be written to this path, before anything is computed.

    What a killed call has left of that name is put back or removed.

    Parameters
    ----------
    path
        Of a file that ends in ``.h5ad`` or a folder that ends in ``.zarr``.
    overwrite
        Whether predictions of that name may be replaced; nothing else is.
    n_bytes
        Room that they take at most.
    adata
        Cells that are read meanwhile, and whose columns of ``obs`` are written.

    Raises
    ------
    ValueError
        If the ending is another, the cells are read from that very file, or a column cannot be
        written.
    ModuleNotFoundError
        If a package for zarr is not installed.
    FileNotFoundError, FileExistsError, OSError
        If the folder is missing, the name is taken, or there is no room.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise ValueError(f"write must end in .h5ad or .zarr, found {str(path)!r}.")
    lacking = [name for name in ("dask", "xarray", "zarr") if find_spec(name) is None]
    if path.suffix == ".zarr" and lacking:
        raise ModuleNotFoundError(
            f"Writing to .zarr needs {', '.join(lacking)}: pip install 'rayot[lazy]'; or write to "
            ".h5ad."
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {str(path.parent)!r} to write predictions to.")
    source = source_of(adata)
    if source is not None and source.resolve() == path.resolve():
        raise ValueError(f"{str(path)!r} is the file that the cells are read from; name another.")
    work = _work_folder(path)
    if work.is_dir():
        with _working(path, work):
            pass
    _check_free(path, overwrite)
    check_columns(table_of(adata), path.suffix)
    free = shutil.disk_usage(path.parent).free
    if n_bytes > free:
        raise OSError(
            f"{str(path)!r} takes up to {n_bytes / 1e9:.1f} GB and its disk has {free / 1e9:.1f} "
            "GB left; pass write_genes=False, or name another disk."
        )
    return path


def _check_free(path: Path, overwrite: bool) -> None:
    """Raise a FileExistsError if a name is taken by what may not be replaced."""
    if not os.path.lexists(path):
        return
    if not has_mark(path):
        raise FileExistsError(
            f"{str(path)!r} exists and holds no predictions that rayot wrote; name another file, "
            "or remove it."
        )
    if not overwrite:
        raise FileExistsError(f"{str(path)!r} exists; pass overwrite=True to replace it.")


@contextmanager
def whole_file(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """A place to write to, which gets its final name only if the block ends well.

    Raises
    ------
    OSError
        If writing fails, or another process writes to that name; nothing is then left under it, or
        what was there before.
    """
    work = _work_folder(path)
    try:
        work.mkdir(exist_ok=True)
        with _working(path, work):
            partial = work / path.name
            yield partial
            # It may have come to be taken meanwhile.
            _check_free(path, overwrite)
            if path.is_dir() and not path.is_symlink():
                # Folders cannot be replaced at once: the next call finishes what is cut off here.
                path.rename(work / REPLACED)
            partial.replace(path)
    except OSError as error:
        raise OSError(
            f"{str(path)!r} was not written, and no part of it is left: {error}"
        ) from error


def _work_folder(path: Path) -> Path:
    """Where a file is written, and what it replaces is kept meanwhile."""
    return path.with_name(f".{path.name}{PARTIAL}")


@contextmanager
def _working(path: Path, work: Path) -> Iterator[None]:
    """Hold the work folder of a file alone; what is left in it, before or after, is tidied up."""
    if work.is_symlink():
        raise OSError(f"{str(work)!r}, where it would be written, is a symbolic link; remove it.")
    try:
        with locked(work, f"Another process is writing {str(path)!r}; name another file."):
            _tidy(path, work)
            try:
                yield
            finally:
                _tidy(path, work)
    finally:
        # Not empty where another process is at work in it.
        with suppress(OSError):
            work.rmdir()


def _tidy(path: Path, work: Path) -> None:
    """Put back what was to be replaced, if nothing has its name, and remove all else of ours."""
    replaced = work / REPLACED
    if replaced.is_dir() and not os.path.lexists(path):
        replaced.rename(path)
    for leftover in (replaced, work / path.name):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            with suppress(OSError):
                leftover.unlink()
