"""Ways to fit a map that were tried beside the preset "fast", winners and losers.

Each variant is a change of settings, or a training phase of its own where the package has no such
setting because it did not pay.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import ot
import torch
from torch import Tensor, nn

from rayot.nn import LipschitzNetwork, StackedMLP
from rayot.solvers import Batch, Player, critic_loss, dual_value, generator_loss, w1
from rayot.solvers.carried import CarriedCells
from rayot.train import training
from rayot.train.training import adam

Losses = Iterator[tuple[str, Tensor]]
Draw = Callable[[], Batch]
Starts = Callable[[int], Iterator[Batch]]


class LipschitzCritic(w1.AdversarialStep):
    """The step size against a 1-Lipschitz critic: a Wasserstein adversary."""

    def new_critic(self, n_strata: int) -> LipschitzNetwork:
        return LipschitzNetwork(self.stack.n_features, self.draws_of("critic"), n_groups=None)

    def losses(self, draw: Draw) -> Losses:
        moved, target = self.moved(draw())
        yield "critic_loss", self.critic(moved.detach()).mean(1) - self.critic(target).mean(1)
        yield "step_loss", -self.critic(moved).mean(1)


class Adversary(w1.WassersteinStep):
    """Ways to play against a critic, of which the package keeps one."""

    kind = "Lipschitz"
    """Also ``"potential"``, a copy of the ray's, and ``"perceptron"``, with equations 15, 16."""
    width, n_layers = 64, 4
    rate = 1.0
    """Learning rate of the critic, times that of the step size."""
    together = False
    """Whether both take their steps by one gradient."""
    average = 0.0
    """Of the step size's weights, exponential; taken at the end."""

    def players(self, n_strata: int) -> list[Player]:
        self.critic = self.new_critic(n_strata)
        settings = self.stack.settings
        rates = (self.rate * settings.step_lr, self.rate * settings.step_lr_end)
        return [
            self.player("step_loss", self.module),
            Player("critic_loss", self.critic, *rates, settings.step_betas),
        ]

    def new_critic(self, n_strata: int) -> nn.Module:
        size = {"width": self.width, "n_layers": self.n_layers}
        if self.kind == "potential":
            return deepcopy(self.ray.potential)
        draws = self.critic_draws(n_strata)
        if self.kind == "perceptron":
            return StackedMLP(self.stack.n_features, draws, **size)
        return LipschitzNetwork(self.stack.n_features, draws, n_groups=None, **size)

    def start(self, source: CarriedCells, target: CarriedCells, draw: Starts) -> None:
        super().start(source, target, draw)
        self.mean = [parameter.detach().clone() for parameter in self.module.parameters()]

    def start_block(self) -> None:
        """Nothing is kept from step to step."""

    def start_step(self, share: float, active: Sequence[bool]) -> None:
        self.is_last = round(share * self.n_steps) == self.n_steps - 1

    def losses(self, draw: Draw) -> Losses:
        moved, target = self.moved(draw())
        if self.together:
            # Before the critic's step, so that both follow one gradient.
            yield "step_loss", self.height(moved)
        yield "critic_loss", self.gap(moved.detach(), target)
        if not self.together:
            yield "step_loss", self.height(moved)
        for mean, parameter in zip(self.mean, self.module.parameters(), strict=True):
            mean.lerp_(parameter.detach(), 1 - self.average)
            if self.average and self.is_last:
                parameter.data.copy_(mean)

    def gap(self, moved: Tensor, target: Tensor) -> Tensor:
        values = self.critic(torch.cat([moved, target], dim=1))
        if self.kind == "perceptron":
            there, here = values.squeeze(-1).split(target.shape[1], dim=1)
            return critic_loss(-here, -there)
        return -dual_value(*values.split(target.shape[1], dim=1))

    def height(self, moved: Tensor) -> Tensor:
        values = self.critic(moved)
        if self.kind == "perceptron":
            return generator_loss(-values.squeeze(-1))
        return values.mean(-1)


