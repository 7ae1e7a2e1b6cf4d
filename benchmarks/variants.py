"""Ways to fit a map that were tried beside the preset "fast", winners and losers.

Each variant is a change of settings, or a training phase of its own where the package has no such
setting because it did not pay.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

import ot
import torch
from torch import Tensor, nn

import rayot.train.phases as phases
from rayot.nn import LipschitzNetwork, StackedMLP
from rayot.solvers import critic_loss, dual_value, energy_loss, generator, generator_loss
from rayot.train.block import apply_gradients
from rayot.train.potential import PotentialTraining
from rayot.train.step import (
    AdversarialStepTraining,
    EnergyStepTraining,
    StepTraining,
    WassersteinStepTraining,
)


class LipschitzCritic(AdversarialStepTraining):
    """The step size against a 1-Lipschitz critic: a Wasserstein adversary."""

    def setup(self, stage: str) -> None:
        self.critic = LipschitzNetwork(
            self.transport.n_features,
            [generator(self.seed, name, self.name, "critic") for name in self.transport.names],
            n_groups=None,
        ).to(self.device)
        self.critic_parameters = list(self.critic.parameters())

    def optimise(self, step: int) -> dict[str, Tensor]:
        transported, target = self.draw()
        values = self.critic(torch.cat([target, transported.detach()], dim=1))
        gap = values[:, : target.shape[1]].mean(1) - values[:, target.shape[1] :].mean(1)
        apply_gradients(-gap.sum(), self.critic_parameters, self.adams[1])
        loss = -self.critic(transported).mean(1)
        apply_gradients(loss.sum(), self.trained, self.adams[0])
        return {"step_loss": loss.detach(), "critic_loss": gap.detach()}


class Adversary(WassersteinStepTraining):
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

    def new_critic(self, generators: list[torch.Generator]) -> nn.Module:
        n_features = self.transport.n_features
        size = {"width": self.width, "n_layers": self.n_layers}
        if self.kind == "potential":
            return deepcopy(self.transport.ray(self.ray).potential)
        if self.kind == "perceptron":
            return StackedMLP(n_features, generators, **size)
        return LipschitzNetwork(n_features, generators, n_groups=None, **size)

    def on_fit_start(self) -> None:
        AdversarialStepTraining.on_fit_start(self)
        self.mean = [parameter.detach().clone() for parameter in self.trained]

    def on_fit_end(self) -> None:
        AdversarialStepTraining.on_fit_end(self)

    def optimise(self, step: int) -> dict[str, Tensor]:
        self.adams[1].param_groups[0]["lr"] = self.rate * self.adams[0].param_groups[0]["lr"]
        transported, target = self.draw()
        loss = (self.one_gradient if self.together else self.in_turns)(transported, target)
        for mean, parameter in zip(self.mean, self.trained, strict=True):
            mean.lerp_(parameter.detach(), 1 - self.average)
            if self.average and step == self.n_steps - 1:
                parameter.data.copy_(mean)
        return {"step_loss": loss.detach()}

    def one_gradient(self, transported: Tensor, target: Tensor) -> Tensor:
        values = self.critic(torch.cat([transported, target], dim=1))
        dual = dual_value(*values.split(target.shape[1], dim=1))
        parameters = self.trained + self.critic_parameters
        gradients = torch.autograd.grad(dual.sum(), parameters)
        for number, (parameter, each) in enumerate(zip(parameters, gradients, strict=True)):
            parameter.grad = (each if number < len(self.trained) else -each).contiguous()
        for adam in self.adams:
            adam.step()
        return dual

    def in_turns(self, transported: Tensor, target: Tensor) -> Tensor:
        values = self.critic(torch.cat([transported.detach(), target], dim=1))
        if self.kind == "perceptron":
            values = values.squeeze(-1)
        moved, there = values.split(target.shape[1], dim=1)
        logits = self.kind == "perceptron"
        loss = critic_loss(-there, -moved) if logits else -dual_value(moved, there)
        apply_gradients(loss.sum(), self.critic_parameters, self.adams[1])
        values = self.critic(transported)
        height = generator_loss(-values.squeeze(-1)) if logits else values.mean(-1)
        apply_gradients(height.sum(), self.trained, self.adams[0])
        return loss


def adversary(**changes: Any) -> type[Adversary]:  # noqa: ANN401
    return type("Adversary", (Adversary,), changes)


class KernelStep(EnergyStepTraining):
    """The step size minimises the MMD with Gaussian kernels around the median distance."""

    def optimise(self, step: int) -> dict[str, Tensor]:
        transported, target = self.draw()
        across, within = torch.cdist(transported, target), torch.cdist(transported, transported)
        middle = across.detach().median()
        loss = sum(
            (-(within / (middle * width)).square()).exp().mean((-2, -1))
            - 2 * (-(across / (middle * width)).square()).exp().mean((-2, -1))
            for width in (0.25, 0.5, 1.0, 2.0)
        )
        apply_gradients(loss.sum(), self.trained, self.adams[0])
        return {"step_loss": loss.detach()}


class SinkhornStep(EnergyStepTraining):
    """The step size minimises a debiased Sinkhorn divergence with the Euclidean cost."""

    def optimise(self, step: int) -> dict[str, Tensor]:
        transported, target = self.draw()
        loss = sinkhorn(transported, target) - sinkhorn(transported, transported) / 2
        apply_gradients(loss.sum(), self.trained, self.adams[0])
        return {"step_loss": loss.detach()}


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


class MuonPotential(PotentialTraining):
    """The potential's matrices take orthogonal steps."""

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return [Muon(list(self.module.parameters()), self.learning_rates()[0])]


