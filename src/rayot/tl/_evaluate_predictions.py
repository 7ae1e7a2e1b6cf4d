"""How good the predictions of any tool are, beside what doing nothing and the truth would score."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pandas as pd
from anndata import AnnData

from rayot import _arguments as arguments
from rayot._docs import shared
from rayot._public import public
from rayot.data import checks
from rayot.data.files import unchanged
from rayot.data.keys import Key
from rayot.data.matrix import matrix_of
from rayot.data.modality import modality_of
from rayot.metrics import get_metrics
from rayot.tl._prediction_scores import Evaluation
from rayot.tl._predictions import FEWEST_CELLS, Cellset, cellset, opened

if TYPE_CHECKING:
    from mudata import MuData

    Predictions: TypeAlias = AnnData | MuData | Mapping[str, AnnData | MuData] | str | Path
    Control: TypeAlias = str | AnnData | MuData


@public(control=None, n_cells=partial(arguments.whole_number, least=FEWEST_CELLS))
@shared
def evaluate_predictions(
    real: AnnData | MuData,
    predicted: Predictions,
    control: Control,
    *,
    groupby: str = Key.obs.perturbation,
    metrics: Iterable[str] | None = None,
    genes: Sequence[str] | None = None,
    n_top_genes: int = 50,
    strata_key: str | None = None,
    n_cells: int = 1500,
    layer: str | None = None,
    training: AnnData | None = None,
    check_scale: bool = True,
    modality: str | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Score predicted cells of any tool against observed ones, several methods side by side.

    Observed cells of each perturbation are halved. The first half is the truth that all rows are
    compared with. The second half is the row ``observed``, and says which genes respond, and with
    which weights: never do predictions. Control cells are always those of ``control``, also where
    predictions bring their own; they are halved too, one half to count changes from, the other
    half as the row ``identity``. All rows of a perturbation, and its truth, have equally many
    cells. Which cells are drawn follows from ``seed`` and their names.

    Whether a method has seen the observed cells in training cannot be known here. If it has, its
    scores say how well it remembers: pass only cells that were held out as ``real``.

    Parameters
    ----------
    real
        Observed cells, perturbed ones and, unless ``control`` brings them, those of the control.
        In memory, a view, backed or lazy; it is not changed.
    predicted
        Predicted cells with the perturbation of each in ``obs[groupby]``, named as in ``real`` or
        ``"predicted <name>"``, as :func:`rayot.get.predicted` names them. Of several methods a
        mapping from their names, or a folder with a file ``<method>.h5ad`` of each. Genes are found
        by name; there may be more than are scored. Cells need not be those of ``real``.
    control
        Category of ``obs[groupby]`` with the control cells of ``real``, or control cells of their
        own.
    groupby
        Column of ``obs`` with the perturbations, of all tables of cells.
    metrics
        Names out of :data:`rayot.metrics.METRICS`. By default metrics of means, of spread, of
        whole populations and of differential expression; with two perturbations or more whether
        these can be told apart; with ten others or more also ``pearson_delta_systema``.
    genes
        Names of the genes that are scored; by default all of ``real``.
    n_top_genes
        Metrics of means, spread and distributions are taken of these many genes, those with the
        largest absolute t statistic between the control and the second half, or of training cells
        where ``training`` has some of the perturbation. All are taken where ``genes`` are named, or
        where there are fewer than 100. Metrics of differential expression, those that weigh genes,
        count from a reference or tell perturbations apart take all genes.
    strata_key
        Column of ``obs`` (cell type, patient): all is done within its groups, each with its own
        control cells and rows.
    n_cells
        Largest number of cells of each row.
    layer
        Layer with the expression, of all tables of cells; predictions without one of this name are
        read from ``X``.
    training
        Cells that the methods were trained on, with their control. The perturbed mean and Systema's
        reference are then those of its perturbations, and otherwise those of the other
        perturbations in ``real``.
    check_scale
        Whether observed cells on different scales are an error, and predictions whose values are
        on another scale than the observed ones (counts beside logarithms, another base) fail. How
        they were transformed is told by the values themselves.
    {modality}
    seed
        Seed of all draws.

    Returns
    -------
    One row for each ``perturbation``, ``stratum`` (with ``strata_key``), ``method`` and ``metric``:
    ``value``; ``way``, the share of the way from identity to observed, NaN where other observed
    cells are no better than the control; ``n_cells``; ``status``, "scored", "failed" or
    "undefined"; and the ``reason`` of the last two. Beside the methods there are the rows
    ``identity``, control cells as they are; ``perturbed mean``, control cells moved by the mean
    change of the other perturbations, where there are any; ``observed``; and ``interpolated
    duplicate``, where the same cells have values of cells of other perturbations (or of the
    control), the more of them the less certain it is that a gene changes. A metric without room
    between the first two and the last two tells nothing about methods.

    Raises
    ------
    KeyError
        If a column, layer or gene is missing.
    ValueError
        If there is no such control, a table of cells has a gene twice, a metric is unknown, a
        method has the name of a row of controls, none of its perturbations is in ``real``, or lacks
        genes, or observed, control and training cells are not finite or on different scales.
        Predictions that are too few, not finite or on another scale fail in their rows.
    TypeError, FileNotFoundError
        If predictions are something else, or a folder without files.

    See Also
    --------
    evaluate : the same of maps that rayot fitted, on the cells that it held out.
    rayot.metrics.describe : what each metric is.

    References
    ----------
    Ahlmann-Eltze et al. (2025); Viñas Torné et al. (2025), Systema; Mejia et al. (2025); Miller et
    al. (2025); Roohani et al. (2025), Virtual Cell Challenge.

    Examples
    --------
    >>> import anndata as ad, numpy as np, rayot as rt
    >>> real = ad.AnnData(np.random.default_rng(0).gamma(2, size=(120, 5)))
    >>> real.obs["perturbation"] = np.repeat(["control", "drug"], 60)
    >>> real.X[60:] += 3
    >>> shifted = real[:60].copy()
    >>> shifted.X += 2
    >>> shifted.obs["perturbation"] = "drug"
    >>> table = rt.tl.evaluate_predictions(
    ...     real, {"shift": shifted}, "control", metrics=["l2", "mmd"]
    ... )
    >>> table["method"].unique().tolist()
    ['shift', 'identity', 'observed', 'interpolated duplicate']
    >>> ways = table.pivot(index="method", columns="metric", values="way")
    >>> bool(0.5 < ways.loc["shift", "l2"] < ways.loc["observed", "l2"])
    True
    """
    checks.different_columns(groupby=groupby, strata_key=strata_key)
    chosen = None if metrics is None else [metric.name for metric in get_metrics(metrics)]
    cells = modality_of(real, modality)
    with unchanged(cells), opened(predicted, modality) as methods:
        scored = _genes(cells, genes)
        read = partial(cellset, groupby=groupby, strata_key=strata_key, layer=layer)
        matrix_of(cells, layer)
        observed = read("real", cells, scored)
        own, label = _control(read, control, scored, modality, groupby)
        if own is None:
            checks.in_category(cells, groupby, label)
        evaluation = Evaluation(
            real=observed,
            control=own or observed,
            control_label=label,
            methods=[
                _of_method(read(name, each, scored), observed, label)
                for name, each in methods.items()
            ],
            training=None if training is None else read("training", training, scored),
            metrics=chosen,
            n_top_genes=n_top_genes if genes is None else len(scored),
            n_cells=n_cells,
            check_scale=check_scale,
            seed=seed,
        )
        table = evaluation.table()
    return table if strata_key is not None else table.drop(columns=Key.table.stratum)


