"""Weighing experts by strata that are left out, one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.spatial.distance import cdist
from scipy.stats import ttest_1samp

from rayot.data.matrix import chunk_rows, dense, row_chunks
from rayot.model.adaptation import GENES, REPRESENTATION
from rayot.model.calibrating import Distributions, spread_out
from rayot.model.calibration import FEWEST_QUANTILES, LARGEST, Calibration
from rayot.model.decoding import Decoder
from rayot.model.experts import EXPERTS, Experts, OfSpace
from rayot.model.fitted_map import FittedMap
from rayot.model.training_sample import SampledCells, TrainingSample
from rayot.solvers import SIGNIFICANCE, Stack

FEWEST_STRATA = 3
"""Strata that experts are weighed by: without one of two there is one, which is all there is."""

LEAST = 0.1
"""Share of the distance that a prediction must be nearer than another to be called so."""

JUDGED_GENES = 100
"""Genes, those that change most certainly, that experts are judged by."""

JUDGED_CELLS = 256
"""Cells of a side of each stratum, at most, that do so."""

FEWEST_CELLS = 10
"""The same at least."""


Sides = Sequence[np.ndarray]
"""Cells (n, d) of source and target."""


class Weighed(NamedTuple):
    """Experts, and how far each of them comes where strata are left out.

    Attributes
    ----------
    experts
        With their weights.
    left
        By stratum: the share of its energy distance that each expert leaves, and ``"stacked"``, all
        of them with weights that were found without the stratum.
    transfers
        Whether what the map has learned of strata is worth anything to others.
    """

    experts: Experts
    left: dict[str, dict[str, float]]
    transfers: bool


def weigh(
    fitted: FittedMap,
    sample: TrainingSample,
    distributions: Distributions,
    without: Mapping[int, Stack],
) -> Weighed | None:
    """Experts for strata that the fit has not seen; None where too few strata can weigh them.

    The weights minimise the energy distance to a stratum that was left out, over that of its
    untouched cells, in the mean over strata. They are shrunk towards equal ones as if one stratum
    more said that these are right. Where that mixture is not a tenth nearer than untouched cells
    are, or the mean shift is a tenth nearer (and by a paired t test over strata), the mean shift
    alone is taken.

    Parameters
    ----------
    fitted
        The map of all strata.
    sample
        Training cells.
    distributions
        Theirs.
    without
        The map without each of some strata, by their numbers.
    """
    strata = sample.source.names
    sides = sample.source, sample.target
    starts = [_encoded(fitted, side) for side in sides]
    centres = _means(starts[0], sample.source, distributions.weights[0])
    spaces = _spaces(fitted, sample, distributions, starts)
    equal = np.full(len(EXPERTS), 1 / (len(EXPERTS) - 1))
    equal[-1] = 0
    experts = Experts(strata, centres, equal, spaces)
    trials = _trials(fitted, sample, distributions, without, experts)
    if len(trials) < FEWEST_STRATA:
        return None
    left = {name: _left(name, trials) for name in trials}
    mixture, shift = (np.array([of[name] for of in left.values()]) for name in ("stacked", "shift"))
    if _transfers(mixture, shift):
        weights = _best_weights(list(trials.values()))
        return Weighed(replace(experts, weights=weights), left, True)
    left = {name: {**of, "stacked": of["shift"]} for name, of in left.items()}
    return Weighed(replace(experts, weights=_alone("shift")), left, False)


def _trials(
    fitted: FittedMap,
    sample: TrainingSample,
    distributions: Distributions,
    without: Mapping[int, Stack],
    experts: Experts,
) -> dict[str, _Trial]:
    """What experts do for each stratum that was left out and has cells to tell it."""
    sides, strata = (sample.source, sample.target), experts.strata
    order = np.argsort(-distributions.share[0], kind="stable")
    genes = np.sort(order[:JUDGED_GENES])
    judged = replace(experts, spaces={GENES: experts.spaces[GENES].take(genes)})
    trials = {}
    for number, transport in without.items():
        rows = [
            spread_out(np.flatnonzero((side.strata == number) & (weights > 0)), JUDGED_CELLS)
            for side, weights in zip(sides, distributions.weights, strict=True)
        ]
        if min(map(len, rows)) >= FEWEST_CELLS:
            others = judged.only([other for other in range(len(strata)) if other != number])
            alone = _Without(fitted, others, number, transport)
            predicted = alone.predicted(sample, rows[0], genes)
            truth = sample.target.expression[np.ix_(rows[1], genes)]
            trials[strata[number]] = _Trial.of(predicted, truth)
    return {name: trial for name, trial in trials.items() if trial.untouched > 0}


def _left(name: str, trials: Mapping[str, _Trial]) -> dict[str, float]:
    """What each expert leaves of a stratum, and all of them by weights that do not know it."""
    # Weights that were found with the stratum would flatter themselves.
    others = _best_weights([trial for other, trial in trials.items() if other != name])
    left = {expert: trials[name].left(_alone(expert)) for expert in EXPERTS}
    return {**left, "stacked": trials[name].left(others)}


@dataclass(frozen=True)
class _Trial:
    """Mean distances between cells of a stratum that was left out.

    Attributes
    ----------
    within
        (E, E), between cells as two experts predict them, of different cells.
    to_truth
        (E,), of each expert's to treated cells.
    of_truth
        Between treated cells.
    untouched
        Energy distance of untouched cells.
    """

    within: np.ndarray
    to_truth: np.ndarray
    of_truth: float
    untouched: float

    @classmethod
    def of(cls, predicted: list[np.ndarray], truth: np.ndarray) -> _Trial:
        """Of untouched cells (n, g), then those that each expert predicts, and treated ones."""
        own, *predicted = predicted
        of_truth = _between_others(truth, truth)
        untouched = 2 * cdist(own, truth).mean() - _between_others(own, own) - of_truth
        within = np.array([[_between_others(a, b) for b in predicted] for a in predicted])
        to_truth = np.array([cdist(of, truth).mean() for of in predicted])
        return cls(within, to_truth, of_truth, float(untouched))

    def left(self, weights: np.ndarray) -> float:
        """Energy distance of a mixture of the experts' cells, over that of untouched ones."""
        distance = 2 * weights @ self.to_truth - weights @ self.within @ weights - self.of_truth
        return float(distance / self.untouched)


