"""Compositional perturbation autoencoder (Lotfollahi et al. 2023)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from rayot._arguments import Check
from rayot._docs import shared
from rayot.nn import StackedEmbedding, StackedMLP
from rayot.solvers.attributes import Attributes
from rayot.solvers.joint import JointPhase, JointSettings, JointStack, joined
from rayot.solvers.phase import Batch, Player
from rayot.solvers.random import generator
from rayot.solvers.settings import from_zero

SMALLEST_VARIANCE = 1e-4


@shared
@dataclass(frozen=True)
class CPASettings(JointSettings):
    """Settings of a compositional perturbation autoencoder.

    The defaults are those of chemCPA (Hetzel et al. 2022), the authors' implementation that CPA
    was first published with. It counts epochs, decays weights and learning rates, and trains the
    autoencoder at every third step; the number of steps is ours, and no weights decay.

    Attributes
    ----------
    dose_response
        Factor of a condition's embedding, of the standardised logarithm u of the dose:
        ``"sigmoid"``, 2 σ(a u + b), or ``"linear"``, a u + b, with a and b learned for each
        condition.
    adversary_width, adversary_layers
        Units and hidden layers of the classifiers that read conditions and covariates from codes.
    adversary_steps
        Steps of the classifiers for each step of the autoencoder.
    adversary_lr
        First learning rate of the classifiers.
    adversary_weight
        Weight of the classifiers' cross-entropy in the autoencoder's loss.
    gradient_penalty
        Weight of the mean square of the gradient of the classifiers' outputs in a code.
    {joint_settings}
    {network_settings}
    {common_settings}
    """

    n_latent: int = 256
    dose_response: Literal["sigmoid", "linear"] = "sigmoid"
    adversary_width: int = 128
    adversary_layers: int = 3
    adversary_steps: int = 2
    adversary_lr: float = 3e-4
    adversary_weight: float = 5.0
    gradient_penalty: float = 3.0

    ranges: ClassVar[dict[str, Check]] = {
        "adversary_weight": from_zero,
        "gradient_penalty": from_zero,
    }
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {"batch_size": 128},
        "fast": {
            "standardise": True,
            "n_components": 50,
            "decode": "auto",
            "shrink": True,
            "n_latent": 16,
            "width": 128,
            "n_layers": 2,
            "n_steps": 1000,
            "lr": 3e-3,
            "adversary_width": 64,
            "adversary_layers": 2,
            "adversary_steps": 3,
            "adversary_lr": 3e-3,
            "gradient_penalty": 16.0,
        },
    }


class DoseResponse(nn.Module):
    """P factors of every condition's embedding, functions of its dose.

    Parameters
    ----------
    n_conditions
        Conditions; the first is the source, whose factor is 1.
    n_problems
        P.
    kind
        See :class:`CPASettings`.
    """

    def __init__(self, n_conditions: int, n_problems: int, kind: str) -> None:
        super().__init__()
        self.kind = kind
        # Both factors are 1 at the mean dose to begin with, and grow with it.
        self.slope = nn.Parameter(torch.full((n_problems, n_conditions), 0.5, dtype=torch.float32))
        start = 0.0 if kind == "sigmoid" else 1.0
        self.offset = nn.Parameter(
            torch.full((n_problems, n_conditions), start, dtype=torch.float32)
        )

    def forward(self, condition: Tensor, dose: Tensor) -> Tensor:
        """Factors (P, n) of conditions and standardised logarithms of doses (P, n)."""
        scaled = self.slope.gather(1, condition) * dose + self.offset.gather(1, condition)
        if self.kind == "sigmoid":
            scaled = 2 * scaled.sigmoid()
        return torch.where(condition > 0, scaled, 1.0)


@shared
class CPAMap(JointStack):
    r"""P compositional perturbation autoencoders.

    A cell's basal code, from which classifiers should not be able to read its condition and
    covariate, is added to their embeddings, :math:`z = z_\text{basal} + f_p(\text{dose})\, v_p +
    v_c`, and decoded to a Gaussian.

    Parameters
    ----------
    {stack}

    Examples
    --------
    >>> import torch
    >>> CPAMap(3, ["a"], CPASettings(width=8), seed=0)(torch.zeros(1, 5, 3)).shape
    torch.Size([1, 5, 3])
    """

    settings_type = CPASettings
    settings: CPASettings

    def __init__(
        self, n_features: int, names: Sequence[str], settings: CPASettings, seed: int
    ) -> None:
        super().__init__(n_features, names, settings, seed)
        d, k = self.n_features, settings.n_latent

        def draws(part: str) -> list[torch.Generator]:
            return [generator(seed, name, part) for name in self.names]

        size = {"width": settings.width, "n_layers": settings.n_layers}
        self.encoder = StackedMLP(d, draws("encoder"), n_outputs=k, **size)
        self.decoder = StackedMLP(k, draws("decoder"), n_outputs=2 * d, **size)
        counts = {"condition": settings.n_conditions}
        if settings.covariates:
            counts["covariate"] = settings.n_covariates
        self.embeddings = nn.ModuleDict(
            {what: StackedEmbedding(n, k, draws(what)) for what, n in counts.items()}
        )
        self.classifiers = nn.ModuleDict(
            {
                what: StackedMLP(
                    k,
                    draws(f"classifier of the {what}"),
                    n_outputs=n,
                    width=settings.adversary_width,
                    n_layers=settings.adversary_layers,
                )
                for what, n in counts.items()
            }
        )
        self.dose_response = None
        if settings.dose is not None:
            self.dose_response = DoseResponse(
                settings.n_conditions, len(self.names), settings.dose_response
            )

    @classmethod
    def counts(cls, settings: CPASettings) -> dict[str, str]:
        """Layers of the autoencoder and of the classifiers."""
        return {
            "n_layers": "encoder.weight.[!0]*",
            "adversary_layers": "classifiers.condition.weight.[!0]*",
        }

    def encode(self, cells: Tensor) -> Tensor:
        """Basal codes."""
        return self.encoder(cells)

    def moments(self, codes: Tensor, attributes: Attributes) -> tuple[Tensor, Tensor]:
        """Mean and variance (P, n, r) of cells with these basal codes and attributes."""
        own = self.embeddings["condition"](attributes.condition)
        if self.dose_response is not None:
            dose = self.standardised_dose(attributes)
            own = own * self.dose_response(attributes.condition, dose)[..., None]
        total = codes + own
        if "covariate" in self.embeddings:
            total = total + self.embeddings["covariate"](attributes.covariate)
        mean, spread = self.decoder(total).chunk(2, dim=-1)
        return mean, nn.functional.softplus(spread) + SMALLEST_VARIANCE

    def reconstruct(self, codes: Tensor, attributes: Attributes) -> Tensor:
        """Mean cells."""
        return self.moments(codes, attributes)[0]

    def phases(self) -> list[JointPhase]:
        """One phase."""
        return [Composition(self)]


class Composition(JointPhase):
    """The classifiers, then the autoencoder against them."""

    stack: CPAMap

    @property
    def batches_per_step(self) -> int:
        """One for each step of both."""
        return self.stack.settings.adversary_steps + 1

    def players(self, n_strata: int) -> list[Player]:
        """Both sides of the game."""
        stack, settings = self.stack, self.stack.settings
        autoencoder = [stack.encoder, stack.decoder, stack.embeddings]
        if stack.dose_response is not None:
            autoencoder.append(stack.dose_response)
        return [
            Player(
                "classifier_loss",
                stack.classifiers,
                settings.adversary_lr,
                min(settings.lr_end, settings.adversary_lr),
                settings.betas,
            ),
            Player(
                "autoencoder_loss",
                nn.ModuleList(autoencoder),
                settings.lr,
                settings.lr_end,
                settings.betas,
            ),
        ]

    def losses(self, draw: Callable[[], Batch]) -> Iterator[tuple[str, Tensor]]:
        """Cross-entropy with a gradient penalty; Gaussian likelihood less the cross-entropy."""
        stack, settings = self.stack, self.stack.settings
        for _ in range(settings.adversary_steps):
            cells, attributes, _ = joined(draw())
            codes = stack.encode(cells).detach().requires_grad_()
            entropy, penalty = self._read(codes, attributes, with_penalty=True)
            yield "classifier_loss", entropy + settings.gradient_penalty * penalty
        cells, attributes, _ = joined(draw())
        codes = stack.encode(cells)
        mean, variance = stack.moments(codes, attributes)
        likelihood = (variance.log() + (cells - mean).square() / variance).mean((1, 2)) / 2
        entropy, _ = self._read(codes, attributes)
        yield "autoencoder_loss", likelihood - settings.adversary_weight * entropy

    def _read(
        self, codes: Tensor, attributes: Attributes, *, with_penalty: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Sum of the classifiers' cross-entropies (P,), and of their squared slopes (P,)."""
        entropy = penalty = codes.new_zeros(len(codes))
        for what, classifier in self.stack.classifiers.items():
            logits = classifier(codes)
            truth = getattr(attributes, what)
            entropy = entropy + nn.functional.cross_entropy(
                logits.mT, truth, reduction="none"
            ).mean(1)
            if with_penalty:
                (slope,) = torch.autograd.grad(logits.sum(), codes, create_graph=True)
                penalty = penalty + slope.square().mean((1, 2))
        return entropy, penalty
