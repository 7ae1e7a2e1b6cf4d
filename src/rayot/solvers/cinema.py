"""Matching of cells by what a treatment does not change (CINEMA-OT, Dong et al. 2023)."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from rayot._arguments import Check
from rayot._docs import shared
from rayot.solvers.discrete import DiscreteMap, DiscreteSettings
from rayot.solvers.population import Population
from rayot.solvers.random import generator
from rayot.solvers.settings import from_zero

logger = logging.getLogger(__name__)

ICA_ITERATIONS = 500
"""Of FastICA, at most; on real cells it mostly settles within 50."""


@shared
@dataclass(frozen=True)
class CinemaSettings(DiscreteSettings):
    """Settings of a matching by confounders, beside those of a discrete coupling.

    Attributes
    ----------
    n_sources
        Independent components that cells are decomposed into, at most.
    threshold
        Chatterjee's coefficient of a component and the treatment above which the component is
        what the treatment changes; the others are confounders, by which cells are matched.
    smoothness
        The published strength s of the entropic regularisation: ε is s n / 2 for n cells, as the
        authors' components have variance 1 / n; 0 takes ``epsilon``.
    coupling, extension, epsilon, largest_coupling
        As in :class:`DiscreteSettings`.
    {common_settings}
    """

    coupling: Literal["exact", "entropic"] = "entropic"
    n_sources: int = 20
    threshold: float = 0.15
    smoothness: float = 0.0

    ranges: ClassVar[dict[str, Check]] = {"smoothness": from_zero}
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {"n_components": 20, "smoothness": 1e-4},
        "fast": {"decode": "auto", "standardise": True, "n_components": 50},
    }


@shared
class CinemaMap(DiscreteMap):
    """P couplings of cells by their confounders alone.

    Independent component analysis of both conditions together; the components that go with the
    treatment by Chatterjee's coefficient are its effect, the others confounders (cell type, cycle,
    …). Cells are coupled entropically by their confounders. The effect on a training cell is the
    difference to the mean of those it is coupled with, that on a new cell the effect on the nearest
    training cell by confounders.

    Parameters
    ----------
    {stack}

    Examples
    --------
    >>> import torch
    >>> CinemaMap(3, ["a"], CinemaSettings(), seed=0)(torch.zeros(1, 5, 3)).shape
    torch.Size([1, 5, 3])
    """

    settings_type = CinemaSettings
    settings: CinemaSettings
    unmixing: Tensor

    def __init__(
        self, n_features: int, names: Sequence[str], settings: CinemaSettings, seed: int
    ) -> None:
        super().__init__(n_features, names, settings, seed)
        n_problems, r = len(self.names), self.n_features
        self.register_buffer("unmixing", torch.eye(r, dtype=torch.float32).repeat(n_problems, 1, 1))

    def epsilon(self, n_cells: int) -> float:
        """Strength of the entropic regularisation, which may grow with the cells."""
        return self.settings.smoothness * n_cells / 2 or self.settings.epsilon

    def coordinates(self, cells: Tensor) -> Tensor:
        """Confounders (P, n, r) of standardised cells, zero where there are fewer."""
        return cells @ self.unmixing

    def fit(self, source: Population, target: Population) -> None:
        """Find the confounders, then couple training cells by them."""
        limit = self.settings.largest_coupling
        samples = [
            side.sample(self.seed, self.names, "confounders", limit) for side in (source, target)
        ]
        for problem, pair in enumerate(zip(*samples, strict=True)):
            own = self.take([problem])
            cells = [own.standardise(cells[None])[0].numpy() for cells, _ in pair]
            self.unmixing[problem] = self._confounders(cells[0], cells[1], self.names[problem])
        super().fit(source, target)

    def _confounders(self, source: np.ndarray, target: np.ndarray, name: str) -> Tensor:
        """Directions (r, r) of the confounders of one problem; the last columns may be zero."""
        cells = np.concatenate([source, target]).astype(np.float64)
        treated = np.repeat([0, 1], [len(source), len(target)])
        spread = np.linalg.matrix_rank(cells - cells.mean(0), tol=1e-6 * len(cells) ** 0.5)
        n_sources = max(1, min(self.settings.n_sources, cells.shape[1], int(spread)))
        draw = int(torch.randint(2**31, (1,), generator=generator(self.seed, name, "ica")))
        ica = FastICA(
            n_sources,
            whiten="unit-variance",
            random_state=draw,
            max_iter=ICA_ITERATIONS,
            tol=1e-3,
        )
        with warnings.catch_warnings():
            # Its advice is about options that a user does not have.
            warnings.simplefilter("ignore", ConvergenceWarning)
            sources = ica.fit_transform(cells)
        if ica.n_iter_ >= ICA_ITERATIONS:
            logger.warning(
                "The independent components of %r did not settle in %d iterations; look whether "
                "another seed, or fewer components (n_sources), says the same.",
                name,
                ICA_ITERATIONS,
            )
        dependence = np.array([chatterjee(column, treated) for column in sources.T])
        # At least the component that has least to do with the treatment.
        confounds = (dependence < self.settings.threshold) | (dependence == dependence.min())
        directions = torch.zeros(self.n_features, self.n_features, dtype=torch.float32)
        kept = torch.from_numpy(ica.components_[confounds].T.astype(np.float32))
        directions[:, : kept.shape[1]] = kept
        return directions


def chatterjee(x: np.ndarray, y: np.ndarray) -> float:
    r"""Chatterjee's rank correlation ξ of y with x, which may tie (Chatterjee 2021, equation 2).

    With y in the order of x, r the number of values at most as large and l at least as large,
    :math:`ξ = 1 - n Σ|r_{i+1} - r_i| / (2 Σ l_i (n - l_i))`: about 0 where y does not depend on x,
    and 1 where it is a function of it.

    Parameters
    ----------
    x, y
        (n,).

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(100)
    >>> bool(chatterjee(x, x > 50) > 0.9)
    True
    """
    ordered = y[np.argsort(x, kind="stable")]
    values, inverse, counts = np.unique(ordered, return_inverse=True, return_counts=True)
    at_most = counts.cumsum()[inverse]
    at_least = (len(y) - counts.cumsum() + counts)[inverse].astype(float)
    spread = (at_least * (len(y) - at_least)).sum()
    if len(values) < 2 or spread == 0:
        return 0.0
    return float(1 - len(y) * np.abs(np.diff(at_most)).sum() / (2 * spread))
