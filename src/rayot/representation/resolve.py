"""From the name that a user gives to a representation."""

from __future__ import annotations

from typing import Any

import numpy as np
from anndata import AnnData

from rayot.data.spec import DataSpec, check_representation
from rayot.representation.autoencoder import Autoencoder
from rayot.representation.base import Representation
from rayot.representation.embedding import Embedding
from rayot.representation.identity import Identity
from rayot.representation.pca import PCA
from rayot.representation.scvi import SCVI

KINDS: dict[str, type[Representation]] = {
    representation.kind: representation
    for representation in (Identity, PCA, Autoencoder, SCVI, Embedding)
}
"""In the order in which a name is looked up: an embedding is what no other kind is."""


def _kind_of(adata: AnnData, use_rep: str | None) -> type[Representation]:
    return next(kind for kind in KINDS.values() if kind.is_in(adata, use_rep))


def has_decoder(adata: AnnData, use_rep: str | None) -> bool:
    """Whether the AnnData holds the way from this space back to genes."""
    return _kind_of(adata, use_rep).has_decoder


def representation_of(
    adata: AnnData, spec: DataSpec, rows: np.ndarray, passed: Representation | None = None
) -> Representation:
    """The space named by ``spec.use_rep``, with its decoder where the AnnData holds one.

    An autoencoder is known by what :func:`rayot.pp.autoencoder` wrote to ``uns``, principal
    components by their loadings in ``varm``; anything else in ``obsm`` is an embedding without a
    decoder.

    Parameters
    ----------
    adata, spec
        Where the space is.
    rows
        (n,) row numbers of the training cells, which alone are looked at.
    passed
        The space itself, where it is no entry of the AnnData.

    Raises
    ------
    ValueError
        If components, an autoencoder or the space given do not belong to the expression.
    """
    if passed is not None:
        return passed.fitted_to(adata, spec, rows)
    if spec.use_rep is not None:
        check_representation(adata, spec.use_rep)
    return _kind_of(adata, spec.use_rep).from_anndata(adata, spec, rows)


def representation_from_saved(
    values: dict[str, Any], arrays: dict[str, np.ndarray]
) -> Representation:
    """The representation of a saved model."""
    return KINDS[values["kind"]].from_saved(values, arrays)
