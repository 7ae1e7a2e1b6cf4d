"""The verb ``pp.autoencoder``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

import rayot
from rayot._arguments import whole_number
from rayot._docs import shared
from rayot._public import public
from rayot.data import checks
from rayot.data.keys import Key
from rayot.data.matrix import row_chunks
from rayot.data.modality import modality_of
from rayot.data.spec import DataSpec

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@public()
@shared
def autoencoder(
    adata: AnnData | MuData,
    *,
    n_latent: int = 50,
    hidden: Sequence[int] = (512, 512),
    layer: str | None = None,
    split_key: str | None = Key.obs.split,
    modality: str | None = None,
    max_steps: int = 250_000,
    batch_size: int = 256,
    learning_rate: float = 1e-3,
    weight_decay: float = 1e-5,
    validation_size: float = 0.1,
    early_stopping_patience: int = 20,
    seed: int = 0,
    key_added: str = "X_autoencoder",
    allow_counts: bool = False,
    accelerator: str = "auto",
    devices: int | str | list[int] = "auto",
    show_progress_bar: bool = True,
) -> None:
    """Fit the paper's autoencoder once for a data set, and encode every cell.

    Encoder and decoder with ReLU layers, mean squared error, Adam with weight decay; the published
    architecture is 512 and 512 units around 50 latent dimensions (Bunne et al. 2023; Chen et al.
    2025). Cells of all conditions are used, training cells only. A shuffled share of them is set
    apart; training stops when its error has stopped falling, and the best weights are kept.

    Parameters
    ----------
    {adata}
    n_latent
        Dimension of the latent space.
    hidden
        Units of the encoder's hidden layers; the decoder has them in reverse.
    {layer}
    {split_key}
    {modality}
    max_steps
        Optimisation steps at most.
    batch_size
        Cells drawn at a step.
    learning_rate, weight_decay
        Of Adam.
    {validation_size}
    early_stopping_patience
        Blocks of 100 steps without improvement after which training stops.
    {seed}
    {key_added}
    {allow_counts}
    {accelerator}
    {show_progress_bar}

    Returns
    -------
    None. Writes ``obsm[key_added]``, (n_obs, n_latent) float32, and ``uns[key_added]`` with the
    weights, by which maps decode to genes.

    Raises
    ------
    KeyError
        If a layer or column is missing.
    ValueError
        If values are NaN or raw counts, there are too few training cells, a number is out of
        range, or ``key_added`` is the name of something else. An earlier autoencoder of this name
        is replaced.

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.pbmc_perturbed()
    >>> rt.pp.autoencoder(adata, n_latent=4, hidden=(16,), max_steps=100, show_progress_bar=False)
    >>> adata.obsm["X_autoencoder"].shape
    (700, 4)
    """
    from rayot.representation.autoencoder import fit_autoencoder
    from rayot.train import TrainingOptions

    TrainingOptions.of(accelerator=accelerator, devices=devices)
    cells = modality_of(adata, modality)
    hidden = [whole_number("hidden", units) for units in _sizes(hidden)]
    _check_key(cells, key_added)
    if split_key == Key.obs.split and split_key not in cells.obs:
        split_key = None
    if split_key is None:
        rows = np.arange(cells.n_obs)
    else:
        rows = np.nonzero(checks.in_category(cells, split_key, Key.obs.train))[0]
    checks.enough_cells(len(rows), "adata")
    spec = DataSpec.from_anndata(
        cells, groupby=None, layer=layer, split_key=split_key, allow_counts=allow_counts
    )
    spec.check_expression(cells, np.arange(cells.n_obs))
    expression = spec.expression(cells, rows)
    representation, history = fit_autoencoder(
        expression,
        n_latent=n_latent,
        hidden=hidden,
        name=key_added,
        seed=seed,
        max_steps=max_steps,
        patience=early_stopping_patience,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        validation_size=validation_size,
        show_progress_bar=show_progress_bar,
        accelerator=accelerator,
        devices=devices,
    )
    latent = np.concatenate(
        [
            representation.encode(cells, chunk, spec.expression(cells, chunk))
            for chunk in row_chunks(np.arange(cells.n_obs))
        ]
    )
    cells.obsm[key_added] = latent
    cells.uns[key_added] = {
        "kind": representation.kind,
        "hidden": np.asarray(representation.hidden),
        "var_names": np.asarray(spec.var_names),
        **({} if layer is None else {"layer": layer}),
        "weights": representation.arrays(),
        "history": {name: np.asarray(values) for name, values in history.items()},
        Key.result.seed: seed,
        Key.result.version: rayot.__version__,
    }


def _sizes(hidden: object) -> Sequence[object]:
    """Units of hidden layers as a sequence, one of which is a sequence too."""
    return (
        list(hidden) if isinstance(hidden, Iterable) and not isinstance(hidden, str) else [hidden]
    )


def _check_key(adata: AnnData, key: str) -> None:
    """Raise a ValueError if the name holds something that is no autoencoder of ours."""
    from rayot.representation.autoencoder import is_autoencoder

    taken = [
        f"{slot}[{key!r}]"
        for slot, held in (("obsm", adata.obsm), ("uns", adata.uns))
        if key in held
    ]
    if taken and not is_autoencoder(adata.uns.get(key)):
        raise ValueError(
            f"key_added={key!r} would overwrite {' and '.join(taken)}, which rayot.pp.autoencoder "
            "did not write; choose another name."
        )