def _between_others(first: np.ndarray, second: np.ndarray) -> float:
    """Mean distance between different cells, of which both have a row in the same place."""
    distance = cdist(first, second)
    n_cells = len(distance)
    return float((distance.sum() - np.trace(distance)) / (n_cells * (n_cells - 1)))


def _best_weights(trials: list[_Trial]) -> np.ndarray:
    """Weights (E,) with the least mean share left, shrunk; the last expert has none."""
    n_experts = len(EXPERTS) - 1
    equal = np.full(n_experts, 1 / n_experts)

    def loss(weights: np.ndarray) -> float:
        left = [trial.left(np.append(weights, 0)) for trial in trials]
        return float(np.mean(left) + np.square(weights - equal).sum() / len(trials))

    whole = {"type": "eq", "fun": lambda weights: weights.sum() - 1}
    found = minimize(loss, equal, bounds=[(0, 1)] * n_experts, constraints=whole, method="SLSQP")
    weights = np.append(found.x.clip(0), 0)
    return weights / weights.sum()


def _alone(expert: str) -> np.ndarray:
    """Weights (E,) of one expert alone."""
    return np.eye(len(EXPERTS))[EXPERTS.index(expert)]


def _transfers(mixture: np.ndarray, shift: np.ndarray) -> bool:
    """Whether a mixture is worth more than untouched cells, and no less than their mean shift.

    Parameters
    ----------
    mixture, shift
        (T,) what they leave of each stratum that was left out.
    """
    behind = mixture - shift
    is_behind = ttest_1samp(behind, 0, alternative="greater").pvalue <= SIGNIFICANCE
    return bool(mixture.mean() < 1 - LEAST and not (behind.mean() > LEAST and is_behind))


class _Without(NamedTuple):
    """What a fit knows of a stratum that was left out.

    Attributes
    ----------
    fitted
        The fit of all strata.
    experts
        Of the others, in the genes that are judged.
    number
        Of the stratum.
    transport
        The map without it.
    """

    fitted: FittedMap
    experts: Experts
    number: int
    transport: Stack

    @torch.no_grad()
    def predicted(
        self, sample: TrainingSample, rows: np.ndarray, genes: np.ndarray
    ) -> list[np.ndarray]:
        """Source cells (n, g) of the stratum, untouched, then as each expert predicts them."""
        cells = sample.source.cells
        start, _, decoder = self.fitted.move(cells, rows, clip="auto")
        assert decoder is not None
        moved = self.transport(torch.from_numpy(start)[None])[0].numpy()
        found = self._decoder(decoder, genes).genes((moved - start)[None])[0][:, genes]
        own = sample.source.expression[np.ix_(rows, genes)]
        names = cells.obs_names.to_numpy()[rows], cells.var_names.to_numpy()[genes]
        near = {"": self.experts.nearness(start.mean(0))}
        chosen = self.experts.choose(np.full(len(rows), ""), names[0], near, self.fitted.seed)
        by_others = [
            replace(chosen, expert=np.full(len(rows), expert))(GENES, own, found, names[1])
            for expert in range(1, len(EXPERTS))
        ]
        return [own, found, *by_others]

    def _decoder(self, decoder: Decoder, genes: np.ndarray) -> Decoder:
        """What decodes its cells by the distributions of other strata, in some genes."""
        shares, number = decoder.nearness, self.number
        return replace(
            decoder,
            calibrations=tuple(
                _calibration_without(calibration, number, genes)
                for calibration in decoder.calibrations
            ),
            nearness=None
            if shares is None
            else lambda cells: np.delete(shares(cells), number, axis=1),
        )


