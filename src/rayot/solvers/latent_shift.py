"""A shift in the latent space of an autoencoder (scGen, Lotfollahi et al. 2019)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from rayot._arguments import Check
from rayot._docs import shared
from rayot.nn import StackedMLP
from rayot.solvers.dual import dual_value
from rayot.solvers.phase import Batch, Phase, Player, Score
from rayot.solvers.population import Population
from rayot.solvers.random import generator
from rayot.solvers.settings import NetworkSettings, from_zero
from rayot.solvers.stack import Stack


@shared
@dataclass(frozen=True)
class ScGenSettings(NetworkSettings):
    """Settings of a shift in a latent space.

    Sizes, penalty and learning rate of the defaults are the published ones; the number of steps is
    ours, and there is no dropout.

    Attributes
    ----------
    n_latent
        Dimension of the latent space; None shifts the cells themselves, as it is where a
        representation is given.
    kl_weight
        Weight of the divergence of the posteriors of codes from a standard normal, beside the
        squared error of a cell.
    {network_settings}
    {common_settings}
    """

    n_latent: int | None = 100
    width: int = 800
    n_layers: int = 2
    kl_weight: float = 5e-5

    ranges: ClassVar[dict[str, Check]] = {"kl_weight": from_zero}
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {},
        "fast": {
            "standardise": True,
            "n_components": 50,
            "decode": "auto",
            "shrink": True,
            "n_latent": 50,
            "width": 128,
            "n_steps": 1000,
            "lr": 3e-3,
        },
    }


@shared
class LatentShiftMap(Stack):
    """P shifts, each in the latent space of a variational autoencoder of its own cells.

    Batches have as many source as target cells, of each stratum alike, and the shift is the mean
    over strata of the difference of mean codes: whichever condition or stratum has more cells has
    no more weight.

    Parameters
    ----------
    {stack}

    Examples
    --------
    >>> import torch
    >>> LatentShiftMap(3, ["a"], ScGenSettings(width=8), seed=0)(torch.zeros(1, 5, 3)).shape
    torch.Size([1, 5, 3])
    """

    settings_type = ScGenSettings
    settings: ScGenSettings
    shift: Tensor

    def __init__(
        self, n_features: int, names: Sequence[str], settings: ScGenSettings, seed: int
    ) -> None:
        super().__init__(n_features, names, settings, seed)
        d, k = self.n_features, settings.n_latent or self.n_features
        self.register_buffer("shift", torch.zeros(len(self.names), 1, k, dtype=torch.float32))
        self.encoder = self.decoder = None
        if settings.n_latent is None:
            return
        size = {"width": settings.width, "n_layers": settings.n_layers}
        draws = {
            part: [generator(seed, name, part) for name in names] for part in ("encoder", "decoder")
        }
        self.encoder = StackedMLP(d, draws["encoder"], n_outputs=2 * k, **size)
        self.decoder = StackedMLP(k, draws["decoder"], n_outputs=d, **size)

    @classmethod
    def counts(cls, settings: ScGenSettings) -> dict[str, str]:
        """Layers of the autoencoder, where there is one."""
        return {} if settings.n_latent is None else {"n_layers": "encoder.weight.[!0]*"}

    def posterior(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance of codes, (P, n, k)."""
        assert self.encoder is not None
        mean, log_variance = self.encoder(cells).chunk(2, dim=-1)
        return mean, log_variance.clamp(-10, 10)

    def decode(self, codes: Tensor) -> Tensor:
        """Cells of codes."""
        assert self.decoder is not None
        return self.decoder(codes)

    @torch.no_grad()
    def finish(self, source: Population, target: Population) -> None:
        """The shift: mean over strata, which count alike, of the difference of mean codes."""
        sources, targets = (side.group_means(self._codes) for side in (source, target))
        self.shift = (targets - sources).mean(1, keepdim=True)

    def _codes(self, cells: Tensor, problem: int) -> Tensor:
        own = self.take([problem])
        standardised = own.standardise(cells[None])
        return standardised[0] if own.encoder is None else own.posterior(standardised)[0][0]

    def move(self, cells: Tensor) -> Tensor:
        """Decoded codes with the shift added; with ``decode="delta"`` the change that it makes."""
        if self.encoder is None:
            return cells + self.shift
        codes = self.posterior(cells)[0]
        moved = self.decode(codes + self.shift)
        return moved if self.settings.decode == "direct" else cells + moved - self.decode(codes)

    def phases(self) -> list[Phase]:
        """The autoencoder, where there is one."""
        return [] if self.encoder is None else [Autoencoding(self)]


class Autoencoding(Phase):
    """Squared error and divergence of a variational autoencoder (Kingma & Welling 2014)."""

    name = "autoencoder"
    monitor = "validation_error"
    stack: LatentShiftMap

    @property
    def n_steps(self) -> int:
        """Steps of the phase."""
        return self.stack.settings.n_steps

    def players(self, n_strata: int) -> list[Player]:
        """Encoder and decoder."""
        settings = self.stack.settings
        return [Player("loss", self.stack, settings.lr, settings.lr_end, settings.betas)]

    def losses(self, draw: Callable[[], Batch]) -> Iterator[tuple[str, Tensor]]:
        """Negative evidence lower bound, but for constants, of both sides alike."""
        batch = draw()
        cells = torch.cat([batch.source[0], batch.target], dim=1)
        mean, log_variance = self.stack.posterior(cells)
        noise = torch.stack(
            [
                torch.randn(mean.shape[1:], generator=stream, dtype=torch.float32)
                for stream in batch.draws
            ]
        )
        codes = mean + (log_variance / 2).exp() * noise.to(mean.device)
        error = (self.stack.decode(codes) - cells).square().sum(-1).mean(1)
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1).mean(1)
        yield "loss", error + self.stack.settings.kl_weight / 2 * divergence

    def validate(self, held_out: Batch, score: Score) -> Tensor:
        """Root mean squared distance of held-out cells to their reconstruction."""
        errors = []
        for cells in (held_out.source[0], held_out.target):
            decoded = self.stack.decode(self.stack.posterior(cells)[0])
            errors.append((decoded - cells).square().sum(-1))
        return (score(dual_value, errors[0], -errors[1]) / 2).sqrt()
