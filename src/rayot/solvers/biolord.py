"""Latent optimisation with known and unknown attributes (biolord, Piran et al. 2024)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from rayot._arguments import Check
from rayot._docs import shared
from rayot.nn import StackedEmbedding, StackedMLP
from rayot.solvers.attributes import Attributes
from rayot.solvers.joint import JointPhase, JointSettings, JointStack, joined
from rayot.solvers.phase import Batch, Player
from rayot.solvers.population import Population
from rayot.solvers.random import generator
from rayot.solvers.settings import from_zero


@shared
@dataclass(frozen=True)
class BiolordSettings(JointSettings):
    """Settings of a latent optimisation.

    Sizes, noise and learning rates of the defaults are those of the authors' implementation, the
    two penalties those of Chen et al. 2025, who searched for them. The number of steps is ours, no
    weights decay, and of the reconstruction only the squared error counts: the authors add a
    Gaussian likelihood, of a hundredth of its weight.

    Attributes
    ----------
    n_latent_known
        Dimension of the embedding of a condition, and of a covariate.
    n_latent_dose
        Dimension of the embedding of the dose, a perceptron of its logarithm.
    noise
        Standard deviation of the noise that is added to the codes of training cells.
    unknown_attribute_penalty
        Weight of the mean squared norm of these codes.
    reconstruction_penalty
        Weight of the mean squared error of the decoded cells.
    {joint_settings}
    {network_settings}
    {common_settings}
    """

    n_latent: int = 128
    lr: float = 1e-4
    n_latent_known: int = 4
    n_latent_dose: int = 16
    noise: float = 0.1
    unknown_attribute_penalty: float = 100.0
    reconstruction_penalty: float = 100.0

    ranges: ClassVar[dict[str, Check]] = {
        "noise": from_zero,
        "unknown_attribute_penalty": from_zero,
    }
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {},
        "fast": {
            "standardise": True,
            "n_components": 50,
            "decode": "auto",
            "shrink": True,
            "n_latent": 64,
            "n_latent_known": 8,
            "width": 128,
            "n_layers": 2,
            "n_steps": 2000,
            "lr": 3e-3,
            "unknown_attribute_penalty": 10.0,
        },
    }


class Codes(nn.Module):
    """A code of every training cell, (P, N, k); none but in training."""

    def __init__(self, n_problems: int, n_latent: int) -> None:
        super().__init__()
        self.n_latent = n_latent
        self.values = nn.Parameter(torch.zeros(n_problems, 0, n_latent, dtype=torch.float32))

    def start(self, n_cells: int, generators: Sequence[torch.Generator], scale: float) -> None:
        """Draw codes of so many cells, normal with this standard deviation."""
        drawn = [
            torch.randn(n_cells, self.n_latent, generator=stream, dtype=torch.float32)
            for stream in generators
        ]
        self.values = nn.Parameter(scale * torch.stack(drawn))

    def forward(self, rows: Tensor) -> Tensor:
        """Codes (P, n, k) of the cells in these rows (P, n) of the store."""
        return self.values.gather(1, rows[..., None].expand(-1, -1, self.n_latent))


@shared
class BiolordMap(JointStack):
    """P decoders of known attributes and of a code for what is unknown of each cell.

    The codes of training cells are learned one by one (latent optimisation); noise and a penalty
    keep from them what the known attributes can say. An encoder learns to find them, and gives the
    codes of new cells; the authors' implementation has none, and knows training cells only.

    Parameters
    ----------
    {stack}

    Examples
    --------
    >>> import torch
    >>> BiolordMap(3, ["a"], BiolordSettings(width=8), seed=0)(torch.zeros(1, 5, 3)).shape
    torch.Size([1, 5, 3])
    """

    settings_type = BiolordSettings
    settings: BiolordSettings

    def __init__(
        self, n_features: int, names: Sequence[str], settings: BiolordSettings, seed: int
    ) -> None:
        super().__init__(n_features, names, settings, seed)
        d, k, n_known = self.n_features, settings.n_latent, settings.n_latent_known

        def draws(part: str) -> list[torch.Generator]:
            return [generator(seed, name, part) for name in self.names]

        size = {"width": settings.width, "n_layers": settings.n_layers}
        counts = {"condition": settings.n_conditions}
        if settings.covariates:
            counts["covariate"] = settings.n_covariates
        self.embeddings = nn.ModuleDict(
            {what: StackedEmbedding(n, n_known, draws(what)) for what, n in counts.items()}
        )
        self.dose_network = None
        if settings.dose is not None:
            n_outputs = settings.n_latent_dose
            self.dose_network = StackedMLP(1, draws("dose"), n_outputs=n_outputs, **size)
            k += n_outputs
        self.decoder = StackedMLP(k + n_known * len(counts), draws("decoder"), n_outputs=d, **size)
        self.encoder = StackedMLP(d, draws("encoder"), n_outputs=settings.n_latent, **size)
        self.codes = Codes(len(self.names), settings.n_latent)

    @classmethod
    def counts(cls, settings: BiolordSettings) -> dict[str, str]:
        """Layers of the autoencoder."""
        return {"n_layers": "encoder.weight.[!0]*"}

    def fit(self, source: Population, target: Population) -> None:
        """Scale of the doses, and the first codes of training cells."""
        super().fit(source, target)
        draws = [generator(self.seed, name, "codes") for name in self.names]
        self.codes.start(source.cells.shape[0], draws, self.settings.noise)

    def finish(self, source: Population, target: Population) -> None:
        """Let go of the codes of training cells."""
        self.codes = Codes(len(self.names), self.settings.n_latent)

    def encode(self, cells: Tensor) -> Tensor:
        """Codes as the encoder finds them."""
        return self.encoder(cells)

    def reconstruct(self, codes: Tensor, attributes: Attributes) -> Tensor:
        """Decoded cells."""
        parts = [codes]
        parts += [table(getattr(attributes, what)) for what, table in self.embeddings.items()]
        if self.dose_network is not None:
            dose = self.dose_network(self.standardised_dose(attributes)[..., None])
            # Source cells have no dose.
            parts.append(dose * (attributes.condition > 0)[..., None])
        return self.decoder(torch.cat(parts, dim=-1))

    def phases(self) -> list[JointPhase]:
        """One phase."""
        return [LatentOptimisation(self)]


class LatentOptimisation(JointPhase):
    """Codes, embeddings and decoder, and the encoder after them."""

    stack: BiolordMap
    batches_per_step = 2

    def players(self, n_strata: int) -> list[Player]:
        """What decodes with the codes, and the encoder."""
        stack, settings = self.stack, self.stack.settings
        decoding = [stack.codes, stack.decoder, stack.embeddings]
        if stack.dose_network is not None:
            decoding.append(stack.dose_network)
        rates = settings.lr, settings.lr_end, settings.betas
        return [
            Player("reconstruction_loss", nn.ModuleList(decoding), *rates),
            Player("encoder_loss", stack.encoder, *rates),
        ]

    def losses(self, draw: Callable[[], Batch]) -> Iterator[tuple[str, Tensor]]:
        """Penalised squared error of decoded cells, then squared error of encoded codes."""
        stack, settings, batch = self.stack, self.stack.settings, draw()
        cells, attributes, rows = joined(batch)
        codes = stack.codes(rows)
        noise = torch.stack(
            [
                torch.randn(codes.shape[1:], generator=stream, dtype=torch.float32)
                for stream in batch.draws
            ]
        )
        noisy = codes + settings.noise * noise.to(codes.device)
        errors = (stack.reconstruct(noisy, attributes) - cells).square().mean((1, 2))
        norms = settings.unknown_attribute_penalty * codes.square().sum(-1).mean(1)
        yield "reconstruction_loss", settings.reconstruction_penalty * errors + norms
        cells, _, rows = joined(draw())
        codes = stack.codes(rows).detach()
        yield "encoder_loss", (stack.encode(cells) - codes).square().mean((1, 2))
