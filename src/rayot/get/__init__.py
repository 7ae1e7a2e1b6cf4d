"""Getters: results as plain objects."""

from typing import TYPE_CHECKING

from rayot._lazy import attach

if TYPE_CHECKING:
    from rayot.get._predicted import predicted as predicted

__getattr__, __dir__, __all__ = attach(__name__, {"predicted": "_predicted"})
