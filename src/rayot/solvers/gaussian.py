"""Wasserstein-2 map between Gaussians, in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from sklearn.covariance import ledoit_wolf
from torch import Tensor

from rayot._docs import shared
from rayot.solvers.population import Population
from rayot.solvers.settings import Settings
from rayot.solvers.stack import Stack

LARGEST_SAMPLE = 8192
"""Cells of each side that moments are taken from."""


@shared
@dataclass(frozen=True)
class GaussianSettings(Settings):
    """Settings of a map between Gaussians.

    Attributes
    ----------
    {common_settings}
    """

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {},
        "fast": {"decode": "auto", "standardise": True, "n_components": 50},
    }


@shared
class GaussianMap(Stack):
    r"""P affine maps :math:`T(x) = m_t + A (x - m_s)`.

    :math:`A = Σ_s^{-1/2} (Σ_s^{1/2} Σ_t Σ_s^{1/2})^{1/2} Σ_s^{-1/2}` is the Wasserstein-2 map
    between Gaussians of these means and covariances (Olkin & Pukelsheim 1982), which are shrunk
    as by Ledoit & Wolf (2004).

    Parameters
    ----------
    {stack}

    Examples
    --------
    >>> import torch
    >>> GaussianMap(3, ["a"], GaussianSettings(), seed=0)(torch.zeros(1, 5, 3)).shape
    torch.Size([1, 5, 3])
    """

    settings_type = GaussianSettings
    matrix: Tensor
    source_mean: Tensor
    target_mean: Tensor

    def __init__(
        self, n_features: int, names: Sequence[str], settings: GaussianSettings, seed: int
    ) -> None:
        super().__init__(n_features, names, settings, seed)
        n_problems, r = len(self.names), self.n_features
        self.register_buffer("matrix", torch.eye(r, dtype=torch.float32).repeat(n_problems, 1, 1))
        self.register_buffer("source_mean", torch.zeros(n_problems, 1, r, dtype=torch.float32))
        self.register_buffer("target_mean", torch.zeros(n_problems, 1, r, dtype=torch.float32))

    def fit(self, source: Population, target: Population) -> None:
        """Moments of both sides, and the matrix between them."""
        samples = [
            side.sample(self.seed, self.names, "gaussian", LARGEST_SAMPLE)
            for side in (source, target)
        ]
        for problem, pair in enumerate(zip(*samples, strict=True)):
            own = self.take([problem])
            (mean, first), (other, second) = (
                _moments(own.standardise(cells[None])[0].double(), masses.double())
                for cells, masses in pair
            )
            self.source_mean[problem], self.target_mean[problem] = mean, other
            self.matrix[problem] = _between(first, second)

    def move(self, cells: Tensor) -> Tensor:
        """T(x)."""
        return self.target_mean + (cells - self.source_mean) @ self.matrix


def _moments(cells: Tensor, masses: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (r,) and shrunk covariance (r, r) of cells (n, r) with masses (n,) that sum to 1."""
    mean = masses @ cells
    # Rows whose plain second moment is the weighted one.
    rows = (cells - mean) * (masses * len(cells)).sqrt()[:, None]
    return mean, torch.from_numpy(ledoit_wolf(rows.numpy(), assume_centered=True)[0])


def _between(source: Tensor, target: Tensor) -> Tensor:
    half = _power(source, 0.5)
    inverse = _power(source, -0.5)
    return inverse @ _power(half @ target @ half, 0.5) @ inverse


def _power(matrix: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh((matrix + matrix.mT) / 2)
    # Directions in which cells do not vary are left out.
    floor = values.max().clamp_min(torch.finfo(values.dtype).tiny) * 1e-10
    powers = torch.where(values > floor, values.clamp_min(floor) ** exponent, 0.0)
    return vectors * powers @ vectors.mT
