"""Training curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from rayot._docs import shared
from rayot._public import public
from rayot.data.fitted import WrittenMap
from rayot.data.keys import Key
from rayot.data.modality import modality_of
from rayot.pl._coloring import PREDICTED, TARGET
from rayot.pl._figure import Save, finish, row_of_axes

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

COLORS = (PREDICTED, TARGET, "#009E73", "#CC79A7")
FEW = 10
"""Up to so many points of a curve are marked: what lies between them was not measured."""


@public()
@shared
def history(
    adata: AnnData | MuData,
    key: str | None = None,
    *,
    modality: str | None = None,
    ax: Axes | Sequence[Axes] | None = None,
    show: bool | None = None,
    save: Save = None,
) -> list[Axes] | None:
    """Training curves of a fitted map, one panel a phase.

    Thin lines are the training batches, strong lines the validation share. A loss that has no
    validation curve, in a phase that has one of something else, is on the right axis. Axes start
    at zero.

    Parameters
    ----------
    {fitted_adata}
    {key}
    {modality}
    ax
        Axes to draw on, as many as there are phases.
    {show}
    {save}

    Returns
    -------
    The axes, one a phase, unless shown.

    Raises
    ------
    KeyError
        If the map is not there or kept no history.
    ValueError
        If there are several maps and none is named, or ``ax`` are not as many as the phases.

    Examples
    --------
    >>> import numpy as np, rayot as rt
    >>> adata = rt.datasets.moons(50)
    >>> steps = np.arange(100)
    >>> adata.uns["w1ot"] = dict(
    ...     source="control",
    ...     target="perturbed",
    ...     groupby="perturbation",
    ...     history={"ray 1 potential": dict(step=steps, dual=1 - np.exp(-steps / 20))},
    ... )
    >>> [ax.get_title() for ax in rt.pl.history(adata, show=False)]
    ['ray 1 potential']
    """
    adata = modality_of(adata, modality)
    key = WrittenMap.read(adata, key).key
    phases = adata.uns[Key.uns.result(key)].get(Key.result.history)
    if not phases:
        raise KeyError(
            f"The map {key!r} has no {Key.result.history!r} in adata.uns; methods that are trained "
            "step by step, such as rayot.tl.w1ot, keep one."
        )
    axes = row_of_axes(ax, len(phases), (3.6, 3.0))
    for panel, (phase, curves) in zip(axes, phases.items(), strict=True):
        _draw_phase(panel, curves)
        panel.set_title(phase)
    return axes if finish(axes[0], "history", own=ax is None, show=show, save=save) else None


def _draw_phase(ax: Axes, curves: Mapping[str, ArrayLike]) -> None:
    prefix = Key.history.validation_prefix
    names = [name for name in curves if name != Key.history.step]
    metrics = list(dict.fromkeys(name.removeprefix(prefix) for name in names))
    colors = {metric: COLORS[i % len(COLORS)] for i, metric in enumerate(metrics)}
    validated = [metric for metric in metrics if Key.history.validation(metric) in curves]
    losses = [metric for metric in metrics if metric not in validated]
    if validated and losses:
        # A loss has other units than a measured distance: it gets an axis of its own.
        right = ax.twinx()
        _draw_metrics(right, curves, losses, colors)
        right.spines[["top", "left"]].set_visible(False)
        _draw_metrics(ax, curves, validated, colors)
        for panel, drawn in ((ax, validated), (right, losses)):
            if len(drawn) == 1:
                panel.yaxis.label.set_color(colors[drawn[0]])
    else:
        _draw_metrics(ax, curves, metrics, colors)
    ax.set_xlabel("step")
    ax.spines[["top", "right"]].set_visible(False)


def _draw_metrics(
    ax: Axes, curves: Mapping[str, ArrayLike], metrics: Sequence[str], colors: Mapping[str, str]
) -> None:
    """Lines of some metrics on one axis, which is labelled or gets a legend."""
    steps = np.asarray(curves[Key.history.step])
    handles = []
    for metric in metrics:
        styles = {metric: ("training", 0.8, 0.55)}
        styles[Key.history.validation(metric)] = ("validation", 2.0, 1.0)
        for name, (share, width, alpha) in styles.items():
            if name not in curves:
                continue
            values = np.asarray(curves[name], dtype=float)
            # Validation is measured at some of the steps and NaN at the others.
            finite = np.isfinite(values)
            (line,) = ax.plot(
                steps[finite],
                values[finite],
                color=colors[metric],
                linewidth=width,
                alpha=alpha,
                marker="o" if finite.sum() <= FEW else None,
                markersize=4,
                label=share if len(metrics) == 1 else name.replace("_", " "),
            )
            handles.append(line)
    # From zero: else the noise of a curve that has settled looks like a trend.
    ax.update_datalim([(0, 0)])
    ax.autoscale_view()
    if len(metrics) == 1:
        ax.set_ylabel(metrics[0].replace("_", " "))
    if len(handles) > 1:
        ax.legend(handles=handles, frameon=False)
