"""What a Wasserstein-1 solver can be told, and its presets."""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

from rayot._arguments import Check, number
from rayot._docs import shared
from rayot.solvers.settings import Settings

FAST: dict[str, Any] = {
    "potential": "maxmin",
    "step": "energy",
    "n_rays": 2,
    "width": 32,
    "decode": "auto",
    "standardise": True,
    "n_components": 50,
    "shrink": True,
    "potential_steps": 200,
    "step_steps": 300,
    "batch_size": 256,
    "step_lr": 2e-3,
    "step_lr_end": 1e-5,
    "step_betas": (0.9, 0.999),
}
"""Changes of the preset "fast", on which others build."""


@shared
@dataclass(frozen=True)
class W1Settings(Settings):
    """Settings of a Wasserstein-1 map; the defaults are the paper's.

    Attributes
    ----------
    potential
        ``"groupsort"``: GroupSort in 4 groups, as in the paper. ``"maxmin"``: in groups of two.
        ``"funnel"``: a soft minimum of distances to learned centres, ``width`` of them.
    step
        ``"adversarial"``: the step size plays against a discriminator (paper, equations 15 and
        16). ``"wasserstein"``: it plays against a 1-Lipschitz critic, which finds the Wasserstein-1
        distance that is left (Arjovsky et al. 2017). ``"energy"``: it minimises the unbiased energy
        distance to the target.
        ``"fixed"``: all cells go equally far, by the Wasserstein-1 distance (Milne et al. 2022).
    n_rays
        Maps composed one after the other, each fitted from where the last one left the cells.
    unmatched_source, unmatched_target
        Shares of the source's and the target's mass that are left unmatched (cells that die, or
        come from elsewhere): those that would travel farthest.
    width, n_layers
        Units and hidden layers of the potential.
    orthogonal
        ``"cayley"`` or ``"bjorck"``.
    potential_steps, step_steps
        Optimisation steps of each ray's potential and step size.
    potential_lr, potential_lr_end
        First and last learning rate of the potential, joined by a cosine.
    step_lr, step_lr_end
        The same for the step size, and for its discriminator or critic.
    step_width, step_layers
        Units and hidden layers of the step size, and of its discriminator or critic.
    potential_betas, step_betas
        Adam's exponential decay rates. The paper gives those of the potential; for the step size
        it names Adam alone, and a first moment of 0.5 keeps the two players from circling.
    {common_settings}
    """

    potential: Literal["groupsort", "maxmin", "funnel"] = "groupsort"
    step: Literal["adversarial", "wasserstein", "energy", "fixed"] = "adversarial"
    n_rays: int = 1
    unmatched_source: float = 0.0
    unmatched_target: float = 0.0
    width: int = 64
    n_layers: int = 4
    orthogonal: Literal["cayley", "bjorck"] = "cayley"
    potential_steps: int = 10_000
    step_steps: int = 10_000
    potential_lr: float = 1e-2
    potential_lr_end: float = 1e-4
    step_lr: float = 1e-4
    step_lr_end: float = 1e-4
    step_width: int = 64
    step_layers: int = 4
    potential_betas: tuple[float, float] = (0.5, 0.5)
    step_betas: tuple[float, float] = (0.5, 0.999)

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {},
        "fast": FAST,
        "adversarial": {
            **FAST,
            "step": "wasserstein",
            "step_steps": 400,
            "batch_size": 512,
            "step_lr": 1e-3,
            "step_betas": (0.5, 0.999),
        },
    }

    # Where one map sends a cell depends on the seed, whatever else is set; the mean of five does
    # less than half as much. Five batches of 64 take little longer than one of 256, and the mean
    # averages their noise too.
    members: ClassVar[dict[str, int]] = {"fast": 5}
    of_members: ClassVar[dict[str, dict[str, Any]]] = {"fast": {"batch_size": 64}}

    ranges: ClassVar[dict[str, Check]] = dict.fromkeys(
        ("unmatched_source", "unmatched_target"), partial(number, low=0, high=1, open_high=True)
    )

    phase_steps: ClassVar[tuple[str, ...]] = ("potential_steps", "step_steps")

    @property
    def unbalanced(self) -> bool:
        """Whether mass may be left unmatched."""
        return self.unmatched_source > 0 or self.unmatched_target > 0

    @property
    def widest(self) -> int:
        """Units of the widest hidden layer of the potential."""
        return self.width

    @property
    def n_units(self) -> int:
        """Units of all hidden layers that a cell passes."""
        return (self.width + self.step_width) * self.n_layers

    @property
    def n_groups(self) -> int | None:
        """Groups of the activation: the paper's "grouping size 4" is four groups of 16 units."""
        return 4 if self.potential == "groupsort" else None

    def check(self) -> None:
        """Raise a ValueError that names the first setting out of range."""
        super().check()
        if self.potential != "funnel" and self.width % (self.n_groups or 2):
            raise ValueError(
                f"width must be a multiple of {self.n_groups or 2} for potential="
                f"{self.potential!r}, found {self.width}."
            )
        if self.step == "wasserstein" and self.step_width % 2:
            raise ValueError(
                f"step_width must be even for step='wasserstein', found {self.step_width}."
            )