def adversary(**changes: Any) -> type[Adversary]:  # noqa: ANN401
    return type("Adversary", (Adversary,), changes)


class KernelStep(w1.EnergyStep):
    """The step size minimises the MMD with Gaussian kernels around the median distance."""

    def losses(self, draw: Draw) -> Losses:
        moved, target = self.moved(draw())
        across, within = torch.cdist(moved, target), torch.cdist(moved, moved)
        middle = across.detach().median()
        yield (
            "step_loss",
            sum(
                (-(within / (middle * width)).square()).exp().mean((-2, -1))
                - 2 * (-(across / (middle * width)).square()).exp().mean((-2, -1))
                for width in (0.25, 0.5, 1.0, 2.0)
            ),
        )


class SinkhornStep(w1.EnergyStep):
    """The step size minimises a debiased Sinkhorn divergence with the Euclidean cost."""

    def losses(self, draw: Draw) -> Losses:
        moved, target = self.moved(draw())
        yield "step_loss", sinkhorn(moved, target) - sinkhorn(moved, moved) / 2


def sinkhorn(first: Tensor, second: Tensor, n_iterations: int = 20) -> Tensor:
    """Entropic cost (P,); gradients flow through the cost, with the plan held."""
    cost = torch.cdist(first, second)
    scaled = cost.detach() / (0.05 * cost.detach().mean())
    u = torch.zeros_like(scaled[..., 0])
    for _ in range(n_iterations):
        v = -torch.logsumexp(u[..., None] - scaled, dim=-2)
        u = -torch.logsumexp(v[..., None, :] - scaled, dim=-1)
    plan = torch.exp(u[..., None] + v[..., None, :] - scaled)
    return (plan / plan.sum((-2, -1), keepdim=True) * cost).sum((-2, -1))


class Muon(torch.optim.Optimizer):
    """Momentum whose matrices are made orthogonal (Jordan et al. 2024)."""

    def __init__(self, parameters: list[nn.Parameter], lr: float) -> None:
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                state = self.state[parameter]
                momentum = state.setdefault("momentum", torch.zeros_like(parameter))
                momentum.mul_(0.9).add_(parameter.grad, alpha=0.1)
                if min(parameter.shape[-2:]) > 1:
                    u, _, vt = torch.linalg.svd(momentum, full_matrices=False)
                    update = u @ vt * 0.2
                else:
                    update = momentum / (momentum.norm() / momentum.numel() ** 0.5 + 1e-8)
                parameter.sub_(group["lr"] * update)


def muon_for_potentials(player: Player) -> torch.optim.Optimizer:
    """The potential's matrices take orthogonal steps."""
    if player.name != "dual":
        return adam(player)
    return Muon(list(player.module.parameters()), player.lr)


class LargerPotential(w1.PotentialPhase):
    """Batches of 1,024 for the potential alone, whose gain is linear in cells."""

    batch_size = 1024


class WarmPotential(w1.PotentialPhase):
    """The first fifth of the steps regresses on the exact discrete potential of 500 cells."""

    def start(self, source: CarriedCells, target: CarriedCells, draw: Starts) -> None:
        parts = [
            cells.take(cells.population.draw(self.draws_of("warm"), 500))[0][0]
            for cells in (source, target)
        ]
        cost = torch.cdist(*parts).double().numpy()
        _, log = ot.emd([], [], cost, log=True)
        # Duals u + v <= c of a metric cost give f = u on the source and f = -v on the target.
        self.exact = torch.cat([torch.from_numpy(log["u"]), -torch.from_numpy(log["v"])]).float()
        self.cells = torch.cat(parts)[None]

    def start_step(self, share: float, active: Sequence[bool]) -> None:
        self.is_warm = share >= 1 / 5

    def losses(self, draw: Draw) -> Losses:
        if self.is_warm:
            yield from super().losses(draw)
            return
        values = self.module(self.cells)[0] - self.exact
        yield "dual", -(values - values.mean()).square().mean()[None]


