"""GENOT between spaces: flows on (fused) Gromov couplings (Klein et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from rayot._arguments import Check, number
from rayot._docs import shared
from rayot.solvers.flow import FlowSettings, Velocity
from rayot.solvers.random import generator


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
        Of that graph. None takes a tenth of the cells, from 5 to 110, which is what SCOT takes for
        the 1,047 of SNARE-seq: 110 neighbours of a few hundred cells leave next to no distances.
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
    n_neighbors: int | None = None
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
        blocks = []
        for sample in range(n_samples):
            noise = torch.randn(
                self.n_target, generator=generator(self.seed, "sample", sample), dtype=torch.float32
            )
            start = noise.expand(1, len(cells), -1)
            moved = self.velocity.follow(start, self.settings.integration_steps, conditions)[0]
            blocks.append(moved * self.target_sd + self.target_mean)
        return torch.stack(blocks)