def _calibration_without(calibration: Calibration, number: int, genes: np.ndarray) -> Calibration:
    """The calibration of some genes, without a stratum where strata have their own."""
    judged = calibration.of_genes(np.flatnonzero(np.isin(calibration.genes, genes)))
    return replace(judged.without(number), genes=judged.genes) if judged.strata else judged


def _spaces(
    fitted: FittedMap, sample: TrainingSample, distributions: Distributions, starts: Sides
) -> dict[str, OfSpace]:
    """What experts know, in genes and in the space of the map, where cells are ``starts``."""
    sides = sample.source, sample.target
    n_quantiles, genes = _within(distributions)
    chosen = torch.from_numpy(genes)
    before = distributions.shrunk([table.take(chosen) for table in distributions.source])
    after = distributions.shrunk(distributions.observed(genes))
    in_genes = OfSpace(
        genes,
        tuple(table.coarser(n_quantiles) for table in before[1:]),
        tuple(table.coarser(n_quantiles) for table in after[1:]),
        _shifts([side.expression for side in sides], sample, distributions),
        fitted.data.nonnegative,
    )
    if fitted.representation.name is None:
        return {GENES: in_genes}
    tables = [
        side.marginals_of(values, of_cells)
        for side, values, of_cells in zip(sides, starts, distributions.weights, strict=True)
    ]
    before, after = (tuple(of_side[1:]) for of_side in tables)
    features = np.arange(starts[0].shape[1])
    in_space = OfSpace(features, before, after, _shifts(starts, sample, distributions), False)
    return {GENES: in_genes, REPRESENTATION: in_space}


def _within(distributions: Distributions) -> tuple[int, np.ndarray]:
    """How many quantiles of which genes are kept, so that they take no more than :data:`LARGEST`.

    Those that change in some stratum; of too many, those that change most certainly.
    """
    share = distributions.share
    genes = np.flatnonzero((share > 0).any(axis=0))
    of_quantile = 4 * 2 * (len(share) - 1)
    n_quantiles = distributions.source[0].quantiles.shape[1]
    if len(genes) * of_quantile * (n_quantiles + 2) > LARGEST:
        n_quantiles = FEWEST_QUANTILES
        most = LARGEST // (of_quantile * (n_quantiles + 2))
        genes = np.sort(genes[np.argsort(-share[0, genes], kind="stable")[:most]])
    return n_quantiles, genes


def _shifts(values: Sides, sample: TrainingSample, distributions: Distributions) -> np.ndarray:
    """Mean shift (S, d) of each stratum, of cells (n, d) of both sides."""
    before, after = (
        _means(cells, side, weights)
        for cells, side, weights in zip(
            values, (sample.source, sample.target), distributions.weights, strict=True
        )
    )
    return after - before


def _means(values: np.ndarray, side: SampledCells, weights: np.ndarray) -> np.ndarray:
    """Mean (S, d) of the cells of each stratum; of all cells where none has a weight."""
    own = side.strata == np.arange(len(side.names))[:, None]
    shares = np.where((own * weights).sum(1, keepdims=True) > 0, own * weights, weights)
    means = shares @ values.astype(np.float64) / shares.sum(1, keepdims=True)
    return means.astype(np.float32)


def _encoded(fitted: FittedMap, side: SampledCells) -> np.ndarray:
    """Sampled cells (n, d) float32 in the space of the map."""
    blocks = [
        dense(fitted._encode(side.cells, rows)[0])
        for rows in row_chunks(np.arange(side.cells.n_obs), chunk_rows(side.cells.n_vars))
    ]
    return np.ascontiguousarray(np.concatenate(blocks), dtype=np.float32)
