"""What every method's settings share: presets, ranges, and the way to JSON and back."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, Self, get_args, get_origin, get_type_hints

from rayot._docs import shared

OWN = "function"
"""How the plain form of a function of the user's own starts."""


@shared
@dataclass(frozen=True)
class Settings:
    """Settings of a map; each method adds its own.

    Attributes
    ----------
    {common_settings}
    """

    decode: Literal["direct", "delta"] = "direct"
    standardise: bool = False
    n_components: int | None = None
    shrink: bool = False
    batch_size: int = 256

    presets: ClassVar[dict[str, dict[str, Any]]] = {"paper": {}}
    """What each preset changes."""

    phase_steps: ClassVar[tuple[str, ...]] = ()
    """Settings that count the optimisation steps of a phase."""

    at_least: ClassVar[dict[str, int]] = {"batch_size": 2, "n_components": 2}
    """Least values of whole numbers, where it is not 1."""

    at_most: ClassVar[dict[str, int]] = {}
    """Largest values of whole numbers that a prediction repeats itself by."""

    at_least_zero: ClassVar[tuple[str, ...]] = ()
    """Numbers that may be zero; all others are above it."""

    @property
    def unbalanced(self) -> bool:
        """Whether mass may be left unmatched."""
        return False

    @property
    def widest(self) -> int:
        """Units of the widest hidden layer."""
        return 1

    @property
    def n_units(self) -> int:
        """Units of all hidden layers that a cell passes."""
        return 1

    @classmethod
    def from_preset(cls, preset: str, **changes: Any) -> Self:  # noqa: ANN401
        """Settings of a preset, with some of them changed.

        Raises
        ------
        ValueError
            If the preset or a setting is unknown, or a value is out of range.
        """
        if preset not in cls.presets:
            raise ValueError(f"preset must be one of {sorted(cls.presets)}, found {preset!r}.")
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(changes) - known):
            raise ValueError(
                f"plan_kwargs names unknown settings {unknown}; known are {sorted(known)}."
            )
        settings = cls(**{**cls.presets[preset], **changes})
        settings.check()
        return settings

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Settings from plain values, in which tuples are lists."""
        plain: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        settings = cls(**plain)
        settings.check()
        return settings

    def with_limits(self, max_steps: int | None, batch_size: int | None) -> Self:
        """The same settings with other steps of each phase, or another batch, where given.

        Raises
        ------
        ValueError
            If a limit is out of range.
        """
        changes: dict[str, Any] = {}
        if max_steps is not None:
            if not _is_whole(max_steps, 1):
                raise ValueError(
                    f"max_steps must be a whole number of at least 1, found {max_steps!r}."
                )
            changes |= dict.fromkeys(self.phase_steps, max_steps)
        if batch_size is not None:
            changes["batch_size"] = batch_size
        settings = replace(self, **changes)
        settings.check()
        return settings

    def to_json(self) -> dict[str, Any]:
        """Plain values; of a function its name, as a fitted map needs it no more."""
        found = {}
        for name, value in asdict(self).items():
            if callable(value):
                value = f"{OWN} {getattr(value, '__qualname__', type(value).__qualname__)}"
            found[name] = value
        return found

    def steps(self) -> dict[str, int]:
        """Optimisation steps of each phase, by the name of the setting."""
        return {name: getattr(self, name) for name in self.phase_steps}

    def check(self) -> None:
        """Raise a ValueError that names the first setting out of range."""
        for name, kind in get_type_hints(type(self)).items():
            if get_origin(kind) is not ClassVar:
                self._check_one(name, kind)

    def _check_one(self, name: str, kind: Any) -> None:  # noqa: ANN401
        value = getattr(self, name)
        if get_origin(kind) is Literal:
            if value not in get_args(kind):
                raise ValueError(f"{name} must be one of {get_args(kind)}, found {value!r}.")
        elif kind is int or kind == int | None:
            least, optional = self.at_least.get(name, 1), kind is not int
            most = self.at_most.get(name)
            fits = _is_whole(value, least) and (most is None or value <= most)
            if not (optional and value is None) and not fits:
                raise ValueError(
                    f"{name} must be {'None or ' if optional else ''}a whole number of at least "
                    f"{least}{'' if most is None else f' and at most {most}'}, found {value!r}."
                )
        elif kind is float and name in self.at_least_zero:
            self.check_number(name, lambda number: number >= 0, "at least 0")
        elif kind is float:
            self.check_number(name, lambda number: number > 0, "greater than 0")

    def check_number(self, name: str, inside: Callable[[float], bool], what: str) -> None:
        """Raise a ValueError unless a setting is a number for which ``inside`` holds."""
        value = getattr(self, name)
        is_number = isinstance(value, Real) and not isinstance(value, bool)
        if not (is_number and inside(float(value))):
            raise ValueError(f"{name} must be {what}, found {value!r}.")


def _is_whole(value: Any, least: int) -> bool:  # noqa: ANN401
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


@shared
@dataclass(frozen=True)
class NetworkSettings(Settings):
    """Settings of a method whose networks are trained in one phase.

    Attributes
    ----------
    {network_settings}
    {common_settings}
    """

    width: int = 64
    n_layers: int = 4
    n_steps: int = 10_000
    lr: float = 1e-3
    lr_end: float = 1e-5
    betas: tuple[float, float] = (0.9, 0.999)

    phase_steps: ClassVar[tuple[str, ...]] = ("n_steps",)

    @property
    def widest(self) -> int:
        """Units of the widest hidden layer."""
        return self.width

    @property
    def n_units(self) -> int:
        """Units of all hidden layers that a cell passes."""
        return self.width * self.n_layers
