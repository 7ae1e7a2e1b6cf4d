"""One plain word about a fitted map, and the reason for it."""

import math
from collections.abc import Mapping
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


def certificate(figures: Mapping[str, Any]) -> tuple[str, str]:
    """``"good"``, ``"check"``, ``"poor"`` or ``"no effect"``, with the reason in one sentence.

    What is judged is how much of the distance to held-out target cells is left, beyond what two
    halves of the target differ by. That the right cells were matched cannot be seen from unpaired
    cells; the word speaks of populations.

    Parameters
    ----------
    figures
        Of one problem, as :func:`rayot.solvers.diagnostics.diagnostics` names them.

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
    initial = figures["initial_energy_distance"]
    residual = figures["residual_energy_distance"]
    moves = figures["mean_step"] > 0 and figures["strength"] > 0
    # A p-value of 0.05 in single precision is above 0.05, and such cells move.
    if round(figures["p_value"], 6) > SIGNIFICANCE:
        found = f"no detectable effect (p = {figures['p_value']:.2f})"
        if moves:
            return "check", f"There is {found}, yet cells are moved: what they show may be noise."
        return "no effect", f"There is {found}; cells stay where they are."
    if figures["n_cells"] < FEW_CELLS:
        return (
            "check",
            f"Only {figures['n_cells']} held-out cells of a side were there to judge by.",
        )
    if not moves:
        return "check", "There is an effect, but held-out cells support no move."
    floor = figures["floor_energy_distance"]
    if not math.isfinite(floor):
        return "check", "Held-out cells of a stratum are too few to judge by."
    if not math.isfinite(initial + residual):
        return "check", "The distance to held-out target cells is not finite."
    if initial <= floor:
        return "check", "There is an effect, but held-out cells are too few to see what is left."
    left = max(0.0, residual) / initial
    share = f"{left:.0%} of the distance to held-out target cells is left"
    if residual > POOR * initial + floor:
        return "poor", f"{share}."
    if residual > GOOD * initial:
        unsure = residual <= GOOD * initial + floor
        return "check", (
            f"{share}, which so few held-out cells do not tell from none."
            if unsure
            else f"{share}."
        )
    if figures["gap"] > DETOUR * figures["mean_step"]:
        return "check", (
            f"{share}, but cells go much farther than the lower bound asks, so which cell goes "
            "where is not sure."
        )
    return "good", f"{share}."