class LargerPotential(PotentialTraining):
    """Batches of 1,024 for the potential alone, whose gain is linear in cells."""

    def on_fit_start(self) -> None:
        self.settings = replace(self.settings, batch_size=1024)
        super().on_fit_start()


class WarmPotential(PotentialTraining):
    """The first fifth of the steps regresses on the exact discrete potential of 500 cells."""

    def on_fit_start(self) -> None:
        super().on_fit_start()
        parts = []
        for side, population in ((self.carried, self.source), (self.targets, self.target)):
            positions = population.draw([generator(self.seed, self.name, "warm")], 500)
            parts.append(side.take(positions)[0][0])
        cost = torch.cdist(*parts).double().numpy()
        _, log = ot.emd([], [], cost, log=True)
        # Duals u + v <= c of a metric cost give f = u on the source and f = -v on the target.
        self.exact = torch.cat([torch.from_numpy(log["u"]), -torch.from_numpy(log["v"])]).float()
        self.cells = torch.cat(parts)[None]

    def optimise(self, step: int) -> dict[str, Tensor]:
        if step >= self.n_steps // 5:
            return super().optimise(step)
        next(self.draws)
        values = self.module(self.cells)[0] - self.exact
        loss = (values - values.mean()).square().mean()
        apply_gradients(loss, self.trained, self.adams[0])
        return {"dual": -loss.detach()[None]}


class FreeStep(EnergyStepTraining):
    """No rays: a residual network moves cells freely, by the same loss."""

    def setup(self, stage: str) -> None:
        d = self.transport.n_features
        draws = [generator(self.seed, name, self.name, "free") for name in self.transport.names]
        self.transport.rays[self.ray] = Free(
            StackedMLP(d, draws, width=64, n_layers=4, n_outputs=d), self.transport.ray(self.ray)
        )

    @property
    def module(self) -> nn.Module:
        return self.transport.rays[self.ray].network

    def on_fit_start(self) -> None:
        StepTraining.on_fit_start(self)

    def move(self, cells: Tensor, directions: Tensor) -> Tensor:
        return cells + self.module(cells)

    def optimise(self, step: int) -> dict[str, Tensor]:
        transported, target = self.draw()
        loss = energy_loss(transported, target)
        apply_gradients(loss.sum(), self.trained, self.adams[0])
        return {"step_loss": loss.detach()}


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
    potential: type[PotentialTraining] = PotentialTraining
    step: type | None = None
    early_stopping: bool = False
    decode: str = "delta"

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the phases in the package's place for a while."""
        steps = dict(phases.STEP_TRAINING)
        phases.PotentialTraining = self.potential
        if self.step is not None:
            phases.STEP_TRAINING["energy"] = self.step
        yield
        phases.PotentialTraining = PotentialTraining
        phases.STEP_TRAINING.update(steps)


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
    "Muon": Variant(potential=MuonPotential),
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
