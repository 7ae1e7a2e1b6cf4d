"""Ways to fit a map that were tried beside the preset "fast", winners and losers.

Each variant is a change of settings, or a training phase of its own where the package has no such
setting because it did not pay.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import ot
import torch
from torch import Tensor, nn

import rayot.train.phases as phases
from rayot.nn import LipschitzNetwork
from rayot.solvers import energy_loss, generator
from rayot.train.block import apply_gradients
from rayot.train.potential import PotentialTraining
from rayot.train.step import AdversarialStepTraining, EnergyStepTraining, StepTraining


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
        from rayot.nn import StackedMLP

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
