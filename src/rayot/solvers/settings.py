"""What every method's settings share: presets, ranges, and the way to JSON and back."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from math import inf
from typing import Any, ClassVar, Literal, Self, get_args, get_origin, get_type_hints

from rayot._arguments import Check, flag, number, one_of, refused, text, texts, whole_number
from rayot._docs import shared

logger = logging.getLogger(__name__)

USUAL_BATCH, LARGEST_BATCH = 4096, 16384
"""Cells of a batch that are always taken, and never exceeded."""

above_zero = partial(number, low=0, open_low=True)
from_zero = partial(number, low=0)

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

    decode: Literal["direct", "delta", "calibrated", "auto"] = "direct"
    standardise: bool = False
    n_components: int | None = None
    shrink: bool = False
    batch_size: int = 256

    presets: ClassVar[dict[str, dict[str, Any]]] = {"paper": {}}
    """What each preset changes."""

    may_lack: ClassVar[tuple[str, ...]] = ()
    """Settings that files of earlier versions lack, whose maps have their defaults."""

    members: ClassVar[dict[str, int]] = {}
    """By preset, the members of a single map where their number is not given; 1 of others."""

    of_members: ClassVar[dict[str, dict[str, Any]]] = {}
    """What a preset changes further where several members are averaged."""

    phase_steps: ClassVar[tuple[str, ...]] = ()
    """Settings that count the optimisation steps of a phase."""

    at_least: ClassVar[dict[str, int]] = {"batch_size": 2, "n_components": 2}
    """Least values of whole numbers, where it is not 1."""

    at_most: ClassVar[dict[str, int]] = {}
    """Largest values of whole numbers that a prediction repeats itself by."""

    ranges: ClassVar[dict[str, Check]] = {}
    """What numbers may be that need not be above zero alone."""

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
    def from_preset(cls, preset: str, n_seeds: int = 1, /, **changes: Any) -> Self:  # noqa: ANN401
        """Settings of a preset for so many members, with some of them changed.

        Raises
        ------
        ValueError
            If the preset or a setting is unknown, or a value is out of range.
        """
        if preset not in cls.presets:
            raise ValueError(f"preset must be one of {sorted(cls.presets)}, found {preset!r}.")
        names = {field.name for field in fields(cls)}
        if unknown := sorted(set(changes) - names):
            raise ValueError(
                f"plan_kwargs names unknown settings {unknown}; known are {sorted(names)}."
            )
        of_members = cls.of_members.get(preset, {}) if n_seeds > 1 else {}
        settings = cls(**{**cls.presets[preset], **of_members, **cls._plain(changes)})
        settings.check()
        return settings

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Settings from plain values, in which tuples are lists."""
        tuples = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        settings = cls(**cls._plain(tuples))
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
            changes |= dict.fromkeys(self.phase_steps, whole_number("max_steps", max_steps))
        if batch_size is not None:
            changes["batch_size"] = batch_size
        settings = replace(self, **changes)
        settings.check()
        return settings

    def with_batch_for(self, n_cells: int) -> Self:
        """The same settings with a batch that so many source cells can make use of.

        Distances between the cells of a batch take memory with its square.
        """
        largest = min(LARGEST_BATCH, max(USUAL_BATCH, n_cells))
        if self.batch_size <= largest:
            return self
        logger.warning(
            "batch_size=%d is more than %d training cells give; %d is taken.",
            self.batch_size,
            n_cells,
            largest,
        )
        return replace(self, batch_size=largest)

    def to_json(self) -> dict[str, Any]:
        """Plain values; of a function its name, as a fitted map needs it no more."""
        plain = {}
        for name, value in asdict(self).items():
            if callable(value):
                value = f"{OWN} {getattr(value, '__qualname__', type(value).__qualname__)}"
            plain[name] = value
        return plain

    def steps(self) -> dict[str, int]:
        """Optimisation steps of each phase, by the name of the setting."""
        return {name: getattr(self, name) for name in self.phase_steps}

    def check(self) -> None:
        """Raise a ValueError that names the first setting out of range."""
        self._plain({field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def _plain(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Settings by their names as plain values, each checked by its type."""
        kinds = get_type_hints(cls)
        plain = {}
        for name, value in values.items():
            if name not in kinds:
                raise ValueError(f"There is no setting {name!r}; known are {sorted(kinds)}.")
            plain[name] = cls._checked(name, kinds[name], value)
        return plain

    @classmethod
    def _checked(cls, name: str, kind: Any, value: Any) -> Any:  # noqa: ANN401
        if type(None) in get_args(kind):
            if value is None:
                return None
            (kind,) = set(get_args(kind)) - {type(None)}
        if get_origin(kind) is Literal:
            return one_of(name, value, get_args(kind))
        if kind is bool:
            return flag(name, value)
        if kind is int:
            most = cls.at_most.get(name, inf)
            return whole_number(name, value, cls.at_least.get(name, 1), most)
        if kind is float:
            return cls.ranges.get(name, above_zero)(name, value)
        if kind == tuple[float, float]:
            return _rates(name, value)
        if kind == tuple[str, ...]:
            return tuple(texts(name, value))
        return text(name, value) if kind is str else value


def _rates(name: str, value: Any) -> tuple[float, float]:  # noqa: ANN401
    """Adam's decay rates."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise refused(name, "two numbers of at least 0 and below 1", value)
    first, second = (number(name, rate, 0, 1, open_high=True) for rate in value)
    return first, second


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
