"""Wasserstein-2 maps by the minimax dual over convex potentials."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from rayot._docs import shared
from rayot.nn import ConvexNetwork
from rayot.solvers.dual import dual_value
from rayot.solvers.phase import Batch, Phase, Player, Score
from rayot.solvers.random import generator
from rayot.solvers.settings import NetworkSettings
from rayot.solvers.stack import Stack


@shared
@dataclass(frozen=True)
class W2Settings(NetworkSettings):
    """Settings of a Wasserstein-2 map; the defaults are the published ones.

    Attributes
    ----------
    flavor
        ``"cellot"`` (Bunne et al. 2023): all first weights are positive, and negative ones of the
        map's potential are penalised by their norms. ``"ot_icnn"`` (Makkuva et al. 2020): weights
        of the cell start in both directions, and the penalty is a tenth of the squared norms. Of
        Makkuva's own networks, whose last layer adds the square of a linear function of the cell
        and whose second moment is .99, it has the rest.
    inner_steps
        Steps of the map's potential for each of the target's.
    {network_settings}
    {common_settings}
    """

    flavor: Literal["cellot", "ot_icnn"] = "cellot"
    inner_steps: int = 10
    n_steps: int = 100_000
    lr: float = 1e-4
    lr_end: float = 1e-4
    betas: tuple[float, float] = (0.5, 0.9)

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {},
        "fast": {
            "flavor": "ot_icnn",
            "standardise": True,
            "n_components": 50,
            "decode": "auto",
            "shrink": True,
            "n_steps": 500,
            "inner_steps": 3,
            "lr": 1e-3,
            "lr_end": 1e-4,
        },
    }


@shared
class W2Map(Stack):
    r"""P maps T(x) = ∇ψ(x) of convex potentials ψ (paper, equation 8).

    φ and ψ play :math:`\sup_φ \inf_ψ -E φ(y) - E[⟨x, ∇ψ(x)⟩ - φ(∇ψ(x))]` (paper, equation 7;
    Makkuva et al. 2020). ∇φ is the map back, from target to source.

    Parameters
    ----------
    {stack}

    Examples
    --------
    >>> import torch
    >>> W2Map(3, ["a"], W2Settings(), seed=0)(torch.zeros(1, 5, 3)).shape
    torch.Size([1, 5, 3])
    """

    settings_type = W2Settings
    settings: W2Settings

    def __init__(
        self, n_features: int, names: Sequence[str], settings: W2Settings, seed: int
    ) -> None:
        super().__init__(n_features, names, settings, seed)
        cellot = settings.flavor == "cellot"
        self.forward_potential, self.backward_potential = (
            ConvexNetwork(
                self.n_features,
                [generator(seed, name, part) for name in names],
                width=settings.width,
                n_layers=settings.n_layers,
                bound=0.1 if cellot else settings.width**-0.5,
                positive=cellot,
            )
            for part in ("forward", "backward")
        )

    @classmethod
    def counts(cls, settings: W2Settings) -> dict[str, str]:
        """Layers of the potentials."""
        return {"n_layers": "forward_potential.direct.[!0]*"}

    def move(self, cells: Tensor) -> Tensor:
        """∇ψ(x)."""
        return self.forward_potential.gradient(cells)

    def back(self, cells: Tensor) -> Tensor:
        """Where target cells (P, n, d) come from, by ∇φ, in the units of the data."""
        standardised = self.standardise(cells)
        moves = self.backward_potential.gradient(standardised) - standardised
        return self.in_space(cells, moves)

    def phases(self) -> list[Phase]:
        """One phase."""
        return [Minimax(self)]


class Minimax(Phase):
    """Both potentials in turn: ψ several steps, then φ one.

    Early stopping looks at the held-out dual, with the conjugate of φ in place of the trained ψ:
    while ψ is short of its infimum the value of equation 7 is above the dual, and the worse the map
    the larger it is.
    """

    monitor = "validation_dual"
    monitor_sign = 1
    stack: W2Map

    @property
    def batches_per_step(self) -> int:
        """One for each step of each potential."""
        return self.stack.settings.inner_steps + 1

    @property
    def n_steps(self) -> int:
        """Steps of the target's potential."""
        return self.stack.settings.n_steps

    def players(self, n_strata: int) -> list[Player]:
        """The map's potential, then the target's."""
        settings = self.stack.settings
        rates = settings.lr, settings.lr_end, settings.betas
        return [
            Player("forward_loss", self.stack.forward_potential, *rates),
            Player("backward_loss", self.stack.backward_potential, *rates),
        ]

    def losses(self, draw: Callable[[], Batch]) -> Iterator[tuple[str, Tensor]]:
        """E[φ(∇ψ(x)) − ⟨x, ∇ψ(x)⟩] of ψ, and E φ(y) − E φ(∇ψ(x)) of φ, both to be small."""
        psi, phi = self.stack.forward_potential, self.stack.backward_potential
        is_cellot = self.stack.settings.flavor == "cellot"
        for _ in range(self.stack.settings.inner_steps):
            (source,) = draw().source
            moved = psi.gradient(source)
            loss = (phi(moved) - (source * moved).sum(-1)).mean(1)
            penalty = psi.penalty() if is_cellot else 0.1 * psi.penalty(squared=True)
            yield "forward_loss", loss + penalty
        batch = draw()
        with torch.no_grad():
            moved = psi.gradient(batch.source[0])
        yield "backward_loss", phi(batch.target).mean(1) - phi(moved).mean(1)
        # φ is kept convex by a clamp, ψ by its penalty.
        phi.clamp()

    def validate(self, held_out: Batch, score: Score) -> Tensor:
        """Wasserstein-2 distance (P,) that the dual shows, negative where the dual is.

        A lower bound of that between the cells, but for what the conjugates are short of
        (:meth:`rayot.nn.ConvexNetwork.conjugate`): the root of twice
        :math:`E[‖x‖²/2 - φ^*(x)] + E[‖y‖²/2 - φ(y)]`.
        """
        (source,), target = held_out.source, held_out.target
        phi = self.stack.backward_potential
        start = self.stack.forward_potential.gradient(source)
        values = source.square().sum(-1) / 2 - phi.conjugate(source, start)
        dual = score(dual_value, values, phi(target) - target.square().sum(-1) / 2)
        return dual.sign() * (2 * dual.abs()).sqrt()
