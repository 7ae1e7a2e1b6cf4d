"""The paper's autoencoder, kept in ``uns`` beside the latent it gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import torch
from anndata import AnnData
from scipy import sparse
from torch import nn

from rayot.data.matrix import dense, embedding_rows
from rayot.data.spec import DataSpec
from rayot.representation.base import Expression, Representation
from rayot.solvers import SparseCells, generator
from rayot.train.autoencoder import train_autoencoder


def _perceptron(sizes: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        # Initial values are drawn by initialise, not from the user's random state.
        linear = nn.utils.skip_init(nn.Linear, n_in, n_out, dtype=torch.float32)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class AutoencoderNetwork(nn.Module):
    """Encoder and decoder with ReLU layers (paper, "Hyperparameters and training details").

    Parameters
    ----------
    n_genes
        Number of genes.
    n_latent
        Dimension of the latent space.
    hidden
        Units of the encoder's hidden layers; the decoder has them in reverse.
    """

    def __init__(self, n_genes: int, n_latent: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.n_latent = n_latent
        sizes = [n_genes, *hidden, n_latent]
        self.encoder = _perceptron(sizes)
        self.decoder = _perceptron(sizes[::-1])

    def initialise(self, draws: torch.Generator) -> None:
        """Start as ``torch.nn.Linear`` does, from a generator of our own."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                bound = module.in_features**-0.5
                for parameter in (module.weight, module.bias):
                    nn.init.uniform_(parameter, -bound, bound, generator=draws)

    def forward(self, expression: torch.Tensor) -> torch.Tensor:
        """Reconstruction, (n, genes)."""
        return self.decoder(self.encoder(expression))


def fit_autoencoder(
    expression: Expression,
    *,
    n_latent: int,
    hidden: Sequence[int],
    name: str,
    seed: int,
    **options: Any,  # noqa: ANN401
) -> tuple[Autoencoder, dict[str, list[float]]]:
    """Fit an autoencoder to expression (n, genes).

    Parameters
    ----------
    expression
        Training cells, dense or CSR float32.
    n_latent, hidden
        Shape of the network.
    name
        Entry of ``obsm``.
    seed
        Keys every draw.
    **options
        Passed to :func:`rayot.train.autoencoder.train_autoencoder`.

    Returns
    -------
    The representation and the history of its training.
    """
    cells: torch.Tensor | SparseCells
    if sparse.issparse(expression):
        cells = SparseCells.from_scipy(expression)
    else:
        cells = torch.from_numpy(np.ascontiguousarray(expression))
    network = AutoencoderNetwork(cells.shape[1], n_latent, hidden)
    network.initialise(generator(seed, "autoencoder", "initial values"))
    history = train_autoencoder(network, cells, seed=seed, **options)
    return Autoencoder(name, network, hidden), history


def is_autoencoder(value: Any) -> bool:  # noqa: ANN401
    """Whether an entry of ``uns`` was written by :func:`rayot.pp.autoencoder`."""
    return isinstance(value, Mapping) and str(value.get("kind")) == Autoencoder.kind


class Autoencoder(Representation):
    """The latent space of an autoencoder.

    Parameters
    ----------
    name
        Entry of ``obsm``.
    network
        The fitted network.
    hidden
        Units of its hidden layers.
    """

    kind = "autoencoder"
    saved: ClassVar[dict[str, Any]] = {"name": str, "hidden": list[int]}

    def __init__(self, name: str, network: AutoencoderNetwork, hidden: Sequence[int]) -> None:
        self.name = name
        self.network = network.eval()
        self.hidden = [int(units) for units in hidden]

    @classmethod
    def is_in(cls, adata: AnnData, use_rep: str | None) -> bool:
        """Where :func:`rayot.pp.autoencoder` wrote one to ``uns``."""
        return use_rep is not None and is_autoencoder(adata.uns.get(use_rep))

    @classmethod
    def from_anndata(cls, adata: AnnData, spec: DataSpec, rows: np.ndarray) -> Autoencoder:
        """The autoencoder in ``uns``.

        Parameters
        ----------
        adata, spec
            Where it is, with the latent, and the expression.
        rows
            (n,) row numbers of the training cells, of which some are encoded again.

        Raises
        ------
        ValueError
            If it was fitted on other genes or another layer, or the latent is not what it makes of
            the expression.
        """
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
                f"The autoencoder in adata.uns[{name!r}] was fitted on layer "
                f"{saved.get('layer')!r}, not on {spec.layer!r}; name the same layer, or {again}."
            )
        arrays = {key: np.asarray(value) for key, value in saved["weights"].items()}
        autoencoder = cls.from_saved({"name": name, "hidden": saved["hidden"]}, arrays)
        sample = rows[:100]
        latent = autoencoder.encode(adata, sample, spec.finite_expression(adata, sample))
        codes = embedding_rows(adata.obsm[name], sample)
        if codes.shape != latent.shape or not np.allclose(codes, latent, rtol=1e-2, atol=1e-2):
            raise ValueError(
                f"adata.obsm[{name!r}] is not what the autoencoder in adata.uns[{name!r}] makes of "
                f"the expression; {again}."
            )
        return autoencoder

    @property
    def n_features(self) -> int:
        """Dimension of the latent space."""
        return self.network.n_latent

    @torch.inference_mode()
    def encode(self, adata: AnnData, rows: np.ndarray, expression: Expression) -> np.ndarray:
        """Latent coordinates."""
        return self.network.encoder(torch.from_numpy(dense(expression))).numpy()

    @torch.inference_mode()
    def decode(self, cells: np.ndarray, adata: AnnData, rows: np.ndarray) -> np.ndarray:
        """Decoded expression."""
        return self.network.decoder(torch.from_numpy(cells)).numpy()

    def arrays(self) -> dict[str, np.ndarray]:
        """Weights of the network."""
        return {name: value.cpu().numpy() for name, value in self.network.state_dict().items()}

    def to_json(self) -> dict[str, Any]:
        """Plain values of a saved model."""
        return {**super().to_json(), "hidden": self.hidden}

    @classmethod
    def from_saved(cls, values: dict[str, Any], arrays: dict[str, np.ndarray]) -> Autoencoder:
        """Inverse of :meth:`to_json` and :meth:`arrays`; also of what ``pp.autoencoder`` wrote."""
        hidden = [int(units) for units in values["hidden"]]
        last = arrays[f"encoder.{2 * len(hidden)}.weight"]
        n_genes = arrays["encoder.0.weight"].shape[1]
        network = AutoencoderNetwork(n_genes, last.shape[0], hidden)
        network.load_state_dict({name: torch.from_numpy(value) for name, value in arrays.items()})
        return cls(values["name"], network, hidden)

    @classmethod
    def shapes(
        cls, values: dict[str, Any], n_genes: int, n_features: int
    ) -> dict[str, tuple[int, ...]]:
        """Shapes of :meth:`arrays`; every second module has no weights."""
        sizes = [n_genes, *values["hidden"], n_features]
        by_name: dict[str, tuple[int, ...]] = {}
        for part, units in (("encoder", sizes), ("decoder", sizes[::-1])):
            for layer, (n_in, n_out) in enumerate(pairwise(units)):
                by_name[f"{part}.{2 * layer}.weight"] = (n_out, n_in)
                by_name[f"{part}.{2 * layer}.bias"] = (n_out,)
        return by_name
