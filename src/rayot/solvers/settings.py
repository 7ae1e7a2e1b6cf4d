"""What a Wasserstein-1 solver can be told, and the presets."""

from dataclasses import dataclass, fields, replace
from numbers import Integral
from typing import Any, Literal


@dataclass(frozen=True)
class W1Settings:
    """Settings of a Wasserstein-1 map; the defaults are the paper's.

    Attributes
    ----------
    potential
        ``"groupsort"``: GroupSort in 4 groups, as in the paper. ``"maxmin"``: in groups of two.
        ``"funnel"``: a soft minimum of distances to learned centres, ``width`` of them.
    step
        ``"adversarial"``: the step size plays against a discriminator (paper, equations 15 and
        16). ``"energy"``: it minimises the unbiased energy distance to the target.
    n_rays
        Maps composed one after the other, each fitted from where the last one left the cells.
    decode
        ``"direct"``: predicted genes are the decoded representation. ``"delta"``: the change of
        the decoded representation is added to the cell's own genes, which keeps what the
        representation lost.
    standardise
        Whether cells are centred and divided by one scale, which makes the root mean square
        distance of source and target cells to their common mean equal to 3.
    n_components
        Leading principal components of the training cells that the map works on, where cells have
        more features; what lies outside of them stays as it is. None works on all features.
    unmatched_source, unmatched_target
        Shares of the source's and the target's mass that are left unmatched (cells that die, or
        come from elsewhere): those that would travel farthest.
    shrink
        Whether moves are shortened to what held-out cells support, and to nothing where source and
        target do not differ by an energy distance permutation test.
    width, n_layers
        Units and hidden layers of the potential.
    orthogonal
        ``"cayley"`` or ``"bjorck"``.
    potential_steps, step_steps
        Optimisation steps of each ray's potential and step size.
    batch_size
        Cells drawn from the source, and as many from the target, at each step.
    potential_lr, potential_lr_end
        First and last learning rate of the potential, joined by a cosine.
    step_lr, step_lr_end
        The same for the step size, and for the discriminator.
    step_width, step_layers
        Units and hidden layers of the step size and the discriminator.
    potential_betas, step_betas
        Adam's exponential decay rates. The paper gives those of the potential; for the step size
        it names Adam alone, and a first moment of 0.5 keeps the two players from circling.
    """

    potential: Literal["groupsort", "maxmin", "funnel"] = "groupsort"
    step: Literal["adversarial", "energy"] = "adversarial"
    n_rays: int = 1
    decode: Literal["direct", "delta"] = "direct"
    standardise: bool = False
    n_components: int | None = None
    unmatched_source: float = 0.0
    unmatched_target: float = 0.0
    shrink: bool = False
    width: int = 64
    n_layers: int = 4
    orthogonal: Literal["cayley", "bjorck"] = "cayley"
    potential_steps: int = 10_000
    step_steps: int = 10_000
    batch_size: int = 256
    potential_lr: float = 1e-2
    potential_lr_end: float = 1e-4
    step_lr: float = 1e-4
    step_lr_end: float = 1e-4
    step_width: int = 64
    step_layers: int = 4
    potential_betas: tuple[float, float] = (0.5, 0.5)
    step_betas: tuple[float, float] = (0.5, 0.999)

    @property
    def unbalanced(self) -> bool:
        """Whether mass may be left unmatched."""
        return self.unmatched_source > 0 or self.unmatched_target > 0

    @property
    def n_groups(self) -> int | None:
        """Groups of the activation: the paper's "grouping size 4" is four groups of 16 units."""
        return 4 if self.potential == "groupsort" else None

    @classmethod
    def from_preset(cls, preset: str, **changes: Any) -> "W1Settings":  # noqa: ANN401
        """Settings of a preset, with some of them changed.

        Raises
        ------
        ValueError
            If the preset or a setting is unknown, or a value is out of range.
        """
        if preset not in PRESETS:
            raise ValueError(f"preset must be one of {sorted(PRESETS)}, found {preset!r}.")
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(changes) - known):
            raise ValueError(
                f"plan_kwargs names unknown settings {unknown}; known are {sorted(known)}."
            )
        settings = cls(**{**PRESETS[preset], **changes})
        settings.check()
        return settings

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "W1Settings":
        """Settings from plain values, in which tuples are lists."""
        pairs = {name: tuple(values[name]) for name in ("potential_betas", "step_betas")}
        settings = cls(**{**values, **pairs})
        settings.check()
        return settings

    def with_limits(self, max_steps: int | None, batch_size: int | None) -> "W1Settings":
        """The same settings with other steps of each phase, or another batch, where given."""
        settings = replace(
            self,
            potential_steps=self.potential_steps if max_steps is None else max_steps,
            step_steps=self.step_steps if max_steps is None else max_steps,
            batch_size=self.batch_size if batch_size is None else batch_size,
        )
        settings.check()
        return settings

    def check(self) -> None:
        """Raise a ValueError that names the first setting out of range."""
        choices = {
            "potential": ("groupsort", "maxmin", "funnel"),
            "step": ("adversarial", "energy"),
            "decode": ("direct", "delta"),
            "orthogonal": ("cayley", "bjorck"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, found {getattr(self, name)!r}.")
        for name in ("unmatched_source", "unmatched_target"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(
                    f"{name} must be a share from 0 to less than 1, found {getattr(self, name)!r}."
                )
        components = self.n_components
        if components is not None and (not isinstance(components, Integral) or components < 2):
            raise ValueError(
                f"n_components must be None or a whole number of at least 2, found {components!r}."
            )
        smallest = {"batch_size": 2, "n_layers": 1, "step_layers": 1}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is int or field.type == "int":
                least = smallest.get(field.name, 1)
                if not isinstance(value, Integral) or value < least:
                    raise ValueError(
                        f"{field.name} must be a whole number of at least {least}, found {value!r}."
                    )
            elif field.name.startswith("unmatched"):
                continue
            elif (field.type is float or field.type == "float") and not value > 0:
                raise ValueError(f"{field.name} must be greater than 0, found {value!r}.")
        if self.potential != "funnel" and self.width % (self.n_groups or 2):
            raise ValueError(
                f"width must be a multiple of {self.n_groups or 2} for potential="
                f"{self.potential!r}, found {self.width}."
            )


PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "fast": {
        "potential": "maxmin",
        "step": "energy",
        "n_rays": 2,
        "width": 32,
        "decode": "delta",
        "standardise": True,
        "n_components": 50,
        "shrink": True,
        "potential_steps": 200,
        "step_steps": 300,
        "batch_size": 256,
        "step_lr": 2e-3,
        "step_lr_end": 1e-5,
        "step_betas": (0.9, 0.999),
    },
}
