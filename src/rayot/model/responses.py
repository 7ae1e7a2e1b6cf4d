"""Mean responses of training, whose weighted sums are those of perturbations that are new."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rayot.data.conditions import Condition, Conditions
from rayot.model.components import Components
from rayot.model.saved import Arrays, check_array, check_names
from rayot.solvers import Population
from rayot.solvers.gaussian_process import Choice, Covariance, GaussianProcess, choose

SAMPLE = 500
"""Control cells of each condition, at most, whose moves are averaged."""

MOST_TERMS = 64
"""Perturbations whose moves are added up; of others, which weigh less, their mean is."""


@dataclass(frozen=True)
class SavedChoice:
    """A choice without what follows from the conditions."""

    covariance: Covariance
    length_scale: float
    noise: float
    standardise: bool
    errors: dict[str, float]


class Weighted(NamedTuple):
    """What a new perturbation is made of.

    Attributes
    ----------
    weights
        Of the responses of perturbations of training, by their names.
    terms
        Names of those whose moves are added up, each by its weight.
    """

    weights: dict[str, float]
    terms: tuple[str, ...]

    @classmethod
    def of(cls, weights: Mapping[str, float]) -> Weighted:
        """Those with the largest weights as terms."""
        ordered = sorted(weights, key=lambda name: -abs(weights[name]))
        return cls(dict(weights), tuple(ordered[:MOST_TERMS]))


@dataclass(frozen=True)
class Responses:
    """Mean responses of the conditions of training, and how those of new perturbations follow.

    Whether vectors predict the response of a perturbation, the mean over its doses and covariates,
    is seen where each of training is left out, see :func:`rayot.solvers.gaussian_process.choose`.
    The weights that a Gaussian process gives the mean responses of training it gives their maps at
    any dose, too: a cell moves by the weighted sum of the moves that these make of it. So cells
    differ in their response as they do in training, and what the maps lack of the mean response is
    added.

    Attributes
    ----------
    conditions
        Those of training, n of them.
    means
        (n, d) float32, mean response of each, in the space of the map.
    moves
        (n, d) float32, mean move of its control cells by its map.
    singles
        Perturbations, no combinations, that responses are predicted from, with the numbers of their
        conditions.
    choice
        How.
    """

    conditions: Sequence[Condition]
    means: np.ndarray
    moves: np.ndarray
    singles: dict[str, list[int]]
    choice: Choice

    @classmethod
    def learn(
        cls,
        vectors: Conditions,
        conditions: Sequence[Condition],
        sides: tuple[Population, Population],
        components: Components | None,
        move: Callable[[Condition, Tensor], Tensor],
        seed: int,
    ) -> Responses:
        """Choose by training cells.

        Parameters
        ----------
        vectors
            What describes conditions.
        conditions
            Of training.
        sides
            Their control and their treated cells: strata of a problem for each member.
        components
            What the cells are coordinates of; None where they are held whole.
        move
            From a condition and cells (m, d) to their moves (m, d).
        seed
            Keys the permutations that vectors are compared with.
        """
        source, target = sides
        differences = (target.group_means()[0] - source.group_means()[0]).float()
        if components is not None:
            differences = differences @ components.basis.T
        means = differences.numpy()
        moves = [
            move(condition, _cells(source, number, components)).mean(0).numpy()
            for number, condition in enumerate(conditions)
        ]
        singles = singles_of(vectors, conditions)
        known = _vectors(vectors, singles)
        of_singles = np.stack([means[numbers].mean(0) for numbers in singles.values()])
        choice = choose(known, of_singles.astype(np.float64), ("linear", "rbf"), seed)
        return cls(conditions, means, np.stack(moves), singles, choice)

    def weights(self, vectors: Conditions, perturbation: str) -> dict[str, float]:
        """Weight of each perturbation of training in one that is new."""
        weights = self.choice.process.weights(_vectors(vectors, [perturbation]))[0]
        return dict(zip(self.singles, weights.tolist(), strict=True))

    def lacking(self, weighted: Weighted, condition: Condition) -> Tensor:
        """What the mean move (d,) of the terms lacks of the mean response.

        It is that of cells with the covariates of a condition, at its dose. Where a term was not in
        training at this dose, nothing is known to lack.
        """
        total = np.zeros(self.means.shape[1])
        for name, weight in weighted.weights.items():
            numbers = self._alike(name, covariates=condition.covariates)
            at_dose = [each for each in numbers if self.conditions[each].dose == condition.dose]
            if name not in weighted.terms:
                total += weight * self.means[at_dose or numbers].mean(0)
            elif at_dose:
                total += weight * (self.means - self.moves)[at_dose].mean(0)
        return torch.from_numpy(total.astype(np.float32))

    def _alike(self, name: str, covariates: tuple[str, ...]) -> list[int]:
        """Numbers of the conditions of a perturbation with these covariates, or of all of its."""
        own = self.singles[name]
        return [each for each in own if self.conditions[each].covariates == covariates] or own

    @property
    def sentence(self) -> str:
        """How new perturbations follow, for a reader."""
        return self.choice.sentence(len(self.singles))

    def to_json(self) -> dict[str, Any]:
        """The choice as plain values."""
        process = self.choice.process
        saved = SavedChoice(
            process.covariance,
            process.length_scale,
            process.noise,
            process.standardise,
            self.choice.errors,
        )
        return asdict(saved)

    def arrays(self) -> Arrays:
        """Means of responses and of moves."""
        return {"means": self.means, "moves": self.moves}

    @classmethod
    def from_saved(
        cls,
        values: dict[str, Any] | None,
        arrays: Arrays,
        vectors: Conditions,
        conditions: Sequence[Condition],
        n_features: int,
    ) -> Responses | None:
        """Inverse of :meth:`to_json` and :meth:`arrays`; None where nothing was saved.

        Raises
        ------
        ValueError
            If they do not fit together.
        """
        names = () if values is None else ("means", "moves")
        check_names(arrays, names, "the arrays of the profiles")
        if values is None:
            return None
        for name in names:
            check_array(arrays[name], f"profiles.{name}", (len(conditions), n_features))
        if min(values["length_scale"], values["noise"]) <= 0:
            raise ValueError("length scale and noise of its responses must be above 0.")
        errors = dict(values["errors"])
        if values["covariance"] not in errors:
            raise ValueError(f"its responses have no error of {values['covariance']!r}.")
        singles = singles_of(vectors, conditions)
        process = GaussianProcess(
            values["covariance"],
            values["length_scale"],
            values["noise"],
            values["standardise"],
            _vectors(vectors, singles),
        )
        choice = Choice(process, errors)
        return cls(conditions, arrays["means"], arrays["moves"], singles, choice)


def singles_of(vectors: Conditions, conditions: Sequence[Condition]) -> dict[str, list[int]]:
    """Perturbations that are no combinations, and the numbers of their conditions."""
    singles: dict[str, list[int]] = {}
    for number, condition in enumerate(conditions):
        parts = vectors.parts(condition)
        if len(parts) == 1:
            singles.setdefault(parts[0].perturbation, []).append(number)
    return singles


def _vectors(vectors: Conditions, names: Iterable[str]) -> np.ndarray:
    return np.stack([vectors.perturbations.vector(name) for name in names])


def _cells(source: Population, number: int, components: Components | None) -> Tensor:
    """Some control cells (m, d) of a condition, from the first to the last."""
    start, end = source.offsets[number : number + 2].tolist()
    places = np.linspace(start, end, min(SAMPLE, end - start), endpoint=False).astype(np.int64)
    cells = source.take(torch.from_numpy(places)[None])[0]
    return cells if components is None else components.centre + cells @ components.basis.T
