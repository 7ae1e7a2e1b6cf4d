"""Gromov couplings of two spaces, from several starts (Mémoli 2011, Vayer et al. 2019)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import ot
from scipy.sparse.csgraph import shortest_path
from scipy.spatial.distance import cdist
from sklearn.neighbors import kneighbors_graph

from rayot.solvers.translation import TranslationSettings

QUANTILES = 20

FEWEST, MOST = 5, 110
"""Neighbours in the graph that geodesic distances are steps on."""

N_LANDMARKS = 300
"""Cells of each side that all starts are tried on, at most; a start then takes 0.2 s."""

N_SOLVED = 2
"""Couplings of landmarks that are solved for all cells."""

N_AXES = 3
"""Leading axes of a space, along each of which it may lie either way round."""

ELSEWHERE = 0.5
"""How far apart two couplings send cells, of what chance would do, for them to be two optima."""

NEAR = 0.15
"""Lead of an optimum up to which another may be the right one; that of a wrong one was 0.13."""

POOR = 0.5
"""Share of the loss of chance above which distances within both spaces do not agree."""

Plan = np.ndarray
Pair = Sequence[np.ndarray]


@dataclass(frozen=True)
class GromovCoupling:
    """A coupling, and how sure it is.

    Attributes
    ----------
    plan
        (n, m).
    diagnostics
        ``loss`` of the best optimum, ``chance_loss`` of the coupling of all with all,
        ``start_losses`` of all starts on landmarks in ascending order, ``other_loss`` of the best
        coupling that sends cells elsewhere and ``other_distance``, how far from where this one
        does, of what chance would do (both NaN where there is none), ``n_source`` and ``n_target``
        cells, ``certificate`` and ``reason``. Where the plan is entropic, losses are those of exact
        ones, from the best of which it starts.
    """

    plan: np.ndarray
    diagnostics: dict[str, Any]


def distances_within(cells: np.ndarray, settings: TranslationSettings) -> np.ndarray:
    """Distances (n, n) between cells (n, d) of one space, the largest of which is 1."""
    if settings.distance != "geodesic":
        lengths = cdist(cells, cells, metric=settings.distance)
    else:
        k = settings.n_neighbors or min(max(len(cells) // 10, FEWEST), MOST)
        k = min(k, len(cells) - 1)
        graph = kneighbors_graph(cells, k, mode="connectivity", metric="correlation")
        lengths = shortest_path(graph, directed=False)
        # Parts of the graph that no path joins are as far apart as any two cells.
        lengths[np.isinf(lengths)] = lengths[np.isfinite(lengths)].max()
    return lengths / max(lengths.max(), np.finfo(float).tiny)


def gromov_plan(
    source: np.ndarray,
    target: np.ndarray,
    settings: TranslationSettings,
    shared_features: tuple[np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """The plan (n, m) of :func:`gromov_coupling`."""
    return gromov_coupling(source, target, settings, shared_features).plan


def gromov_coupling(
    source: np.ndarray,
    target: np.ndarray,
    settings: TranslationSettings,
    shared_features: tuple[np.ndarray, np.ndarray] | None = None,
) -> GromovCoupling:
    """Coupling (n, m) under which distances within both spaces agree (Mémoli 2011).

    The problem has many local minima, mirror images above all. It is solved from several starts on
    landmarks, with the distances of all cells. What is found is extended to all cells, where losses
    are compared, as those on landmarks vary with them; the two best are solved to their end.

    Parameters
    ----------
    source, target
        (n, d) and (m, e), cells of two spaces.
    settings
        Distances, and how the coupling is found.
    shared_features
        (n, f) and (m, f), features of both: the coupling is then fused (Vayer et al. 2019).

    Raises
    ------
    FloatingPointError
        If the coupling underflows.
    """
    within = [distances_within(cells, settings) for cells in (source, target)]
    cost = None
    if shared_features is not None:
        cost = cdist(*shared_features, metric="sqeuclidean")
        cost /= max(cost.max(), np.finfo(float).tiny)
    whole = _Gromov(within, cost, settings)
    landmarks = [_landmarks(len(cells)) for cells in (source, target)]
    few = whole.of(landmarks)
    tried = few.ranked([few.solve(start) for start in _starts(few.within)])
    extended = [whole.extend(plan, landmarks) for plan, _ in few.distinct(tried)]
    ranked = [plan for plan, _ in whole.ranked(extended)]
    # The losses of what is not solved to its end are upper bounds.
    ranking = whole.ranked([*map(whole.solve, ranked[:N_SOLVED]), *ranked[N_SOLVED:]])
    (plan, loss), *others = whole.distinct(ranking)
    figures = {
        "loss": loss,
        "chance_loss": whole.loss(np.outer(*whole.masses)),
        "start_losses": [each for _, each in tried],
        "other_loss": others[0][1] if others else math.nan,
        "other_distance": whole.apart(plan, others[0][0]) if others else math.nan,
        "n_source": len(source),
        "n_target": len(target),
    }
    word, reason = coupling_certificate(figures, fused=cost is not None)
    if settings.coupling == "entropic":
        plan = whole.solve_entropic(plan)
    return GromovCoupling(plan, {**figures, "certificate": word, "reason": reason})


def coupling_certificate(figures: Mapping[str, Any], fused: bool = False) -> tuple[str, str]:
    """``"good"``, ``"check"`` or ``"poor"``, with the reason and what to try.

    What is judged is whether distances agree better than by chance, and whether one optimum leads.
    That it is the right one cannot be seen from unpaired cells.

    Parameters
    ----------
    figures
        As :class:`GromovCoupling` has them.
    fused
        Whether features that both spaces have entered.

    Examples
    --------
    >>> figures = dict(loss=0.02, chance_loss=0.1, other_loss=0.021, other_distance=0.9)
    >>> figures["start_losses"] = [0.02, 0.021]
    >>> coupling_certificate(figures)[0]
    'check'
    """
    loss, other = figures["loss"], figures["other_loss"]
    share = loss / max(figures["chance_loss"], np.finfo(float).tiny)
    sentence = (
        f"The least loss of {len(figures['start_losses'])} starts is {loss:.3g}, {share:.0%} of "
        "that of chance"
    )
    if share > POOR:
        return "poor", (
            f"{sentence}: distances within the modalities hardly agree. Try other representations "
            "(source_rep, target_rep) or another distance."
        )
    if other <= loss * (1 + NEAR):
        fuse = "" if fused else ", or name features that both modalities have (fused_keys)"
        return "check", (
            f"{sentence}, but a coupling that sends cells elsewhere has {other:.3g}, so which of "
            f"them is right is not sure. Look at known cell types{fuse}."
        )
    if math.isnan(other):
        return "good", f"{sentence}, and all starts lead to one coupling."
    return "good", f"{sentence}, and couplings that send cells elsewhere have {other:.3g} or more."


def _landmarks(n: int) -> np.ndarray:
    return np.linspace(0, n - 1, min(n, N_LANDMARKS)).astype(int)


def _starts(within: Pair) -> list[Plan]:
    """Plans (n, m) to start from.

    One couples cells whose distances to all others are alike (Mémoli 2011, third lower bound), one
    all with all, and the others near cells, once both spaces lie along their leading axes: each
    axis may be turned round.
    """
    masses = [np.full(len(distances), 1 / len(distances)) for distances in within]
    levels = np.linspace(0, 1, QUANTILES)
    profiles = [np.quantile(distances, levels, axis=1).T for distances in within]
    axes = [_axes(distances) for distances in within]
    costs = [cdist(*profiles, metric="sqeuclidean")]
    for signs in product((1, -1), repeat=N_AXES):
        costs.append(cdist(axes[0] * signs, axes[1], metric="sqeuclidean"))
    plans = [ot.emd(*masses, cost, numItermax=1_000_000) for cost in costs]
    return [*plans, np.outer(*masses)]


def _axes(distances: np.ndarray) -> np.ndarray:
    """Coordinates (n, axes) by classical scaling of distances (n, n)."""
    squared = distances**2
    centred = squared.mean(0) + squared.mean(1)[:, None] - squared - squared.mean()
    values, vectors = np.linalg.eigh(centred / 2)
    return vectors[:, -N_AXES:] * np.sqrt(np.maximum(values[-N_AXES:], 0))


class _Gromov:
    """A (fused) Gromov problem.

    Parameters
    ----------
    within
        Distances (n, n) and (m, m).
    cost
        (n, m), of features that both spaces have, or None.
    settings
        Of the coupling.
    """

    def __init__(
        self, within: Pair, cost: np.ndarray | None, settings: TranslationSettings
    ) -> None:
        self.within, self.cost, self.settings = within, cost, settings
        self.masses = [np.full(len(distances), 1 / len(distances)) for distances in within]

    def of(self, rows: Pair) -> _Gromov:
        """The same problem of some cells of each side."""
        within = [
            distances[np.ix_(at, at)] for distances, at in zip(self.within, rows, strict=True)
        ]
        cost = None if self.cost is None else self.cost[np.ix_(*rows)]
        return _Gromov(within, cost, self.settings)

    def solve(self, start: Plan) -> Plan:
        """A local optimum, by conditional gradients."""
        problem = *self.within, *self.masses, "square_loss"
        options = {"G0": start, "max_iter": 100, "tol_rel": 1e-6}
        if self.cost is None:
            return np.asarray(ot.gromov.gromov_wasserstein(*problem, **options))
        alpha = 1 - self.settings.fused_share
        fused = ot.gromov.fused_gromov_wasserstein
        return np.asarray(fused(self.cost, *problem, alpha=alpha, **options))

    def solve_entropic(self, start: Plan) -> Plan:
        """A local optimum of the entropic problem, by the proximal point algorithm.

        Raises
        ------
        FloatingPointError
            If it underflows.
        """
        problem = *self.within, *self.masses, "square_loss"
        options: dict[str, Any] = {"max_iter": 50, "tol": 1e-6, "solver": "PPA"}
        options["epsilon"] = self.settings.epsilon
        # Steps multiply the plan, so that what is zero would stay so.
        options["G0"] = 0.9 * start + 0.1 * np.outer(*self.masses)
        if self.cost is None:
            plan = ot.gromov.entropic_gromov_wasserstein(*problem, **options)
        else:
            options["alpha"] = 1 - self.settings.fused_share
            plan = ot.gromov.entropic_fused_gromov_wasserstein(self.cost, *problem, **options)
        if not np.isfinite(plan).all() or plan.sum() <= 0:
            raise FloatingPointError(
                "The Gromov coupling underflowed to nothing; raise epsilon, or take "
                "coupling='exact'."
            )
        return np.asarray(plan)

    def loss(self, plan: Plan) -> float:
        """Mean square of d(x, x') − e(y, y') over pairs of pairs, and the mean cost where fused."""
        squares = sum(
            float(mass @ distances**2 @ mass)
            for distances, mass in zip(self.within, self.masses, strict=True)
        )
        agree = float(((self.within[0] @ plan @ self.within[1]) * plan).sum())
        loss = max(squares - 2 * agree, 0.0)
        if self.cost is None:
            return loss
        share = self.settings.fused_share
        return share * float((self.cost * plan).sum()) + (1 - share) * loss

    def ranked(self, plans: Sequence[Plan]) -> list[tuple[Plan, float]]:
        """Plans and their losses, the least first."""
        return sorted(((plan, self.loss(plan)) for plan in plans), key=lambda each: each[1])

    def apart(self, first: Plan, second: Plan) -> float:
        """Mean distance between where two plans send a cell, of what it is by chance."""
        sent = [plan / plan.sum(1, keepdims=True) for plan in (first, second)]
        apart = float(((sent[0] @ self.within[1]) * sent[1]).sum(1).mean())
        return apart / max(float(self.within[1].mean()), np.finfo(float).tiny)

    def distinct(self, ranking: Sequence[tuple[Plan, float]]) -> list[tuple[Plan, float]]:
        """Those of ranked plans that send cells elsewhere than each before them."""
        kept: list[tuple[Plan, float]] = []
        for plan, loss in ranking:
            if all(self.apart(plan, other) > ELSEWHERE for other, _ in kept):
                kept.append((plan, loss))
        return kept

    def extend(self, plan: Plan, landmarks: Pair) -> Plan:
        """A plan of landmarks for all cells: near landmarks go near where those are sent."""
        if plan.shape == tuple(map(len, self.within)):
            return plan
        shares = plan / plan.sum(1, keepdims=True)
        to_images = (shares @ self.within[1][landmarks[1]]).T
        cost = cdist(self.within[0][:, landmarks[0]], to_images, metric="sqeuclidean")
        return np.asarray(ot.emd(*self.masses, cost, numItermax=1_000_000))
