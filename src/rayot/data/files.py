"""Files that cells are read from, and files that cells are written to, whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from anndata import AnnData

SUFFIXES = (".h5ad", ".zarr")


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
    folders = [each for each in path.rglob("*") if each.is_dir()] if path.is_dir() else []
    stats = [(each, each.stat()) for each in (path, *sorted(folders))]
    return [(each, stat.st_ino, stat.st_size, stat.st_mtime_ns) for each, stat in stats]


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
    """Raise if cells cannot be written to this path, before anything is computed.

    Parameters
    ----------
    path
        Of a file that ends in ``.h5ad`` or a folder that ends in ``.zarr``.
    overwrite
        Whether it may exist.
    n_bytes
        Room that it takes at most.
    adata
        Cells that are read meanwhile.

    Raises
    ------
    ValueError
        If the ending is another, or the cells are read from that very file.
    ModuleNotFoundError
        If a package for zarr is not installed.
    FileNotFoundError, FileExistsError, OSError
        If the folder is missing, the file exists, or there is no room for it.
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
    if path.exists() and not overwrite:
        raise FileExistsError(f"{str(path)!r} exists; pass overwrite=True to replace it.")
    free = shutil.disk_usage(path.parent).free
    if n_bytes > free:
        raise OSError(
            f"{str(path)!r} takes up to {n_bytes / 1e9:.1f} GB and its disk has {free / 1e9:.1f} "
            "GB left; pass write_genes=False, or name another disk."
        )
    return path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A place to write to, which gets its final name only if the block ends well.

    Raises
    ------
    OSError
        If writing fails; nothing is then left under the final name, or what was there before.
    """
    try:
        with tempfile.TemporaryDirectory(
            dir=path.parent, prefix=f".{path.name}.", ignore_cleanup_errors=True
        ) as folder:
            partial = Path(folder) / path.name
            yield partial
            if path.is_dir():
                path.rename(Path(folder) / "replaced")
            partial.replace(path)
    except OSError as error:
        raise OSError(
            f"{str(path)!r} was not written, and no part of it is left: {error}"
        ) from error
