"""One plain word about a fitted map, and the reason for it."""

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

from rayot.solvers.shrinkage import SIGNIFICANCE

CERTIFICATES = ("poor", "check", "good", "no effect")
"""The words, from a map to be trusted least on. Of several maps the first of their words is said,
so that there is no effect where none of them has one."""

FEW_CELLS = 30
"""Held-out cells below which no figure says much."""

GOOD, POOR = 0.1, 0.3
"""Shares of the energy distance left, up to which a map is good and above which it is poor."""

DETOUR = 0.5
"""Share of a mean step that its lower bound leaves open, above which the way is doubtful."""

MATCH_TYPES = 'strata_key="cell_type", and if that is set, strata="separate"'
"""How cells are matched within their types."""


def certificate(figures: Mapping[str, Any], match_types: str = MATCH_TYPES) -> tuple[str, str]:
    """``"good"``, ``"check"``, ``"poor"`` or ``"no effect"``, with the reason and what to try.

    What is judged is how much of the distance to held-out target cells is left, beyond what two
    halves of the target differ by, and whether more cells land among another type than target cells
    lie there themselves. That the right cells were matched cannot be seen from unpaired cells; the
    word speaks of populations.

    Parameters
    ----------
    figures
        Of one problem, as :func:`rayot.solvers.diagnostics.diagnostics` names them. Without
        ``changed_type``, ``floor_changed_type``, ``n_folds`` and ``instability`` there are no cell
        types, no folds and no members.
    match_types
        Arguments that match cells within their types, which is advised where types are mixed up.

    Returns
    -------
    The word, and a reason in one sentence. Of "check" and "poor" a second sentence says what to
    try.

    Raises
    ------
    KeyError
        If another figure is missing.

    Examples
    --------
    >>> from rayot.solvers import certificate
    >>> figures = dict(
    ...     p_value=0.005,
    ...     strength=1.0,
    ...     mean_step=1.0,
    ...     gap=0.1,
    ...     initial_energy_distance=2.0,
    ...     residual_energy_distance=0.02,
    ...     floor_energy_distance=0.01,
    ...     n_cells=200,
    ... )
    >>> certificate(figures)
    ('good', '1% of the distance to held-out target cells is left.')
    """
    moves = figures["mean_step"] > 0 and figures["strength"] > 0
    # A p-value of 0.05 in single precision is above 0.05, and such cells move.
    if round(figures["p_value"], 6) > SIGNIFICANCE:
        no_effect = f"There is no detectable effect (p = {figures['p_value']:.2f})"
        if not moves:
            return "no effect", f"{no_effect}; cells stay where they are."
        return "check", (
            f"{no_effect}, yet cells are moved: what they show may be noise. More cells may tell."
        )
    doubt = _cannot_be_judged(figures, moves)
    return ("check", doubt) if doubt else _by_what_is_left(figures, match_types)


def _cannot_be_judged(figures: Mapping[str, Any], moves: bool) -> str | None:
    """Why no figure says how good a map of an effect is; None where they do."""
    initial, floor = figures["initial_energy_distance"], figures["floor_energy_distance"]
    if figures["n_cells"] < FEW_CELLS:
        why = f"Only {figures['n_cells']} held-out cells of a side were there to judge by."
    elif not moves:
        why = "There is an effect, but held-out cells support no move."
    elif not math.isfinite(floor):
        why = "Held-out cells of a stratum are too few to judge by."
    elif not math.isfinite(initial + figures["residual_energy_distance"]):
        return (
            "The distance to held-out target cells is not finite. Try a lower learning rate or "
            "standardised cells."
        )
    elif initial <= floor:
        why = "There is an effect, but held-out cells are too few to see what is left."
    else:
        return None
    return f"{why} {_more_held_out(figures)}"


def _by_what_is_left(figures: Mapping[str, Any], match_types: str) -> tuple[str, str]:
    """The word about a map of an effect that can be judged."""
    initial, residual = figures["initial_energy_distance"], figures["residual_energy_distance"]
    floor = figures["floor_energy_distance"]
    changed, usual = (figures.get(f"{name}changed_type", math.nan) for name in ("", "floor_"))
    share = f"{max(0.0, residual) / initial:.0%} of the distance to held-out target cells is left"
    closer = "Try more cells, more steps (max_steps) or another method."
    if residual > POOR * initial + floor:
        return "poor", f"{share}. {closer}"
    if residual > GOOD * initial + floor:
        return "check", f"{share}. {closer}"
    if residual > GOOD * initial:
        return "check", (
            f"{share}, which so few held-out cells do not tell from none. {_more_held_out(figures)}"
        )
    if changed - usual > _by_chance(changed, usual, figures["n_cells"]):
        return "check", (
            f"{share}, but {changed:.0%} of predicted cells lie among another cell type, and "
            f"{usual:.0%} of target cells do. Try {match_types}."
        )
    if figures["gap"] > DETOUR * figures["mean_step"]:
        return "check", (
            f"{share}, but cells go much farther than the lower bound asks, so which cell goes "
            f"where is not sure{_where_it_is_not(figures)}"
        )
    return "good", f"{share}."


def _where_it_is_not(figures: Mapping[str, Any]) -> str:
    """What members of an ensemble say of single cells, or how to have some."""
    if "instability" not in figures:
        return ". Try n_seeds=5, whose spread shows where."
    return (
        f", and other seeds move cells {figures['instability']:.0%} of a mean step elsewhere. See "
        "step_sd, the spread between members, for which."
    )


def _by_chance(first: float, second: float, n: int) -> float:
    """What shares of n cells each differ by where those of their populations do not.

    At the level of the permutation test: without that margin half of all maps that mix up no types
    would be suspected. It goes to zero with the number of cells.
    """
    variance = (first * (1 - first) + second * (1 - second)) / n
    # Rounding may put a share a little above one.
    return NormalDist().inv_cdf(1 - SIGNIFICANCE) * math.sqrt(max(0.0, variance))


def _more_held_out(figures: Mapping[str, Any]) -> str:
    """What to try where held-out cells are too few; with folds all have been held out."""
    if figures.get("n_folds", 1) > 1:
        return "Every cell was held out once, so it takes more cells."
    return "Try a larger validation_size, such as 0.3."
