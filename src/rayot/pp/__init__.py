"""Preprocessing on training cells only: splits, representations, vectors of conditions."""

from typing import TYPE_CHECKING

from rayot._lazy import attach

if TYPE_CHECKING:
    from rayot.pp._autoencoder import autoencoder as autoencoder
    from rayot.pp._fingerprints import fingerprints as fingerprints
    from rayot.pp._gene_vectors import gene_vectors as gene_vectors
    from rayot.pp._split import split as split

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "autoencoder": "_autoencoder",
        "fingerprints": "_fingerprints",
        "gene_vectors": "_gene_vectors",
        "split": "_split",
    },
)
