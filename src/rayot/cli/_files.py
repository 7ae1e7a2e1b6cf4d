"""Cells and models by the paths of a command line."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

    from rayot.model.life_cycle import Model

CELLS = (".h5ad", ".zarr", ".h5mu")
"""Endings of files with cells."""

DESCRIPTION = "model.json"
PATH = click.Path(path_type=Path)


class Folder(click.ParamType):
    """A folder that exists, or can be made, and can be written to."""

    name = "folder"

    def convert(
        self,
        value: object,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Path:
        """The folder, or a usage error."""
        path = Path(str(value))
        there = next(
            folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists()
        )
        try:
            tempfile.TemporaryDirectory(dir=there).cleanup()
        except OSError as error:
            self.fail(
                f"nothing can be written to {value}: {there} is not a folder that takes files "
                f"({error.strerror}).",
                param,
                ctx,
            )
        return path


def read_cells(path: Path, backed: bool = False) -> AnnData | MuData:
    """Cells of an ``.h5ad``, ``.zarr`` or ``.h5mu``.

    Parameters
    ----------
    path
        Where they are.
    backed
        Whether the expression stays on disk.

    Raises
    ------
    FileNotFoundError, OSError, ValueError
        If there is no such file, or it is of another kind.
    """
    check_cells_path(path, backed)
    import anndata as ad

    try:
        with warnings.catch_warnings():
            # What an earlier anndata wrote is read as it is.
            warnings.simplefilter("ignore")
            if path.suffix == ".h5mu":
                import mudata

                return mudata.read_h5mu(path)
            if path.suffix == ".zarr":
                return ad.experimental.read_lazy(path) if backed else ad.read_zarr(path)
            return ad.read_h5ad(path, backed="r" if backed else None)
    except (KeyError, OSError, TypeError, ValueError, AttributeError) as error:
        raise OSError(
            f"{str(path)!r} cannot be read as {path.suffix} ({' '.join(str(error).split())})."
        ) from error


def check_cells_path(path: Path, backed: bool = False) -> None:
    """Raise an error where there can be no cells to read, see :func:`read_cells`."""
    if path.suffix not in CELLS:
        raise ValueError(f"Cells are read from .h5ad, .zarr or .h5mu, found {str(path)!r}.")
    if not path.exists():
        raise FileNotFoundError(f"There is no file {str(path)!r}.")
    if backed and path.suffix == ".h5mu":
        raise ValueError(f"--backed is for .h5ad and .zarr, found {str(path)!r}.")


def check_free(path: Path, overwrite: bool) -> None:
    """Raise an OSError if a table may not be written to a path."""
    if path.exists() and not overwrite:
        raise FileExistsError(f"{str(path)!r} exists; pass --overwrite to replace it.")
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"There is no folder {str(path.parent)!r} to write to.")


def check_new_cells(path: Path, overwrite: bool) -> None:
    """Raise an error if cells may not be written to a path."""
    if path.suffix not in (".h5ad", ".h5mu"):
        raise ValueError(f"Cells are written to .h5ad or .h5mu, found {str(path)!r}.")
    check_free(path, overwrite)


def write_cells(data: AnnData | MuData, path: Path) -> None:
    """Write cells, whole or not at all.

    Raises
    ------
    OSError, ValueError
        If they cannot be written, or are a MuData and the file is none.
    """
    suffix = ".h5mu" if hasattr(data, "mod") else ".h5ad"
    if path.suffix != suffix:
        raise ValueError(f"A {type(data).__name__} is written as {suffix}, found {str(path)!r}.")
    partial = path.with_name(f".partial-{path.name}")
    try:
        data.write(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def check_model_folder(path: Path, overwrite: bool) -> None:
    """Raise a FileExistsError if a model may not be saved to a folder."""
    from rayot.model.files import refused

    if refusal := refused(path, overwrite):
        raise FileExistsError(refusal)


def load_model(folder: Path) -> Any:  # noqa: ANN401
    """The model that a folder holds, of whatever class.

    Raises
    ------
    FileNotFoundError, OSError, ValueError
        If it holds none.
    """
    import rayot as rt

    try:
        name = json.loads((folder / DESCRIPTION).read_bytes())["model"]
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(
            f"{str(folder)!r} holds no model; name a folder that rayot wrote."
        ) from None
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{str(folder / DESCRIPTION)!r} describes no model of rayot.") from None
    kind: type[Model] | None = None
    if isinstance(name, str) and name in rt.model.__all__ and name != "Prediction":
        kind = getattr(rt.model, name)
    if kind is None:
        raise ValueError(
            f"{str(folder / DESCRIPTION)!r} is of a model {name!r}, which rayot has not."
        )
    return kind.load(folder)


def at_condition(
    model: Any,  # noqa: ANN401
    target: str | None,
    dose: float | None = None,
    time: float | None = None,
    times: Sequence[float] | None = None,
) -> Any:  # noqa: ANN401
    """The map of one condition of a model: of many, or between two times.

    Parameters
    ----------
    model
        What :func:`load_model` returned.
    target, dose, time, times
        As the options say; None where they are not given.

    Raises
    ------
    KeyError, ValueError
        If the model has no such condition.
    """
    from inspect import signature

    asked = {"target": target, "dose": dose}
    asked = {name: value for name, value in asked.items() if value is not None}
    known = signature(type(model).at).parameters
    for name in asked:
        if name not in known:
            raise ValueError(
                f"A {type(model).__name__} has one {name} alone, or none; leave --{name} out."
            )
    if asked:
        model = model.at(**asked)
    if time is None:
        return model
    between = {} if times is None else {"times": tuple(times)}
    return model.at(time=time, **between)
