"""What is said of a fitted map."""

from __future__ import annotations

from typing import Required, TypedDict


class Report(TypedDict, total=False):
    """Held-out figures of a map, and the word about them with its reason, which are always there.

    See :func:`rayot.solvers.diagnostics.diagnostics` for each figure. A map that was not fitted,
    or that no cells could judge, has few of them.
    """

    certificate: Required[str]
    reason: Required[str]
    held_out_dual: float
    mean_step: float
    gap: float
    initial_energy_distance: float
    residual_energy_distance: float
    floor_energy_distance: float
    initial_wasserstein: float
    residual_wasserstein: float
    floor_wasserstein: float
    n_cells_wasserstein: float
    share_left: float
    p_value: float
    q_value: float
    strength: float
    smallest_gradient_norm: float
    largest_gradient_norm: float
    changed_type: float
    floor_changed_type: float
    n_cells: float
    n_folds: int
    instability: float
    """Of members of an ensemble."""
    distance: float
    left_map: float
    left_part: float
    left_near: float
    left_shift: float
    left_stacked: float
    stacked_certificate: str
    stacked_reason: str
    """Of strata that were left out of a fit."""
    unseen_certificate: str
    unseen_reason: str
    unseen_share_left: float
    n_strata_left_out: int
    """Of maps whose strata were left out, one after the other."""
