"""What a conditional Wasserstein-1 solver can be told, and its presets."""

from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

from rayot._docs import shared
from rayot.solvers.w1_settings import W1Settings


@shared
@dataclass(frozen=True)
class ConditionalW1Settings(W1Settings):
    """Settings of Wasserstein-1 maps of many conditions: those of :class:`W1Settings`, and more.

    Attributes
    ----------
    rank
        Of the part of each orthonormal layer that the condition moves; 0 leaves it to the biases
        alone, as the paper has it.
    condition_width, condition_layers
        Units and hidden layers of the perceptrons of conditions.
    combination
        How a combination ``"A+B"`` that is not in training moves cells. ``"moves"``: by the sum of
        its parts' moves. ``"vectors"``: as the condition whose vector is the sum of theirs, as
        combinations of training do.
    unseen
        How a perturbation moves cells that is not in training and has a vector. ``"responses"``: by
        the weighted sum of the moves of those of training, at the same dose. The weights are those
        of a Gaussian process on their mean responses, or alike where vectors do not predict the
        responses of perturbations that are left out. ``"network"``: by the network's map at its
        vector.
    n_conditions
        Conditions drawn at each step, which share ``batch_size`` cells of each side.
    potential
        ``"groupsort"`` or ``"maxmin"``.
    step
        ``"adversarial"`` or ``"energy"``.
    shrink
        Whether perturbations of training stay without a move where an energy distance permutation
        test, within the groups of their cells, finds no effect.
    """

    potential: Literal["groupsort", "maxmin"] = "groupsort"
    step: Literal["adversarial", "energy"] = "adversarial"
    rank: int = 0
    condition_width: int = 64
    condition_layers: int = 1
    combination: Literal["moves", "vectors"] = "moves"
    unseen: Literal["responses", "network"] = "responses"
    n_conditions: int = 16
    batch_size: int = 512

    may_lack: ClassVar[tuple[str, ...]] = ("unseen",)

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {},
        "fast": {
            **W1Settings.presets["fast"],
            "n_rays": 1,
            "rank": 4,
            "condition_width": 32,
            "potential_steps": 600,
            "step_steps": 600,
            "batch_size": 512,
        },
    }

    at_least: ClassVar[dict[str, int]] = {**W1Settings.at_least, "rank": 0, "condition_layers": 0}

    @property
    def plain(self) -> W1Settings:
        """Settings of the map of one condition."""
        return W1Settings(**{field.name: getattr(self, field.name) for field in fields(W1Settings)})

    def check(self) -> None:
        """Raise a ValueError that names the first setting out of range."""
        super().check()
        if self.unbalanced:
            raise ValueError(
                "unmatched_source and unmatched_target must be 0: conditional maps match all mass."
            )
