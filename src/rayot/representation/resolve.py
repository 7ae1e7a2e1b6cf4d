"""From the name that a user gives to a representation."""

from __future__ import annotations

from typing import Any

import numpy as np
from anndata import AnnData

from rayot.data.keys import Key
from rayot.data.matrix import matrix_of
from rayot.data.spec import DataSpec, check_representation
from rayot.representation.autoencoder import Autoencoder
from rayot.representation.base import Representation
from rayot.representation.embedding import Embedding
from rayot.representation.identity import Identity
from rayot.representation.pca import PCA
from rayot.representation.scvi import SCVI

KINDS: dict[str, type[Representation]] = {
    each.kind: each for each in (Identity, PCA, Autoencoder, SCVI, Embedding)
}


def representation_of(adata: AnnData, spec: DataSpec) -> Representation:
    """The space named by ``spec.use_rep``, with its decoder where the AnnData holds one.

    An autoencoder is known by what :func:`rayot.pp.autoencoder` wrote to ``uns``, principal
    components by ``varm["PCs"]``; anything else in ``obsm`` is an embedding without a decoder.

    Raises
    ------
    ValueError
        If ``X_pca`` does not belong to the expression.
    """
    if spec.use_rep is None:
        return Identity(len(spec.var_names))
    check_representation(adata, spec.use_rep)
    saved = adata.uns.get(spec.use_rep)
    if isinstance(saved, dict) and saved.get("kind") == Autoencoder.kind:
        arrays = {name: np.asarray(value) for name, value in saved["weights"].items()}
        return Autoencoder.from_saved({"name": spec.use_rep, "hidden": saved["hidden"]}, arrays)
    n_features = adata.obsm[spec.use_rep].shape[1]
    if spec.use_rep == Key.obsm.pca and Key.varm.loadings in adata.varm:
        return PCA.from_anndata(adata, spec.use_rep, matrix_of(adata, spec.layer))
    return Embedding(spec.use_rep, n_features)


def representation_from_saved(
    values: dict[str, Any], arrays: dict[str, np.ndarray]
) -> Representation:
    """The representation of a saved model."""
    return KINDS[values["kind"]].from_saved(values, arrays)
