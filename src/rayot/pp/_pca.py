"""The verb ``pp.pca``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rayot import _arguments as arguments
from rayot._docs import shared
from rayot._public import public
from rayot.data import checks
from rayot.data.components import write_components
from rayot.data.keys import Key
from rayot.data.modality import modality_of

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@public(n_comps=partial(arguments.whole_number, least=1))
@shared
def pca(
    adata: AnnData | MuData,
    n_comps: int = 50,
    *,
    layer: str | None = None,
    split_key: str | None = Key.obs.split,
    modality: str | None = None,
) -> None:
    """Principal components of the training cells, for all cells.

    ``scanpy.pp.pca`` computes them from all cells, those for testing among them, so that scores are
    better than they would be on new cells. Here test cells take no part: they are projected on what
    the training cells have. All genes enter, as others could not be decoded.

    Parameters
    ----------
    adata
        Cells in memory, with log-normalised expression.
    n_comps
        Number of components; fewer where there are fewer genes or training cells.
    {layer}
    split_key
        Column of ``obs`` with "train" and "test". None, or no column of the default name, takes all
        cells.
    {modality}

    Returns
    -------
    None. Writes ``obsm["X_pca"]``, (n_obs, n_comps) float32, the scores, and ``varm["PCs"]``,
    (n_vars, n_comps), the loadings, by which maps decode. Earlier ones are replaced.

    Raises
    ------
    KeyError
        If the layer or the column is missing.
    ValueError
        If fewer than two cells are for training, or there are fewer than two genes.

    See Also
    --------
    check_split : what was computed on test cells.
    autoencoder : a space of another kind, of training cells too.

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.simulated(n_cells=100, n_genes=30)
    >>> rt.pp.split(adata)
    >>> rt.pp.pca(adata, n_comps=10)
    >>> adata.obsm["X_pca"].shape, rt.pp.check_split(adata).loc["components", "status"]
    ((200, 10), 'clean')
    """
    cells = modality_of(adata, modality)
    checks.writable(cells)
    if split_key == Key.obs.split and split_key not in cells.obs.columns:
        split_key = None
    if split_key is not None:
        checks.in_category(cells, split_key, Key.obs.train)
    write_components(cells, split_key, n_comps, layer)
