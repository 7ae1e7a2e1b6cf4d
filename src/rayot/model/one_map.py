"""The map of one perturbation, out of whatever holds it."""

from __future__ import annotations

from typing import Any

from rayot.model.conditional_w1ot import ConditionalW1OT
from rayot.model.method import Method
from rayot.model.screen import Screen


def one_map(model: Any, perturbation: str | None) -> Method:  # noqa: ANN401
    """The map of a perturbation out of a screen or a conditional model; a single map as it is.

    Parameters
    ----------
    model
        What a verb returned, or what was loaded.
    perturbation
        Which of its maps; None of a model that is one.

    Raises
    ------
    KeyError
        If a screen has no such perturbation.
    TypeError
        If ``model`` is no fitted model.
    ValueError
        If a perturbation is named of a single map, or none of a model of many.

    Examples
    --------
    >>> import rayot as rt
    >>> from rayot.model.one_map import one_map
    >>> adata = rt.datasets.moons(n_samples=100)
    >>> model = rt.tl.mean_shift(adata, "control", "perturbed")
    >>> one_map(model, None) is model
    True
    """
    if isinstance(model, Method):
        if perturbation is not None:
            raise ValueError(
                f"perturbation is {perturbation!r}, and the model is one map, to "
                f"{model.target_key!r}; leave it out."
            )
        return model
    if not isinstance(model, Screen | ConditionalW1OT):
        raise TypeError(
            "A map is named as it was written, or passed as a fitted model; found "
            f"{type(model).__name__}."
        )
    if perturbation is None:
        names = list(model) if isinstance(model, Screen) else list(model.table.index.astype(str))
        raise ValueError(
            f"The model has maps of many perturbations ({', '.join(map(repr, names[:3]))}, …); "
            f"name one, perturbation={names[0]!r}."
        )
    return model.at(perturbation)