def _genes(adata: AnnData, genes: Sequence[str] | None) -> pd.Index:
    """Names of the genes that are scored.

    Raises
    ------
    KeyError
        If one is not there, or none is named.
    """
    checks.unique_names(adata.var_names, "real", "gene")
    checks.unique_names(adata.obs_names, "real", "cell")
    if genes is None:
        return adata.var_names
    scored = pd.Index(dict.fromkeys(genes))
    missing = scored.difference(adata.var_names, sort=False)
    if len(missing) or not len(scored):
        cause = f"{missing[0]!r} is not in real.var_names" if len(missing) else "genes is empty"
        raise KeyError(f"Genes to be scored need to be names of real.var_names; {cause}.")
    return scored


def _control(
    read: partial[Cellset],
    control: Control,
    genes: pd.Index,
    modality: str | None,
    groupby: str,
) -> tuple[Cellset | None, str]:
    """Control cells of their own, if they are not among the real ones, and their label."""
    if not isinstance(control, AnnData) and not hasattr(control, "mod"):
        return None, str(arguments.condition("control", control))
    adata = modality_of(control, modality if hasattr(control, "mod") else None)
    if groupby in adata.obs.columns:
        names = checks.categories(adata, groupby)
        if len(names) != 1:
            raise ValueError(
                f"The control cells have {len(names)} categories in obs[{groupby!r}]; pass those "
                "of the control alone."
            )
        return read("control", adata, genes), names[0]
    return read("control", adata, genes, groupby=None), ""


def _of_method(cells: Cellset, real: Cellset, control: str) -> Cellset:
    """Predictions whose perturbations are named as in the real cells.

    Raises
    ------
    ValueError
        If the method has the name of a row of controls, or none of its perturbations is there.
    """
    if cells.name in Key.table.controls:
        raise ValueError(
            f"A method is called {cells.name!r}, as a row of controls is; give it another name."
        )
    known = set(real.labels) - {""}
    labels = cells.labels.copy()
    for label in set(labels) - known:
        labels[labels == label] = label.removeprefix(Key.obs.predicted(""))
    if not set(labels) & known - {control}:
        raise ValueError(
            f"The cells of {cells.name!r} have none of the perturbations of real; they are of "
            f"{checks.listed(sorted(set(labels) - {''}))}, and those of real are "
            f"{checks.listed(sorted(known - {control}))}."
        )
    return replace(cells, labels=labels)
