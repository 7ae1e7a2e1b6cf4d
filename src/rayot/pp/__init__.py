"""Preprocessing: splits and representations that are fitted on training cells only."""

from typing import TYPE_CHECKING

from rayot._lazy import attach

if TYPE_CHECKING:
    from rayot.pp._autoencoder import autoencoder as autoencoder
    from rayot.pp._split import split as split

__getattr__, __dir__, __all__ = attach(__name__, {"autoencoder": "_autoencoder", "split": "_split"})
