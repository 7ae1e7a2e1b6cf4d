"""Spaces a map can work in, with the way there and back: identity, PCA, autoencoder, scVI."""

from typing import TYPE_CHECKING

from rayot._lazy import attach

if TYPE_CHECKING:
    from rayot.representation.autoencoder import Autoencoder as Autoencoder
    from rayot.representation.base import Representation as Representation
    from rayot.representation.embedding import Embedding as Embedding
    from rayot.representation.identity import Identity as Identity
    from rayot.representation.pca import PCA as PCA
    from rayot.representation.resolve import representation_of as representation_of
    from rayot.representation.scvi import SCVI as SCVI

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Autoencoder": "autoencoder",
        "Embedding": "embedding",
        "Identity": "identity",
        "PCA": "pca",
        "Representation": "base",
        "SCVI": "scvi",
        "representation_of": "resolve",
    },
)
