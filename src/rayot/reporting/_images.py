"""Figures as pictures in the text of a file."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rayot.reporting._blocks import Image

DPI = 150
CSS_DPI = 96


def new_axes(count: int, size: tuple[float, float]) -> list[Axes]:
    """Axes, each of a figure of its own, so that pictures can stand below each other.

    pyplot does not know of these figures: nothing is opened, and nothing is left to close.

    Parameters
    ----------
    count
        How many.
    size
        Width and height of each, in inches.
    """
    return [Figure(figsize=size, dpi=DPI, layout="constrained").subplots() for _ in range(count)]


def images_of(axes: Sequence[Axes], alts: Sequence[str]) -> list[Image]:
    """The figures of some axes as PNG.

    Parameters
    ----------
    axes
        One of each figure.
    alts
        What is seen in each, in words.
    """
    return [_image(panel, alt) for panel, alt in zip(axes, alts, strict=True)]


def _image(axes: Axes, alt: str) -> Image:
    figure = axes.get_figure(root=True)
    assert figure is not None
    buffer = BytesIO()
    # Without the name of the program, equal figures are equal files.
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    width = round(figure.get_figwidth() * CSS_DPI)
    return Image(b64encode(buffer.getvalue()).decode("ascii"), width, alt)