class FreeStep(w1.EnergyStep):
    """No rays: a residual network moves cells freely, by the same loss."""

    starts_at_distance = False

    def players(self, n_strata: int) -> list[Player]:
        d = self.stack.n_features
        network = StackedMLP(d, self.draws_of("free"), width=64, n_layers=4, n_outputs=d)
        self.stack.rays[self.number] = Free(network, self.ray)
        return super().players(n_strata)

    @property
    def module(self) -> nn.Module:
        return self.stack.rays[self.number].network

    def move(self, source: tuple[Tensor, ...], strata: Tensor | None) -> Tensor:
        return source[0] + self.module(source[0])


class Free(nn.Module):
    """A ray's place taken by a residual network."""

    def __init__(self, network: nn.Module, ray: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.potential = ray.potential
        self.direction = ray.direction

    def forward(self, cells: Tensor) -> Tensor:
        return cells + self.network(cells)


@dataclass(frozen=True)
class Variant:
    """Settings that differ from the preset, and phases that take the place of the package's."""

    settings: dict[str, Any] = field(default_factory=dict)
    potential: type[w1.PotentialPhase] = w1.PotentialPhase
    optimizer: Callable[[Player], torch.optim.Optimizer] = adam
    step: type | None = None
    early_stopping: bool = False
    decode: str = "delta"

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the phases in the package's place for a while."""
        before = w1.PotentialPhase, dict(w1.STEP_PHASES), training.adam
        w1.PotentialPhase, training.adam = self.potential, self.optimizer
        if self.step is not None:
            w1.STEP_PHASES["energy"] = self.step
        yield
        w1.PotentialPhase, steps, training.adam = before
        w1.STEP_PHASES.update(steps)


ADVERSARIAL = {"step_betas": (0.5, 0.999), "step_lr": 1e-3, "step_steps": 600}

VARIANTS = {
    "fast": Variant(),
    "1 ray, 400 + 600 steps": Variant({"n_rays": 1, "potential_steps": 400, "step_steps": 600}),
    "3 rays, 150 + 200 steps": Variant({"n_rays": 3, "potential_steps": 150, "step_steps": 200}),
    "4 rays, 100 + 150 steps": Variant({"n_rays": 4, "potential_steps": 100, "step_steps": 150}),
    "MaxMin, width 16": Variant({"width": 16}),
    "MaxMin, width 64": Variant({"width": 64}),
    "MaxMin, width 128": Variant({"width": 128}),
    "GroupSort, 4 groups, width 64": Variant({"potential": "groupsort", "width": 64}),
    "GroupSort, 4 groups, width 128": Variant({"potential": "groupsort", "width": 128}),
    "funnel, 64 centres": Variant({"potential": "funnel", "width": 64}),
    "adversarial step": Variant({"step": "adversarial", **ADVERSARIAL}),
    "adversarial step, Lipschitz critic": Variant(ADVERSARIAL, step=LipschitzCritic),
    "MMD step": Variant(step=KernelStep),
    "Sinkhorn step": Variant(step=SinkhornStep),
    "no rays, residual network": Variant(
        {"n_rays": 1, "potential_steps": 1, "step_steps": 600}, step=FreeStep
    ),
    "direct decoding": Variant(decode="direct"),
    "constant learning rates": Variant(
        {"potential_lr": 3e-3, "potential_lr_end": 3e-3, "step_lr": 1e-3, "step_lr_end": 1e-3}
    ),
    "Muon": Variant(optimizer=muon_for_potentials),
    "warm start from the discrete potential": Variant(potential=WarmPotential),
    "batch 128": Variant({"batch_size": 128}),
    "batch 512": Variant({"batch_size": 512}),
    "batch 1024 for the potential": Variant(potential=LargerPotential),
    "half the steps": Variant({"potential_steps": 100, "step_steps": 150}),
    "four times the steps": Variant({"potential_steps": 800, "step_steps": 1200}),
    "four times, early stopping": Variant(
        {"potential_steps": 800, "step_steps": 1200}, early_stopping=True
    ),
    "no shrinking": Variant({"shrink": False}),
    "all dimensions": Variant({"n_components": None}),
}

GAME = {"step_betas": (0.5, 0.999), "step_lr": 1e-3, "step_steps": 600}
SHORT = GAME | {"step_steps": 400}
QUICK = GAME | {"step_lr": 2e-3, "step_steps": 300}
OWN = GAME | {"step": "wasserstein"}

# A critic has 4 layers of 64 units, starts anew, and learns as fast as the step size, unless it is
# named otherwise.
ADVERSARIES = {
    "fast": Variant(),
    "600 steps": Variant(GAME, step=adversary()),
    "600 steps, from steps near zero": Variant(GAME, step=adversary(starts_at_distance=False)),
    "600 steps, perceptron": Variant(GAME, step=adversary(kind="perceptron")),
    "600 steps, 2 layers": Variant(GAME, step=adversary(n_layers=2)),
    "600 steps, critic 32": Variant(GAME, step=adversary(width=32)),
    "600 steps, critic 32, 3 x as fast": Variant(GAME, step=adversary(width=32, rate=3.0)),
    "600 steps, critic 32, averaged": Variant(GAME, step=adversary(width=32, average=0.98)),
    "600 steps, one gradient": Variant(GAME, step=adversary(together=True)),
    "600 steps, one gradient, 3 x as fast": Variant(GAME, step=adversary(together=True, rate=3.0)),
    "600 steps, critic 32, one gradient": Variant(GAME, step=adversary(width=32, together=True)),
    "600 steps, critic 32, one gradient, 3 x as fast": Variant(
        GAME, step=adversary(width=32, together=True, rate=3.0)
    ),
    "600 steps, starts as the potential, one gradient, 5 x as fast": Variant(
        GAME, step=adversary(kind="potential", together=True, rate=5.0)
    ),
    "400 steps": Variant(SHORT, step=adversary()),
    "400 steps, at 2e-3": Variant(SHORT | {"step_lr": 2e-3}, step=adversary()),
    "400 steps, 3 x as fast": Variant(SHORT, step=adversary(rate=3.0)),
    "400 steps, averaged": Variant(SHORT, step=adversary(average=0.98)),
    "400 steps, first moment 0": Variant(SHORT | {"step_betas": (0.0, 0.99)}, step=adversary()),
    "400 steps, first moment 0.9": Variant(SHORT | {"step_betas": (0.9, 0.999)}, step=adversary()),
    "300 steps, at 2e-3": Variant(QUICK, step=adversary()),
    "300 steps, at 2e-3, critic 32, 5 x as fast": Variant(
        QUICK, step=adversary(width=32, rate=5.0)
    ),
    "300 steps, at 2e-3, starts as the potential": Variant(QUICK, step=adversary(kind="potential")),
    "300 steps, at 2e-3, starts as the potential, 5 x as fast": Variant(
        QUICK, step=adversary(kind="potential", rate=5.0)
    ),
    "300 steps, at 2e-3, starts as the potential, one gradient, 5 x as fast": Variant(
        QUICK, step=adversary(kind="potential", together=True, rate=5.0)
    ),
    # As the package has it: the step size and the critic are of one size.
    "600 steps, both 64": Variant(OWN),
    "600 steps, both 64, first moment 0.9": Variant(OWN | {"step_betas": (0.9, 0.999)}),
    "600 steps, both 64, first moment 0.9, at 2e-3": Variant(
        OWN | {"step_betas": (0.9, 0.999), "step_lr": 2e-3}
    ),
    "400 steps, both 64, first moment 0.9, at 2e-3": Variant(
        OWN | {"step_betas": (0.9, 0.999), "step_lr": 2e-3, "step_steps": 400}
    ),
    "600 steps, both 32": Variant(OWN | {"step_width": 32}),
    "600 steps, both 32, 2 layers": Variant(OWN | {"step_width": 32, "step_layers": 2}),
    "400 steps, both 32, batch 512": Variant(
        OWN | {"step_width": 32, "step_steps": 400, "batch_size": 512}
    ),
    "400 steps, both 64, batch 512": Variant(OWN | {"step_steps": 400, "batch_size": 512}),
}
