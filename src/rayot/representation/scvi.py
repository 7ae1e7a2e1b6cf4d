"""The latent space of a trained scVI model."""

from __future__ import annotations

from copy import copy
from typing import Any, ClassVar, NoReturn

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from rayot._public import public, warn
from rayot.data import checks
from rayot.data.matrix import dense
from rayot.data.scale import LOG1P, SAMPLE_CELLS, scale_named
from rayot.data.spec import DataSpec
from rayot.representation.base import Expression, Representation

CHUNK_ROWS = 1024

USUAL_AMOUNT = 1e4
"""Of a cell, to which its shares are brought where nothing says which."""


class SCVI(Representation):
    """A trained :class:`scvi.model.SCVI` as encoder and decoder.

    Pass it as ``use_rep``. Cells are encoded to the posterior mean and decoded to the expected
    share of each gene, each with its own batch and covariates. Genes are matched by their names.
    Decoded shares are brought to the scale of the expression, whatever that is: times the amount
    that a training cell has in median over the model's genes, and then logged as the expression is.

    Parameters
    ----------
    model
        Trained on the genes of the map, in any order; counts may lie in any layer of the cells.
    target_sum
        Amount that a cell has, for expression whose scale cannot be found out: it is then taken for
        log(1 + amount). None finds it out. Where it is found out, it counts, with a warning if this
        one differs. Without a map around it, shares are decoded to log(1 + 10,000 × share).
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
    reads_cells = True
    savable = False
    saved: ClassVar[dict[str, Any]] = {"name": str, "target_sum": float | None, "scale": str}
    may_lack: ClassVar[tuple[str, ...]] = ("target_sum", "scale")

    @public(model=None)
    def __init__(
        self,
        model: Any,  # noqa: ANN401
        target_sum: float | None = None,
        name: str = "X_scVI",
    ) -> None:
        if not getattr(model, "is_trained", False):
            raise ValueError("The scVI model is not trained; call its train() first.")
        self.model = model
        self.target_sum = target_sum
        self.name = name
        self.scale = LOG1P

    @property
    def genes(self) -> pd.Index:
        """Genes of the scVI model, in its order."""
        registered = self.model.adata_manager.get_state_registry("X")
        return pd.Index(np.asarray(registered["column_names"]).astype(str))

    def fitted_to(self, adata: AnnData, spec: DataSpec, rows: np.ndarray) -> SCVI:
        """The same, with the genes looked at and the scale of the cells.

        Raises
        ------
        ValueError
            If the cells lack genes of the scVI model, or the map has others, or the scale of the
            expression is not known and ``target_sum`` is None.
        """
        positions = checks.aligned_genes(pd.Index(spec.var_names), self.genes, "The cells")
        if len(positions) < len(spec.var_names):
            foreign = pd.Index(spec.var_names).difference(self.genes)
            raise ValueError(
                f"The scVI model was not fitted on {len(foreign)} of the {len(spec.var_names)} "
                f"genes of adata, {foreign[0]!r} among them; fit the map on the others, "
                "adata[:, vae.adata.var_names].copy()."
            )
        fitted = copy(self)
        fitted.scale = scale_named(spec.scale)
        if not fitted.scale.is_known:
            if self.target_sum is None:
                raise ValueError(
                    f"{spec.where} is on a scale that is not known (centred, or regressed on "
                    "something), to which decoded shares cannot be brought; name a layer with "
                    "log-normalised expression, or pass SCVI(vae, target_sum=...) if it is log(1 + "
                    "amount)."
                )
            fitted.scale = LOG1P
            return fitted
        sample = np.sort(np.random.default_rng(0).permutation(rows)[:SAMPLE_CELLS])
        assert fitted.scale.to_amounts is not None
        amounts = fitted.scale.to_amounts(dense(spec.expression(adata, sample)).astype(np.float64))
        fitted.target_sum = float(np.median(amounts.sum(1)))
        if self.target_sum is not None and not np.isclose(self.target_sum, fitted.target_sum, 0.05):
            warn(
                f"target_sum={self.target_sum:g} is not what the cells have, {fitted.target_sum:g} "
                f"in median on the scale of {spec.where} ({spec.scale}); that is taken."
            )
        return fitted

    def restored(self, saved: dict[str, Any]) -> SCVI:
        """The same on the scale of a saved model.

        Raises
        ------
        ValueError
            If the model was fitted in another representation.
        """
        if (saved.get("kind"), saved.get("name")) != (self.kind, self.name):
            raise ValueError(
                f"The model was fitted in the representation {saved}, found {self.to_json()}."
            )
        scale = scale_named(saved.get("scale", LOG1P.name))
        if not scale.is_known:
            raise ValueError(f"representation.scale is {saved['scale']!r}, which is not known.")
        restored = copy(self)
        # Models of 0.1.0 kept neither.
        restored.target_sum = float(saved.get("target_sum") or self.target_sum or USUAL_AMOUNT)
        restored.scale = scale
        return restored

    def to_json(self) -> dict[str, Any]:
        """Plain values of a saved model."""
        return {**super().to_json(), "target_sum": self.target_sum, "scale": self.scale.name}

    @property
    def n_features(self) -> int:
        """Dimension of the latent space."""
        return int(self.model.module.n_latent)

    def encode(self, adata: AnnData, rows: np.ndarray, expression: Expression) -> np.ndarray:
        """Posterior means."""
        return np.asarray(
            self.model.get_latent_representation(self._cells(adata, rows)), dtype=np.float32
        )

    def _cells(self, adata: AnnData, rows: np.ndarray) -> AnnData:
        """Cells with the genes of the scVI model, in its order: it goes by their position.

        A copy of its own: scVI registers what it is given, and writes to it.
        """
        genes = checks.aligned_genes(adata.var_names, self.genes)
        return adata[rows][:, genes].to_memory(copy=True)

    @torch.inference_mode()
    def decode(self, cells: np.ndarray, adata: AnnData, rows: np.ndarray) -> np.ndarray:
        """Expected expression of the decoder, on the scale of the cells."""
        assert self.scale.to_values is not None
        amount = self.target_sum or USUAL_AMOUNT
        own = self._cells(adata, rows)
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
            decoded.append(generated["px"].scale.cpu().numpy())
        amounts = amount * np.concatenate(decoded).astype(np.float64)
        in_order = self.genes.get_indexer(adata.var_names)
        return self.scale.to_values(amounts[:, in_order]).astype(np.float32)

    @classmethod
    def from_saved(cls, values: dict[str, Any], arrays: dict[str, np.ndarray]) -> NoReturn:
        """An scVI model is saved by its own ``save``; it must be given again."""
        raise ValueError(
            "The model works in the latent space of an scVI model, which is saved on its own; "
            "pass it again: load(path, representation=rayot.representation.SCVI(vae))."
        )
