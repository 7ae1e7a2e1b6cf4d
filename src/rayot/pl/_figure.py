"""Where a figure is drawn and how it ends, with scanpy's words: ``ax``, ``show``, ``save``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

Save: TypeAlias = bool | str | Path | None


def one_axes(ax: Axes | None, figsize: tuple[float, float]) -> Axes:
    """``ax``, or the axes of a new figure.

    Raises
    ------
    TypeError
        If it is no axes.
    """
    return plt.subplots(figsize=figsize, layout="constrained")[1] if ax is None else _axes(ax)


def row_of_axes(
    ax: Axes | Sequence[Axes] | None,
    count: int,
    panel_size: tuple[float, float],
    *,
    share_rows: bool = False,
) -> list[Axes]:
    """The axes given, which have to be ``count``, or a new figure with as many side by side."""
    if ax is None:
        width, height = panel_size
        _, grid = plt.subplots(
            1,
            count,
            figsize=(width * count, height),
            squeeze=False,
            sharey=share_rows,
            layout="constrained",
        )
        return list(grid[0])
    axes = [_axes(axis) for axis in np.atleast_1d(np.asarray(ax, dtype=object)).ravel()]
    if len(axes) != count:
        raise ValueError(f"ax has {len(axes)} axes; this figure has {count} panels.")
    return axes


def _axes(value: object) -> Axes:
    if not isinstance(value, Axes):
        raise TypeError(f"ax must be matplotlib's Axes, found {type(value).__name__}.")
    return value


def finish(axes: Axes, name: str, *, own: bool, show: bool | None, save: Save) -> bool:
    """Save and show the figure as scanpy would; whether the axes are to be returned.

    Parameters
    ----------
    axes
        Any axes of the figure.
    name
        Stem of the file name, the function's name.
    own
        Whether the figure was made here, and not by the caller.
    show
        By default ``scanpy.settings.autoshow`` for a figure made here; a caller's is left to them.
    save
        True, or what to append to the name, saves into ``scanpy.settings.figdir``; a
        :class:`~pathlib.Path` saves to just that file.
    """
    from scanpy import settings

    figure = axes.get_figure(root=True)
    if figure is None:
        raise ValueError("ax belongs to no figure any more; pass axes of an open figure.")
    save = settings.autosave if save is None else save
    show = (settings.autoshow and own) if show is None else show
    if save:
        figure.savefig(_path(name, save), bbox_inches="tight")
    if show:
        plt.show()
    return not show


def _path(name: str, save: str | Path | bool) -> Path:
    from scanpy import settings

    if isinstance(save, Path):
        return save
    file = f"{name}{save}" if isinstance(save, str) else name
    if Path(file).suffix not in {".svg", ".pdf", ".png"}:
        file = f"{file}.{settings.file_format_figs}"
    folder = Path(settings.figdir)
    folder.mkdir(parents=True, exist_ok=True)
    return folder / file
