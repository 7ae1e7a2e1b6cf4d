"""The map of one perturbation, out of whatever holds it, in the place of what it would write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rayot.data.fitted import WrittenMap
from rayot.data.matrix import dense

if TYPE_CHECKING:
    from anndata import AnnData

    from rayot.model.fitted_map import FittedMap
    from rayot.model.method import Method


def one_map(model: Any, perturbation: str | None) -> Method:  # noqa: ANN401
    """The map of a perturbation out of a screen or a conditional model; a single map as it is.

    Parameters
    ----------
    model
        What a verb returned, or what was loaded.
    perturbation
        Which of its maps; None of a model that is one.

    Raises
    ------
    KeyError
        If a screen has no such perturbation.
    TypeError
        If ``model`` is no fitted model.
    ValueError
        If a perturbation is named of a single map, or none of a model of many.

    Examples
    --------
    >>> import rayot as rt
    >>> from rayot.model.one_map import one_map
    >>> adata = rt.datasets.moons(n_samples=100)
    >>> model = rt.tl.mean_shift(adata, "control", "perturbed")
    >>> one_map(model, None) is model
    True
    """
    from rayot.model.conditional_w1ot import ConditionalW1OT
    from rayot.model.method import Method
    from rayot.model.screen import Screen

    if isinstance(model, Method):
        if perturbation is not None:
            raise ValueError(
                f"perturbation is {perturbation!r}, and the model is one map, to "
                f"{model.target_key!r}; leave it out."
            )
        return model
    if not isinstance(model, Screen | ConditionalW1OT):
        raise TypeError(
            "A map is named as it was written, or passed as a fitted model; found "
            f"{type(model).__name__}."
        )
    if perturbation is None:
        names = list(model) if isinstance(model, Screen) else list(model.table.index.astype(str))
        raise ValueError(
            f"The model has maps of many perturbations ({', '.join(map(repr, names[:3]))}, …); "
            f"name one, perturbation={names[0]!r}."
        )
    return model.at(perturbation)


def map_of(adata: AnnData, model: FittedMap, *, target: bool = True) -> WrittenMap:
    """A fitted model, named as if it had been written to ``adata``.

    Parameters
    ----------
    adata
        Cells.
    model
        A fitted model.
    target
        Whether ``adata`` must have cells of its target.

    Raises
    ------
    KeyError, ValueError
        If ``adata`` has no such conditions.
    """
    assert model.data.groupby is not None
    fitted = WrittenMap(
        key=model.method,
        source=model.source_key,
        target=model.predicted_condition,
        groupby=model.data.groupby,
        use_rep=model.data.use_rep,
        layer=model.data.layer,
        split=model.split,
        scale=model.data.scale,
        dose_key=model.data.dose_key,
        dose=model.dose,
    )
    fitted.check(adata, target=target)
    return fitted


def predicted_by(
    model: FittedMap,
    adata: AnnData,
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    missing_genes: Literal["error", "zero", "mean"] = "error",
) -> NDArray[np.float64]:
    """Expression (n, d) of some genes, as a model predicts it for a few cells.

    Raises
    ------
    KeyError
        If the model does not know a gene, or has no way to genes.
    """
    wanted = adata.var_names[columns]
    positions = pd.Index(model.data.var_names).get_indexer(wanted)
    if (positions < 0).any():
        raise KeyError(f"The model was not fitted on the gene {wanted[positions < 0][0]!r}.")
    genes = model.transport(
        adata, rows, write_representation=False, missing_genes=missing_genes
    ).genes
    if genes is None:
        raise KeyError(
            f"The model works in obsm[{model.data.use_rep!r}], which has no way back to genes, so "
            "its predictions cannot be scored in genes."
        )
    return dense(genes[:, positions]).astype(np.float64)
