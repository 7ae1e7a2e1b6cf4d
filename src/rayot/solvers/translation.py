"""GENOT between spaces: flows on (fused) Gromov couplings (Klein et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import ot
import torch
from scipy.sparse.csgraph import shortest_path
from scipy.spatial.distance import cdist
from sklearn.neighbors import kneighbors_graph
from torch import Tensor

from rayot._arguments import Check, number
from rayot._docs import shared
from rayot.solvers.flow import FlowSettings, Velocity
from rayot.solvers.random import generator

QUANTILES = 20


@shared
@dataclass(frozen=True)
class TranslationSettings(FlowSettings):
    """Settings of a translation from one space to another.

    Attributes
    ----------
    distance
        Within a space: ``"geodesic"``, by steps on the graph of nearest neighbours (by correlation,
        as in SCOT, Demetci et al. 2022), ``"euclidean"`` or ``"cosine"``.
    n_neighbors
        Of that graph; 110 is what SCOT takes for SNARE-seq.
    coupling
        ``"exact"``: by conditional gradients. ``"entropic"``: by the proximal point algorithm.
    epsilon
        Strength of the entropic regularisation, for distances up to 1.
    fused_share
        Share of the cost that compares features which both spaces have, where there are any.
    largest_coupling
        Training cells of each side that are coupled, at most.
    n_samples
        Samples of p(y | x) that a cell's translation is the mean of.
    {flow_settings}
    {network_settings}
    """

    distance: Literal["geodesic", "euclidean", "cosine"] = "geodesic"
    n_neighbors: int = 110
    coupling: Literal["exact", "entropic"] = "exact"
    epsilon: float = 1e-3
    fused_share: float = 0.5
    largest_coupling: int = 1500
    n_samples: int = 30
    standardise: bool = False

    ranges: ClassVar[dict[str, Check]] = {
        "fused_share": partial(number, low=0, high=1, open_low=True, open_high=True)
    }
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {"coupling": "entropic", "distance": "cosine", "lr": 1e-4, "lr_end": 1e-4},
        "fast": {"n_steps": 2000, "width": 128, "lr": 3e-3},
    }


def distances_within(cells: np.ndarray, settings: TranslationSettings) -> np.ndarray:
    """Distances (n, n) between cells (n, d) of one space, the largest of which is 1."""
    if settings.distance != "geodesic":
        found = cdist(cells, cells, metric=settings.distance)
    else:
        k = min(settings.n_neighbors, len(cells) - 1)
        graph = kneighbors_graph(cells, k, mode="connectivity", metric="correlation")
        found = shortest_path(graph, directed=False)
        # Parts of the graph that no path joins are as far apart as any two cells.
        found[np.isinf(found)] = found[np.isfinite(found)].max()
    return found / max(found.max(), np.finfo(float).tiny)


def gromov_plan(
    source: np.ndarray,
    target: np.ndarray,
    settings: TranslationSettings,
    shared_features: tuple[np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """Coupling (n, m) under which distances within both spaces agree (Mémoli 2011).

    Parameters
    ----------
    source, target
        (n, d) and (m, e), cells of two spaces.
    settings
        Distances, and how the coupling is found.
    shared_features
        (n, f) and (m, f), features of both: the coupling is then fused (Vayer et al. 2019).
    """
    within = [distances_within(cells, settings) for cells in (source, target)]
    masses = [np.full(len(cells), 1 / len(cells)) for cells in (source, target)]
    starts = _starts(within, masses)
    entropic = settings.coupling == "entropic"
    options: dict[str, Any] = {"max_iter": 100, "tol_rel": 1e-6, "log": True}
    if entropic:
        options = {"max_iter": 50, "tol": 1e-6, "solver": "PPA", "log": True}
        options["epsilon"] = settings.epsilon
    if shared_features is None:
        gromov = ot.gromov.entropic_gromov_wasserstein if entropic else ot.gromov.gromov_wasserstein
        found = [gromov(*within, *masses, "square_loss", G0=each, **options) for each in starts]
        return _best(found, "gw_dist")
    cost = cdist(*shared_features, metric="sqeuclidean")
    fused = (
        ot.gromov.entropic_fused_gromov_wasserstein
        if entropic
        else ot.gromov.fused_gromov_wasserstein
    )
    options["alpha"] = 1 - settings.fused_share
    given = cost / cost.max(), *within, *masses, "square_loss"
    return _best([fused(*given, G0=each, **options) for each in starts], "fgw_dist")


def _starts(within: list[np.ndarray], masses: list[np.ndarray]) -> list[np.ndarray]:
    """Plans to start from, as the problem has many local minima.

    One couples cells whose distances to all others are alike (Mémoli 2011, third lower bound), the
    other all with all.
    """
    levels = np.linspace(0, 1, QUANTILES)
    profiles = [np.quantile(each, levels, axis=1).T for each in within]
    alike = ot.emd(*masses, cdist(*profiles, metric="sqeuclidean"), numItermax=1_000_000)
    return [alike, np.outer(*masses)]


def _best(found: list[tuple[np.ndarray, dict[str, Any]]], loss: str) -> np.ndarray:
    plans = [(plan, log) for plan, log in found if np.isfinite(plan).all() and plan.sum() > 0]
    if not plans:
        raise FloatingPointError(
            "The Gromov coupling underflowed to nothing; raise epsilon, or take coupling='exact'."
        )
    plan, _ = min(plans, key=lambda each: float(each[1][loss]))
    return np.asarray(plan)


class Translation(torch.nn.Module):
    """A flow from noise to what a cell of one space is in another, p(y | x).

    Cells are standardised by feature on both sides. It is one problem, of P = 1.

    Parameters
    ----------
    n_source, n_target
        Dimensions of the spaces.
    settings
        Of the flow.
    seed
        Keys every draw.
    """

    source_mean: Tensor
    source_sd: Tensor
    target_mean: Tensor
    target_sd: Tensor

    def __init__(
        self, n_source: int, n_target: int, settings: TranslationSettings, seed: int
    ) -> None:
        super().__init__()
        self.settings, self.seed, self.n_target = settings, seed, n_target
        self.velocity = Velocity(
            n_target,
            n_source,
            [generator(seed, "velocity")],
            width=settings.width,
            n_layers=settings.n_layers,
        )
        for name, size in (("source", n_source), ("target", n_target)):
            self.register_buffer(f"{name}_mean", torch.zeros(size, dtype=torch.float32))
            self.register_buffer(f"{name}_sd", torch.ones(size, dtype=torch.float32))

    @classmethod
    def counts(cls, settings: TranslationSettings) -> dict[str, str]:
        """As :meth:`rayot.solvers.stack.Stack.counts`."""
        return {"n_layers": "velocity.network.weight.[!0]*"}

    def standardised(self, cells: Tensor, side: str) -> Tensor:
        """Cells (n, d) of a side, in units of the flow."""
        return (cells - getattr(self, f"{side}_mean")) / getattr(self, f"{side}_sd")

    @torch.no_grad()
    def samples(self, cells: Tensor, n_samples: int) -> Tensor:
        """Samples (n_samples, n, e) of p(y | x) for source cells (n, d), in the target's units.

        All cells share the noise of a sample, so that a cell's do not depend on the others.
        """
        conditions = self.standardised(cells, "source")[None]
        found = []
        for sample in range(n_samples):
            noise = torch.randn(
                self.n_target, generator=generator(self.seed, "sample", sample), dtype=torch.float32
            )
            start = noise.expand(1, len(cells), -1)
            moved = self.velocity.follow(start, self.settings.integration_steps, conditions)[0]
            found.append(moved * self.target_sd + self.target_mean)
        return torch.stack(found)
