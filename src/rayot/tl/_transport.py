"""The verb ``tl.transport``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rayot import _arguments as arguments
from rayot._docs import shared
from rayot._public import public
from rayot.data import checks
from rayot.data.files import unchanged
from rayot.data.modality import modality_of
from rayot.model.one_map import one_map
from rayot.tl._write import check_key, write_result

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

    from rayot.model import ConditionalW1OT, Screen
    from rayot.model.method import Method


@public(key_added=arguments.result_name)
@shared
def transport(
    adata: AnnData | MuData,
    model: Method | Screen | ConditionalW1OT,
    perturbation: str | None = None,
    *,
    modality: str | None = None,
    write_genes: bool = True,
    clip: bool | str = "auto",
    key_added: str | None = None,
) -> None:
    """Transport the source cells by a model that is fitted already, and write what it predicts.

    What the verb of a method writes when it fits, for a map out of a screen or a conditional model,
    one that was loaded, or one that was adapted, so that figures and tables can be made of it.

    Parameters
    ----------
    adata
        Cells of the model's source, with the model's genes in its order, and the columns that it
        was fitted with.
    model
        A fitted model.
    perturbation
        Which map of a screen or a conditional model; None of a model that is one map.
    {modality}
    {write_genes}
    {clip}
    key_added
        Name of what is written; None takes that of the method, such as ``"w1ot"``.

    Returns
    -------
    None. Writes to ``adata`` what :func:`rayot.tl.w1ot` does: ``layers[key]`` predicted expression,
    ``obsm["X_" + key]``, ``obs[key + "_step"]``, ``uns[key]`` and so on.

    Raises
    ------
    KeyError
        If a column is missing, or a screen has no such perturbation.
    TypeError
        If ``model`` is no fitted model.
    ValueError
        If genes are others or in another order, there are no source cells, values are NaN, or
        ``key_added`` names something else. ``adata`` is then as it was.

    See Also
    --------
    rayot.get.predicted : the predicted cells by themselves.

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.simulated_screen(4, n_cells=60, n_genes=20, inactive=0)
    >>> screen = rt.tl.screen(adata, "control", max_steps=10, fdr=None, show_progress_bar=False)
    >>> name = list(screen)[0]
    >>> rt.tl.transport(adata, screen, name, key_added="first")
    >>> adata.uns["first"]["target"] == name, adata.layers["first"].shape == adata.shape
    (True, True)
    """
    cells, fitted = modality_of(adata, modality), one_map(model, perturbation)
    fitted._check_trained("Train the model before it predicts.")
    key = fitted.method if key_added is None else key_added
    check_key(cells, key, copy=False)
    assert fitted.data.groupby is not None
    checks.in_category(cells, fitted.data.groupby, fitted.source_key)
    if list(cells.var_names) != list(fitted.data.var_names):
        raise ValueError(
            f"adata has {cells.n_vars} genes and the model {len(fitted.data.var_names)}, others or "
            "in another order, so they have no common layer; pass "
            "adata[:, list(model.data.var_names)].copy(), or take rayot.get.predicted."
        )
    with unchanged(cells) as check:
        write_result(
            cells,
            fitted,
            key,
            write_genes=write_genes,
            clip=clip,
            copy=False,
            check=check,
        )
