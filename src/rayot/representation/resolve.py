"""From the name that a user gives to a representation."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
from anndata import AnnData

from rayot.data.keys import Key
from rayot.data.matrix import embedding_rows
from rayot.data.spec import DataSpec, check_representation
from rayot.representation.autoencoder import Autoencoder
from rayot.representation.base import Representation
from rayot.representation.embedding import Embedding
from rayot.representation.identity import Identity
from rayot.representation.pca import PCA
from rayot.representation.scvi import SCVI

logger = logging.getLogger(__name__)

KINDS: dict[str, type[Representation]] = {
    each.kind: each for each in (Identity, PCA, Autoencoder, SCVI, Embedding)
}


def loadings_of(adata: AnnData, use_rep: str) -> str | None:
    """Entry of ``varm`` with the loadings of these components, named as scanpy names it."""
    name = Key.varm.loadings if use_rep == Key.obsm.pca else use_rep
    return name if name in adata.varm else None


def has_decoder(adata: AnnData, use_rep: str | None) -> bool:
    """Whether the AnnData holds the way from this space back to genes."""
    if use_rep is None or loadings_of(adata, use_rep) is not None:
        return True
    return is_autoencoder(adata.uns.get(use_rep))


def is_autoencoder(value: Any) -> bool:  # noqa: ANN401
    """Whether an entry of ``uns`` was written by :func:`rayot.pp.autoencoder`."""
    return isinstance(value, Mapping) and str(value.get("kind")) == Autoencoder.kind


def representation_of(
    adata: AnnData, spec: DataSpec, rows: np.ndarray, given: Representation | None = None
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
    given
        The space itself, where it is no entry of the AnnData.

    Raises
    ------
    ValueError
        If components, an autoencoder or the space given do not belong to the expression.
    """
    if given is not None:
        return given.fitted_to(adata, spec, rows)
    if spec.use_rep is None:
        return Identity(len(spec.var_names))
    check_representation(adata, spec.use_rep)
    loadings = loadings_of(adata, spec.use_rep)
    if loadings is not None:
        return PCA.from_anndata(adata, spec, loadings, rows)
    if has_decoder(adata, spec.use_rep):
        return _saved_autoencoder(adata, spec, rows)
    logger.warning(
        "obsm[%r] has no decoder that rayot knows; predictions stay in this space and no genes are "
        "written.",
        spec.use_rep,
    )
    return Embedding.from_anndata(adata, spec.use_rep)


def _saved_autoencoder(adata: AnnData, spec: DataSpec, rows: np.ndarray) -> Autoencoder:
    name = spec.use_rep
    assert name is not None
    saved = adata.uns[name]
    again = f"run rayot.pp.autoencoder(key_added={name!r}) again"
    if tuple(map(str, saved["var_names"])) != spec.var_names:
        raise ValueError(
            f"The autoencoder in adata.uns[{name!r}] was fitted on other genes, or in another "
            f"order, than adata has now; {again}."
        )
    if saved.get("layer") != spec.layer:
        raise ValueError(
            f"The autoencoder in adata.uns[{name!r}] was fitted on layer {saved.get('layer')!r}, "
            f"not on {spec.layer!r}; name the same layer, or {again}."
        )
    arrays = {key: np.asarray(value) for key, value in saved["weights"].items()}
    autoencoder = Autoencoder.from_saved({"name": name, "hidden": saved["hidden"]}, arrays)
    sample = rows[:100]
    latent = autoencoder.encode(adata, sample, spec.expression(adata, sample))
    found = embedding_rows(adata.obsm[name], sample)
    if found.shape != latent.shape or not np.allclose(found, latent, rtol=1e-2, atol=1e-2):
        raise ValueError(
            f"adata.obsm[{name!r}] is not what the autoencoder in adata.uns[{name!r}] makes of the "
            f"expression; {again}."
        )
    return autoencoder


def representation_from_saved(
    values: dict[str, Any], arrays: dict[str, np.ndarray]
) -> Representation:
    """The representation of a saved model."""
    return KINDS[values["kind"]].from_saved(values, arrays)
