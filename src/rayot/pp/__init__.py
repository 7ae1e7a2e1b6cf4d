"""Preprocessing on training cells only: splits, representations, vectors of conditions."""

from typing import TYPE_CHECKING

from rayot._lazy import attach

if TYPE_CHECKING:
    from rayot.pp._autoencoder import autoencoder as autoencoder
    from rayot.pp._check_split import check_split as check_split
    from rayot.pp._fingerprints import fingerprints as fingerprints
    from rayot.pp._folds import folds as folds
    from rayot.pp._gene_vectors import gene_vectors as gene_vectors
    from rayot.pp._pca import pca as pca
    from rayot.pp._split import split as split

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "autoencoder": "_autoencoder",
        "check_split": "_check_split",
        "fingerprints": "_fingerprints",
        "folds": "_folds",
        "gene_vectors": "_gene_vectors",
        "pca": "_pca",
        "split": "_split",
    },
)
