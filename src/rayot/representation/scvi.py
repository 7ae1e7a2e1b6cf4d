"""The latent space of a trained scVI model."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
import torch
from anndata import AnnData

from rayot.representation.base import Expression, Representation

CHUNK_ROWS = 1024


class SCVI(Representation):
    """A trained :class:`scvi.model.SCVI` as encoder and decoder.

    Pass it as ``use_rep``. Cells are encoded to the posterior mean and decoded to
    log(1 + ``target_sum`` × normalised expression), each with its own batch and covariates.

    Parameters
    ----------
    model
        Trained on an AnnData with the genes of the map, in their order.
    target_sum
        Library size of the decoded expression; that of ``scanpy.pp.normalize_total``.
    name
        Name of the representation in what is written.

    Examples
    --------
    >>> import rayot as rt, scvi
    >>> scvi.model.SCVI.setup_anndata(adata, layer="counts")  # doctest: +SKIP
    >>> vae = scvi.model.SCVI(adata)  # doctest: +SKIP
    >>> vae.train()  # doctest: +SKIP
    >>> rt.tl.w1ot(
    ...     adata, "control", "IFN-beta", use_rep=rt.representation.SCVI(vae)
    ... )  # doctest: +SKIP
    """

    kind = "scvi"
    savable = False

    def __init__(
        self,
        model: Any,  # noqa: ANN401
        target_sum: float = 1e4,
        name: str = "X_scVI",
    ) -> None:
        if not getattr(model, "is_trained", False):
            raise ValueError("The scVI model is not trained; call its train() first.")
        self.model = model
        self.target_sum = target_sum
        self.name = name

    @property
    def n_features(self) -> int:
        """Dimension of the latent space."""
        return int(self.model.module.n_latent)

    def encode(self, adata: AnnData, rows: np.ndarray, expression: Expression) -> np.ndarray:
        """Posterior means."""
        # A copy of its own: scVI registers what it is given, and writes to it.
        cells = adata[rows].copy()
        return np.asarray(self.model.get_latent_representation(cells), dtype=np.float32)

    @torch.inference_mode()
    def decode(self, cells: np.ndarray, adata: AnnData, rows: np.ndarray) -> np.ndarray:
        """Normalised expression of the decoder, on the log scale."""
        own = adata[rows].copy()
        module = self.model.module
        loader = self.model._make_data_loader(
            self.model._validate_anndata(own), batch_size=CHUNK_ROWS
        )
        latent = torch.from_numpy(np.asarray(cells, dtype=np.float32))
        decoded = []
        start = 0
        for tensors in loader:
            tensors = {name: value.to(module.device) for name, value in tensors.items()}
            inferred = module.inference(**module._get_inference_input(tensors))
            n = len(inferred["z"])
            inferred["z"] = latent[start : start + n].to(module.device)
            start += n
            generated = module.generative(**module._get_generative_input(tensors, inferred))
            decoded.append(torch.log1p(self.target_sum * generated["px"].scale).cpu().numpy())
        return np.concatenate(decoded)

    @classmethod
    def from_saved(cls, values: dict[str, Any], arrays: dict[str, np.ndarray]) -> NoReturn:
        """An scVI model is saved by its own ``save``; it must be given again."""
        raise ValueError(
            "The model works in the latent space of an scVI model, which is saved on its own; "
            "pass it again: load(path, representation=rayot.representation.SCVI(vae))."
        )
